/*
 * Checked numbers: the whole text must be a decimal number within the bounds,
 * without leading blanks, plus sign or trailing text.  False leaves *out alone.
 */
#ifndef ZIGGIE_BASE_NUM_H
#define ZIGGIE_BASE_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool num_u64(const char *text, size_t len, uint64_t min, uint64_t max, uint64_t *out);
bool num_i64(const char *text, size_t len, int64_t min, int64_t max, int64_t *out);
bool num_u64s(const char *text, uint64_t min, uint64_t max, uint64_t *out);

#endif
