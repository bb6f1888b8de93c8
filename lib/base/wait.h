/*
 * Waits on condition variables that end at a deadline, by the monotonic clock.
 */
#ifndef ZIGGIE_BASE_WAIT_H
#define ZIGGIE_BASE_WAIT_H

#include <pthread.h>
#include <stdbool.h>

#include "base/deadline.h"

/* For wait_until() only: its time limits are of the monotonic clock. */
void wait_init(pthread_cond_t *condition);

/*
 * Waits for a signal, with the lock held as for pthread_cond_wait().  False, without
 * waiting, when the deadline has passed; true otherwise, whatever ended the wait:
 * look at what you wait for, and call again.
 */
bool wait_until(pthread_cond_t *condition, pthread_mutex_t *lock, const struct deadline *deadline);

#endif
