/*
 * Jobs: background work that ziggie-jobs takes from the database.
 *
 *	queued ─claim─▶ running ─▶ completed
 *	   ▲               ├─────▶ cancelled
 *	   │               ├─────▶ failed    it can't succeed, or must not be begun twice
 *	   ├─── pause ─────┤
 *	   └───────────────┴─────▶ dead      its attempts are used up; somebody has to look
 *
 * Who claims a job holds it by a lease, whose id is drawn for this claim alone, and renews it
 * while the job runs.  A lease that ran out is no longer anybody's: jobs_reclaim() lets the job
 * be begun again, or ends it.  Everything that is written to a running job names the lease, so
 * that who has lost it writes nothing: a job ends once.  Leases go by the clock of the database.
 */
#ifndef ZIGGIE_STORE_JOBS_H
#define ZIGGIE_STORE_JOBS_H

#include "store/job_types.h"
#include "store/record.h"

enum {
	JOB_TYPE = RECORD_HEAD,
	JOB_STATUS,
	JOB_PROGRESS,
	JOB_MESSAGE,
	JOB_PAYLOAD,
	JOB_RESULT,
	JOB_ERROR,
	JOB_ATTEMPTS,
	JOB_MAX_ATTEMPTS,
	JOB_REPEATABLE,
	JOB_CANCEL_REQUESTED,
	JOB_SINGLE_KEY,
	JOB_HOST,
	JOB_RUN_AFTER,
	JOB_STARTED_AT,
	JOB_COMPLETED_AT,
	JOB_FIELDS
};

enum { JOB_MESSAGE_MAX = 200, JOB_ERROR_MAX = 2000 };

extern const struct field job_fields[JOB_FIELDS];
extern const struct record_kind jobs;

/* What a new job takes from its type, before it is stored: it runs at once, and alone of its type
 * when the scheduler makes such ones too. */
enum err job_prepare(struct db_conn *db, struct arena *arena, const struct job_type *type,
		     struct record *job, struct errmsg *why);
/* ERR_CONFLICT when it has ended; one that runs is asked to end. */
enum err job_cancel(struct db_conn *db, struct arena *arena, const struct record *from,
		    struct record *to, struct errmsg *why);
/* Queues one that has ended without success, with all attempts; else ERR_CONFLICT. */
enum err job_retry(struct db_conn *db, struct arena *arena, const struct record *from,
		   struct record *to, struct errmsg *why);

/* A claim: the job, and what proves that it is ours. */
struct job_claim {
	struct uuid id;
	struct uuid lease;
	int64_t attempts; /* this one included */
	int64_t max_attempts;
	bool repeatable;
	bool cancel_requested;
	const char *type;    /* in the arena */
	const char *payload; /* a JSON object, there too */
};

struct job_taking {
	const char *const *types; /* that can be run here; ends with NULL */
	const char *host;
	int64_t lease_ms;
};

/* In a transaction of its own: the job that is due longest.  ERR_NOT_FOUND when there is none. */
enum err jobs_claim(struct db_conn *db, struct arena *arena, const struct job_taking *taking,
		    struct job_claim *out, struct errmsg *why);

struct job_progress {
	int percent;
	char message[JOB_MESSAGE_MAX + 1];
	bool changed; /* since it was last written */
};
/* The lease begins anew.  ERR_CONFLICT when it is lost; *cancel says whether the job shall end. */
enum err jobs_extend(struct db_conn *db, const struct job_claim *claim, int64_t lease_ms,
		     const struct job_progress *progress, bool *cancel, struct errmsg *why);

/* How an attempt ends. */
struct job_end {
	const char *status;
	const char *result;    /* of a completed one: a JSON object, or NULL */
	const char *error;     /* or NULL */
	int64_t pause_ms;      /* until a queued one is due */
	bool attempt_not_used; /* it was given back */
};
/* What comes after an attempt that failed: queued after a pause, failed or dead. */
struct job_end job_end_failed(const struct job_claim *claim, const char *error);
/* ERR_CONFLICT when the lease is lost: then somebody else says how it ends. */
enum err jobs_end(struct db_conn *db, const struct job_claim *claim, const struct job_end *end,
		  struct errmsg *why);
/*
 * How long to wait before an attempt when so many failed: one second, doubled with each, ten
 * minutes at most; of that the first half for sure and of the other a random part, so that what
 * failed together does not come back together.
 */
int64_t job_pause_ms(int64_t attempts, uint32_t random);

/* In a transaction of its own: ends the attempts whose lease ran out, at most so many. */
enum err jobs_reclaim(struct db_conn *db, unsigned most, uint64_t *count, struct errmsg *why);

/* In a transaction of its own: removes at most so many that ended before that time. */
enum err jobs_remove_before(struct db_conn *db, int64_t wall_us, unsigned most, uint64_t *removed,
			    struct errmsg *why);

struct job_counts {
	int64_t queued, running, dead;
	int64_t oldest_us; /* how long the oldest has been due; 0 when none waits */
};
enum err jobs_count(struct db_conn *db, struct job_counts *out, struct errmsg *why);

#endif
