/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <string.h>

#include "describe/description.h"
#include "describe/field_schema.h"
#include "describe/openapi.h"
#include "describe/operation.h"
#include "describe/page.h"
#include "describe/page_fields.h"
#include "describe/policy.h"
#include "json/parse.h"
#include "toy_route.h"

static const struct field part_fields[] = {{"size", FIELD_INT, .flags = FIELD_REQUIRED}};
static const struct schema part = SCHEMA("Part", part_fields);
static const struct field toy_fields[] = {
    {"name", FIELD_STRING, FIELD_REQUIRED, 1, 20, .summary = "What it is called"},
    {"parts", FIELD_LIST, .item = FIELD_OBJECT, .of = &part},
};
static const struct schema toy = SCHEMA("Toy", toy_fields);
static const struct schema new_toy = SCHEMA("NewToy", toy_fields);
static const struct schema impostor = SCHEMA("Toy", part_fields);
static const struct field query_fields[] = {
    {"limit", FIELD_INT, 0, 1, 9, .summary = "How many"},
};
static const struct schema query = SCHEMA("ToyQuery", query_fields);

#define ROW(method_, access_, scope_, rate_, body_, ...)                                           \
	{                                                                                          \
		.method = (method_), .path = "/toys/{id}", .access = (access_),                    \
		.others = OTHERS_NONE, .scope = (scope_), .rate = (rate_), .weight = WEIGHT_LIGHT, \
		.body = (body_), .handler = nothing, .summary = "A toy", __VA_ARGS__               \
	}

static const struct route rows[] = {
    ROW(HTTP_GET, ACCESS_READONLY, "toys", RATE_READ, BODY_NONE, .takes = &query, .answers = &toy),
    ROW(HTTP_PUT, ACCESS_USER, SCOPE_NONE, RATE_NONE, BODY_JSON, .accepts = &new_toy,
	.answers = &toy, .status = 201, .fails = FAILS(ERR_CONFLICT)),
};
static const size_t row_count = sizeof(rows) / sizeof(rows[0]);
static const struct route_table table = {rows, &row_count, "toys", "What is played with."};

static void says(const char *text, const char *part_of_it)
{
	if (strstr(text, part_of_it) == NULL)
		fail_msg("no %s in %s", part_of_it, text);
}

static void lacks(const char *text, const char *part_of_it)
{
	if (strstr(text, part_of_it) != NULL)
		fail_msg("%s in %s", part_of_it, text);
}

static void render(const struct route *route, struct strbuf *out)
{
	struct json_writer w;
	strbuf_clear(out);
	json_init(&w, out);
	operation_put(&w, route, "toys");
	assert_true(json_ok(&w));
}

static void test_an_operation_says_all_of_its_row(void **state)
{
	(void)state;
	STRBUF_CLEANUP out = STRBUF_INIT;
	render(&rows[0], &out);
	assert_string_equal(
	    out.data,
	    "{\"operationId\":\"getToysById\",\"tags\":[\"toys\"],\"summary\":\"A toy\","
	    "\"description\":\"Needs credentials, of any role. An API key needs the scope "
	    "toys:read. Rate class: read.\","
	    "\"security\":[{\"bearer\":[]},{\"key\":[]}],"
	    "\"parameters\":[{\"name\":\"id\",\"in\":\"path\",\"description\":\"Which one: its "
	    "id\",\"required\":true,"
	    "\"schema\":{\"type\":\"string\",\"minLength\":1}},"
	    "{\"name\":\"limit\",\"in\":\"query\",\"description\":\"How many\","
	    "\"schema\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":9}}],"
	    "\"responses\":{\"200\":{\"description\":\"A toy\",\"headers\":{"
	    "\"X-RateLimit-Limit\":{\"$ref\":\"#/components/headers/X-RateLimit-Limit\"},"
	    "\"X-RateLimit-Remaining\":{\"$ref\":\"#/components/headers/X-RateLimit-Remaining\"},"
	    "\"X-RateLimit-Reset\":{\"$ref\":\"#/components/headers/X-RateLimit-Reset\"}},"
	    "\"content\":{\"application/json\":"
	    "{\"schema\":{\"$ref\":\"#/components/schemas/Toy\"}}}},"
	    "\"400\":{\"$ref\":\"#/components/responses/BadRequest\"},"
	    "\"401\":{\"$ref\":\"#/components/responses/Unauthorized\"},"
	    "\"403\":{\"$ref\":\"#/components/responses/Forbidden\"},"
	    "\"404\":{\"$ref\":\"#/components/responses/NotFound\"},"
	    "\"422\":{\"$ref\":\"#/components/responses/UnprocessableContent\"},"
	    "\"429\":{\"$ref\":\"#/components/responses/TooManyRequests\"},"
	    "\"502\":{\"$ref\":\"#/components/responses/BadGateway\"},"
	    "\"503\":{\"$ref\":\"#/components/responses/ServiceUnavailable\"},"
	    "\"504\":{\"$ref\":\"#/components/responses/GatewayTimeout\"}},"
	    "\"x-access\":\"readonly\",\"x-others\":\"none\",\"x-scope\":\"toys\","
	    "\"x-rate-class\":\"read\",\"x-weight-class\":\"light\"}");
}

static void test_a_body_and_the_errors_of_the_handler_are_told(void **state)
{
	(void)state;
	STRBUF_CLEANUP out = STRBUF_INIT;
	render(&rows[1], &out);
	says(out.data, "\"requestBody\":{\"required\":true,\"content\":{\"application/json\":"
		       "{\"schema\":{\"$ref\":\"#/components/schemas/NewToy\"}}}}");
	says(out.data, "\"201\":{\"description\":\"A toy\"");
	says(out.data, "\"409\":");
	says(out.data, "\"415\":");
	says(out.data, "\"security\":[{\"bearer\":[]}]");
	says(out.data, "API keys are refused. Never limited.");
	lacks(out.data, "\"429\":");
	lacks(out.data, "\"200\":");
}

static void test_who_may_call_it_is_told(void **state)
{
	(void)state;
	static const struct route open = ROW(HTTP_GET, ACCESS_PUBLIC, SCOPE_ANY, RATE_NONE,
					     BODY_NONE, .answers = &toy),
				  optional = ROW(HTTP_GET, ACCESS_OPTIONAL, SCOPE_ANY, RATE_NONE,
						 BODY_NONE, .answers = &toy),
				  local = ROW(HTTP_GET, ACCESS_LOCAL, SCOPE_NONE, RATE_NONE,
					      BODY_NONE, .answers = &toy);
	STRBUF_CLEANUP out = STRBUF_INIT;
	render(&open, &out);
	says(out.data, "\"security\":[],");
	lacks(out.data, "\"401\":");
	render(&optional, &out);
	says(out.data, "\"security\":[{},{\"bearer\":[]},{\"key\":[]}],");
	lacks(out.data, "\"401\":");
	render(&local, &out);
	says(out.data, "\"security\":[{},{\"bearer\":[]}],");
	says(out.data, "\"401\":");
	says(out.data, "\"403\":");
}

static void test_a_status_without_a_body_has_none(void **state)
{
	(void)state;
	static const struct route gone = ROW(HTTP_DELETE, ACCESS_USER, "toys", RATE_NONE, BODY_NONE,
					     .status = 204),
				  cached = ROW(HTTP_GET, ACCESS_PUBLIC, SCOPE_ANY, RATE_NONE,
					       BODY_NONE, .answers = &toy, .also = 304),
				  unready = ROW(HTTP_GET, ACCESS_PUBLIC, SCOPE_ANY, RATE_NONE,
						BODY_NONE, .answers = &toy, .also = 503);
	STRBUF_CLEANUP out = STRBUF_INIT;
	render(&gone, &out);
	says(out.data, "\"204\":{\"description\":\"A toy\"},");
	says(out.data, "the scope toys:write.");
	render(&cached, &out);
	says(out.data,
	     "\"304\":{\"description\":\"It is as the client knows it.\","
	     "\"headers\":{\"ETag\":{\"description\":\"The version of what is answered.\","
	     "\"schema\":{\"type\":\"string\"}}}},");
	render(&unready, &out);
	says(out.data, "\"200\":{\"description\":\"A toy\",\"content\":");
	says(out.data, "\"503\":{\"description\":\"A toy\",\"headers\":{\"Retry-After\":"
		       "{\"description\":\"Seconds to wait before the next attempt.\","
		       "\"schema\":{\"type\":\"integer\"}}},\"content\":{\"application/json\":"
		       "{\"schema\":{\"$ref\":\"#/components/schemas/Toy\"}},"
		       "\"application/problem+json\":"
		       "{\"schema\":{\"$ref\":\"#/components/schemas/Problem\"}}}}");
	lacks(out.data, "components/responses/ServiceUnavailable");
}

static void test_records_have_tags_and_keys(void **state)
{
	(void)state;
	const void *const resource = rows; /* only whether there is one matters */
	static const struct field page_fields[] = {
	    {"cursor", FIELD_STRING, 0, 1, 9, .summary = "Goes on"}};
	static const struct schema page = SCHEMA("ToyPage", page_fields);
	const struct route list = TOY_ROUTE(HTTP_GET, "/toys"),
			   pages = ROW(HTTP_GET, ACCESS_USER, "toys", RATE_READ, BODY_NONE,
				       .answers = &toy, .takes = &page),
			   make = {.method = HTTP_POST,
				   .path = "/toys",
				   .access = ACCESS_USER,
				   .others = OTHERS_NONE,
				   .scope = "toys",
				   .rate = RATE_READ,
				   .weight = WEIGHT_LIGHT,
				   .body = BODY_JSON,
				   .handler = nothing,
				   .summary = "A toy",
				   .accepts = &new_toy,
				   .answers = &toy,
				   .status = 201,
				   .resource = resource},
			   change = ROW(HTTP_PATCH, ACCESS_USER, "toys", RATE_READ, BODY_JSON,
					.answers = &toy, .resource = resource);
	STRBUF_CLEANUP out = STRBUF_INIT;
	render(&list, &out);
	lacks(out.data, "ETag");
	lacks(out.data, "Link");
	lacks(out.data, "parameters");
	render(&pages, &out);
	says(out.data, "\"Link\":{\"description\"");
	lacks(out.data, "Idempotency-Replayed");
	render(&make, &out);
	says(out.data, "\"Idempotency-Replayed\":{\"description\"");
	says(out.data, "\"parameters\":[{\"name\":\"Idempotency-Key\",\"in\":\"header\"");
	says(out.data, "\"ETag\":{\"description\"");
	says(out.data, "\"Location\":{");
	says(out.data, "\"409\":");
	lacks(out.data, "\"412\":");
	render(&change, &out);
	says(out.data, "\"type\":\"string\",\"format\":\"uuid\"}},{\"name\":\"If-Match\"");
	says(out.data, "\"ETag\":{\"description\"");
	says(out.data, "\"409\":");
	says(out.data, "\"412\":");
	lacks(out.data, "Location");
}

static void test_bodies_are_parts_of_a_record(void **state)
{
	(void)state;
	static const struct field fields[] = {
	    {"id", FIELD_ID, .flags = 0},
	    {"name", FIELD_STRING, FIELD_REQUIRED | FIELD_CREATE | FIELD_PATCH, .min = 1, .max = 9},
	    {"size", FIELD_INT, FIELD_CREATE, 1, 9, .initial = "5"},
	};
	static const struct schema record = SCHEMA("Record", fields, .whole = true),
				   made = SCHEMA("New", fields, .only = FIELD_CREATE),
				   change = SCHEMA("Change", fields, .only = FIELD_PATCH),
				   open = SCHEMA("Open", part_fields, .open = true);
	static const struct {
		const struct schema *schema;
		bool in_body;
		const char *text;
	} cases[] = {
	    {&record, false,
	     "{\"type\":\"object\",\"required\":[\"id\",\"name\",\"size\"],\"properties\":{"
	     "\"id\":{\"type\":\"string\",\"format\":\"uuid\"},"
	     "\"name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":9},"
	     "\"size\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":9}}}"},
	    {&made, true,
	     "{\"type\":\"object\",\"required\":[\"name\"],\"properties\":{"
	     "\"name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":9},"
	     "\"size\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":9,\"default\":5}},"
	     "\"additionalProperties\":false}"},
	    {&change, true,
	     "{\"type\":\"object\",\"properties\":{"
	     "\"name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":9}},"
	     "\"additionalProperties\":false}"},
	    {&open, true,
	     "{\"type\":\"object\",\"required\":[\"size\"],\"properties\":{"
	     "\"size\":{\"type\":\"integer\"}}}"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		STRBUF_CLEANUP out = STRBUF_INIT;
		struct json_writer w;
		json_init(&w, &out);
		schema_put(&w, cases[i].schema, cases[i].in_body);
		assert_true(json_ok(&w));
		assert_string_equal(out.data, cases[i].text);
	}
}

static void test_ids_are_made_of_method_and_path(void **state)
{
	(void)state;
	static const struct {
		enum http_method method;
		const char *path;
		const char *id;
	} cases[] = {
	    {HTTP_GET, "/", "getRoot"},
	    {HTTP_GET, "/api/openapi.json", "getApiOpenapiJson"},
	    {HTTP_DELETE, "/api/v1/api-keys/{id}", "deleteApiV1ApiKeysById"},
	    {HTTP_POST, "/api/services/{name}/start", "postApiServicesByNameStart"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct route route = TOY_ROUTE(cases[i].method, cases[i].path);
		STRBUF_CLEANUP id = STRBUF_INIT;
		operation_id(&route, &id);
		assert_string_equal(id.data, cases[i].id);
	}
}

static void field_is(struct field field, const char *schema)
{
	STRBUF_CLEANUP out = STRBUF_INIT;
	struct json_writer w;
	json_init(&w, &out);
	field_put_schema(&w, &field);
	assert_true(json_ok(&w));
	assert_string_equal(out.data, schema);
}

static void test_fields_become_json_schema(void **state)
{
	(void)state;
	static const char *const words[] = {"big", "small", NULL};
	field_is((struct field){"f", FIELD_STRING, 0, 1, 9, .summary = "Text"},
		 "{\"description\":\"Text\",\"type\":\"string\",\"minLength\":1,\"maxLength\":9}");
	field_is((struct field){"f", FIELD_TEXT, .flags = FIELD_NULL},
		 "{\"type\":[\"string\",\"null\"]}");
	field_is((struct field){"f", FIELD_WORD, .words = words},
		 "{\"type\":\"string\",\"enum\":[\"big\",\"small\"]}");
	field_is((struct field){"f", FIELD_WORD, FIELD_NULL, .words = words},
		 "{\"type\":[\"string\",\"null\"],\"enum\":[\"big\",\"small\",null]}");
	field_is((struct field){"f", FIELD_INT, .min = -1, .max = 0},
		 "{\"type\":\"integer\",\"minimum\":-1,\"maximum\":0}");
	field_is((struct field){"f", FIELD_INT, .max = INT64_MAX},
		 "{\"type\":\"integer\",\"minimum\":0}");
	field_is((struct field){"f", FIELD_SECRET, .min = 6, .max = 9},
		 "{\"type\":\"string\",\"format\":\"password\",\"minLength\":6,\"maxLength\":9}");
	field_is((struct field){"f", FIELD_REAL, .flags = FIELD_REQUIRED}, "{\"type\":\"number\"}");
	field_is((struct field){"f", FIELD_BOOL, .flags = 0}, "{\"type\":\"boolean\"}");
	field_is((struct field){"f", FIELD_ID, .flags = 0},
		 "{\"type\":\"string\",\"format\":\"uuid\"}");
	field_is((struct field){"f", FIELD_TIME, .flags = 0},
		 "{\"type\":\"string\",\"format\":\"date-time\"}");
	field_is((struct field){"f", FIELD_TIME, .flags = FIELD_ZONELESS},
		 "{\"type\":\"string\",\"pattern\":"
		 "\"^\\\\d{4}-\\\\d{2}-\\\\d{2}T\\\\d{2}:\\\\d{2}:\\\\d{2}(\\\\.\\\\d{1,6})?$\"}");
	field_is((struct field){"f", FIELD_ANY, .max = 100}, "{}");
}

static void test_objects_and_lists_become_json_schema(void **state)
{
	(void)state;
	field_is((struct field){"f", FIELD_OBJECT, .max = 100},
		 "{\"type\":\"object\",\"x-max-bytes\":100}");
	field_is((struct field){"f", FIELD_OBJECT, .of = &part},
		 "{\"$ref\":\"#/components/schemas/Part\"}");
	field_is((struct field){"f", FIELD_OBJECT, .of = &part, .summary = "One"},
		 "{\"description\":\"One\",\"$ref\":\"#/components/schemas/Part\"}");
	field_is((struct field){"f", FIELD_OBJECT, FIELD_NULL, .of = &part},
		 "{\"oneOf\":[{\"$ref\":\"#/components/schemas/Part\"},{\"type\":\"null\"}]}");
	field_is((struct field){"f", FIELD_LIST, .item = FIELD_OBJECT, .of = &part},
		 "{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/Part\"}}");
	field_is((struct field){"f", FIELD_LIST, .max = 3, .item = FIELD_STRING},
		 "{\"type\":\"array\",\"minItems\":0,\"maxItems\":3,\"items\":"
		 "{\"type\":\"string\",\"minLength\":1,\"maxLength\":1000}}");
}

static void test_the_document_has_paths_and_components(void **state)
{
	(void)state;
	STRBUF_CLEANUP out = STRBUF_INIT;
	struct json_doc *doc;
	assert_int_equal(openapi_render(&table, 1, &out, NULL), ERR_OK);
	/* Strict: no key is there twice. */
	assert_int_equal(json_parse(out.data, out.len, &doc, NULL), ERR_OK);
	json_doc_free(doc);
	says(out.data, "\"tags\":[{\"name\":\"toys\",\"description\":\"What is played with.\"}]");
	says(out.data, "\"paths\":{\"/toys/{id}\":{\"get\":{");
	says(out.data, ",\"put\":{");
	says(out.data, "\"Part\":{\"type\":\"object\",\"required\":[\"size\"],\"properties\":"
		       "{\"size\":{\"type\":\"integer\"}},\"additionalProperties\":false}");
	says(out.data, "\"Conflict\":{\"description\":");
	says(out.data, "\"RateLimit\":{\"description\":");
	says(out.data,
	     "\"X-RateLimit-Limit\":{\"$ref\":\"#/components/headers/X-RateLimit-Limit\"}");
	lacks(out.data, "PreconditionFailed"); /* no row can fail so */
	lacks(out.data, "ToyQuery");
}

/* What a request may not have is refused, while answers may grow. */
static void test_only_bodies_are_closed(void **state)
{
	(void)state;
	static const struct route row =
	    ROW(HTTP_GET, ACCESS_PUBLIC, SCOPE_ANY, RATE_NONE, BODY_NONE, .answers = &part);
	static const size_t one = 1;
	static const struct route_table answers = {&row, &one, "toys", ""};
	STRBUF_CLEANUP out = STRBUF_INIT;
	assert_int_equal(openapi_render(&answers, 1, &out, NULL), ERR_OK);
	says(out.data, "\"Part\":{\"type\":\"object\"");
	lacks(out.data, "additionalProperties");
}

static void test_two_schemas_of_one_name_are_refused(void **state)
{
	(void)state;
	static const struct route both[] = {
	    ROW(HTTP_GET, ACCESS_PUBLIC, SCOPE_ANY, RATE_NONE, BODY_NONE, .answers = &toy),
	    ROW(HTTP_PUT, ACCESS_PUBLIC, SCOPE_ANY, RATE_NONE, BODY_JSON, .accepts = &impostor),
	};
	static const size_t two = 2;
	static const struct route_table tables = {both, &two, "toys", ""};
	struct errmsg why = ERRMSG_INIT;
	struct description *description;
	assert_int_equal(description_new(&tables, 1, &description, &why), ERR_INTERNAL);
	assert_null(description);
	assert_string_equal(why.text, "two schemas are called Toy");
}

static void test_the_tag_follows_the_text(void **state)
{
	(void)state;
	static const size_t one = 1;
	static const struct route_table less = {rows, &one, "toys", "What is played with."};
	struct description *a, *b, *c;
	assert_int_equal(description_new(&table, 1, &a, NULL), ERR_OK);
	assert_int_equal(description_new(&table, 1, &b, NULL), ERR_OK);
	assert_int_equal(description_new(&less, 1, &c, NULL), ERR_OK);
	assert_int_equal(strlen(a->openapi.tag), DOCUMENT_TAG_LEN);
	assert_string_equal(a->openapi.tag, b->openapi.tag);
	assert_string_not_equal(a->openapi.tag, c->openapi.tag);
	description_free(a);
	description_free(b);
	description_free(c);
}

/* The page for people. */

static void kind_is(struct field field, const char *text)
{
	STRBUF_CLEANUP out = STRBUF_INIT;
	field_put_kind(&out, &field);
	assert_string_equal(out.data, text);
}

static void test_kinds_are_told_in_words(void **state)
{
	(void)state;
	static const char *const words[] = {"big", "<small>", NULL};
	kind_is((struct field){"f", FIELD_STRING, .min = 1, .max = 9}, "string, 1 to 9 characters");
	kind_is((struct field){"f", FIELD_STRING, .min = 6, .max = 6}, "string, 6 characters");
	kind_is((struct field){"f", FIELD_TEXT, .flags = FIELD_NULL}, "text with lines or null");
	kind_is((struct field){"f", FIELD_SECRET, .min = 6, .max = 9}, "secret, 6 to 9 characters");
	kind_is((struct field){"f", FIELD_WORD, .words = words},
		"<code>big</code> <code>&lt;small&gt;</code>");
	kind_is((struct field){"f", FIELD_INT, .max = INT64_MAX}, "whole number, from 0 on");
	kind_is((struct field){"f", FIELD_INT, .min = -1, .max = 1}, "whole number, -1 to 1");
	kind_is((struct field){"f", FIELD_REAL, .flags = 0}, "number");
	kind_is((struct field){"f", FIELD_BOOL, .flags = 0}, "true or false");
	kind_is((struct field){"f", FIELD_ID, .flags = 0}, "UUID");
	kind_is((struct field){"f", FIELD_TIME, .flags = 0}, "time in UTC, with Z");
	kind_is((struct field){"f", FIELD_TIME, .flags = FIELD_ZONELESS}, "time in UTC, without Z");
	kind_is((struct field){"f", FIELD_OBJECT, .max = 9}, "object, at most 9 bytes");
	kind_is((struct field){"f", FIELD_OBJECT, .of = &part}, "<a href=\"#Part\">Part</a>");
	kind_is((struct field){"f", FIELD_LIST, .max = 3, .item = FIELD_ID},
		"list, 0 to 3 items, each UUID");
	kind_is((struct field){"f", FIELD_ANY, .max = 9}, "any JSON");
}

static void test_a_table_says_what_is_needed(void **state)
{
	(void)state;
	static const struct field fields[] = {
	    {"name", FIELD_ID, FIELD_REQUIRED, .summary = "R&D"},
	    {"size", FIELD_BOOL, .initial = "true"},
	};
	static const struct schema schema = SCHEMA("S", fields);
	STRBUF_CLEANUP out = STRBUF_INIT;
	fields_put_table(&out, &schema, true);
	assert_string_equal(out.data,
			    "<table>\n<tr><th scope=\"row\"><code>name</code> <em>needed</em></th>"
			    "<td>UUID</td><td>R&amp;D</td></tr>\n"
			    "<tr><th scope=\"row\"><code>size</code></th><td>true or false</td>"
			    "<td><code>true</code> unless said</td></tr>\n</table>\n");
	strbuf_clear(&out);
	fields_put_table(&out, &schema, false);
	assert_string_equal(out.data,
			    "<table>\n<tr><th scope=\"row\"><code>name</code></th>"
			    "<td>UUID</td><td>R&amp;D</td></tr>\n"
			    "<tr><th scope=\"row\"><code>size</code> <em>not always</em></th>"
			    "<td>true or false</td><td></td></tr>\n</table>\n");
}

static void test_the_page_has_groups_routes_and_objects(void **state)
{
	(void)state;
	STRBUF_CLEANUP out = STRBUF_INIT;
	assert_int_equal(page_render(&table, 1, &out, NULL), ERR_OK);
	says(out.data, "<a href=\"#group-toys\">toys</a>");
	says(out.data, "<h2 id=\"group-toys\">toys</h2>\n<p>What is played with.</p>");
	says(out.data, "<section id=\"putToysById\">\n<h3><b class=\"PUT\">PUT</b> "
		       "<code>/toys/{id}</code></h3>\n<p>A toy.</p>\n<p class=\"policy\">Needs the "
		       "role user or admin. API keys are refused. Never limited.</p>");
	says(out.data, "<p>201: <a href=\"#Toy\">Toy</a></p>\n"
		       "<p>Errors: 400 401 403 404 409 413 415 422 502 503 504</p>");
	says(out.data, "<section id=\"Toy\">");
	says(out.data, "<section id=\"Part\">"); /* of bodies and of answers */
	lacks(out.data, "<section id=\"NewToy\">");
}

/* Of the rows that the workers serve. */

static void each_row(void (*check)(const struct route *route))
{
	for (size_t i = 0; i < route_table_count; i++)
		for (size_t row = 0; row < *route_tables[i].count; row++)
			check(&route_tables[i].rows[row]);
}

static void has_answer(const struct route *route)
{
	bool empty = route->status == 204;
	if (!empty && route->answers == NULL && route->media == NULL)
		fail_msg("%s says neither .answers nor .media", route->path);
	if (empty && route->answers != NULL)
		fail_msg("%s answers 204 with a body", route->path);
}

static void test_every_row_says_what_it_answers(void **state)
{
	(void)state;
	each_row(has_answer);
}

static void has_body(const struct route *route)
{
	if ((route->body != BODY_NONE) != (route->accepts != NULL))
		fail_msg("%s takes a body that no .accepts describes, or none that one does",
			 route->path);
}

static void test_every_row_says_what_its_body_is(void **state)
{
	(void)state;
	each_row(has_body);
}

static void has_queries(const struct route *route)
{
	for (size_t i = 0; route->takes != NULL && i < route->takes->count; i++)
		if (route->takes->fields[i].summary == NULL)
			fail_msg("%s does not say what ?%s= is", route->path,
				 route->takes->fields[i].name);
}

static void test_every_parameter_has_a_summary(void **state)
{
	(void)state;
	each_row(has_queries);
}

static void test_no_two_operations_share_an_id(void **state)
{
	(void)state;
	STRBUF_CLEANUP ids = STRBUF_INIT;
	for (size_t i = 0; i < route_table_count; i++)
		for (size_t row = 0; row < *route_tables[i].count; row++) {
			STRBUF_CLEANUP id = STRBUF_INIT;
			strbuf_addc(&id, ' ');
			operation_id(&route_tables[i].rows[row], &id);
			strbuf_addc(&id, ' ');
			lacks(ids.data, id.data);
			strbuf_adds(&ids, id.data);
		}
	assert_false(ids.failed);
}

static void test_the_whole_api_can_be_described(void **state)
{
	(void)state;
	struct errmsg why = ERRMSG_INIT;
	struct description *description;
	struct json_doc *doc;
	if (description_new(route_tables, route_table_count, &description, &why) != ERR_OK)
		fail_msg("%s", why.text);
	const struct strbuf *text = &description->openapi.text;
	if (json_parse(text->data, text->len, &doc, &why) != ERR_OK)
		fail_msg("%s", why.text); /* a path in two tables is a key that is there twice */
	json_doc_free(doc);
	description_free(description);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_an_operation_says_all_of_its_row),
	    cmocka_unit_test(test_a_body_and_the_errors_of_the_handler_are_told),
	    cmocka_unit_test(test_who_may_call_it_is_told),
	    cmocka_unit_test(test_a_status_without_a_body_has_none),
	    cmocka_unit_test(test_records_have_tags_and_keys),
	    cmocka_unit_test(test_bodies_are_parts_of_a_record),
	    cmocka_unit_test(test_ids_are_made_of_method_and_path),
	    cmocka_unit_test(test_fields_become_json_schema),
	    cmocka_unit_test(test_objects_and_lists_become_json_schema),
	    cmocka_unit_test(test_the_document_has_paths_and_components),
	    cmocka_unit_test(test_only_bodies_are_closed),
	    cmocka_unit_test(test_two_schemas_of_one_name_are_refused),
	    cmocka_unit_test(test_the_tag_follows_the_text),
	    cmocka_unit_test(test_kinds_are_told_in_words),
	    cmocka_unit_test(test_a_table_says_what_is_needed),
	    cmocka_unit_test(test_the_page_has_groups_routes_and_objects),
	    cmocka_unit_test(test_every_row_says_what_it_answers),
	    cmocka_unit_test(test_every_row_says_what_its_body_is),
	    cmocka_unit_test(test_every_parameter_has_a_summary),
	    cmocka_unit_test(test_no_two_operations_share_an_id),
	    cmocka_unit_test(test_the_whole_api_can_be_described),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
