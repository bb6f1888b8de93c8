/*
 * How many requests of each weight run at once, and who is next.
 *
 * At most heavy_cap heavy ones run, and at most total_cap heavy and normal ones
 * together.  What is over its cap is parked, first in, first out per class, the
 * older head first; whoever finishes one takes the next.  A request that finds
 * room and nobody waiting takes no lock.
 *
 *	if (admission_enter(&a, conn))		parked otherwise: conn is no longer ours
 *		serve(conn);
 *	conn = admission_leave(&a, weight);	the next one to serve, or NULL
 *
 * No wake-up is lost: parking and looking for room happen under the lock, a leaver
 * gives its room back before it looks whether somebody is parked, and whoever parks
 * looks for room after it is seen to be parked.
 *
 * Thread-safe.  Ownership of a parked connection passes to the caller that gets it.
 */
#ifndef ZIGGIE_WORKER_ADMISSION_H
#define ZIGGIE_WORKER_ADMISSION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "http/route.h"
#include "worker/engine.h"

struct connection;

enum admission_class { CLASS_NORMAL, CLASS_HEAVY, CLASS_COUNT };

struct admission_queue {
	struct connection *first;
	struct connection **last;
};

struct admission {
	unsigned total_cap;
	unsigned heavy_cap;
	_Atomic uint64_t running; /* all in the low half, the heavy ones of them in the high */
	_Atomic uint32_t parked[CLASS_COUNT];
	pthread_mutex_t lock; /* of the queues */
	struct admission_queue queues[CLASS_COUNT];
	struct engine_stats *stats;
};

void admission_init(struct admission *a, unsigned threads, struct engine_stats *stats);
void admission_release(struct admission *a);

/*
 * conn's input has its weight, which is not light.  Returns who may run now: conn,
 * or one that was parked before it, or NULL when nobody may.  Unless it is
 * returned, conn is parked.
 */
struct connection *admission_enter(struct admission *a, struct connection *conn, int64_t now_ns);

/* Gives a place back; returns who takes it, or NULL. */
struct connection *admission_leave(struct admission *a, enum route_weight weight);

/* Takes out a parked one at its deadline, which has no place then; NULL when there is none. */
struct connection *admission_expired(struct admission *a, int64_t now_ns);

#endif
