/*
 * The API description for people: one HTML page, made from the route rows, which needs
 * nothing from elsewhere and runs no script.
 */
#ifndef ZIGGIE_DESCRIBE_PAGE_H
#define ZIGGIE_DESCRIBE_PAGE_H

#include <stddef.h>

#include "base/error.h"
#include "base/strbuf.h"
#include "http/route.h"

/* ERR_INTERNAL as for openapi_render(). */
enum err page_render(const struct route_table *tables, size_t count, struct strbuf *out,
		     struct errmsg *why);

/* The Content-Security-Policy that lets the page have its style, and nothing else. */
void page_policy(struct strbuf *out);

#endif
