#include "work.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "conf/conf.h"
#include "json/writer.h"
#include "store/agent_tasks_check.h"
#include "store/agents.h"
#include "store/audit.h"
#include "store/goals.h"
#include "store/idempotency.h"
#include "store/jobs.h"
#include "store/plans.h"
#include "store/projects.h"
#include "store/record_totals.h"
#include "store/tasks.h"
#include "store/tickets.h"
#include "store/tokens.h"

enum { PORTION = 500 };
#define KEEP_ANSWERS_US (INT64_C(24) * 3600 * US_PER_S)

/* Removing what is old, a portion at a time, so that no lock is held for long. */

typedef enum err remove_portion(struct db_conn *db, int64_t before_us, unsigned most,
				uint64_t *removed, struct errmsg *why);

static enum err remove_tokens(struct db_conn *db, int64_t before_us, unsigned most,
			      uint64_t *removed, struct errmsg *why)
{
	(void)before_us;
	return tokens_remove_expired(db, most, removed, why);
}

static enum err remove_tickets(struct db_conn *db, int64_t before_us, unsigned most,
			       uint64_t *removed, struct errmsg *why)
{
	(void)before_us;
	return tickets_remove_expired(db, most, removed, why);
}

struct removal {
	const char *what; /* "tokens" */
	remove_portion *remove;
	int64_t before_us;
};

/* How many there are is not known before; percent says how many kinds of things are done. */
static enum err remove_all(struct job_run *run, const struct removal *removal, int percent,
			   struct json_writer *w, struct errmsg *why)
{
	char message[64];
	uint64_t total = 0, removed = PORTION;
	enum err err = ERR_OK;
	while (removed >= PORTION && err == ERR_OK) {
		snprintf(message, sizeof(message), "%" PRIu64 " %s removed", total, removal->what);
		err = job_goes_on(run, percent, message, why);
		if (err == ERR_OK)
			err = removal->remove(job_db(run), removal->before_us, PORTION, &removed,
					      why);
		total += err == ERR_OK ? removed : 0;
	}
	json_put_uint(w, removal->what, total);
	return err;
}

static enum err remove_each(struct job_run *run, const struct removal *removals, size_t count,
			    struct strbuf *result, struct errmsg *why)
{
	struct json_writer w;
	enum err err = ERR_OK;
	json_init(&w, result);
	json_object(&w);
	for (size_t i = 0; i < count && err == ERR_OK; i++)
		err = remove_all(run, &removals[i], (int)(100 * i / count), &w, why);
	json_end(&w);
	return err;
}

static int64_t ago(int64_t ms)
{
	return clock_wall_us() - ms * US_PER_MS;
}

static enum err remove_old_audit(struct job_run *run, struct strbuf *result, struct errmsg *why)
{
	const struct removal removal = {"rows", audit_remove_before,
					ago(conf_number(job_conf(run), audit_retention))};
	return remove_each(run, &removal, 1, result, why);
}

static enum err remove_expired(struct job_run *run, struct strbuf *result, struct errmsg *why)
{
	const struct removal removals[] = {
	    {"tokens", remove_tokens, 0},
	    {"tickets", remove_tickets, 0},
	    {"answers", idempotency_remove_old, clock_wall_us() - KEEP_ANSWERS_US}};
	return remove_each(run, removals, ARRAY_LEN(removals), result, why);
}

static enum err remove_old_jobs(struct job_run *run, struct strbuf *result, struct errmsg *why)
{
	const struct removal removal = {"jobs", jobs_remove_before,
					ago(conf_number(job_conf(run), job_retention))};
	return remove_each(run, &removal, 1, result, why);
}

/* What is counted beside the records that are counted */

static const struct record_kind *const counted[] = {&agents, &projects, &goals,
						    &plans,  &tasks,    &jobs};
enum { AGENTS_A_PORTION = 100, COUNT_STEPS = ARRAY_LEN(counted) + 1 };

static enum err verify_total(struct job_run *run, const struct record_kind *kind, int percent,
			     struct json_writer *w, struct errmsg *why)
{
	int64_t off = 0;
	enum err err = job_goes_on(run, percent, kind->table, why);
	if (err == ERR_OK)
		err = record_verify_total(job_db(run), kind, &off, why);
	if (off != 0)
		LOG_EVENT(LOG_WARNING, "total_mended", LOG_STR("kind", kind->name),
			  LOG_INT("off", off));
	json_put_int(w, kind->table, off);
	return err;
}

static enum err verify_agent_tasks(struct job_run *run, int percent, struct json_writer *w,
				   struct errmsg *why)
{
	struct agent_tasks_check check = {.done = false};
	char message[64];
	enum err err = ERR_OK;
	while (!check.done && err == ERR_OK) {
		snprintf(message, sizeof(message), "tasks of %" PRIu64 " agents", check.agents);
		err = job_goes_on(run, percent, message, why);
		if (err == ERR_OK)
			err = agent_tasks_check_next(job_db(run), &check, AGENTS_A_PORTION, why);
	}
	if (check.mended > 0)
		LOG_EVENT(LOG_WARNING, "task_counts_mended", LOG_INT("agents", check.mended));
	json_put_uint(w, "agent_tasks", check.mended);
	return err;
}

static enum err verify_counts(struct job_run *run, struct strbuf *result, struct errmsg *why)
{
	struct json_writer w;
	enum err err = ERR_OK;
	int percent = 0;
	json_init(&w, result);
	json_object(&w);
	for (size_t i = 0; i < ARRAY_LEN(counted) && err == ERR_OK; i++) {
		err = verify_total(run, counted[i], percent, &w, why);
		percent = (int)(100 * (i + 1) / COUNT_STEPS);
	}
	if (err == ERR_OK)
		err = verify_agent_tasks(run, percent, &w, why);
	json_end(&w);
	return err;
}

#define WORK(name, ...) [JOB_##name] = {&job_types[JOB_##name], name},
const struct job_work job_work[JOB_TYPES] = {JOB_TYPE_ROWS(WORK)};
