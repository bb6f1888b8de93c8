/*
 * How a thread that works at intervals sleeps between them, and is told to end.
 *
 *	while (stopper_sleep_until(&s, next_ns))	the thread
 *		next_ns = work();
 *	stopper_ask(&s); pthread_join(…);		whoever ends it
 *
 * Thread-safe, except init and release.
 */
#ifndef ZIGGIE_BASE_STOPPER_H
#define ZIGGIE_BASE_STOPPER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct stopper {
	pthread_mutex_t lock;
	pthread_cond_t asked;
	bool stop; /* under lock */
};

void stopper_init(struct stopper *s);
void stopper_release(struct stopper *s);

/* Ends all sleeping, now and later. */
void stopper_ask(struct stopper *s);
/* Until at_ns of the monotonic clock; false, at once, when the thread shall end. */
bool stopper_sleep_until(struct stopper *s, int64_t at_ns);

#endif
