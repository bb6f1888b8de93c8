#include <string.h>

#include "base/num.h"
#include "http/form.h"
#include "http/request.h"
#include "json/writer.h"

const char *http_param(const struct http_request *r, const char *name)
{
	size_t len = strlen(name);
	for (size_t i = 0; i < r->param_count; i++)
		if (r->params[i].name_len == len && memcmp(r->params[i].name, name, len) == 0)
			return r->params[i].value;
	return NULL;
}

const char *http_path_arg(const struct http_request *r, const char *name)
{
	size_t len = strlen(name);
	for (size_t i = 0; i < r->path_arg_count; i++)
		if (r->path_args[i].name_len == len && memcmp(r->path_args[i].name, name, len) == 0)
			return r->path_args[i].value;
	return NULL;
}

enum err http_query(const struct http_request *r, const char *name, const char **out,
		    struct errmsg *why)
{
	if (r->query[0] == '\0') {
		*out = NULL;
		return ERR_OK;
	}
	return form_get(r->arena, r->query, strlen(r->query), name, out, why);
}

enum err http_query_number(const struct http_request *r, const char *name, int64_t min, int64_t max,
			   int64_t *out, struct errmsg *why)
{
	const char *text;
	enum err err = http_query(r, name, &text, why);
	if (err != ERR_OK || text == NULL)
		return err;
	if (!num_i64(text, strlen(text), min, max, out))
		return err_set(why, ERR_INVALID, "%s: must be a whole number from %lld to %lld",
			       name, (long long)min, (long long)max);
	return ERR_OK;
}

enum err http_query_known(const struct http_request *r, const struct schema *takes,
			  struct errmsg *why)
{
	for (const char *at = r->query; *at != '\0';) {
		size_t len = strcspn(at, "&");
		const char *name = form_decode(r->arena, at, strcspn(at, "=&"), true);
		if (name == NULL)
			return err_set(why, ERR_INVALID, "the query has a broken name");
		if (len > 0 && !schema_has(takes, name))
			return err_set(why, ERR_INVALID, "%s: is not a parameter of this list",
				       name);
		at += len + (at[len] == '&');
	}
	return ERR_OK;
}

enum err http_body_json(struct http_request *r, struct json_doc **out, struct errmsg *why)
{
	if (r->json != NULL) {
		*out = r->json;
		return ERR_OK;
	}
	if (r->body_len == 0)
		return err_set(why, ERR_MALFORMED, "the body is empty; a JSON object is expected");
	enum err err = json_parse(r->body, r->body_len, &r->json, why);
	*out = r->json;
	return err;
}

static enum err put_form_field(const struct http_request *r, struct json_writer *w,
			       const char *name, struct errmsg *why)
{
	const char *value;
	enum err err = form_get(r->arena, r->body, r->body_len, name, &value, why);
	if (err == ERR_OK && value != NULL && value[0] != '\0')
		json_put_string(w, name, value);
	return err;
}

enum err http_body_form(struct http_request *r, struct json_doc **out, struct errmsg *why)
{
	const struct schema *schema = r->route->accepts;
	STRBUF_CLEANUP text = STRBUF_INIT;
	struct json_writer w;
	enum err err = ERR_OK;
	json_init(&w, &text);
	json_object(&w);
	for (size_t i = 0; i < schema->count && err == ERR_OK; i++)
		err = put_form_field(r, &w, schema->fields[i].name, why);
	json_end(&w);
	if (err != ERR_OK)
		return err;
	if (!json_ok(&w))
		return err_set(why, ERR_NOMEM, "out of memory for the form");
	err = json_parse(text.data, text.len, &r->json, why);
	*out = r->json;
	return err;
}
