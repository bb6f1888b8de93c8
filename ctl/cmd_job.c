/*
 * ziggiectl job: background jobs, as /api/v1/jobs shows and changes them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/num.h"
#include "ctl.h"
#include "store/jobs.h"
#include "store/record_audit.h"
#include "user_change.h"

enum { LIMIT_MS = 30000, ROWS_MAX = 1000, ARENA_CHUNK = 65536, ARENA_LIMIT = 256 << 20 };

/* ---- list ---- */

struct listing {
	const char *status; /* or NULL */
	uint64_t limit;
	struct strbuf *out;
};

static void add_row(struct strbuf *out, const char *id, const char *type, const char *status,
		    const char *progress, const char *attempts, const char *created,
		    const char *host)
{
	strbuf_addf(out, "%-36s %-18s %-10s %-8s %-8s %-24s ", id, type, status, progress, attempts,
		    created);
	ctl_add_plain(out, host);
	strbuf_addc(out, '\n');
}

static void add_job(struct strbuf *out, const struct record *job)
{
	enum { NUMBERS_MAX = 48 };
	struct uuid id;
	char text[UUID_TEXT_MAX], created[CLOCK_TEXT_MAX], progress[NUMBERS_MAX],
	    attempts[NUMBERS_MAX];
	AN_INVARIANT(record_uuid(job, RECORD_ID, &id));
	uuid_format(&id, text);
	clock_format_utc(record_int(job, RECORD_CREATED_AT), created);
	snprintf(progress, sizeof(progress), "%" PRId64 "%%", record_int(job, JOB_PROGRESS));
	snprintf(attempts, sizeof(attempts), "%" PRId64 "/%" PRId64, record_int(job, JOB_ATTEMPTS),
		 record_int(job, JOB_MAX_ATTEMPTS));
	add_row(out, text, record_text(job, JOB_TYPE), record_text(job, JOB_STATUS), progress,
		attempts, created, record_null(job, JOB_HOST) ? "-" : record_text(job, JOB_HOST));
}

/* The newest first, with or without that filter. */
static const struct record_order *order_of(const struct listing *l)
{
	size_t i = 0;
	if (l->status != NULL)
		while (jobs.orders[i].filter_count != 1 || jobs.orders[i].filters[0] != JOB_STATUS)
			i++;
	else
		while (jobs.orders[i].filter_count != 0 || jobs.orders[i].sort != RECORD_CREATED_AT)
			i++;
	return &jobs.orders[i];
}

/* Runs again after a deadlock, so it starts with an empty text. */
static enum err list(struct db_conn *db, void *arg, struct errmsg *why)
{
	const struct listing *l = arg;
	const struct record_query query = {.order = order_of(l),
					   .filters = {db_text(l->status)},
					   .descending = true,
					   .limit = l->limit};
	struct arena arena;
	struct record_list found;
	arena_init(&arena, ARENA_CHUNK, ARENA_LIMIT);
	enum err err = record_list(db, &arena, &jobs, &query, &found, why);
	strbuf_clear(l->out);
	add_row(l->out, "ID", "TYPE", "STATUS", "PROGRESS", "ATTEMPTS", "CREATED", "HOST");
	for (size_t i = 0; err == ERR_OK && i < found.count; i++)
		add_job(l->out, &found.records[i]);
	arena_release(&arena);
	return err;
}

static bool is_status(const char *word)
{
	const char *const *words = job_fields[JOB_STATUS].words;
	while (*words != NULL && strcmp(*words, word) != 0)
		words++;
	return *words != NULL;
}

static int run_list(struct ctl *ctl, int argc, char **argv)
{
	STRBUF_CLEANUP out = STRBUF_INIT;
	struct listing l = {.out = &out};
	const char *limit = "50";
	const struct ctl_option options[] = {{.name = "status", .value = &l.status},
					     {.name = "limit", .value = &limit}};
	if (!ctl_arguments(ctl, argc, argv, options, ARRAY_LEN(options), NULL, 0, 0))
		return EX_USAGE;
	if (l.status != NULL && !is_status(l.status))
		return ctl_fail(EX_USAGE, "--status must be queued, running, completed, failed, "
					  "dead or cancelled");
	if (!num_u64s(limit, 1, ROWS_MAX, &l.limit))
		return ctl_fail(EX_USAGE, "--limit must be a number from 1 to %d", ROWS_MAX);
	int exit_code = ctl_transaction(ctl, LIMIT_MS, list, &l);
	return exit_code == EX_OK ? ctl_print(&out) : exit_code;
}

/* ---- one of them ---- */

/* How a job is changed: job_cancel() or job_retry(). */
typedef enum err job_edit(struct db_conn *db, struct arena *arena, const struct record *from,
			  struct record *to, struct errmsg *why);

struct order {
	struct uuid id;
	job_edit *edit;
	struct strbuf *out;
};

/* The id that is the only argument. */
static bool take_id(const struct ctl *ctl, int argc, char **argv, struct uuid *id)
{
	const char *text;
	if (!ctl_arguments(ctl, argc, argv, NULL, 0, &text, 1, 1))
		return false;
	if (uuid_parse(text, id))
		return true;
	ctl_fail(EX_USAGE, "%s is no id of a job; see job list", text);
	return false;
}

static void add_value(struct strbuf *out, const struct field *field, const struct record *job,
		      size_t column)
{
	struct uuid id;
	char text[UUID_TEXT_MAX], time[CLOCK_TEXT_MAX];
	switch (field->type) {
	case FIELD_INT:
		strbuf_addf(out, "%" PRId64, record_int(job, column));
		return;
	case FIELD_BOOL:
		strbuf_adds(out, record_int(job, column) != 0 ? "true" : "false");
		return;
	case FIELD_TIME:
		clock_format_utc(record_int(job, column), time);
		strbuf_adds(out, time);
		return;
	case FIELD_ID:
		AN_INVARIANT(record_uuid(job, column, &id));
		uuid_format(&id, text);
		strbuf_adds(out, text);
		return;
	default:
		ctl_add_plain(out, record_text(job, column));
	}
}

static enum err show(struct db_conn *db, void *arg, struct errmsg *why)
{
	const struct order *order = arg;
	struct arena arena;
	struct record job;
	arena_init(&arena, ARENA_CHUNK, ARENA_LIMIT);
	enum err err = record_find(db, &arena, &jobs, &order->id, &job, why);
	strbuf_clear(order->out);
	for (size_t i = 0; err == ERR_OK && i < JOB_FIELDS; i++) {
		strbuf_addf(order->out, "%-17s", job_fields[i].name);
		if (record_null(&job, i))
			strbuf_addc(order->out, '-');
		else
			add_value(order->out, &job_fields[i], &job, i);
		strbuf_addc(order->out, '\n');
	}
	arena_release(&arena);
	return err;
}

static int run_show(struct ctl *ctl, int argc, char **argv)
{
	STRBUF_CLEANUP out = STRBUF_INIT;
	struct order order = {.out = &out};
	if (!take_id(ctl, argc, argv, &order.id))
		return EX_USAGE;
	int exit_code = ctl_transaction(ctl, LIMIT_MS, show, &order);
	return exit_code == EX_OK ? ctl_print(&out) : exit_code;
}

static enum err store(struct db_conn *db, const struct record *before, const struct record *after,
		      struct errmsg *why)
{
	if (!record_differs(before, after))
		return ERR_OK;
	enum err err = record_update(db, before, after, why);
	return err == ERR_OK ? record_audit(db, &ctl_origin, "update", before, after, why) : err;
}

static enum err obey(struct db_conn *db, void *arg, struct errmsg *why)
{
	static const struct field_value nothing[JOB_FIELDS];
	const struct order *order = arg;
	struct arena arena;
	struct record before, after;
	arena_init(&arena, ARENA_CHUNK, ARENA_LIMIT);
	enum err err = record_lock(db, &arena, &jobs, &order->id, &before, why);
	if (err == ERR_OK)
		err = record_change(&arena, &before, nothing, &after, why);
	if (err == ERR_OK)
		err = order->edit(db, &arena, &before, &after, why);
	if (err == ERR_OK)
		err = record_check_state(&before, &after, why);
	if (err == ERR_OK)
		err = store(db, &before, &after, why);
	arena_release(&arena);
	return err;
}

static int run_edit(const struct ctl *ctl, int argc, char **argv, job_edit *edit)
{
	struct order order = {.edit = edit};
	if (!take_id(ctl, argc, argv, &order.id))
		return EX_USAGE;
	return ctl_transaction(ctl, LIMIT_MS, obey, &order);
}

static int run_retry(struct ctl *ctl, int argc, char **argv)
{
	return run_edit(ctl, argc, argv, job_retry);
}

static int run_cancel(struct ctl *ctl, int argc, char **argv)
{
	return run_edit(ctl, argc, argv, job_cancel);
}

const struct command command_job_list = {
    .name = "job list",
    .synopsis = "[--status STATUS] [--limit N]",
    .summary = "List background jobs, the newest first.",
    .help = "STATUS is queued, running, completed, failed, dead or cancelled; all without it.\n"
	    "N jobs at most are listed, 50 when it is not given.\n",
    .reads_settings = true,
    .run = run_list,
};

const struct command command_job_show = {
    .name = "job show",
    .synopsis = "ID",
    .summary = "Print all that is known of a background job.",
    .help = "",
    .reads_settings = true,
    .run = run_show,
};

const struct command command_job_retry = {
    .name = "job retry",
    .synopsis = "ID",
    .summary = "Queue a background job again that ended without success.",
    .help = "It gets all its attempts again.\n",
    .reads_settings = true,
    .run = run_retry,
};

const struct command command_job_cancel = {
    .name = "job cancel",
    .synopsis = "ID",
    .summary = "Cancel a background job: at once when it is queued, and soon when it runs.",
    .help = "",
    .reads_settings = true,
    .run = run_cancel,
};
