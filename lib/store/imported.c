#include "store/imported.h"

#include <sodium.h>
#include <string.h>

#include "base/clock.h"
#include "base/uuid.h"

/*
 * A UUIDv7 of a time, whose random bits are a digest: what the same source has under the same
 * words is the same row.
 */
static struct uuid id_of_row(int64_t wall_us, const char *const *words, size_t count)
{
	crypto_generichash_state state;
	struct uuid id;
	uint64_t ms = (uint64_t)(wall_us / US_PER_MS);
	crypto_generichash_init(&state, NULL, 0, sizeof(id.bytes));
	for (size_t i = 0; i < count; i++) {
		const char *word = words[i] != NULL ? words[i] : "";
		/* With the NUL, so that two words are not one. */
		crypto_generichash_update(&state, (const unsigned char *)word, strlen(word) + 1);
	}
	crypto_generichash_final(&state, id.bytes, sizeof(id.bytes));
	for (int i = 0; i < 6; i++)
		id.bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
	id.bytes[6] = (uint8_t)(0x70 | (id.bytes[6] & 0x0f));
	id.bytes[8] = (uint8_t)(0x80 | (id.bytes[8] & 0x3f));
	return id;
}

#define ID_OF_ROW(wall_us, ...)                                                                    \
	id_of_row((wall_us), (const char *const[]){__VA_ARGS__},                                   \
		  sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static struct db_value id_value(const struct uuid *id)
{
	return db_blob(id->bytes, sizeof(id->bytes));
}

static struct db_value time_or_null(int64_t wall_us)
{
	return wall_us != 0 ? db_time(wall_us) : db_null();
}

static struct db_value number_or_null(int64_t number, int64_t none)
{
	return number != none ? db_i64(number) : db_null();
}

/*
 * Looks for what is there, with a statement that answers whether it is the same and whether
 * the source is newer.
 */
static enum err compare(struct db_conn *db, struct arena *arena, const char *sql,
			const struct db_value *binds, size_t bind_count,
			enum import_outcome *outcome, struct errmsg *why)
{
	struct db_result rows;
	enum err err = db_query(db, arena, sql, binds, bind_count, &rows, why);
	if (err != ERR_OK)
		return err;
	if (rows.row_count == 0)
		*outcome = IMPORT_CREATED;
	else if (db_col_bool(&rows, 0, 0))
		*outcome = IMPORT_UNCHANGED;
	else
		*outcome = db_col_bool(&rows, 0, 1) ? IMPORT_UPDATED : IMPORT_KEPT;
	return ERR_OK;
}

/* ---- files ---- */

static enum err add_file(struct db_conn *db, const struct knowledge_file *f, struct errmsg *why)
{
	static const char sql[] =
	    "INSERT INTO knowledge_files (id, name, path, agent, category, size, modified_at)"
	    " VALUES (?, ?, ?, ?, ?, ?, ?)";
	struct uuid id;
	uuid_new(&id);
	return db_exec(db, sql,
		       DB_BINDS(id_value(&id), db_text(f->name), db_text(f->path),
				db_text(f->agent), db_text(f->category), db_u64(f->size),
				db_time(f->modified_us)),
		       NULL, why);
}

enum err knowledge_import(struct db_conn *db, struct arena *arena,
			  const struct knowledge_file *source, enum import_outcome *outcome,
			  struct errmsg *why)
{
	static const char comparing[] =
	    "SELECT BINARY name = ? AND agent <=> ? AND BINARY category <=> ? AND size = ? AND "
	    "modified_at = ?,"
	    " modified_at <= ? FROM knowledge_files WHERE path = ? FOR UPDATE";
	static const char changing[] =
	    "UPDATE knowledge_files SET name = ?, agent = ?, category = ?, size = ?,"
	    " modified_at = ? WHERE path = ?";
	enum err err = compare(db, arena, comparing,
			       DB_BINDS(db_text(source->name), db_text(source->agent),
					db_text(source->category), db_u64(source->size),
					db_time(source->modified_us), db_time(source->modified_us),
					db_text(source->path)),
			       outcome, why);
	if (err == ERR_OK && *outcome == IMPORT_CREATED)
		err = add_file(db, source, why);
	else if (err == ERR_OK && *outcome == IMPORT_UPDATED)
		err = db_exec(db, changing,
			      DB_BINDS(db_text(source->name), db_text(source->agent),
				       db_text(source->category), db_u64(source->size),
				       db_time(source->modified_us), db_text(source->path)),
			      NULL, why);
	return err;
}

/* ---- the use of APIs ---- */

enum err usage_import(struct db_conn *db, struct arena *arena, const struct imported_usage *source,
		      enum import_outcome *outcome, struct errmsg *why)
{
	static const char comparing[] = "SELECT TRUE, FALSE FROM usage_records WHERE id = ?";
	static const char adding[] =
	    "INSERT INTO usage_records (id, at, provider, model, input_tokens, output_tokens,"
	    " tokens, cost) VALUES (?, ?, ?, COALESCE(?, ''), ?, ?, ?, ?)";
	const struct uuid id = ID_OF_ROW(source->at_us, "api_usage", source->source_id,
					 source->provider, source->model);
	enum err err = compare(db, arena, comparing, DB_BINDS(id_value(&id)), outcome, why);
	if (err == ERR_OK && *outcome == IMPORT_CREATED)
		err = db_exec(db, adding,
			      DB_BINDS(id_value(&id), db_time(source->at_us),
				       db_text(source->provider), db_text(source->model),
				       number_or_null(source->input_tokens, -1),
				       number_or_null(source->output_tokens, -1),
				       db_i64(source->tokens), db_text(source->cost)),
			      NULL, why);
	return err;
}

/* ---- jobs ---- */

enum err job_import(struct db_conn *db, struct arena *arena, const struct imported_job *source,
		    enum import_outcome *outcome, struct errmsg *why)
{
	static const char comparing[] =
	    "SELECT status = ? AND completed_at <=> ? AND BINARY result <=> ?"
	    " AND BINARY error <=> ?, TRUE FROM job_history WHERE id = ?"
	    " FOR UPDATE";
	static const char adding[] =
	    "INSERT INTO job_history (status, completed_at, result, error, id, job_type,"
	    " started_at) VALUES (?, ?, ?, ?, ?, ?, ?)";
	static const char changing[] = "UPDATE job_history SET status = ?, completed_at = ?, "
				       "result = ?, error = ? WHERE id = ?";
	enum { COMPARED = 5, ALL = 7 };
	const struct uuid id =
	    ID_OF_ROW(source->started_us, "job_history", source->source_id, source->job_type);
	const struct db_value values[ALL] = {db_text(source->status),
					     time_or_null(source->completed_us),
					     db_text(source->result),
					     db_text(source->error),
					     id_value(&id),
					     db_text(source->job_type),
					     time_or_null(source->started_us)};
	enum err err = compare(db, arena, comparing, values, COMPARED, outcome, why);
	if (err == ERR_OK && *outcome == IMPORT_CREATED)
		err = db_exec(db, adding, values, ALL, NULL, why);
	else if (err == ERR_OK && *outcome == IMPORT_UPDATED)
		err = db_exec(db, changing, values, COMPARED, NULL, why);
	return err;
}
