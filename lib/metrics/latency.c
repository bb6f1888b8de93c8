#include "metrics/latency.h"

#include <stddef.h>

#include "base/clock.h"

uint64_t latency_count(const struct scoreboard_histogram *h)
{
	uint64_t count = 0;
	for (size_t i = 0; i < SCOREBOARD_BUCKETS; i++)
		count += h->buckets[i];
	return count;
}

double latency_mean_ms(const struct scoreboard_histogram *h)
{
	uint64_t count = latency_count(h);
	return count > 0 ? (double)h->sum_ns / (double)count / NS_PER_MS : 0;
}

double latency_quantile_ms(const struct scoreboard_histogram *h, double share)
{
	double wanted = share * (double)latency_count(h);
	double before = 0;
	int64_t from_ns = 0;
	for (size_t i = 0; i < SCOREBOARD_BUCKETS - 1; i++) {
		int64_t to_ns = scoreboard_bounds_ns[i];
		double here = (double)h->buckets[i];
		if (here > 0 && before + here >= wanted)
			return ((double)from_ns +
				(double)(to_ns - from_ns) * (wanted - before) / here) /
			       NS_PER_MS;
		before += here;
		from_ns = to_ns;
	}
	return latency_count(h) > 0 ? (double)from_ns / NS_PER_MS : 0;
}

void latency_add(struct scoreboard_histogram *sum, const struct scoreboard_histogram *h)
{
	for (size_t i = 0; i < SCOREBOARD_BUCKETS; i++)
		sum->buckets[i] += h->buckets[i];
	sum->sum_ns += h->sum_ns;
}
