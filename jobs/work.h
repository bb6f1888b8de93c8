/*
 * The kinds of background work, a row each; see store/job_types.h for when they are done.
 */
#ifndef ZIGGIE_JOBS_WORK_H
#define ZIGGIE_JOBS_WORK_H

#include "runner.h"

extern const struct job_work job_work[JOB_TYPES];

#endif
