/*
 * When to refuse for time in the queue, after the controlled-delay scheme in the
 * form that folly uses for servers: not how long one request waited says that a
 * queue stands, but how long the luckiest of an interval did.  While that one was
 * over the target, requests that waited more than twice the target are refused;
 * the younger ones, whose readers still wait, are served.
 *
 * An interval is one of serving.  While the disk under the database stops, all threads
 * wait and nothing leaves the queue; then all of it is old, and gone in a moment.  So
 * the time between two looks counts as half the target at most, and after none for
 * longer than an interval a new one begins.  A slow service fills its interval more
 * slowly; one that stands still never does.
 *
 * Thread-safe and lock-free; a race between two threads costs one sample.
 */
#ifndef ZIGGIE_WORKER_CODEL_H
#define ZIGGIE_WORKER_CODEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct codel {
	int64_t target_ns;
	int64_t interval_ns;
	_Atomic int64_t looked_ns; /* when the last delay was noted */
	_Atomic int64_t served_ns; /* how much of this interval is over */
	_Atomic int64_t least_ns;  /* of this interval so far */
	_Atomic bool overloaded;   /* the interval before this one was over the target */
};

void codel_init(struct codel *c, int64_t target_ns, int64_t interval_ns);

/* Notes that a request waited for delay_ns; true when it should be refused. */
bool codel_refuses(struct codel *c, int64_t delay_ns, int64_t now_ns);

#endif
