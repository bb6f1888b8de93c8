/*
 * A breaker leaves a server that failed alone for a while, then lets one caller
 * try it; the others are refused until that one reports success.  A caller that
 * never reports (its thread died) holds the others up for one more pause only.
 * One atomic word; no lock.
 */
#ifndef ZIGGIE_CACHE_BREAKER_H
#define ZIGGIE_CACHE_BREAKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct breaker {
	_Atomic int64_t retry_at_ns; /* monotonic; 0 while the server works */
};

/* Whether to ask the server now.  Whoever may reports the outcome. */
bool breaker_allows(struct breaker *b, int64_t now_ns, int64_t pause_ns);
/* True when this changed the state, so that it gets logged once. */
bool breaker_failed(struct breaker *b, int64_t now_ns, int64_t pause_ns);
bool breaker_worked(struct breaker *b);
bool breaker_is_open(const struct breaker *b);

#endif
