#include "http/trace.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"

/* "00-<32 hex trace id>-<16 hex parent id>-<2 hex flags>" */
enum {
	TRACE_ID_AT = 3,
	TRACE_ID_LEN = 32,
	PARENT_AT = 36,
	PARENT_LEN = 16,
	FLAGS_AT = 53,
	TRACEPARENT_LEN = 55
};

static void random_hex(char *out, size_t digits)
{
	unsigned char bytes[16];
	if (getrandom(bytes, sizeof(bytes), GRND_NONBLOCK) != (ssize_t)sizeof(bytes)) {
		/* Only before the kernel's pool is ready; ids need to differ, not to be secret. */
		uint64_t now = (uint64_t)clock_wall_us() ^ (uint64_t)clock_mono_ns() << 20;
		memset(bytes, 0x5a, sizeof(bytes));
		memcpy(bytes, &now, sizeof(now));
	}
	for (size_t i = 0; i < digits; i++)
		out[i] = "0123456789abcdef"[bytes[i / 2] >> (i % 2 * 4) & 15];
	out[digits] = '\0';
}

static bool lower_hex(const char *text, size_t len)
{
	return strspn(text, "0123456789abcdef") >= len;
}

static bool all_zero(const char *text, size_t len)
{
	return strspn(text, "0") >= len;
}

static bool traceparent_valid(const char *text)
{
	size_t len = strlen(text);
	if (len < TRACEPARENT_LEN || !lower_hex(text, 2) || strncmp(text, "ff", 2) == 0)
		return false;
	/* Version 00 has exactly this length; later ones may append "-…". */
	if (len > TRACEPARENT_LEN && (strncmp(text, "00", 2) == 0 || text[TRACEPARENT_LEN] != '-'))
		return false;
	return text[2] == '-' && text[PARENT_AT - 1] == '-' && text[FLAGS_AT - 1] == '-' &&
	       lower_hex(text + TRACE_ID_AT, TRACE_ID_LEN) &&
	       lower_hex(text + PARENT_AT, PARENT_LEN) && lower_hex(text + FLAGS_AT, 2) &&
	       !all_zero(text + TRACE_ID_AT, TRACE_ID_LEN) &&
	       !all_zero(text + PARENT_AT, PARENT_LEN);
}

static bool id_valid(const char *id)
{
	size_t len = strlen(id);
	if (len < 8 || len > 64)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)id[i]) && strchr("-_.", id[i]) == NULL)
			return false;
	return true;
}

void trace_start(struct http_request *r)
{
	const char *id = http_param(r, "REQUEST_ID");
	if (id != NULL && id_valid(id))
		snprintf(r->id, sizeof(r->id), "%s", id);
	else
		random_hex(r->id, 32);
	const char *parent = http_param(r, "HTTP_TRACEPARENT");
	if (parent == NULL || !traceparent_valid(parent))
		return;
	memcpy(r->trace_id, parent + TRACE_ID_AT, TRACE_ID_LEN);
	r->trace_id[TRACE_ID_LEN] = '\0';
	r->trace_flags = parent + FLAGS_AT;
	random_hex(r->span_id, PARENT_LEN);
}
