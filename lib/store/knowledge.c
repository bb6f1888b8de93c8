#include "store/knowledge.h"

#include "base/assert.h"

static void read_file(const struct db_result *rows, size_t row, struct knowledge_file *out)
{
	enum { COL_ID, COL_NAME, COL_PATH, COL_AGENT, COL_CATEGORY, COL_SIZE, COL_MODIFIED };
	size_t len;
	const void *id = db_col_blob(rows, row, COL_ID, &len);
	AN_INVARIANT(len == sizeof(out->id.bytes));
	*out = (struct knowledge_file){
	    .name = db_col_text(rows, row, COL_NAME),
	    .path = db_col_text(rows, row, COL_PATH),
	    .agent = db_col_text(rows, row, COL_AGENT),
	    .category = db_col_text(rows, row, COL_CATEGORY),
	    .size = db_col_u64(rows, row, COL_SIZE),
	    .modified_us = db_col_time_us(rows, row, COL_MODIFIED),
	};
	memcpy(out->id.bytes, id, len);
}

enum err knowledge_of(struct db_conn *db, struct arena *arena, const char *agent, uint64_t skip,
		      uint64_t limit, struct knowledge_file **out, size_t *count, uint64_t *total,
		      struct errmsg *why)
{
	static const char page[] =
	    "SELECT id, name, path, agent, category, size, modified_at FROM knowledge_files"
	    " FORCE INDEX (knowledge_files_agent) WHERE agent = ? ORDER BY id LIMIT ? OFFSET ?";
	static const char counting[] = "SELECT COUNT(*) FROM knowledge_files WHERE agent = ?";
	struct db_result rows, counted;
	enum err err = db_query(db, arena, page,
				DB_BINDS(db_text(agent), db_u64(limit), db_u64(skip)), &rows, why);
	if (err == ERR_OK)
		err = db_query(db, arena, counting, DB_BINDS(db_text(agent)), &counted, why);
	if (err != ERR_OK)
		return err;
	struct knowledge_file *files = arena_calloc(arena, rows.row_count + 1, sizeof(*files));
	if (files == NULL)
		return err_set(why, ERR_NOMEM, "out of memory for a list");
	for (size_t i = 0; i < rows.row_count; i++)
		read_file(&rows, i, &files[i]);
	*out = files;
	*count = rows.row_count;
	*total = db_col_u64(&counted, 0, 0);
	return ERR_OK;
}
