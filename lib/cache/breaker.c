#include "cache/breaker.h"

bool breaker_allows(struct breaker *b, int64_t now_ns, int64_t pause_ns)
{
	int64_t retry_at = atomic_load_explicit(&b->retry_at_ns, memory_order_relaxed);
	if (retry_at == 0)
		return true;
	/* Whoever moves the time on is the one that may try. */
	return now_ns >= retry_at &&
	       atomic_compare_exchange_strong(&b->retry_at_ns, &retry_at, now_ns + pause_ns);
}

bool breaker_failed(struct breaker *b, int64_t now_ns, int64_t pause_ns)
{
	return atomic_exchange(&b->retry_at_ns, now_ns + pause_ns) == 0;
}

bool breaker_worked(struct breaker *b)
{
	if (atomic_load_explicit(&b->retry_at_ns, memory_order_relaxed) == 0)
		return false;
	return atomic_exchange(&b->retry_at_ns, 0) != 0;
}

bool breaker_is_open(const struct breaker *b)
{
	return atomic_load_explicit(&b->retry_at_ns, memory_order_relaxed) != 0;
}
