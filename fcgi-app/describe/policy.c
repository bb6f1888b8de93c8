#include "describe/policy.h"

#include <string.h>

#include "base/assert.h"
#include "json/schema.h"

const struct policy_problem policy_problems[] = {
    {ERR_MALFORMED, "The request can't be read: broken JSON, or a broken escape in the path."},
    {ERR_UNAUTHORIZED, "There are no credentials, or none that are good."},
    {ERR_FORBIDDEN, "The credentials are good, but do not allow this."},
    {ERR_NOT_FOUND, "What the request names is not there."},
    {ERR_CONFLICT, "The record's state, or another record, does not allow it."},
    {ERR_PRECONDITION, "The record is not the one that If-Match names any more."},
    {ERR_TOO_LARGE, "The body is too large."},
    {ERR_MEDIA_TYPE, "The body is of a type that is not taken here."},
    {ERR_INVALID, "A value is not allowed; errors[] says which, and why."},
    {ERR_RATE_LIMITED, "Too many requests; Retry-After says when the next one may come."},
    {ERR_PROTOCOL, "The web server could not reach the application."},
    {ERR_UNAVAILABLE, "Too busy, or something that it needs does not answer; try again later."},
    {ERR_TIMEOUT, "It took too long; the detail says where the time went."},
};
const size_t policy_problem_count = ARRAY_LEN(policy_problems);

bool policy_knows_credentials(const struct route *route)
{
	return route->access != ACCESS_PUBLIC;
}

bool policy_needs_credentials(const struct route *route)
{
	return route->access != ACCESS_PUBLIC && route->access != ACCESS_OPTIONAL;
}

bool policy_may_need_none(const struct route *route)
{
	return route->access == ACCESS_OPTIONAL || route->access == ACCESS_LOCAL ||
	       route->access == ACCESS_REGISTER;
}

bool policy_takes_keys(const struct route *route)
{
	return policy_knows_credentials(route) && strcmp(route->scope, SCOPE_NONE) != 0;
}

static bool can_be_forbidden(const struct route *route)
{
	bool needs_role = route->access != ACCESS_HOST && route->access != ACCESS_READONLY;
	bool needs_scope = strcmp(route->scope, SCOPE_ANY) != 0;
	return policy_needs_credentials(route) &&
	       (needs_role || needs_scope || route->others == OTHERS_KEPT);
}

bool policy_makes_record(const struct route *route)
{
	return route->resource != NULL && route->method == HTTP_POST && route->status == 201;
}

bool policy_heeds_key(const struct route *route)
{
	return route->resource != NULL && route->method == HTTP_POST &&
	       strchr(route->path, '{') == NULL;
}

bool policy_changes_record(const struct route *route)
{
	return route->resource != NULL &&
	       (route->method == HTTP_PATCH || route->method == HTTP_DELETE ||
		(route->fails & FAILS(ERR_PRECONDITION)) != 0);
}

bool policy_answers_record(const struct route *route)
{
	bool is_one = strchr(route->path, '{') != NULL && route->method == HTTP_GET;
	bool is_changed = policy_changes_record(route) && route->method != HTTP_DELETE;
	return route->resource != NULL && (is_one || is_changed || policy_heeds_key(route));
}

bool policy_has_pages(const struct route *route)
{
	for (size_t i = 0; route->takes != NULL && i < route->takes->count; i++)
		if (strcmp(route->takes->fields[i].name, "cursor") == 0)
			return true;
	return false;
}

bool policy_can_fail(const struct route *route, enum err err)
{
	bool has_argument = strchr(route->path, '{') != NULL;
	bool has_body = route->body != BODY_NONE;
	if (route->fails & FAILS(err))
		return true;
	switch (err) {
	case ERR_MALFORMED:
		return has_body || has_argument;
	case ERR_UNAUTHORIZED:
		return policy_needs_credentials(route);
	case ERR_FORBIDDEN:
		return can_be_forbidden(route);
	case ERR_NOT_FOUND:
		return has_argument;
	case ERR_CONFLICT:
		return route->resource != NULL && route->method != HTTP_GET;
	case ERR_PRECONDITION:
		return policy_changes_record(route);
	case ERR_TOO_LARGE:
	case ERR_MEDIA_TYPE:
		return has_body;
	case ERR_INVALID:
		return has_body || route->takes != NULL;
	case ERR_RATE_LIMITED:
		return route->rate != RATE_NONE;
	case ERR_PROTOCOL:
	case ERR_UNAVAILABLE:
	case ERR_TIMEOUT:
		return true;
	default:
		return false;
	}
}

static const char *access_text(enum route_access access)
{
	switch (access) {
	case ACCESS_PUBLIC:
		return "Anybody may call it.";
	case ACCESS_OPTIONAL:
		return "Anybody may call it; those who sign in are told more.";
	case ACCESS_HOST:
	case ACCESS_READONLY:
		return "Needs credentials, of any role.";
	case ACCESS_USER:
		return "Needs the role user or admin.";
	case ACCESS_ADMIN:
		return "Needs the role admin.";
	case ACCESS_REGISTER:
		return "Needs the role admin, unless the server lets everybody register.";
	case ACCESS_LOCAL:
		return "Answers clients of the same machine, the metrics token and administrators.";
	}
	A_BUG("a route without an access level");
}

static void add_key_text(const struct route *route, struct strbuf *out)
{
	if (!policy_needs_credentials(route))
		return;
	if (strcmp(route->scope, SCOPE_NONE) == 0)
		strbuf_adds(out, " API keys are refused.");
	else if (strcmp(route->scope, SCOPE_ANY) != 0)
		strbuf_addf(out, " An API key needs the scope %s:%s.", route->scope,
			    route->method == HTTP_GET ? "read" : "write");
}

static void add_others_text(const struct route *route, struct strbuf *out)
{
	if (route->others == OTHERS_KEPT)
		strbuf_adds(out, " Records of others are for administrators alone to change.");
	else if (route->others == OTHERS_CHANGED)
		strbuf_adds(out, " Changes the records of others too.");
}

void policy_text(const struct route *route, struct strbuf *out)
{
	strbuf_adds(out, access_text(route->access));
	add_key_text(route, out);
	add_others_text(route, out);
	if (route->rate == RATE_NONE)
		strbuf_adds(out, " Never limited.");
	else
		strbuf_addf(out, " Rate class: %s.", route_rate_word(route->rate));
}
