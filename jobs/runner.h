/*
 * The runner: takes jobs from the database and runs them, a bounded number at once.
 *
 * One thread looks for jobs that are due, gives each to a thread that is free, and renews the
 * leases of those that run; a job's thread has a connection of its own while it runs.  A type of
 * work is a row: what the database knows of it (store/job_types.h) and a function.
 *
 *	static enum err recount(struct job_run *run, struct strbuf *result, struct errmsg *why)
 *	{
 *		for (size_t i = 0; i < count && err == ERR_OK; i++) {
 *			err = job_goes_on(run, (int)(100 * i / count), things[i].name, why);
 *			if (err == ERR_OK)
 *				err = recount_one(job_db(run), &things[i], why);
 *		}
 *		return err;
 *	}
 *
 * A function may be run again from its beginning after its process was killed anywhere, and while
 * a process that was only frozen still believes to run it: it works in portions that do no harm
 * when they are done twice.  One that can't is not `repeatable`, and is begun once.
 */
#ifndef ZIGGIE_JOBS_RUNNER_H
#define ZIGGIE_JOBS_RUNNER_H

#include "base/error.h"
#include "base/strbuf.h"
#include "db/db.h"
#include "store/job_types.h"

struct conf;
struct job_run;
struct runner;

/*
 * Fills result, which is empty, with a JSON object, or leaves it.  ERR_INVALID is not tried again;
 * what job_goes_on() returns is handed through.
 */
typedef enum err job_function(struct job_run *run, struct strbuf *result, struct errmsg *why);

struct job_work {
	const struct job_type *type;
	job_function *run;
};

/*
 * Between two portions: says how far the job is.  ERR_CANCELLED when it shall end, because
 * somebody cancelled it, this process ends or another one has taken it over; ERR_TIMEOUT when it
 * has taken too long.  message is NULL or copied.
 */
enum err job_goes_on(struct job_run *run, int percent, const char *message, struct errmsg *why);
/* The connection of this job, until it ends; a statement of it may take JOB_STATEMENT_MS. */
struct db_conn *job_db(struct job_run *run);
const struct conf *job_conf(const struct job_run *run);
/* The job's JSON object. */
const char *job_payload(const struct job_run *run);
enum { JOB_STATEMENT_MS = 20000 };

/* All is borrowed.  job_threads jobs at once, of the types of these rows. */
enum err runner_start(const struct conf *conf, const struct job_work *work, size_t count,
		      struct runner **out, struct errmsg *why);
/* Waits for the portions that are being done; the jobs are given back.  NULL is fine. */
void runner_stop(struct runner *r);

#endif
