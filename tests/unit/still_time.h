/*
 * Time that stands still until the test lets it pass, so that how fast a machine is has
 * no say in what is tested.
 *
 * A test program that links with $(STILL_TIME_WRAP) gets clock_gettime(),
 * pthread_cond_timedwait() and pthread_cond_signal() from here (the linker's --wrap), in
 * the code under test as well.  A thread that waits for a condition with a time limit
 * sleeps until it is signalled or time has passed so far:
 *
 *	still_time_await(1);			the keeper sleeps
 *	assert_int_equal(still_time_next_ns(), 500 * NS_PER_MS);
 *	still_time_pass_ms(500);		and makes its round
 *	still_time_await(1);			which has ended
 */
#ifndef ZIGGIE_TESTS_STILL_TIME_H
#define ZIGGIE_TESTS_STILL_TIME_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* Lets time pass at once; who is due meanwhile wakes at its end. */
void still_time_pass_ns(int64_t ns);
void still_time_pass_ms(int64_t ms);

/*
 * Waits until exactly this many threads sleep, none of them signalled or due.  Ends the
 * program after 10 s of real time: what should sleep is lost, or never rests.
 */
void still_time_await(unsigned sleepers);

/* Lets time pass from one waking to the next, until which each time all have to sleep again. */
void still_time_live_ns(int64_t ns, unsigned sleepers);

/* How long until the first of those that sleep is due; -1 when none sleeps. */
int64_t still_time_next_ns(void);

/* For waits of the test's own, which must not hang: 10 s of real time from now, and
 * pthread_cond_timedwait() until then, which ends the program when it is over. */
struct timespec still_time_patience(void);
void still_time_really_wait(pthread_cond_t *condition, pthread_mutex_t *lock,
			    const struct timespec *patience);

#endif
