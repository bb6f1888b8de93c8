/*
 * What an API key may be used for: a bit for each resource, once for reading and once
 * for writing.  The resources are those that route rows name in their column `scope`.
 *
 * As text a scope is "agents:read" or "tasks:write"; "*:read" and "*:write" mean all
 * resources, those of later releases too.
 */
#ifndef ZIGGIE_AUTH_SCOPE_H
#define ZIGGIE_AUTH_SCOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"

struct scopes {
	uint32_t read, write; /* a bit for each resource; all bits for "*" */
};

/* Every scope in words, those with "*" first; ends with NULL. */
extern const char *const scope_words[];

/* Whether a route may name the resource. */
bool scope_known(const char *resource);
/* Whether the scopes allow reading, or writing, the resource. */
bool scopes_allow(const struct scopes *scopes, const char *resource, bool write);

/*
 * From a text that holds scopes between other characters, as a JSON list does and as
 * the database keeps them; words that are no scope (a later release's) are passed over.
 */
struct scopes scopes_parse(const char *text);
/* As a JSON list, sorted, each once. */
void scopes_format(const struct scopes *scopes, struct strbuf *out);

#endif
