/*
 * What people want to know of a histogram of times, in milliseconds.
 */
#ifndef ZIGGIE_METRICS_LATENCY_H
#define ZIGGIE_METRICS_LATENCY_H

#include <stdint.h>

#include "shm/scoreboard.h"

uint64_t latency_count(const struct scoreboard_histogram *h);
/* 0 of nothing. */
double latency_mean_ms(const struct scoreboard_histogram *h);
/*
 * The time that a share of all stay within, as if those of a bucket were spread over it evenly:
 * 0.95 for the 95th percentile.  What is beyond the last bound counts as that bound, 10 s.
 */
double latency_quantile_ms(const struct scoreboard_histogram *h, double share);
void latency_add(struct scoreboard_histogram *sum, const struct scoreboard_histogram *h);

#endif
