/*
 * What kinds of background work there are, a row each: who may make one reads it here, and
 * ziggie-jobs has a function for each (jobs/work.c).
 *
 *	JOB(name, "as the API calls it", every, limit, attempts, repeatable, "what it does")
 *
 * every: seconds after which the scheduler makes the next one; 0 for only when somebody asks.
 * limit: seconds that one attempt may take.  attempts: how often it is begun before it is given
 * up as dead.  repeatable: whether it may be begun again when nobody knows how far it came,
 * because its process was killed; one that is not ends as failed then.
 */
#ifndef ZIGGIE_STORE_JOB_TYPES_H
#define ZIGGIE_STORE_JOB_TYPES_H

#include <stdbool.h>

/* clang-format off */
#define JOB_TYPE_ROWS(JOB) \
	JOB(remove_old_audit, "remove-old-audit", 3600,  1800, 5, true, "Removes rows of the audit that are older than audit_retention.") \
	JOB(remove_expired,   "remove-expired",   3600,  1800, 5, true, "Removes tokens and tickets that have expired, and answers that were kept for an Idempotency-Key for a day.") \
	JOB(remove_old_jobs,  "remove-old-jobs",  86400, 1800, 5, true, "Removes jobs that ended longer than job_retention ago.") \
	JOB(verify_counts,    "verify-counts",    86400, 600,  5, true, "Counts all records, and the tasks of each agent, and mends what lists and agents show of that.")
/* clang-format on */

#define JOB_TYPE_NUMBER(name, ...) JOB_##name,
enum { JOB_TYPE_ROWS(JOB_TYPE_NUMBER) JOB_TYPES };

struct job_type {
	const char *name;
	long every_s;
	long limit_s;
	int max_attempts;
	bool repeatable;
	const char *summary;
};

extern const struct job_type job_types[JOB_TYPES];
/* Their names; ends with NULL. */
extern const char *const job_type_words[JOB_TYPES + 1];

/* NULL when there is none. */
const struct job_type *job_type_find(const char *name);

#endif
