#include "describe/operation.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "describe/field_schema.h"
#include "describe/headers.h"
#include "describe/policy.h"
#include "http/problem.h"
#include "http/router.h"

/* Letters and digits of a word, its parts beginning with a capital: "api-keys" is "ApiKeys". */
static void add_camel(struct strbuf *out, const char *word, size_t len)
{
	bool upper = true;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)word[i];
		if (isalnum(c))
			strbuf_addc(out, (char)(upper ? toupper(c) : c));
		upper = !isalnum(c);
	}
}

void operation_id(const struct route *route, struct strbuf *out)
{
	for (const char *at = http_method_name(route->method); *at != '\0'; at++)
		strbuf_addc(out, (char)tolower((unsigned char)*at));
	if (route->path[1] == '\0')
		strbuf_adds(out, "Root");
	for (const char *at = route->path; *at == '/';) {
		size_t len = strcspn(++at, "/");
		if (*at == '{')
			strbuf_adds(out, "By");
		add_camel(out, at, len);
		at += len;
	}
}

void response_name(enum err err, struct strbuf *out)
{
	const char *text = err_text(err);
	add_camel(out, text, strlen(text));
}

static void put_text(struct json_writer *w, const char *key, const struct strbuf *text)
{
	w->out->failed |= text->failed;
	json_put_string(w, key, text->data);
}

static void put_scheme(struct json_writer *w, const char *scheme)
{
	json_object(w);
	if (scheme != NULL) {
		json_key(w, scheme);
		json_array(w);
		json_end(w);
	}
	json_end(w);
}

/* One of these is enough; an empty one says that nothing is, too. */
static void put_security(struct json_writer *w, const struct route *route)
{
	json_key(w, "security");
	json_array(w);
	if (policy_knows_credentials(route)) {
		if (policy_may_need_none(route))
			put_scheme(w, NULL);
		put_scheme(w, "bearer");
		if (policy_takes_keys(route))
			put_scheme(w, "key");
	}
	json_end(w);
}

static void put_path_parameter(struct json_writer *w, const char *name, size_t len, bool uuid)
{
	STRBUF_CLEANUP which = STRBUF_INIT;
	strbuf_addf(&which, "Which one: its %.*s", (int)len, name);
	json_object(w);
	json_key(w, "name");
	json_stringn(w, name, len);
	json_put_string(w, "in", "path");
	put_text(w, "description", &which);
	json_put_bool(w, "required", true);
	json_key(w, "schema");
	json_object(w);
	json_put_string(w, "type", "string");
	if (uuid)
		json_put_string(w, "format", "uuid");
	else
		json_put_int(w, "minLength", 1);
	json_end(w);
	json_end(w);
}

static void put_query_parameter(struct json_writer *w, const struct field *field)
{
	struct field value = *field;
	value.summary = NULL;
	json_object(w);
	json_put_string(w, "name", field->name);
	json_put_string(w, "in", "query");
	json_put_string(w, "description", field->summary);
	if (field->flags & FIELD_REQUIRED)
		json_put_bool(w, "required", true);
	if (field->type == FIELD_BOOL)
		json_put_bool(w, "allowEmptyValue", true);
	json_key(w, "schema");
	field_put_schema(w, &value);
	json_end(w);
}

static void put_header_parameter(struct json_writer *w, const char *name, const char *description)
{
	const struct field value = {.type = FIELD_STRING, .min = 1, .max = 255};
	json_object(w);
	json_put_string(w, "name", name);
	json_put_string(w, "in", "header");
	json_put_string(w, "description", description);
	json_key(w, "schema");
	field_put_schema(w, &value);
	json_end(w);
}

static void put_parameters(struct json_writer *w, const struct route *route)
{
	const char *argument = strchr(route->path, '{');
	if (argument == NULL && route->takes == NULL && !policy_heeds_key(route))
		return;
	json_key(w, "parameters");
	json_array(w);
	for (; argument != NULL; argument = strchr(argument + 1, '{'))
		put_path_parameter(w, argument + 1, strcspn(argument + 1, "}"),
				   route->resource != NULL);
	for (size_t i = 0; route->takes != NULL && i < route->takes->count; i++)
		put_query_parameter(w, &route->takes->fields[i]);
	if (policy_heeds_key(route))
		put_header_parameter(w, "Idempotency-Key",
				     "Any text; the same again gets the first answer again.");
	if (policy_changes_record(route))
		put_header_parameter(w, "If-Match",
				     "The record's ETag: refuses when it has changed since.");
	json_end(w);
}

static void put_media(struct json_writer *w, const char *type, const struct schema *schema)
{
	json_key(w, type);
	json_object(w);
	json_key(w, "schema");
	if (schema != NULL) {
		reference_put(w, "schemas", schema->name);
	} else {
		json_object(w);
		json_put_string(w, "type", "string");
		json_end(w);
	}
	json_end(w);
}

static void put_body(struct json_writer *w, const struct route *route)
{
	if (route->body == BODY_NONE || route->accepts == NULL)
		return;
	json_key(w, "requestBody");
	json_object(w);
	json_put_bool(w, "required", true);
	json_key(w, "content");
	json_object(w);
	if (route->body != BODY_FORM)
		put_media(w, "application/json", route->accepts);
	if (route->body != BODY_JSON)
		put_media(w, "application/x-www-form-urlencoded", route->accepts);
	json_end(w);
	json_end(w);
}

static void open_response(struct json_writer *w, int status)
{
	char key[16];
	snprintf(key, sizeof(key), "%d", status);
	json_key(w, key);
}

static void put_headers(struct json_writer *w, const struct route *route, int status)
{
	bool limited = route->rate != RATE_NONE;
	bool has_tag = policy_answers_record(route) || route->also == 304;
	if (!limited && !has_tag && !policy_has_pages(route) && status != 503)
		return;
	json_key(w, "headers");
	json_object(w);
	if (limited)
		limit_headers_refer(w);
	if (has_tag)
		header_put(w, "ETag", "The version of what is answered.");
	if (policy_makes_record(route))
		header_put(w, "Location", "The record's path.");
	if (policy_heeds_key(route))
		header_put(w, "Idempotency-Replayed",
			   "true when this Idempotency-Key had been answered before.");
	if (policy_has_pages(route))
		header_put(w, "Link", "The next page, as rel=\"next\"; the last has none.");
	if (status == 503)
		retry_header_put(w);
	json_end(w);
}

static void put_content(struct json_writer *w, const struct route *route, int status)
{
	json_key(w, "content");
	json_object(w);
	if (route->answers != NULL)
		put_media(w, "application/json", route->answers);
	for (size_t i = 0; route->media != NULL && route->media[i] != NULL; i++)
		put_media(w, route->media[i], NULL);
	/* A status that errors have too may come with either. */
	if (status >= 400)
		put_media(w, "application/problem+json", &problem_schema);
	json_end(w);
}

/* The answer that is no error, with a status and perhaps with a body. */
static void put_answer(struct json_writer *w, const struct route *route, int status)
{
	open_response(w, status);
	json_object(w);
	json_put_string(w, "description",
			status == 304 ? "It is as the client knows it." : route->summary);
	put_headers(w, route, status);
	if (status != 204 && status != 304)
		put_content(w, route, status);
	json_end(w);
}

static void put_responses(struct json_writer *w, const struct route *route)
{
	json_key(w, "responses");
	json_object(w);
	put_answer(w, route, route->status != 0 ? route->status : 200);
	if (route->also != 0)
		put_answer(w, route, route->also);
	for (size_t i = 0; i < policy_problem_count; i++) {
		enum err err = policy_problems[i].err;
		if (!policy_can_fail(route, err) || err_http_status(err) == route->also)
			continue;
		STRBUF_CLEANUP name = STRBUF_INIT;
		response_name(err, &name);
		open_response(w, err_http_status(err));
		reference_put(w, "responses", name.data);
	}
	json_end(w);
}

static void put_policy(struct json_writer *w, const struct route *route)
{
	json_put_string(w, "x-access", route_access_word(route->access));
	json_put_string(w, "x-others", route_others_word(route->others));
	json_put_string(w, "x-scope", route->scope);
	json_put_string(w, "x-rate-class", route_rate_word(route->rate));
	json_put_string(w, "x-weight-class", route_weight_word(route->weight));
}

void operation_put(struct json_writer *w, const struct route *route, const char *tag)
{
	STRBUF_CLEANUP id = STRBUF_INIT;
	STRBUF_CLEANUP policy = STRBUF_INIT;
	operation_id(route, &id);
	policy_text(route, &policy);
	json_object(w);
	put_text(w, "operationId", &id);
	json_key(w, "tags");
	json_array(w);
	json_string(w, tag);
	json_end(w);
	json_put_string(w, "summary", route->summary);
	put_text(w, "description", &policy);
	put_security(w, route);
	put_parameters(w, route);
	put_body(w, route);
	put_responses(w, route);
	put_policy(w, route);
	json_end(w);
}
