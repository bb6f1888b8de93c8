/*
 * Header fields that came more than once.
 *
 * A client may send a list as several fields of one name, and a proxy may add its
 * own X-Forwarded-For; RFC 3875, 4.1.18 wants the gateway to hand over one value
 * with the same meaning.  nginx before 1.23 passes them on one by one, so they are
 * joined here, as RFC 9110, 5.3 says.  What carries a single value by its
 * definition, and every parameter that is no header field, must not be repeated:
 * two programs could each take another one for true.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "fastcgi/wire.h"

static const char prefix[] = "HTTP_";
static const char *const single[] = {
    "HTTP_AUTHORIZATION",   "HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "HTTP_HOST",
    "HTTP_IDEMPOTENCY_KEY", "HTTP_TRACEPARENT",    "HTTP_X_API_KEY",
};

static bool is_named(const char *name, size_t len, const char *wanted)
{
	return strlen(wanted) == len && memcmp(name, wanted, len) == 0;
}

bool codec_may_repeat(const char *name, size_t len)
{
	if (len < sizeof(prefix) || memcmp(name, prefix, sizeof(prefix) - 1) != 0)
		return false;
	for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++)
		if (is_named(name, len, single[i]))
			return false;
	return true;
}

static bool same_name(const struct param *a, const struct param *b)
{
	return a->name_len == b->name_len && memcmp(a->name, b->name, a->name_len) == 0;
}

static void append(struct codec_buffer *b, const char *bytes, size_t len)
{
	memcpy(b->data + b->len, bytes, len);
	b->len += len;
}

/* Takes the fields behind `first` that repeat it out of the table and appends their values. */
static void join(struct codec *c, size_t first)
{
	struct param *table = c->memory.table;
	struct param *param = &table[first];
	const char *separator = is_named(param->name, param->name_len, "HTTP_COOKIE") ? "; " : ", ";
	size_t start = c->joined.len;
	size_t kept = first + 1;
	for (size_t i = first + 1; i < c->request.param_count; i++) {
		if (!same_name(&table[i], param)) {
			table[kept++] = table[i];
			continue;
		}
		if (c->joined.len == start)
			append(&c->joined, param->value, param->value_len);
		append(&c->joined, separator, 2);
		append(&c->joined, table[i].value, table[i].value_len);
	}
	c->request.param_count = kept;
	if (c->joined.len == start)
		return;
	param->value = c->joined.data + start;
	param->value_len = c->joined.len - start;
	append(&c->joined, "", 1);
}

void codec_join_repeats(struct codec *c)
{
	/* Every value once at most, a separator for each, and a NUL for each joined one. */
	size_t room = 0;
	AN_INVARIANT(c->request.param_count > 0);
	for (size_t i = 0; i < c->request.param_count; i++)
		room += c->memory.table[i].value_len + 3;
	c->joined = (struct codec_buffer){.data = malloc(room), .cap = room};
	if (c->joined.data == NULL) {
		codec_refuse(c, ERR_NOMEM, NULL);
		return;
	}
	for (size_t i = 0; i < c->request.param_count; i++)
		join(c, i);
}
