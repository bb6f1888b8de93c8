/*
 * UUIDs, version 7 (RFC 9562): 48 bits of Unix time in milliseconds, then random
 * bits, so that new ids sort by age and land at the end of an index.  Ids that
 * one process makes are strictly increasing, within a millisecond too and when
 * the clock steps back.  Thread-safe.
 */
#ifndef ZIGGIE_BASE_UUID_H
#define ZIGGIE_BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>

struct uuid {
	uint8_t bytes[16]; /* in network order, as in the text */
};

#define UUID_TEXT_MAX 37 /* 36 characters and the NUL */

void uuid_new(struct uuid *out);
/* "0190a5c3-7b1e-7f00-8c11-0123456789ab": lower case. */
void uuid_format(const struct uuid *id, char out[UUID_TEXT_MAX]);
/* The 36-character form of any version, in either case; false leaves *out alone. */
bool uuid_parse(const char *text, struct uuid *out);
/* Whether all bytes are 0, which no id has that was made: "none". */
bool uuid_is_nil(const struct uuid *id);
bool uuid_equal(const struct uuid *a, const struct uuid *b);

#endif
