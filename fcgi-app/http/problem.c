#include "http/problem.h"

#include <string.h>

#include "base/assert.h"
#include "http/response.h"
#include "json/writer.h"

static const struct field fault_fields[] = {
    {"field", FIELD_STRING, FIELD_REQUIRED, .summary = "Of the body, of a form or of the query"},
    {"detail", FIELD_STRING, FIELD_REQUIRED, .summary = "What is wrong with it"},
};
static const struct schema fault_schema = SCHEMA("Fault", fault_fields);

static const struct field problem_fields[] = {
    {"type", FIELD_STRING, FIELD_REQUIRED,
     .summary = "What kind of error it is, for programs: urn:ziggie:problem: and its name; "
		"about:blank when the web server answers itself"},
    {"title", FIELD_STRING, FIELD_REQUIRED, .summary = "The kind in words"},
    {"status", FIELD_INT, FIELD_REQUIRED, 400, 599, .summary = "The status of the answer"},
    {"detail", FIELD_STRING, FIELD_REQUIRED, .summary = "What was wrong this time, for people"},
    {"instance", FIELD_STRING, FIELD_REQUIRED, .summary = "The path that was asked for"},
    {"request_id", FIELD_STRING, FIELD_REQUIRED, .summary = "The request, as the logs name it"},
    {"errors", FIELD_LIST, .item = FIELD_OBJECT, .of = &fault_schema,
     .summary = "The fields at fault, when that is why"},
};
const struct schema problem_schema = SCHEMA("Problem", problem_fields);

static void put_error_header(struct http_response *response, enum err err)
{
	switch (err) {
	case ERR_UNAUTHORIZED:
		http_header(response, "WWW-Authenticate", "Bearer realm=\"ziggie\"");
		break;
	case ERR_OVERLOADED:
	case ERR_NOMEM:
	case ERR_RETRY:
		http_header(response, "Retry-After", "1");
		break;
	case ERR_UNAVAILABLE:
	case ERR_UNKNOWN_OUTCOME:
		http_header(response, "Retry-After", "5");
		break;
	default:
		break;
	}
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* What RFC 3986 lets stand in a path, escapes included. */
static bool may_stand_in_path(const char *at)
{
	static const char marks[] = "/-._~!$&'()*+,;=:@";
	if (*at == '%')
		return is_hex(at[1]) && is_hex(at[2]);
	return (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
	       (*at >= '0' && *at <= '9') || strchr(marks, *at) != NULL;
}

/* The path as a URI reference; a web server hands on whatever the client wrote. */
static void put_instance(struct json_writer *w, const char *path)
{
	STRBUF_CLEANUP uri = STRBUF_INIT;
	for (const char *at = path; *at != '\0'; at++) {
		if (may_stand_in_path(at))
			strbuf_addc(&uri, *at);
		else
			strbuf_addf(&uri, "%%%02X", (unsigned char)*at);
	}
	w->out->failed |= uri.failed;
	json_put_string(w, "instance", uri.data);
}

static void begin_problem(struct json_writer *w, const struct http_request *r,
			  struct http_response *response, enum err err, const char *detail)
{
	strbuf_clear(&response->body);
	response->status = err_http_status(err);
	response->content_type = "application/problem+json";
	response->cache_control = "no-store";
	json_init(w, &response->body);
	json_object(w);
	json_key(w, "type");
	char type[64] = "urn:ziggie:problem:";
	strncat(type, err_name(err), sizeof(type) - strlen(type) - 1);
	json_string(w, type);
	json_put_string(w, "title", err_text(err));
	json_put_int(w, "status", response->status);
	json_put_string(w, "detail", detail == NULL || detail[0] == '\0' ? err_text(err) : detail);
	put_instance(w, r->path != NULL ? r->path : "");
	json_put_string(w, "request_id", r->id);
}

static void put_field_error(struct json_writer *w, const char *field, size_t len,
			    const char *detail)
{
	json_object(w);
	json_key(w, "field");
	json_stringn(w, field, len);
	json_put_string(w, "detail", detail);
	json_end(w);
}

/* A message "field: what is wrong" also goes to errors[], so that clients find the field. */
static void put_named_field(struct json_writer *w, const char *detail)
{
	const char *colon = detail != NULL ? strstr(detail, ": ") : NULL;
	json_key(w, "errors");
	json_array(w);
	if (colon != NULL && strcspn(detail, " ") > (size_t)(colon - detail))
		put_field_error(w, detail, (size_t)(colon - detail), colon + 2);
	json_end(w);
}

void problem_fill(const struct http_request *r, struct http_response *response, enum err err,
		  const char *detail)
{
	struct json_writer w;
	strbuf_clear(&response->headers);
	put_error_header(response, err);
	begin_problem(&w, r, response, err, detail);
	if (err == ERR_INVALID)
		put_named_field(&w, detail);
	json_end(&w);
}

enum err http_respond_fields(struct http_request *r, struct http_response *response,
			     const struct json_fields *fields)
{
	struct json_writer w;
	STRBUF_CLEANUP detail = STRBUF_INIT;
	for (size_t i = 0; i < fields->error_count; i++)
		strbuf_addf(&detail, "%s%s %s", i > 0 ? "; " : "", fields->errors[i].field,
			    fields->errors[i].detail);
	if (detail.failed)
		return ERR_NOMEM;
	begin_problem(&w, r, response, ERR_INVALID, detail.data);
	json_key(&w, "errors");
	json_array(&w);
	for (size_t i = 0; i < fields->error_count; i++)
		put_field_error(&w, fields->errors[i].field, strlen(fields->errors[i].field),
				fields->errors[i].detail);
	json_end(&w);
	json_end(&w);
	return ERR_OK;
}
