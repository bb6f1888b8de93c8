/*
 * A form's body.  The first line of the input names the field that is asked for, as
 * the text that such a name is; the rest is the body.  The answer is that of the reference; what is
 * found is text, and comes back when it is encoded again.
 */
#include "fuzz.h"
#include "http/request.h"
#include "reference.h"

enum { ARENA_CHUNK = 4096, ARENA_LIMIT = 1 << 20 };

/* What a route reads that accepts one field of that name, whatever it holds. */
static enum err read_field(const struct http_request *asked, const char *name, const char **out,
			   struct errmsg *why)
{
	const struct field field = {name, FIELD_SECRET, .min = 0, .max = INT64_MAX};
	const struct schema schema = {"Form", &field, 1, .open = true};
	const struct route route = {.accepts = &schema};
	struct json_doc *doc;
	struct field_value value;
	struct json_fields errors;
	struct http_request r = *asked;
	r.route = &route;
	enum err err = http_body_form(&r, &doc, why);
	if (err != ERR_OK)
		return err;
	schema_read(&schema, json_root(doc), &value, &errors);
	AN_INVARIANT(errors.error_count == 0);
	*out = value.given ? arena_strdup(r.arena, value.as.text.data) : NULL;
	json_doc_free(doc);
	return ERR_OK;
}

static void check_way_back(struct http_request *r, const char *name, const char *value)
{
	STRBUF_CLEANUP body = STRBUF_INIT;
	const char *again;
	strbuf_adds(&body, "&");
	reference_encode(name, &body);
	strbuf_addc(&body, '=');
	reference_encode(value, &body);
	r->body = body.data;
	r->body_len = body.len;
	AN_INVARIANT(read_field(r, name, &again, NULL) == ERR_OK);
	AN_INVARIANT(again != NULL && strcmp(again, value) == 0);
}

/* The rule for lengths, which a form shares with JSON, counts characters. */
static void check_length(const char *value)
{
	struct json_fields f = {.error_count = 0};
	size_t characters = 0;
	for (const char *at = value; *at != '\0'; at++)
		characters += ((unsigned char)*at >> 6) != 2;
	AN_INVARIANT(json_check_length(&f, "x", value, strlen(value), characters, characters));
	AN_INVARIANT(!json_check_length(&f, "x", value, strlen(value), characters + 1, SIZE_MAX));
	AN_INVARIANT(f.error_count == 1);
}

static void check_field(struct http_request *r, const char *name)
{
	STRBUF_CLEANUP wanted = STRBUF_INIT;
	struct errmsg why = ERRMSG_INIT;
	const char *value = NULL;
	bool found;
	enum err expected = reference_form(r->body, r->body_len, name, &found, &wanted);
	enum err err = read_field(r, name, &value, &why);
	AN_INVARIANT(err == expected);
	AN_INVARIANT((err == ERR_OK) == (why.text[0] == '\0'));
	if (err != ERR_OK)
		return;
	/* An empty field is one that was left out. */
	AN_INVARIANT((value != NULL) == (found && wanted.len > 0));
	if (value == NULL)
		return;
	AN_INVARIANT(strcmp(value, wanted.data) == 0 && reference_utf8(value, strlen(value)));
	check_length(value);
	check_way_back(r, name, value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const char *line_end = size > 0 ? memchr(text, '\n', size) : NULL;
	if (line_end == NULL)
		return 0;
	size_t name_len = (size_t)(line_end - text);
	size_t body_len = size - name_len - 1;
	STRBUF_CLEANUP name = STRBUF_INIT;
	strbuf_add(&name, text, name_len);
	if (strlen(name.data) != name.len || !reference_utf8(name.data, name.len))
		return 0;
	struct arena arena;
	arena_init(&arena, ARENA_CHUNK, ARENA_LIMIT);
	char *body = exact_copy(line_end + 1, body_len);
	struct http_request r = {.arena = &arena, .body = body, .body_len = body_len};
	check_field(&r, name.data);
	AN_INVARIANT(!arena.overflowed);
	free(body);
	arena_release(&arena);
	return 0;
}
