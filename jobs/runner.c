#include "runner.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/wait.h"
#include "conf/conf.h"
#include "periodic.h"
#include "store/jobs.h"

enum {
	POLL_MS = 250,
	BEATS_A_LEASE = 5,
	THREADS_MAX = 16,
	TYPES_MAX = 16,
	END_TRIES = 3,
	PAYLOAD_MAX = 1 << 20,
};

/* A thread, and the job that it runs. */
struct job_run {
	struct runner *runner;
	pthread_t thread;
	bool started;

	/* Of the job: set by the thread that claims while there is none. */
	struct arena arena;
	struct job_claim claim;
	const struct job_work *work;
	int64_t limit_ns; /* when it has taken too long */
	int64_t beat_ns;  /* when its lease is renewed next */
	struct db_conn *db;

	/* Under the runner's lock. */
	bool busy;
	bool cancelled;
	bool lost;
	struct job_progress progress;
};

struct runner {
	const struct conf *conf;
	const struct job_work *work;
	const char *types[TYPES_MAX + 1];
	struct job_taking taking;
	struct db_server server;
	struct job_run runs[THREADS_MAX];
	unsigned run_count;
	pthread_mutex_t lock;
	pthread_cond_t given;
	bool stop; /* under the lock */
	struct periodic *periodic;
};

struct db_conn *job_db(struct job_run *run)
{
	const struct deadline limit = deadline_in_ms(JOB_STATEMENT_MS);
	db_set_deadline(run->db, &limit);
	return run->db;
}

const struct conf *job_conf(const struct job_run *run)
{
	return run->runner->conf;
}

const char *job_payload(const struct job_run *run)
{
	return run->claim.payload;
}

static bool too_long(const struct job_run *run)
{
	return clock_mono_ns() > run->limit_ns;
}

static bool same_progress(const struct job_progress *a, const struct job_progress *b)
{
	return a->percent == b->percent && strcmp(a->message, b->message) == 0;
}

enum err job_goes_on(struct job_run *run, int percent, const char *message, struct errmsg *why)
{
	struct job_progress new = {.percent = percent, .changed = true};
	snprintf(new.message, sizeof(new.message), "%s", message != NULL ? message : "");
	pthread_mutex_lock(&run->runner->lock);
	if (!same_progress(&new, &run->progress))
		run->progress = new;
	bool ends = run->cancelled || run->lost || run->runner->stop;
	pthread_mutex_unlock(&run->runner->lock);
	if (ends)
		return err_set(why, ERR_CANCELLED, "the job shall end");
	if (too_long(run))
		return err_set(why, ERR_TIMEOUT, "it took longer than the %ld s that it may",
			       run->work->type->limit_s);
	return ERR_OK;
}

/* How it ends */

static const struct job_end given_back = {.status = "queued", .attempt_not_used = true};

static struct job_end end_of(const struct job_run *run, enum err err, const struct strbuf *result,
			     const struct errmsg *why)
{
	if (err == ERR_OK)
		return (struct job_end){.status = "completed",
					.result = result->len > 0 ? result->data : NULL};
	if (run->cancelled)
		return (struct job_end){.status = "cancelled"};
	if (err == ERR_CANCELLED)
		return given_back;
	if (err == ERR_INVALID)
		return (struct job_end){.status = "failed", .error = why->text};
	return job_end_failed(&run->claim, why->text);
}

static void tell_end(const struct job_run *run, const struct job_end *end)
{
	char id[UUID_TEXT_MAX];
	uuid_format(&run->claim.id, id);
	bool bad = end->error != NULL;
	LOG_EVENT(bad ? LOG_WARNING : LOG_INFO, "job_ended", LOG_STR("job", id),
		  LOG_STR("type", run->claim.type), LOG_STR("status", end->status),
		  LOG_INT("attempt", run->claim.attempts),
		  LOG_STR("detail", bad ? end->error : ""));
}

static void tell_lost(const struct job_run *run, const struct errmsg *why)
{
	char id[UUID_TEXT_MAX];
	uuid_format(&run->claim.id, id);
	LOG_EVENT(LOG_WARNING, "job_lost", LOG_STR("job", id), LOG_STR("type", run->claim.type),
		  LOG_STR("detail", why->text));
}

static enum err connect_again(struct job_run *run, struct errmsg *why)
{
	const struct deadline limit = deadline_in_ms(PERIODIC_LIMIT_MS);
	db_close(run->db);
	run->db = NULL;
	return db_connect(&run->runner->server, &limit, &run->db, why);
}

/* When the database stays away the lease runs out, and the scheduler says how it ends. */
static void store_end(struct job_run *run, const struct job_end *end)
{
	struct errmsg why = ERRMSG_INIT;
	enum err err = ERR_UNAVAILABLE;
	for (int i = 0; i < END_TRIES && err != ERR_OK && err != ERR_CONFLICT; i++) {
		err = i > 0 || run->db == NULL ? connect_again(run, &why) : ERR_OK;
		if (err == ERR_OK)
			err = jobs_end(job_db(run), &run->claim, end, &why);
	}
	if (err == ERR_OK)
		tell_end(run, end);
	else
		tell_lost(run, &why);
}

/* A thread that runs jobs */

static bool await_job(struct job_run *run)
{
	struct runner *r = run->runner;
	pthread_mutex_lock(&r->lock);
	while (!run->busy && !r->stop)
		pthread_cond_wait(&r->given, &r->lock);
	bool busy = run->busy;
	pthread_mutex_unlock(&r->lock);
	return busy;
}

static void run_job(struct job_run *run)
{
	struct errmsg why = ERRMSG_INIT;
	STRBUF_CLEANUP result = STRBUF_INIT;
	enum err err = connect_again(run, &why);
	if (err == ERR_OK)
		err = job_goes_on(run, 0, NULL, &why);
	if (err == ERR_OK)
		err = run->work->run(run, &result, &why);
	if (err == ERR_OK && result.failed)
		err = err_set(&why, ERR_NOMEM, "out of memory for the result");
	pthread_mutex_lock(&run->runner->lock);
	const struct job_end end = end_of(run, err, &result, &why);
	pthread_mutex_unlock(&run->runner->lock);
	store_end(run, &end);
	db_close(run->db);
	run->db = NULL;
}

static void *run_main(void *arg)
{
	struct job_run *run = arg;
	while (await_job(run)) {
		run_job(run);
		pthread_mutex_lock(&run->runner->lock);
		run->busy = false;
		pthread_mutex_unlock(&run->runner->lock);
	}
	return NULL;
}

/* The thread that claims and renews */

/* One that takes too long is let go: its lease runs out. */
static enum err beat(struct runner *r, struct job_run *run, struct db_conn *db, struct errmsg *why)
{
	int64_t now = clock_mono_ns();
	pthread_mutex_lock(&r->lock);
	bool due = run->busy && !run->lost && now >= run->beat_ns && !too_long(run);
	const struct job_progress progress = run->progress;
	const struct job_claim claim = run->claim;
	pthread_mutex_unlock(&r->lock);
	if (!due)
		return ERR_OK;
	bool cancel;
	enum err err = jobs_extend(db, &claim, r->taking.lease_ms, &progress, &cancel, why);
	if (err != ERR_OK && err != ERR_CONFLICT)
		return err;
	pthread_mutex_lock(&r->lock);
	if (run->busy && uuid_equal(&run->claim.lease, &claim.lease)) {
		run->lost = err == ERR_CONFLICT;
		run->cancelled = run->cancelled || cancel;
		run->beat_ns = now + r->taking.lease_ms / BEATS_A_LEASE * NS_PER_MS;
		if (same_progress(&progress, &run->progress))
			run->progress.changed = false;
	}
	pthread_mutex_unlock(&r->lock);
	return ERR_OK;
}

static const struct job_work *work_of(const struct runner *r, const char *type)
{
	size_t i = 0;
	while (strcmp(r->types[i], type) != 0)
		i++;
	return &r->work[i];
}

/* The thread that would do it has ended meanwhile, or is about to. */
static enum err give_back(struct job_run *run, struct db_conn *db, struct errmsg *why)
{
	/* The claim may have used up the round's time. */
	const struct deadline limit = deadline_in_ms(JOB_STATEMENT_MS);
	db_set_deadline(db, &limit);
	enum err err = jobs_end(db, &run->claim, &given_back, why);
	if (err == ERR_OK)
		tell_end(run, &given_back);
	else
		tell_lost(run, why);
	return err;
}

/* *more says whether it got one. */
static enum err take(struct runner *r, struct job_run *run, struct db_conn *db, bool *more,
		     struct errmsg *why)
{
	arena_reset(&run->arena);
	enum err err = jobs_claim(db, &run->arena, &r->taking, &run->claim, why);
	*more = err == ERR_OK;
	if (err != ERR_OK)
		return err == ERR_NOT_FOUND ? ERR_OK : err;
	int64_t now = clock_mono_ns();
	run->work = work_of(r, run->claim.type);
	run->limit_ns = now + run->work->type->limit_s * NS_PER_S;
	run->beat_ns = now + r->taking.lease_ms / BEATS_A_LEASE * NS_PER_MS;
	pthread_mutex_lock(&r->lock);
	bool given = !r->stop;
	run->cancelled = run->lost = false;
	memset(&run->progress, 0, sizeof(run->progress));
	run->busy = given;
	pthread_cond_broadcast(&r->given);
	pthread_mutex_unlock(&r->lock);
	return given ? ERR_OK : give_back(run, db, why);
}

static bool is_free(struct runner *r, const struct job_run *run)
{
	pthread_mutex_lock(&r->lock);
	bool is = !run->busy && !r->stop;
	pthread_mutex_unlock(&r->lock);
	return is;
}

static enum err look_round(void *arg, struct db_conn *db, struct errmsg *why)
{
	struct runner *r = arg;
	enum err err = ERR_OK;
	bool more = true;
	for (unsigned i = 0; i < r->run_count && err == ERR_OK; i++)
		err = beat(r, &r->runs[i], db, why);
	for (unsigned i = 0; i < r->run_count && err == ERR_OK && more; i++)
		if (is_free(r, &r->runs[i]))
			err = take(r, &r->runs[i], db, &more, why);
	return err;
}

static void changed(void *arg, bool works, const struct errmsg *why)
{
	(void)arg;
	if (!works)
		LOG_EVENT(LOG_WARNING, "jobs_failed", LOG_STR("detail", why->text));
}

/* Start and end */

static enum err start_threads(struct runner *r, struct errmsg *why)
{
	for (unsigned i = 0; i < r->run_count; i++) {
		struct job_run *run = &r->runs[i];
		run->runner = r;
		arena_init(&run->arena, 4096, PAYLOAD_MAX);
		if (pthread_create(&run->thread, NULL, run_main, run) != 0)
			return err_set(why, ERR_INTERNAL, "can't start a thread for jobs");
		run->started = true;
	}
	return ERR_OK;
}

enum err runner_start(const struct conf *conf, const struct job_work *work, size_t count,
		      struct runner **out, struct errmsg *why)
{
	struct runner *r = calloc(1, sizeof(*r));
	if (r == NULL)
		return err_set(why, ERR_NOMEM, "out of memory");
	AN_INVARIANT(count <= TYPES_MAX);
	r->conf = conf;
	r->work = work;
	for (size_t i = 0; i < count; i++)
		r->types[i] = work[i].type->name;
	r->taking = (struct job_taking){.types = r->types,
					.host = conf_host_id(conf),
					.lease_ms = conf_number(conf, job_lease)};
	r->run_count = (unsigned)conf_number(conf, job_threads);
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->given, NULL);
	const struct periodic_work looking = {.arg = r,
					      .run = look_round,
					      .changed = changed,
					      .pause_ms = POLL_MS,
					      .keep_connection = true};
	enum err err = db_server_load(conf, &r->server, why);
	r->server.statement_ms = JOB_STATEMENT_MS;
	if (err == ERR_OK)
		err = start_threads(r, why);
	if (err == ERR_OK)
		err = periodic_start(conf, &looking, &r->periodic, why);
	if (err != ERR_OK) {
		runner_stop(r);
		return err;
	}
	*out = r;
	return ERR_OK;
}

/* The leases are renewed until the last job has ended. */
void runner_stop(struct runner *r)
{
	if (r == NULL)
		return;
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_broadcast(&r->given);
	pthread_mutex_unlock(&r->lock);
	for (unsigned i = 0; i < r->run_count; i++)
		if (r->runs[i].started)
			pthread_join(r->runs[i].thread, NULL);
	periodic_stop(r->periodic);
	for (unsigned i = 0; i < r->run_count; i++)
		arena_release(&r->runs[i].arena);
	db_server_release(&r->server);
	pthread_cond_destroy(&r->given);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
