#include "scheduler.h"

#include <stdlib.h>

#include "base/log.h"
#include "conf/conf.h"
#include "periodic.h"
#include "shm/scoreboard.h"
#include "store/jobs.h"
#include "store/schedules.h"
#include "store/tasks.h"

enum { PAUSE_MS = 1000, AT_ONCE = 200 };

static const char lease_name[] = "scheduler";

struct scheduler {
	struct uuid holder; /* who we are: this very process */
	const char *host;
	int64_t lease_ms;
	struct scoreboard *board;
	unsigned slot;
	bool held;
	struct periodic *periodic;
};

static void show(const struct scheduler *s, const struct job_counts *counts)
{
	scoreboard_set_gauge(s->board, s->slot, GAUGE_jobs_queued, counts->queued);
	scoreboard_set_gauge(s->board, s->slot, GAUGE_jobs_running, counts->running);
	scoreboard_set_gauge(s->board, s->slot, GAUGE_jobs_dead, counts->dead);
	scoreboard_set_gauge(s->board, s->slot, GAUGE_jobs_oldest_us, counts->oldest_us);
}

static void note_held(struct scheduler *s, bool held)
{
	static const struct job_counts none;
	if (held && !s->held)
		LOG_EVENT(LOG_INFO, "scheduler_here", LOG_STR("host", s->host));
	if (!held && s->held) {
		LOG_EVENT(LOG_WARNING, "scheduler_elsewhere", LOG_STR("host", s->host));
		show(s, &none);
	}
	s->held = held;
}

static enum err reclaim(struct db_conn *db, struct errmsg *why)
{
	uint64_t count = 0;
	enum err err = tasks_reclaim(db, AT_ONCE, &count, why);
	if (err == ERR_OK && count > 0)
		LOG_EVENT(LOG_WARNING, "tasks_reclaimed", LOG_INT("tasks", count));
	if (err == ERR_OK)
		err = jobs_reclaim(db, AT_ONCE, &count, why);
	if (err == ERR_OK && count > 0)
		LOG_EVENT(LOG_WARNING, "jobs_reclaimed", LOG_INT("jobs", count));
	return err;
}

static enum err run(void *arg, struct db_conn *db, struct errmsg *why)
{
	struct scheduler *s = arg;
	struct job_counts counts;
	uint64_t made;
	bool held;
	enum err err = lease_take(db, lease_name, &s->holder, s->lease_ms, &held, why);
	if (err != ERR_OK)
		return err;
	note_held(s, held);
	if (!held)
		return ERR_OK;
	err = reclaim(db, why);
	if (err == ERR_OK)
		err = schedules_run(db, &s->holder, job_types, JOB_TYPES, &made, why);
	if (err == ERR_OK)
		err = jobs_count(db, &counts, why);
	if (err == ERR_OK)
		show(s, &counts);
	return err;
}

static void changed(void *arg, bool works, const struct errmsg *why)
{
	(void)arg;
	if (!works)
		LOG_EVENT(LOG_WARNING, "scheduler_failed", LOG_STR("detail", why->text));
}

/* What fails is no harm: the lease runs out by itself. */
static void leave(void *arg, struct db_conn *db)
{
	const struct scheduler *s = arg;
	if (s->held)
		(void)lease_give_up(db, lease_name, &s->holder, NULL);
}

enum err scheduler_start(const struct conf *conf, struct scoreboard *board, unsigned slot,
			 struct scheduler **out, struct errmsg *why)
{
	struct scheduler *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return err_set(why, ERR_NOMEM, "out of memory");
	uuid_new(&s->holder);
	s->host = conf_host_id(conf);
	s->lease_ms = conf_number(conf, job_lease);
	s->board = board;
	s->slot = slot;
	const struct periodic_work work = {.arg = s,
					   .run = run,
					   .changed = changed,
					   .leave = leave,
					   .pause_ms = PAUSE_MS,
					   .keep_connection = true};
	enum err err = periodic_start(conf, &work, &s->periodic, why);
	if (err != ERR_OK) {
		free(s);
		return err;
	}
	*out = s;
	return ERR_OK;
}

void scheduler_stop(struct scheduler *s)
{
	if (s == NULL)
		return;
	periodic_stop(s->periodic);
	free(s);
}
