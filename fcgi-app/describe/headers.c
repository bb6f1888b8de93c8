#include "describe/headers.h"

#include "base/assert.h"
#include "describe/field_schema.h"

static const struct limit_header {
	const char *name, *description;
} limit_headers[] = {
    {"X-RateLimit-Limit", "Of the limit that is nearest: requests in a window."},
    {"X-RateLimit-Remaining", "What is left of that one."},
    {"X-RateLimit-Reset", "When its window ends, in seconds since 1970."},
};

static void put(struct json_writer *w, const char *name, const char *type, const char *description)
{
	json_key(w, name);
	json_object(w);
	json_put_string(w, "description", description);
	json_key(w, "schema");
	json_object(w);
	json_put_string(w, "type", type);
	json_end(w);
	json_end(w);
}

void header_put(struct json_writer *w, const char *name, const char *description)
{
	put(w, name, "string", description);
}

void retry_header_put(struct json_writer *w)
{
	put(w, "Retry-After", "integer", "Seconds to wait before the next attempt.");
}

void refusal_headers_put(struct json_writer *w)
{
	header_put(w, "RateLimit-Policy", "The limits that hold here.");
	header_put(w, "RateLimit", "What is left of them, and for how long.");
}

void limit_headers_put(struct json_writer *w)
{
	for (size_t i = 0; i < ARRAY_LEN(limit_headers); i++)
		put(w, limit_headers[i].name, "integer", limit_headers[i].description);
}

void limit_headers_refer(struct json_writer *w)
{
	for (size_t i = 0; i < ARRAY_LEN(limit_headers); i++) {
		json_key(w, limit_headers[i].name);
		reference_put(w, "headers", limit_headers[i].name);
	}
}
