/*
 * Time.  Monotonic time, in nanoseconds, for everything that is measured or
 * waited for; wall time, in microseconds since 1970, for what people read.
 * Tests may shift both with clock_test_shift().  Thread-safe.
 */
#ifndef ZIGGIE_BASE_CLOCK_H
#define ZIGGIE_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_US INT64_C(1000)
#define US_PER_S INT64_C(1000000)
#define US_PER_MS INT64_C(1000)
#define MS_PER_S INT64_C(1000)

int64_t clock_mono_ns(void);
int64_t clock_wall_us(void);

/* "2026-01-31T23:59:59.123Z", and without zone and with microseconds for the legacy family. */
#define CLOCK_TEXT_MAX 32
void clock_format_utc(int64_t wall_us, char out[CLOCK_TEXT_MAX]);
void clock_format_legacy(int64_t wall_us, char out[CLOCK_TEXT_MAX]);

/* "2026-01-31T23:59:59Z", with up to six decimals of the second; false for anything else. */
bool clock_parse_utc(const char *text, int64_t *wall_us);

/* Adds to what both clocks say from now on; tests only. */
void clock_test_shift(int64_t ns);

#endif
