/*
 * ziggiectl routes: the rows that the workers serve, for people and for programs.
 */
#include <inttypes.h>
#include <string.h>
#include <sysexits.h>

#include "base/assert.h"
#include "ctl.h"
#include "describe/openapi.h"
#include "http/route.h"
#include "http/router.h"
#include "json/schema.h"
#include "json/writer.h"

static void add_line(const struct route *route, void *arg)
{
	strbuf_addf(arg, "%-7s %-44s %-9s %-8s %-14s %-8s %-7s %s\n",
		    http_method_name(route->method), route->path, route_access_word(route->access),
		    route_others_word(route->others), route->scope, route_rate_word(route->rate),
		    route_weight_word(route->weight), route->summary);
}

static void put_words(struct json_writer *w, const char *const *words)
{
	json_key(w, "words");
	json_array(w);
	for (size_t i = 0; words[i] != NULL; i++)
		json_string(w, words[i]);
	json_end(w);
}

static bool has_bounds(enum field_type type)
{
	return type != FIELD_WORD && type != FIELD_BOOL && type != FIELD_ID && type != FIELD_TIME;
}

static void put_schema(struct json_writer *w, const char *key, const struct schema *schema);

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the rows are */
static void put_field(struct json_writer *w, const struct schema *schema, const struct field *field)
{
	json_object(w);
	json_put_string(w, "name", field->name);
	json_put_string(w, "type", field_type_word(field->type));
	json_put_bool(w, "required", schema_needs(schema, field));
	json_put_bool(w, "null", field->flags & FIELD_NULL);
	if (has_bounds(field->type)) {
		json_put_int(w, "min", field->min);
		json_put_int(w, "max", field->max);
	}
	if (field->words != NULL)
		put_words(w, field->words);
	if (field->type == FIELD_LIST)
		json_put_string(w, "item", field_type_word(field->item));
	if (field->of != NULL)
		put_schema(w, "of", field->of);
	if (field->initial != NULL) {
		json_key(w, "initial");
		json_raw(w, field->initial, strlen(field->initial));
	}
	json_put_string(w, "summary", field->summary);
	json_end(w);
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the rows are */
static void put_schema(struct json_writer *w, const char *key, const struct schema *schema)
{
	json_key(w, key);
	if (schema == NULL) {
		json_null(w);
		return;
	}
	json_object(w);
	json_put_string(w, "name", schema->name);
	json_put_bool(w, "open", schema->open);
	json_key(w, "fields");
	json_array(w);
	for (size_t i = 0; i < schema->count; i++)
		if (schema_takes(schema, &schema->fields[i]))
			put_field(w, schema, &schema->fields[i]);
	json_end(w);
	json_end(w);
}

static void put_route(const struct route *route, void *arg)
{
	struct json_writer *w = arg;
	json_object(w);
	json_put_string(w, "method", http_method_name(route->method));
	json_put_string(w, "path", route->path);
	json_put_string(w, "access", route_access_word(route->access));
	json_put_string(w, "others", route_others_word(route->others));
	json_put_string(w, "scope", route->scope);
	json_put_string(w, "rate", route_rate_word(route->rate));
	json_put_string(w, "weight", route_weight_word(route->weight));
	json_put_string(w, "body", route_body_word(route->body));
	json_put_int(w, "status", route->status != 0 ? route->status : 200);
	json_put_bool(w, "record", route->resource != NULL);
	json_put_string(w, "summary", route->summary);
	put_schema(w, "accepts", route->accepts);
	put_schema(w, "takes", route->takes);
	put_schema(w, "answers", route->answers);
	json_end(w);
}

static void each_route(void (*act)(const struct route *route, void *arg), void *arg)
{
	for (size_t table = 0; table < route_table_count; table++)
		for (size_t row = 0; row < *route_tables[table].count; row++)
			act(&route_tables[table].rows[row], arg);
}

static void add_table(struct strbuf *out)
{
	strbuf_addf(out, "%-7s %-44s %-9s %-8s %-14s %-8s %-7s %s\n", "METHOD", "PATH", "ACCESS",
		    "OTHERS", "SCOPE", "RATE", "WEIGHT", "SUMMARY");
	each_route(add_line, out);
}

static void add_json(struct strbuf *out)
{
	struct json_writer w;
	json_init(&w, out);
	json_object(&w);
	json_key(&w, "routes");
	json_array(&w);
	each_route(put_route, &w);
	json_end(&w);
	json_end(&w);
	strbuf_addc(out, '\n');
}

static int run_routes(struct ctl *ctl, int argc, char **argv)
{
	STRBUF_CLEANUP out = STRBUF_INIT;
	struct errmsg why = ERRMSG_INIT;
	bool json = false, openapi = false;
	const struct ctl_option options[] = {{.name = "json", .flag = &json},
					     {.name = "openapi", .flag = &openapi}};
	if (!ctl_arguments(ctl, argc, argv, options, ARRAY_LEN(options), NULL, 0, 0))
		return EX_USAGE;
	enum err err = ERR_OK;
	if (openapi)
		err = openapi_render(route_tables, route_table_count, &out, &why);
	else if (json)
		add_json(&out);
	else
		add_table(&out);
	return err == ERR_OK ? ctl_print(&out) : ctl_fail_err(err, &why);
}

const struct command command_routes = {
    .name = "routes",
    .synopsis = "[--json | --openapi]",
    .summary = "List the routes of the API: who may call them, and how often.",
    .help =
	"  --json     everything that a row says, with the fields of bodies, queries and answers\n"
	"  --openapi  what /api/openapi.json answers\n",
    .reads_settings = false,
    .run = run_routes,
};
