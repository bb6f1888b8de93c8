#include <string.h>
#include <sysexits.h>

#include "agent_list.h"
#include "base/assert.h"
#include "sqlite_kinds.h"

enum { ARENA_CHUNK = 1 << 20, ARENA_LIMIT = 1 << 30 };

const struct sqlite_column sqlite_agent_columns[SQLITE_AGENT_COLUMNS] = {
    [AGENT_KEY_ID] = {.names = "agent_id|code|id", .required = true},
    [AGENT_KEY_LEVEL] = {.names = "level"},
    [AGENT_KEY_PARENT] = {.names = "parent|parent_id|parent_agent|parent_agent_id"},
    [AGENT_KEY_PARENT_L1] = {.names = "parent_l1|l1_parent"},
    [AGENT_KEY_PARENT_L2] = {.names = "parent_l2|l2_parent"},
    [AGENT_KEY_NAME] = {.names = "name"},
    [AGENT_KEY_TITLE] = {.names = "title"},
    [AGENT_KEY_ROLE] = {.names = "role"},
    [AGENT_KEY_CATEGORY] = {.names = "category"},
    [AGENT_KEY_DESCRIPTION] = {.names = "description"},
    [AGENT_KEY_STATUS] = {.names = "status"},
    [SQLITE_AGENT_FILENAME] = {.names = "filename|file_path|path"},
    [SQLITE_AGENT_MODIFIED] = {.names = "updated_at|modified|last_modified|created_at"},
};

/* A file, and the one table of it that is being taken over. */
struct source {
	struct import *im;
	const char *path;
	struct sqlite_file *file;
	const struct sqlite_kind *kind;
	struct arena arena;
	struct sqlite_rows rows;
	char place[512]; /* of the row that a message is about */
};

static int fail(const struct source *s, enum err err, const char *table, const struct errmsg *why)
{
	struct errmsg full = ERRMSG_INIT;
	err_set(&full, err, "%s%s%s: %s", s->path, table != NULL ? ", table " : "",
		table != NULL ? table : "", why->text);
	return err == ERR_NOT_FOUND ? ctl_fail(EX_NOINPUT, "%s", full.text)
				    : ctl_fail_err(err, &full);
}

static const char *place_in(struct source *s, const char *table, size_t row)
{
	snprintf(s->place, sizeof(s->place), "%s, table %s, row %zu", s->path, table, row + 1);
	return s->place;
}

/* A table, and a line on what of it is not taken. */
static int read_table(struct source *s, const char *table, const struct sqlite_column *columns,
		      size_t count)
{
	struct errmsg why = ERRMSG_INIT;
	enum err err = sqlite_read(s->file, &s->arena, table, columns, count, &s->rows, &why);
	if (err != ERR_OK)
		return fail(s, err, table, &why);
	snprintf(s->place, sizeof(s->place), "%s, table %s", s->path, table);
	if (!s->rows.there)
		import_note(s->place, "there is none");
	else if (s->rows.left_out[0] != '\0')
		import_note(s->place, "columns not taken over: %s", s->rows.left_out);
	return EX_OK;
}

static enum err write_row(struct db_conn *db, struct arena *arena, void *arg, size_t which,
			  enum import_outcome *outcome, struct errmsg *why)
{
	const struct source *s = arg;
	return s->kind->write(db, arena, &s->rows, which, outcome, why);
}

static const char *place_of_row(void *arg, size_t which, unsigned *line)
{
	struct source *s = arg;
	*line = 0;
	return place_in(s, s->kind->table, which);
}

static int import_table(struct source *s, const struct sqlite_kind *kind)
{
	arena_init(&s->arena, ARENA_CHUNK, ARENA_LIMIT);
	s->kind = kind;
	int exit_code = read_table(s, kind->table, kind->columns, kind->column_count);
	const struct import_kind rows = {.name = kind->name,
					 .count = s->rows.count,
					 .arg = s,
					 .write = write_row,
					 .audited_as = kind->audited_as,
					 .file = s->path,
					 .place = place_of_row};
	if (exit_code == EX_OK && s->rows.there)
		exit_code = import_run(s->im, &rows);
	arena_release(&s->arena);
	return exit_code;
}

/* False without memory. */
static bool add_agent(struct source *s, struct agent_list *list, size_t row)
{
	struct errmsg why = ERRMSG_INIT;
	struct agent_text *text = arena_calloc(&list->arena, 1, sizeof(*text));
	const char *place = arena_strdup(&list->arena, place_in(s, "agents", row));
	if (text == NULL || place == NULL)
		return false;
	for (size_t key = 0; key < AGENT_KEY_COUNT; key++)
		text->values[key] = agent_plain_text(&list->arena, sqlite_text(&s->rows, row, key));
	enum err err = agent_text_check(&list->arena, text, &why);
	if (err == ERR_OK)
		return agent_list_add(
		    list, (struct listed_agent){
			      text, place,
			      agent_plain_text(&list->arena,
					       sqlite_text(&s->rows, row, SQLITE_AGENT_FILENAME)),
			      sqlite_time_us(&s->rows, row, SQLITE_AGENT_MODIFIED)});
	if (err != ERR_NOMEM)
		import_skip(s->im, place, 0, why.text);
	return err != ERR_NOMEM;
}

static int import_agents(struct source *s)
{
	struct agent_list list;
	bool enough = true;
	arena_init(&s->arena, ARENA_CHUNK, ARENA_LIMIT);
	agent_list_init(&list);
	list.keeps_what_is_newer = true;
	int exit_code = read_table(s, "agents", sqlite_agent_columns, SQLITE_AGENT_COLUMNS);
	for (size_t i = 0; exit_code == EX_OK && i < s->rows.count && enough; i++)
		enough = add_agent(s, &list, i);
	if (!enough)
		exit_code = ctl_fail(EX_OSERR, "out of memory for the agents");
	if (exit_code == EX_OK && s->rows.there)
		exit_code = agent_list_import(&list, s->im);
	agent_list_release(&list);
	arena_release(&s->arena);
	return exit_code;
}

/* A database of something else is more likely a mistake than an empty one. */
static int check_tables(struct source *s)
{
	static const char *const tables[] = {
	    "users", "agents", "services", "knowledge_files", "api_usage", "job_history", NULL};
	struct errmsg why = ERRMSG_INIT;
	bool has;
	enum err err = sqlite_has_any(s->file, tables, &has, &why);
	if (err == ERR_OK && !has)
		err = err_set(&why, ERR_MALFORMED, "it has none of the predecessor's tables");
	return err == ERR_OK ? EX_OK : fail(s, err, NULL, &why);
}

static int import_all(struct source *s)
{
	static const struct sqlite_kind *const others[] = {&sqlite_services, &sqlite_knowledge,
							   &sqlite_usage, &sqlite_jobs};
	int exit_code = check_tables(s);
	if (exit_code == EX_OK)
		exit_code = import_table(s, &sqlite_users);
	if (exit_code == EX_OK)
		exit_code = import_agents(s);
	for (size_t i = 0; i < ARRAY_LEN(others) && exit_code == EX_OK; i++)
		exit_code = import_table(s, others[i]);
	return exit_code;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	struct import im = {.ctl = ctl};
	struct source source = {.im = &im};
	struct errmsg why = ERRMSG_INIT;
	const struct ctl_option options[] = {IMPORT_OPTIONS(&im)};
	if (!ctl_arguments(ctl, argc, argv, options, ARRAY_LEN(options), &source.path, 1, 1))
		return EX_USAGE;
	enum err err = sqlite_open(source.path, &source.file, &why);
	if (err != ERR_OK)
		return fail(&source, err, NULL, &why);
	int exit_code = import_all(&source);
	sqlite_close(source.file);
	return exit_code == EX_OK ? import_end(&im) : exit_code;
}

const struct command command_import_sqlite = {
    .name = "import sqlite",
    .synopsis = "FILE [--dry-run] [--strict]",
    .summary = "Take over what the predecessor's SQLite database knows.",
    .help = "Reads users, agents, services, knowledge_files, api_usage and job_history, and says\n"
	    "what it leaves out and why. FILE is opened for reading alone. It may run again:\n"
	    "what is here already is changed when FILE has it newer, and kept when it changed\n"
	    "here since; the last active administrator is never changed. Passwords go on to\n"
	    "work. A hundred rows are written in one transaction.\n" IMPORT_HELP,
    .reads_settings = true,
    .run = run,
};
