#include "worker/codel.h"

void codel_init(struct codel *c, int64_t target_ns, int64_t interval_ns)
{
	c->target_ns = target_ns;
	c->interval_ns = interval_ns;
	atomic_init(&c->interval_end_ns, 0);
	atomic_init(&c->least_ns, 0);
	atomic_init(&c->overloaded, false);
}

static void note_least(struct codel *c, int64_t delay_ns)
{
	int64_t least = atomic_load_explicit(&c->least_ns, memory_order_relaxed);
	while (delay_ns < least &&
	       !atomic_compare_exchange_weak_explicit(&c->least_ns, &least, delay_ns,
						      memory_order_relaxed, memory_order_relaxed))
		;
}

/* The first request after an interval's end closes it and opens the next one. */
static bool turn_interval(struct codel *c, int64_t delay_ns, int64_t now_ns)
{
	int64_t end = atomic_load_explicit(&c->interval_end_ns, memory_order_relaxed);
	if (now_ns < end || !atomic_compare_exchange_strong_explicit(
				&c->interval_end_ns, &end, now_ns + c->interval_ns,
				memory_order_relaxed, memory_order_relaxed))
		return false;
	int64_t least = atomic_exchange_explicit(&c->least_ns, delay_ns, memory_order_relaxed);
	/* After a pause the old interval says nothing of today's queue. */
	bool is_recent = now_ns - end < c->interval_ns;
	atomic_store_explicit(&c->overloaded, is_recent && least > c->target_ns,
			      memory_order_relaxed);
	return true;
}

bool codel_refuses(struct codel *c, int64_t delay_ns, int64_t now_ns)
{
	if (!turn_interval(c, delay_ns, now_ns))
		note_least(c, delay_ns);
	return delay_ns > 2 * c->target_ns &&
	       atomic_load_explicit(&c->overloaded, memory_order_relaxed);
}
