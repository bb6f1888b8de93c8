#include "describe/page.h"

#include <sodium.h>
#include <string.h>

#include "describe/operation.h"
#include "describe/page_fields.h"
#include "describe/policy.h"
#include "describe/schema_list.h"
#include "http/router.h"

static const char style[] =
    ":root{color-scheme:light dark;--line:#8884;--soft:#8881;--get:#1a7f37;--write:#9a6700;"
    "--delete:#cf222e}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:0 auto;padding:1rem}"
    "h2{margin-top:2.5rem;border-bottom:1px solid var(--line)}"
    "h3{font-size:1rem;margin:1.5rem 0 .25rem;overflow-wrap:anywhere}"
    "h3 b{display:inline-block;min-width:4.5rem;color:var(--write)}"
    "h3 b.GET{color:var(--get)}h3 b.DELETE{color:var(--delete)}"
    "p{margin:.25rem 0}.policy{opacity:.75}"
    "nav a{display:inline-block;margin-right:1rem}"
    "table{border-collapse:collapse;width:100%;margin:.5rem 0 1rem}"
    "th,td{border-top:1px solid var(--line);padding:.25rem .5rem;text-align:left;"
    "vertical-align:top;font-weight:normal}"
    "th{width:30%}td:nth-child(2){width:30%}"
    "code{font-family:ui-monospace,monospace;font-size:.9em;overflow-wrap:anywhere}"
    "em{opacity:.75;font-size:.85em}"
    "details{margin:.25rem 0 0;padding:0 .75rem;background:var(--soft)}"
    "summary{cursor:pointer;padding:.25rem 0}h4{margin:.5rem 0 0}";

static const char introduction[] =
    "<p>Send a token of <code>POST /api/auth/login</code> as <code>Authorization: Bearer "
    "TOKEN</code>, or an API key as <code>X-API-Key: KEY</code>. Errors are "
    "<a href=\"#Problem\">problem+json</a>. The same for programs: "
    "<a href=\"openapi.json\">openapi.json</a>.</p>\n";

static void put_head(struct strbuf *out)
{
	strbuf_adds(out,
		    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
		    "<title>Ziggie Control Center: API</title>\n<style>");
	strbuf_adds(out, style);
	strbuf_addf(out,
		    "</style>\n</head>\n<body>\n<h1>Ziggie Control Center: API</h1>\n"
		    "<p>Version %s.</p>\n%s",
		    PACKAGE_VERSION, introduction);
}

static void put_contents(struct strbuf *out, const struct route_table *tables, size_t count)
{
	strbuf_adds(out, "<nav>\n");
	for (size_t i = 0; i < count; i++)
		strbuf_addf(out, "<a href=\"#group-%s\">%s</a>\n", tables[i].name, tables[i].name);
	strbuf_adds(out, "<a href=\"#objects\">objects</a>\n</nav>\n");
}

static void put_answer(struct strbuf *out, const struct route *route)
{
	strbuf_addf(out, "<h4>Answer</h4>\n<p>%d", route->status != 0 ? route->status : 200);
	if (route->also != 0)
		strbuf_addf(out, " or %d", route->also);
	if (route->answers != NULL) {
		strbuf_adds(out, ": ");
		html_schema_link(out, route->answers);
	}
	for (size_t i = 0; route->media != NULL && route->media[i] != NULL; i++)
		strbuf_addf(out, "%s<code>%s</code>",
			    i > 0 || route->answers != NULL ? " or " : ": ", route->media[i]);
	strbuf_adds(out, "</p>\n<p>Errors:");
	for (size_t i = 0; i < policy_problem_count; i++)
		if (policy_can_fail(route, policy_problems[i].err))
			strbuf_addf(out, " %d", err_http_status(policy_problems[i].err));
	strbuf_adds(out, "</p>\n");
}

static void put_route(struct strbuf *out, const struct route *route)
{
	const char *method = http_method_name(route->method);
	strbuf_adds(out, "<section id=\"");
	operation_id(route, out);
	strbuf_addf(out, "\">\n<h3><b class=\"%s\">%s</b> <code>", method, method);
	html_text(out, route->path);
	strbuf_adds(out, "</code></h3>\n<p>");
	html_text(out, route->summary);
	strbuf_adds(out, ".</p>\n<p class=\"policy\">");
	policy_text(route, out);
	strbuf_adds(out, "</p>\n<details><summary>What it takes and answers</summary>\n");
	if (route->takes != NULL) {
		strbuf_adds(out, "<h4>Query</h4>\n");
		fields_put_table(out, route->takes, true);
	}
	if (route->accepts != NULL) {
		strbuf_addf(out, "<h4>Body (%s)</h4>\n",
			    route->body == BODY_FORM ? "form" : "JSON");
		fields_put_table(out, route->accepts, true);
	}
	put_answer(out, route);
	strbuf_adds(out, "</details>\n</section>\n");
}

static void put_group(struct strbuf *out, const struct route_table *table)
{
	strbuf_addf(out, "<h2 id=\"group-%s\">%s</h2>\n<p>", table->name, table->name);
	html_text(out, table->summary);
	strbuf_adds(out, "</p>\n");
	for (size_t row = 0; row < *table->count; row++)
		put_route(out, &table->rows[row]);
}

/* What answers hold; bodies stand with their routes. */
static void put_objects(struct strbuf *out, const struct schema_list *schemas)
{
	strbuf_adds(out, "<h2 id=\"objects\">objects</h2>\n");
	for (size_t i = 0; i < schemas->count; i++) {
		const struct schema *schema = schemas->uses[i].schema;
		if (!schemas->uses[i].in_answer)
			continue;
		strbuf_addf(out, "<section id=\"%s\">\n<h3>%s</h3>\n", schema->name, schema->name);
		fields_put_table(out, schema, false);
		strbuf_adds(out, "</section>\n");
	}
}

enum err page_render(const struct route_table *tables, size_t count, struct strbuf *out,
		     struct errmsg *why)
{
	struct schema_list schemas;
	enum err err = schema_list_fill(&schemas, tables, count, why);
	if (err == ERR_OK) {
		put_head(out);
		put_contents(out, tables, count);
		for (size_t i = 0; i < count; i++)
			put_group(out, &tables[i]);
		put_objects(out, &schemas);
		strbuf_adds(out, "</body>\n</html>\n");
	}
	schema_list_release(&schemas);
	if (err == ERR_OK && out->failed)
		err = err_set(why, ERR_NOMEM, "out of memory describing the routes");
	return err;
}

void page_policy(struct strbuf *out)
{
	unsigned char hash[crypto_hash_sha256_BYTES];
	char text[sodium_base64_ENCODED_LEN(crypto_hash_sha256_BYTES,
					    sodium_base64_VARIANT_ORIGINAL)];
	crypto_hash_sha256(hash, (const unsigned char *)style, sizeof(style) - 1);
	sodium_bin2base64(text, sizeof(text), hash, sizeof(hash), sodium_base64_VARIANT_ORIGINAL);
	strbuf_addf(out,
		    "default-src 'none'; style-src 'sha256-%s'; frame-ancestors 'none'; "
		    "base-uri 'none'; form-action 'none'",
		    text);
}
