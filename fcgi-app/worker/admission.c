#include "worker/admission.h"

#include "base/assert.h"
#include "worker/connection.h"

#define ONE_RUNNING UINT64_C(1)
#define ONE_HEAVY (UINT64_C(1) << 32)

static unsigned running_total(uint64_t running)
{
	return (unsigned)(running & UINT32_MAX);
}

static unsigned running_heavy(uint64_t running)
{
	return (unsigned)(running >> 32);
}

static enum admission_class class_of(enum route_weight weight)
{
	AN_INVARIANT(weight == WEIGHT_NORMAL || weight == WEIGHT_HEAVY);
	return weight == WEIGHT_HEAVY ? CLASS_HEAVY : CLASS_NORMAL;
}

static uint64_t place_of(enum admission_class class)
{
	return class == CLASS_HEAVY ? ONE_RUNNING + ONE_HEAVY : ONE_RUNNING;
}

static _Atomic uint64_t *parked_gauge(struct admission *a, enum admission_class class)
{
	return class == CLASS_HEAVY ? &a->stats->parked_heavy : &a->stats->parked_normal;
}

void admission_init(struct admission *a, unsigned threads, struct engine_stats *stats)
{
	AN_INVARIANT(threads >= ENGINE_THREADS_MIN);
	a->total_cap = threads - 2;
	a->heavy_cap = threads / 4 > 0 ? threads / 4 : 1;
	a->stats = stats;
	atomic_init(&a->running, 0);
	pthread_mutex_init(&a->lock, NULL);
	for (int class = 0; class < CLASS_COUNT; class ++) {
		atomic_init(&a->parked[class], 0);
		a->queues[class].first = NULL;
		a->queues[class].last = &a->queues[class].first;
	}
}

void admission_release(struct admission *a)
{
	pthread_mutex_destroy(&a->lock);
}

static bool take_place(struct admission *a, enum admission_class class)
{
	uint64_t running = atomic_load(&a->running);
	do {
		if (running_total(running) >= a->total_cap ||
		    (class == CLASS_HEAVY && running_heavy(running) >= a->heavy_cap))
			return false;
	} while (!atomic_compare_exchange_weak(&a->running, &running, running + place_of(class)));
	return true;
}

static void push(struct admission *a, enum admission_class class, struct connection *conn)
{
	struct admission_queue *q = &a->queues[class];
	conn->next = NULL;
	*q->last = conn;
	q->last = &conn->next;
	atomic_fetch_add(&a->parked[class], 1);
	atomic_fetch_add_explicit(parked_gauge(a, class), 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&a->stats->parked, 1, memory_order_relaxed);
}

static struct connection *pop(struct admission *a, enum admission_class class)
{
	struct admission_queue *q = &a->queues[class];
	struct connection *conn = q->first;
	q->first = conn->next;
	if (q->first == NULL)
		q->last = &q->first;
	atomic_fetch_sub(&a->parked[class], 1);
	atomic_fetch_sub_explicit(parked_gauge(a, class), 1, memory_order_relaxed);
	return conn;
}

/* The class whose head has waited longer; the heavy one may be at its cap, so both are tried. */
static struct connection *pop_admissible(struct admission *a)
{
	const struct connection *normal = a->queues[CLASS_NORMAL].first;
	const struct connection *heavy = a->queues[CLASS_HEAVY].first;
	bool heavy_first =
	    heavy != NULL && (normal == NULL || heavy->parked_ns < normal->parked_ns);
	enum admission_class order[] = {heavy_first ? CLASS_HEAVY : CLASS_NORMAL,
					heavy_first ? CLASS_NORMAL : CLASS_HEAVY};
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		if (a->queues[order[i]].first != NULL && take_place(a, order[i]))
			return pop(a, order[i]);
	}
	return NULL;
}

struct connection *admission_enter(struct admission *a, struct connection *conn, int64_t now_ns)
{
	enum admission_class class = class_of(conn->input.weight);
	bool nobody_waits = atomic_load(&a->parked[CLASS_NORMAL]) == 0 &&
			    (class == CLASS_NORMAL || atomic_load(&a->parked[CLASS_HEAVY]) == 0);
	if (nobody_waits && take_place(a, class))
		return conn;

	pthread_mutex_lock(&a->lock);
	conn->parked_ns = now_ns;
	push(a, class, conn);
	struct connection *next = pop_admissible(a);
	pthread_mutex_unlock(&a->lock);
	return next;
}

struct connection *admission_leave(struct admission *a, enum route_weight weight)
{
	atomic_fetch_sub(&a->running, place_of(class_of(weight)));
	if (atomic_load(&a->parked[CLASS_NORMAL]) == 0 && atomic_load(&a->parked[CLASS_HEAVY]) == 0)
		return NULL;
	pthread_mutex_lock(&a->lock);
	struct connection *next = pop_admissible(a);
	pthread_mutex_unlock(&a->lock);
	return next;
}

struct connection *admission_expired(struct admission *a, int64_t now_ns)
{
	struct connection *expired = NULL;
	pthread_mutex_lock(&a->lock);
	for (int class = 0; class < CLASS_COUNT && expired == NULL; class ++) {
		const struct connection *first = a->queues[class].first;
		if (first != NULL && first->input.deadline_ns <= now_ns)
			expired = pop(a, (enum admission_class) class);
	}
	pthread_mutex_unlock(&a->lock);
	return expired;
}
