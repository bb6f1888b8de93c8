#include "worker/codel.h"

void codel_init(struct codel *c, int64_t target_ns, int64_t interval_ns)
{
	c->target_ns = target_ns;
	c->interval_ns = interval_ns;
	atomic_init(&c->looked_ns, 0);
	atomic_init(&c->served_ns, 0);
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

/* Since the last look; 0 for who read the clock before one that has looked already. */
static int64_t note_look(struct codel *c, int64_t now_ns)
{
	int64_t last = atomic_load_explicit(&c->looked_ns, memory_order_relaxed);
	while (last < now_ns &&
	       !atomic_compare_exchange_weak_explicit(&c->looked_ns, &last, now_ns,
						      memory_order_relaxed, memory_order_relaxed))
		;
	return last < now_ns ? now_ns - last : 0;
}

/* Whether this look ends the interval; one of those at the same time does. */
static bool end_interval(struct codel *c, int64_t gap_ns)
{
	int64_t most = c->target_ns / 2;
	int64_t counted = gap_ns < most ? gap_ns : most;
	int64_t before = atomic_fetch_add_explicit(&c->served_ns, counted, memory_order_relaxed);
	bool is_full = before < c->interval_ns && before + counted >= c->interval_ns;
	if (!is_full && gap_ns <= c->interval_ns)
		return false;
	atomic_store_explicit(&c->served_ns, 0, memory_order_relaxed);
	return true;
}

bool codel_refuses(struct codel *c, int64_t delay_ns, int64_t now_ns)
{
	int64_t gap_ns = note_look(c, now_ns);
	if (end_interval(c, gap_ns)) {
		int64_t least =
		    atomic_exchange_explicit(&c->least_ns, delay_ns, memory_order_relaxed);
		/* After a pause the old interval says nothing of today's queue. */
		bool is_recent = gap_ns <= c->interval_ns;
		atomic_store_explicit(&c->overloaded, is_recent && least > c->target_ns,
				      memory_order_relaxed);
	} else {
		note_least(c, delay_ns);
	}
	return delay_ns > 2 * c->target_ns &&
	       atomic_load_explicit(&c->overloaded, memory_order_relaxed);
}
