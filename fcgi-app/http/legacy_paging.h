/*
 * The lists of the legacy family: ?page and ?page_size, or ?offset, in; `meta` and
 * `cached` out, beside the list.
 *
 *	struct legacy_page page;
 *	err = legacy_page_read(r, &page, why);
 *	… read page.size items, page.skip of them left out, and the total …
 *	json_object(&w); … the list …
 *	legacy_page_put(&w, &page, total, false);
 *	json_end(&w);
 */
#ifndef ZIGGIE_HTTP_LEGACY_PAGING_H
#define ZIGGIE_HTTP_LEGACY_PAGING_H

#include <stdint.h>

#include "http/request.h"
#include "json/writer.h"

struct legacy_page {
	uint64_t number; /* from 1 */
	uint64_t size;
	uint64_t skip;
	const char *asked; /* the parameter that said so */
};

enum {
	LEGACY_SIZE_DEFAULT = 50,
	LEGACY_SIZE_MAX = 200,
	LEGACY_PAGE_MAX = 1000000,
	LEGACY_OFFSET_MAX = 200000000,
};

/* The parameters and what is put, for route rows; of a list that takes others too:
 * LEGACY_PAGE_TAKES. */
#define LEGACY_PAGE_TAKES                                                                          \
	{"page", FIELD_INT, 0, 1, LEGACY_PAGE_MAX, .summary = "From 1"},                           \
	    {"page_size", FIELD_INT,       0,                                                      \
	     1,           LEGACY_SIZE_MAX, .summary = "Items on a page; 50 when it is not said"},  \
	{                                                                                          \
		"offset", FIELD_INT, 0, 0, LEGACY_OFFSET_MAX,                                      \
		    .summary = "Items to leave out, in place of page"                              \
	}
extern const struct schema legacy_page_schema;
extern const struct schema legacy_meta_schema;

/* ERR_INVALID, naming the parameter.  An offset wins over a page. */
enum err legacy_page_read(const struct http_request *r, struct legacy_page *out,
			  struct errmsg *why);

/* "total", "meta" and "cached", into the open object. */
void legacy_page_put(struct json_writer *w, const struct legacy_page *page, uint64_t total,
		     bool cached);

#endif
