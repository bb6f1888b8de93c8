#include "still_time.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

enum { PATIENCE_S = 10 };

/* A thread in pthread_cond_timedwait(), on its own stack. */
struct sleeper {
	struct sleeper *next;
	const pthread_cond_t *condition;
	int64_t until_ns;
	bool signalled;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* the time, or who sleeps */
	int64_t now_ns;
	struct sleeper *sleepers;
} still = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .changed = PTHREAD_COND_INITIALIZER,
    .now_ns = 1000 * NS_PER_S,
};

int __real_clock_gettime(clockid_t clock, struct timespec *out);
int __real_pthread_cond_signal(pthread_cond_t *condition);
int __real_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *lock,
				  const struct timespec *until);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_pthread_cond_signal(pthread_cond_t *condition);
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *lock,
				  const struct timespec *until);

static void die(const char *what)
{
	fprintf(stderr, "still_time: %s\n", what);
	abort();
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
	(void)clock;
	pthread_mutex_lock(&still.lock);
	*out = (struct timespec){.tv_sec = still.now_ns / NS_PER_S,
				 .tv_nsec = still.now_ns % NS_PER_S};
	pthread_mutex_unlock(&still.lock);
	return 0;
}

static bool asleep(const struct sleeper *s)
{
	return !s->signalled && s->until_ns > still.now_ns;
}

static void leave(const struct sleeper *s)
{
	struct sleeper **at = &still.sleepers;
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *lock,
				  const struct timespec *until)
{
	if (until->tv_sec < 0 || until->tv_nsec < 0 || until->tv_nsec >= NS_PER_S)
		die("waits until a time that is none");
	struct sleeper me = {.condition = condition,
			     .until_ns = until->tv_sec * NS_PER_S + until->tv_nsec};
	pthread_mutex_lock(&still.lock);
	me.next = still.sleepers;
	still.sleepers = &me;
	pthread_cond_broadcast(&still.changed);
	/* Not before: who has the caller's lock from now on finds the sleeper. */
	pthread_mutex_unlock(lock);
	while (asleep(&me))
		pthread_cond_wait(&still.changed, &still.lock);
	leave(&me);
	pthread_mutex_unlock(&still.lock);
	pthread_mutex_lock(lock);
	return me.signalled ? 0 : ETIMEDOUT;
}

int __wrap_pthread_cond_signal(pthread_cond_t *condition)
{
	pthread_mutex_lock(&still.lock);
	for (struct sleeper *s = still.sleepers; s != NULL; s = s->next)
		if (s->condition == condition)
			s->signalled = true;
	pthread_cond_broadcast(&still.changed);
	pthread_mutex_unlock(&still.lock);
	return __real_pthread_cond_signal(condition);
}

void still_time_pass_ns(int64_t ns)
{
	pthread_mutex_lock(&still.lock);
	still.now_ns += ns;
	pthread_cond_broadcast(&still.changed);
	pthread_mutex_unlock(&still.lock);
}

void still_time_pass_ms(int64_t ms)
{
	still_time_pass_ns(ms * NS_PER_MS);
}

/* As many sleep as are wanted, and no other is about to go on. */
static bool settled(unsigned wanted)
{
	unsigned count = 0;
	for (const struct sleeper *s = still.sleepers; s != NULL; s = s->next) {
		if (!asleep(s))
			return false;
		count++;
	}
	return count == wanted;
}

struct timespec still_time_patience(void)
{
	struct timespec limit;
	__real_clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += PATIENCE_S;
	return limit;
}

void still_time_really_wait(pthread_cond_t *condition, pthread_mutex_t *lock,
			    const struct timespec *patience)
{
	if (__real_pthread_cond_timedwait(condition, lock, patience) == ETIMEDOUT)
		die("what a test waits for never comes");
}

void still_time_await(unsigned sleepers)
{
	const struct timespec patience = still_time_patience();
	pthread_mutex_lock(&still.lock);
	while (!settled(sleepers))
		still_time_really_wait(&still.changed, &still.lock, &patience);
	pthread_mutex_unlock(&still.lock);
}

int64_t still_time_next_ns(void)
{
	int64_t next = -1;
	pthread_mutex_lock(&still.lock);
	for (const struct sleeper *s = still.sleepers; s != NULL; s = s->next)
		if (next < 0 || s->until_ns - still.now_ns < next)
			next = s->until_ns - still.now_ns;
	pthread_mutex_unlock(&still.lock);
	return next;
}

void still_time_live_ns(int64_t ns, unsigned sleepers)
{
	while (ns > 0) {
		int64_t next = still_time_next_ns();
		int64_t step = next > 0 && next < ns ? next : ns;
		still_time_pass_ns(step);
		still_time_await(sleepers);
		ns -= step;
	}
}
