/*
 * What a route's columns mean for those who call it, in words and in answers.
 */
#ifndef ZIGGIE_DESCRIBE_POLICY_H
#define ZIGGIE_DESCRIBE_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/strbuf.h"
#include "http/route.h"

/* An error that routes answer with, one for each status. */
struct policy_problem {
	enum err err;
	const char *when;
};
extern const struct policy_problem policy_problems[];
extern const size_t policy_problem_count;

/* Whether a route can answer with it: by its columns, or because its row says so. */
bool policy_can_fail(const struct route *route, enum err err);

/*
 * Whether credentials are looked at, whether they can be missed, whether there are cases
 * without any, and whether a key is as good as a token.
 */
bool policy_knows_credentials(const struct route *route);
bool policy_needs_credentials(const struct route *route);
bool policy_may_need_none(const struct route *route);
bool policy_takes_keys(const struct route *route);

/*
 * What records do over HTTP (api/records.h): whether a route makes one; makes or takes one, so
 * that an Idempotency-Key is honoured; changes or removes the one that its path names, so that
 * If-Match is; answers with one, and so with its ETag.
 */
bool policy_makes_record(const struct route *route);
bool policy_heeds_key(const struct route *route);
bool policy_changes_record(const struct route *route);
bool policy_answers_record(const struct route *route);

/* Whether it answers with a page of a list (http/paging.h). */
bool policy_has_pages(const struct route *route);

/* "Needs the role admin. API keys are refused. …" */
void policy_text(const struct route *route, struct strbuf *out);

#endif
