#include "describe/page_fields.h"

#include <inttypes.h>

#include "base/assert.h"

void html_text(struct strbuf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		switch (*text) {
		case '&':
			strbuf_adds(out, "&amp;");
			break;
		case '<':
			strbuf_adds(out, "&lt;");
			break;
		case '>':
			strbuf_adds(out, "&gt;");
			break;
		case '"':
			strbuf_adds(out, "&quot;");
			break;
		default:
			strbuf_addc(out, *text);
		}
	}
}

void html_schema_link(struct strbuf *out, const struct schema *schema)
{
	strbuf_addf(out, "<a href=\"#%s\">%s</a>", schema->name, schema->name);
}

/* "string, 1 to 20 characters"; rows of answers have no bounds where there are none to tell. */
static void add_bounds(struct strbuf *out, const struct field *field, const char *kind,
		       const char *unit)
{
	strbuf_adds(out, kind);
	if (field->min == 0 && field->max == 0)
		return;
	if (field->min == field->max)
		strbuf_addf(out, ", %" PRId64 "%s", field->min, unit);
	else if (field->max == INT64_MAX)
		strbuf_addf(out, ", from %" PRId64 "%s on", field->min, unit);
	else
		strbuf_addf(out, ", %" PRId64 " to %" PRId64 "%s", field->min, field->max, unit);
}

static void add_words(struct strbuf *out, const struct field *field)
{
	for (size_t i = 0; field->words[i] != NULL; i++) {
		strbuf_adds(out, i == 0 ? "<code>" : " <code>");
		html_text(out, field->words[i]);
		strbuf_adds(out, "</code>");
	}
}

static void add_object(struct strbuf *out, const struct field *field)
{
	if (field->of != NULL)
		html_schema_link(out, field->of);
	else
		strbuf_adds(out, "object");
	if (field->max > 0)
		strbuf_addf(out, ", at most %" PRId64 " bytes", field->max);
}

/* NOLINTNEXTLINE(misc-no-recursion): a list's items are no lists */
static void add_list(struct strbuf *out, const struct field *field)
{
	const struct field item = {.type = field->item, .words = field->words, .of = field->of};
	add_bounds(out, field, "list", " items");
	strbuf_adds(out, ", each ");
	field_put_kind(out, &item);
}

/* NOLINTNEXTLINE(misc-no-recursion): a list's items are no lists */
static void add_kind(struct strbuf *out, const struct field *field)
{
	switch (field->type) {
	case FIELD_STRING:
		add_bounds(out, field, "string", " characters");
		return;
	case FIELD_TEXT:
		add_bounds(out, field, "text with lines", " characters");
		return;
	case FIELD_SECRET:
		add_bounds(out, field, "secret", " characters");
		return;
	case FIELD_WORD:
		add_words(out, field);
		return;
	case FIELD_INT:
		add_bounds(out, field, "whole number", "");
		return;
	case FIELD_REAL:
		add_bounds(out, field, "number", "");
		return;
	case FIELD_BOOL:
		strbuf_adds(out, "true or false");
		return;
	case FIELD_ID:
		strbuf_adds(out, "UUID");
		return;
	case FIELD_TIME:
		strbuf_adds(out, field->flags & FIELD_ZONELESS ? "time in UTC, without Z"
							       : "time in UTC, with Z");
		return;
	case FIELD_OBJECT:
		add_object(out, field);
		return;
	case FIELD_LIST:
		add_list(out, field);
		return;
	case FIELD_ANY:
		strbuf_adds(out, "any JSON");
		return;
	}
	A_BUG("a field without a type");
}

/* NOLINTNEXTLINE(misc-no-recursion): a list's items are no lists */
void field_put_kind(struct strbuf *out, const struct field *field)
{
	add_kind(out, field);
	if (field->flags & FIELD_NULL)
		strbuf_adds(out, " or null");
}

/* What stands behind the name: needed when clients send it, perhaps missing when we do. */
static const char *note_of(bool asks, bool needed)
{
	if (asks)
		return needed ? "needed" : "";
	return needed ? "" : "not always";
}

static void put_summary(struct strbuf *out, const struct field *field, bool tells_initial)
{
	if (field->summary != NULL)
		html_text(out, field->summary);
	if (!tells_initial || field->initial == NULL)
		return;
	strbuf_adds(out, field->summary != NULL ? "; <code>" : "<code>");
	html_text(out, field->initial);
	strbuf_adds(out, "</code> unless said");
}

static void put_row(struct strbuf *out, const struct schema *schema, const struct field *field,
		    bool asks)
{
	const char *note = note_of(asks, schema_needs(schema, field));
	strbuf_adds(out, "<tr><th scope=\"row\"><code>");
	html_text(out, field->name);
	strbuf_addf(out, "</code>%s%s%s</th><td>", *note != '\0' ? " <em>" : "", note,
		    *note != '\0' ? "</em>" : "");
	field_put_kind(out, field);
	strbuf_adds(out, "</td><td>");
	put_summary(out, field, asks && schema->only != FIELD_PATCH);
	strbuf_adds(out, "</td></tr>\n");
}

void fields_put_table(struct strbuf *out, const struct schema *schema, bool asks)
{
	strbuf_adds(out, "<table>\n");
	for (size_t i = 0; i < schema->count; i++) {
		const struct field *field = &schema->fields[i];
		if (schema_takes(schema, field))
			put_row(out, schema, field, asks);
	}
	strbuf_adds(out, "</table>\n");
}
