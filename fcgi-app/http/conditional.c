#include "http/conditional.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void etag_format(int64_t version, char out[ETAG_MAX])
{
	snprintf(out, ETAG_MAX, "\"%" PRId64 "\"", version);
}

void etag_header(struct http_response *response, int64_t version)
{
	char etag[ETAG_MAX];
	etag_format(version, etag);
	http_header(response, "ETag", etag);
}

/* The length of the tag that begins here, with its quotes and W/; 0 when there is none. */
static size_t tag_length(const char *text)
{
	size_t start = strncmp(text, "W/", 2) == 0 ? 2 : 0;
	if (text[start] != '"')
		return 0;
	size_t len = strcspn(text + start + 1, "\"");
	return text[start + 1 + len] == '"' ? start + len + 2 : 0;
}

enum err check_if_match(const struct http_request *r, int64_t version, struct errmsg *why)
{
	char etag[ETAG_MAX];
	const char *at = http_param(r, "HTTP_IF_MATCH");
	if (at == NULL || strcmp(at, "*") == 0)
		return ERR_OK;
	etag_format(version, etag);
	for (bool matches = false;;) {
		at += strspn(at, " \t,");
		if (*at == '\0' && matches)
			return ERR_OK;
		if (*at == '\0')
			return err_set(why, ERR_PRECONDITION,
				       "the record has changed: it is at version %" PRId64 " now",
				       version);
		size_t len = tag_length(at);
		if (len == 0)
			return err_set(why, ERR_MALFORMED, "If-Match: is no list of entity tags");
		matches |= len == strlen(etag) && memcmp(at, etag, len) == 0;
		at += len;
	}
}
