/*
 * The lists of /api/v1: ?limit with ?cursor or ?offset in; {items, total, limit,
 * next_cursor} and a Link header out.  A cursor holds the key of the last item of a
 * page, so that a list which changes while it is read skips and repeats nothing; what
 * it looks like is nobody's business.
 *
 *	struct paging page;
 *	err = paging_read(r, &page, why);
 *	… read page.limit + 1 items behind page.after, page.offset of them left out …
 *	paging_begin(&w, &response->body);
 *	… an object for each of the first page.limit …
 *	paging_end(&w, r, response, &page, total, more ? key of the last one : NULL, its length);
 */
#ifndef ZIGGIE_HTTP_PAGING_H
#define ZIGGIE_HTTP_PAGING_H

#include <stdint.h>

#include "http/request.h"
#include "json/writer.h"

/* Bytes of a key; longer ones can't be a cursor. */
enum { PAGING_KEY_MAX = 256 };

enum {
	PAGING_LIMIT_DEFAULT = 50,
	PAGING_LIMIT_MAX = 200,
	PAGING_OFFSET_MAX = 10000,
	PAGING_CURSOR_MAX = 400, /* characters of what a list gives out */
};

/* The parameters that every list takes, and what it answers: for the rows of a route. */
#define PAGING_TAKES                                                                               \
	{"limit",                                                                                  \
	 FIELD_INT,                                                                                \
	 0,                                                                                        \
	 1,                                                                                        \
	 PAGING_LIMIT_MAX,                                                                         \
	 .initial = "50",                                                                          \
	 .summary = "How many at most"},                                                           \
	    {"cursor", FIELD_STRING,      0,                                                       \
	     1,        PAGING_CURSOR_MAX, .summary = "Goes on behind a page: its next_cursor"},    \
	{                                                                                          \
		"offset", FIELD_INT, 0, 0, PAGING_OFFSET_MAX,                                      \
		    .initial = "0", .summary = "How many to skip, when there is no cursor"         \
	}
#define PAGING_ANSWERS(of_)                                                                        \
	{"items",          FIELD_LIST,           FIELD_REQUIRED, 0,                                \
	 PAGING_LIMIT_MAX, .item = FIELD_OBJECT, .of = (of_),    .summary = "The page"},           \
	    {"total", FIELD_INT, FIELD_REQUIRED, .summary = "How many there are"},                 \
	    {"total_is_min", FIELD_BOOL, FIELD_REQUIRED,                                           \
	     .summary = "Whether there may be more than total: that many were counted"},           \
	    {"limit", FIELD_INT,        FIELD_REQUIRED,                                            \
	     1,       PAGING_LIMIT_MAX, .summary = "How many a page has"},                         \
	{                                                                                          \
		"next_cursor", FIELD_STRING, FIELD_REQUIRED | FIELD_NULL, 1, PAGING_CURSOR_MAX,    \
		    .summary = "Where the next page begins; null when there is none"               \
	}

struct paging {
	uint64_t limit;
	uint64_t offset;
	const char *after; /* the cursor's key, with a NUL behind; "" at the beginning */
	size_t after_len;
	bool total_is_min; /* the total was not counted to its end */
};

/* ERR_INVALID, naming the parameter. */
enum err paging_read(const struct http_request *r, struct paging *out, struct errmsg *why);

void paging_begin(struct json_writer *w, struct strbuf *body);
/* last is the key of the last item, of last_len bytes; NULL when no more follow. */
void paging_end(struct json_writer *w, const struct http_request *r, struct http_response *response,
		const struct paging *page, uint64_t total, const char *last, size_t last_len);
/* For a key that no list gives out; the message names the parameter. */
enum err paging_bad_cursor(struct errmsg *why);

#endif
