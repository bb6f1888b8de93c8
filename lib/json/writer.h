/*
 * A JSON writer with a sticky error: emit freely, check json_ok() once.  It puts
 * the commas and knows its nesting (at most 32 deep); closing more than was
 * opened, or a value without a key in an object, is a bug and aborts.
 *
 *	struct json_writer w;
 *	json_init(&w, &buf);
 *	json_object(&w);
 *	json_put_string(&w, "name", name);
 *	json_key(&w, "list"); json_array(&w); json_int(&w, 1); json_end(&w);
 *	json_end(&w);
 *	if (!json_ok(&w)) return ERR_NOMEM;
 *
 * Strings that are not valid UTF-8 are repaired with U+FFFD.  NaN and infinities
 * become null.
 */
#ifndef ZIGGIE_JSON_WRITER_H
#define ZIGGIE_JSON_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "base/uuid.h"

struct json_writer {
	struct strbuf *out; /* borrowed */
	uint32_t is_object; /* a bit per level */
	uint32_t has_items; /* a bit per level */
	unsigned depth;
	bool after_key;
};

void json_init(struct json_writer *w, struct strbuf *out);
bool json_ok(const struct json_writer *w);

void json_object(struct json_writer *w);
void json_array(struct json_writer *w);
void json_end(struct json_writer *w); /* closes the innermost object or array */
void json_key(struct json_writer *w, const char *key);

void json_string(struct json_writer *w, const char *text); /* NULL writes null */
void json_stringn(struct json_writer *w, const char *text, size_t len);
void json_int(struct json_writer *w, int64_t value);
void json_uint(struct json_writer *w, uint64_t value);
void json_real(struct json_writer *w, double value, int decimals); /* 0 to 6 decimals */
void json_bool(struct json_writer *w, bool value);
void json_uuid(struct json_writer *w, const struct uuid *value);
void json_time(struct json_writer *w, int64_t wall_us); /* UTC with Z and milliseconds */
void json_null(struct json_writer *w);
/* Text that is JSON already. */
void json_raw(struct json_writer *w, const char *json, size_t len);

void json_put_string(struct json_writer *w, const char *key, const char *text);
void json_put_int(struct json_writer *w, const char *key, int64_t value);
void json_put_uint(struct json_writer *w, const char *key, uint64_t value);
void json_put_real(struct json_writer *w, const char *key, double value, int decimals);
void json_put_bool(struct json_writer *w, const char *key, bool value);
void json_put_uuid(struct json_writer *w, const char *key, const struct uuid *value);
void json_put_null(struct json_writer *w, const char *key);
/* The moment in ISO 8601: UTC with Z and milliseconds, or the legacy family's form. */
void json_put_time(struct json_writer *w, const char *key, int64_t wall_us);
void json_put_time_legacy(struct json_writer *w, const char *key, int64_t wall_us);

#endif
