#include "describe/openapi.h"

#include <ctype.h>
#include <string.h>

#include "describe/field_schema.h"
#include "describe/headers.h"
#include "describe/operation.h"
#include "describe/policy.h"
#include "describe/schema_list.h"
#include "http/problem.h"
#include "http/router.h"

static const char introduction[] =
    "One self-hosted service that tells a team what its machines are doing, and holds the records "
    "of what runs on them.\n"
    "\n"
    "**Credentials** are a token from `POST /api/auth/login`, sent as `Authorization: Bearer "
    "TOKEN`, or an API key, sent as `X-API-Key: KEY`.\n"
    "\n"
    "**Errors** are `application/problem+json` (RFC 9457). `detail` is for people, `type` for "
    "programs, and `request_id` names the request in the server's logs.\n"
    "\n"
    "**Times** are ISO 8601 in UTC: with `Z` and milliseconds below `/api/v1`, without a zone "
    "elsewhere. More fields may be added to any answer; those of a request that are not known "
    "are refused.";

static void put_info(struct json_writer *w)
{
	json_key(w, "info");
	json_object(w);
	json_put_string(w, "title", "Ziggie Control Center");
	json_put_string(w, "version", PACKAGE_VERSION);
	json_put_string(w, "description", introduction);
	json_key(w, "contact");
	json_object(w);
	json_put_string(w, "name", "Whoever runs this server");
	json_end(w);
	json_key(w, "license");
	json_object(w);
	json_put_string(w, "name", "Apache License 2.0");
	json_put_string(w, "identifier", "Apache-2.0");
	json_end(w);
	json_end(w);
	json_key(w, "servers");
	json_array(w);
	json_object(w);
	json_put_string(w, "url", "/");
	json_end(w);
	json_end(w);
}

static void put_tags(struct json_writer *w, const struct route_table *tables, size_t count)
{
	json_key(w, "tags");
	json_array(w);
	for (size_t i = 0; i < count; i++) {
		json_object(w);
		json_put_string(w, "name", tables[i].name);
		json_put_string(w, "description", tables[i].summary);
		json_end(w);
	}
	json_end(w);
}

static void put_method(struct json_writer *w, const struct route *route, const char *tag)
{
	char key[16] = "";
	const char *name = http_method_name(route->method);
	for (size_t i = 0; name[i] != '\0' && i + 1 < sizeof(key); i++)
		key[i] = (char)tolower((unsigned char)name[i]);
	json_key(w, key);
	operation_put(w, route, tag);
}

/* Whether the path stands in an earlier row, with another method. */
static bool is_known(const struct route_table *table, size_t row)
{
	for (size_t i = 0; i < row; i++)
		if (strcmp(table->rows[i].path, table->rows[row].path) == 0)
			return true;
	return false;
}

/* All methods of a path stand in one table. */
static void put_path(struct json_writer *w, const struct route_table *table, size_t first)
{
	const char *path = table->rows[first].path;
	json_key(w, path);
	json_object(w);
	for (size_t row = first; row < *table->count; row++)
		if (strcmp(table->rows[row].path, path) == 0)
			put_method(w, &table->rows[row], table->name);
	json_end(w);
}

static void put_paths(struct json_writer *w, const struct route_table *tables, size_t count)
{
	json_key(w, "paths");
	json_object(w);
	for (size_t i = 0; i < count; i++)
		for (size_t row = 0; row < *tables[i].count; row++)
			if (!is_known(&tables[i], row))
				put_path(w, &tables[i], row);
	json_end(w);
}

static void put_security_schemes(struct json_writer *w)
{
	json_key(w, "securitySchemes");
	json_object(w);
	json_key(w, "bearer");
	json_object(w);
	json_put_string(w, "type", "http");
	json_put_string(w, "scheme", "bearer");
	json_put_string(w, "description", "A token from POST /api/auth/login.");
	json_end(w);
	json_key(w, "key");
	json_object(w);
	json_put_string(w, "type", "apiKey");
	json_put_string(w, "in", "header");
	json_put_string(w, "name", "X-API-Key");
	json_put_string(w, "description", "An API key; its scopes say what it may do.");
	json_end(w);
	json_end(w);
}

static void put_problem_headers(struct json_writer *w, enum err err)
{
	json_key(w, "headers");
	json_object(w);
	header_put(w, "X-Request-Id", "The request, as the logs name it.");
	if (err == ERR_UNAUTHORIZED)
		header_put(w, "WWW-Authenticate", "The scheme that is taken.");
	limit_headers_refer(w); /* where the route is limited */
	if (err == ERR_UNAVAILABLE || err == ERR_RATE_LIMITED)
		retry_header_put(w);
	if (err == ERR_RATE_LIMITED)
		refusal_headers_put(w);
	json_end(w);
}

static void put_problem(struct json_writer *w, const struct policy_problem *problem)
{
	STRBUF_CLEANUP name = STRBUF_INIT;
	response_name(problem->err, &name);
	json_key(w, name.data);
	json_object(w);
	json_put_string(w, "description", problem->when);
	put_problem_headers(w, problem->err);
	json_key(w, "content");
	json_object(w);
	json_key(w, "application/problem+json");
	json_object(w);
	json_key(w, "schema");
	reference_put(w, "schemas", problem_schema.name);
	json_end(w);
	json_end(w);
	json_end(w);
}

static bool can_any_fail(const struct route_table *tables, size_t count, enum err err)
{
	for (size_t i = 0; i < count; i++)
		for (size_t row = 0; row < *tables[i].count; row++)
			if (policy_can_fail(&tables[i].rows[row], err))
				return true;
	return false;
}

static void put_problems(struct json_writer *w, const struct route_table *tables, size_t count)
{
	json_key(w, "responses");
	json_object(w);
	for (size_t i = 0; i < policy_problem_count; i++)
		if (can_any_fail(tables, count, policy_problems[i].err))
			put_problem(w, &policy_problems[i]);
	json_end(w);
}

static void put_headers(struct json_writer *w)
{
	json_key(w, "headers");
	json_object(w);
	limit_headers_put(w);
	json_end(w);
}

static void put_schemas(struct json_writer *w, const struct schema_list *schemas)
{
	json_key(w, "schemas");
	json_object(w);
	for (size_t i = 0; i < schemas->count; i++) {
		const struct schema_use *use = &schemas->uses[i];
		json_key(w, use->schema->name);
		schema_put(w, use->schema, use->in_body);
	}
	json_end(w);
}

static void put_document(struct json_writer *w, const struct route_table *tables, size_t count,
			 const struct schema_list *schemas)
{
	json_object(w);
	json_put_string(w, "openapi", "3.1.0");
	put_info(w);
	put_tags(w, tables, count);
	put_paths(w, tables, count);
	json_key(w, "components");
	json_object(w);
	put_security_schemes(w);
	put_headers(w);
	put_problems(w, tables, count);
	put_schemas(w, schemas);
	json_end(w);
	json_end(w);
}

enum err openapi_render(const struct route_table *tables, size_t count, struct strbuf *out,
			struct errmsg *why)
{
	struct schema_list schemas;
	struct json_writer w;
	json_init(&w, out);
	enum err err = schema_list_fill(&schemas, tables, count, why);
	if (err == ERR_OK)
		put_document(&w, tables, count, &schemas);
	if (err == ERR_OK && !json_ok(&w))
		err = err_set(why, ERR_NOMEM, "out of memory describing the routes");
	schema_list_release(&schemas);
	return err;
}
