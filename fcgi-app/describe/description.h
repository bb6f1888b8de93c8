/*
 * What clients are told about the API, rendered once for all requests: a process has
 * one, made before its threads start and read-only afterwards.
 */
#ifndef ZIGGIE_DESCRIBE_DESCRIPTION_H
#define ZIGGIE_DESCRIBE_DESCRIPTION_H

#include "base/error.h"
#include "base/strbuf.h"
#include "http/route.h"

enum { DOCUMENT_TAG_LEN = 32 };

struct document {
	struct strbuf text;
	char tag[DOCUMENT_TAG_LEN + 1]; /* hex digits: a hash of the text */
};

struct description {
	struct document openapi; /* /api/openapi.json */
	struct document page;    /* /api/docs */
	struct strbuf page_policy;
};

enum err description_new(const struct route_table *tables, size_t count, struct description **out,
			 struct errmsg *why);
void description_free(struct description *description);

#endif
