/*
 * How many threads wait for events at once.
 *
 * When every idle thread waits in epoll_wait, each event wakes one, although the
 * thread that is just finishing would have taken it a moment later: with requests
 * of some microseconds most of the time goes into switching threads.  So only a few
 * watch the epoll set and the others rest; whoever takes the last watcher's event
 * calls one in.
 *
 *	while (watch_enter(&w)) {
 *		… epoll_wait …
 *		watch_leave(&w);
 *		… serve what came …
 *	}
 *
 * While anybody rests, somebody watches or has been called.  Thread-safe; watch_leave
 * and watch_enter take the lock only to call and to rest.
 */
#ifndef ZIGGIE_WORKER_WATCH_H
#define ZIGGIE_WORKER_WATCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct watch {
	unsigned most;             /* watchers beyond which a thread rests */
	_Atomic unsigned watching; /* those called in count from the call on */
	pthread_mutex_t lock;      /* of what follows */
	pthread_cond_t call;
	unsigned resting;
	unsigned called; /* and not awake yet */
	bool over;
};

void watch_init(struct watch *w, unsigned most);
void watch_release(struct watch *w);

/* Returns when the caller shall watch, or false once watch_end() was called. */
bool watch_enter(struct watch *w);
void watch_leave(struct watch *w);

/* Ends everybody's rest. */
void watch_end(struct watch *w);

#endif
