#include "base/wait.h"

#include <time.h>

#include "base/clock.h"

void wait_init(pthread_cond_t *condition)
{
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(condition, &attr);
	pthread_condattr_destroy(&attr);
}

bool wait_until(pthread_cond_t *condition, pthread_mutex_t *lock, const struct deadline *deadline)
{
	int64_t left_ms = deadline_left_ms(deadline);
	if (left_ms <= 0)
		return false;
	/* The kernel's clock, which tests don't shift. */
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	int64_t nanoseconds = until.tv_nsec + left_ms % MS_PER_S * NS_PER_MS;
	until.tv_sec += (time_t)(left_ms / MS_PER_S + nanoseconds / NS_PER_S);
	until.tv_nsec = (long)(nanoseconds % NS_PER_S);
	pthread_cond_timedwait(condition, lock, &until);
	return true;
}
