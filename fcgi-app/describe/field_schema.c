#include "describe/field_schema.h"

#include <string.h>

#include "base/assert.h"

/* What the time formats of the answers look like; `format` alone is not checked by many. */
static const char zoneless_time[] = "^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d{1,6})?$";

void reference_add(struct json_writer *w, const char *kind, const char *name)
{
	STRBUF_CLEANUP target = STRBUF_INIT;
	strbuf_addf(&target, "#/components/%s/%s", kind, name);
	w->out->failed |= target.failed;
	json_put_string(w, "$ref", target.data);
}

void reference_put(struct json_writer *w, const char *kind, const char *name)
{
	json_object(w);
	reference_add(w, kind, name);
	json_end(w);
}

static void put_type(struct json_writer *w, const char *type, bool null)
{
	if (!null) {
		json_put_string(w, "type", type);
		return;
	}
	json_key(w, "type");
	json_array(w);
	json_string(w, type);
	json_string(w, "null");
	json_end(w);
}

/* Rows of answers have no bounds where there are none to tell: 0 and 0. */
static void put_bounds(struct json_writer *w, const struct field *field, const char *least,
		       const char *most)
{
	if (field->min == 0 && field->max == 0)
		return;
	json_put_int(w, least, field->min);
	if (field->max != INT64_MAX)
		json_put_int(w, most, field->max);
}

static void put_words(struct json_writer *w, const char *const *words, bool null)
{
	json_key(w, "enum");
	json_array(w);
	for (size_t i = 0; words[i] != NULL; i++)
		json_string(w, words[i]);
	if (null)
		json_null(w);
	json_end(w);
}

static void put_time(struct json_writer *w, const struct field *field, bool null)
{
	put_type(w, "string", null);
	if (field->flags & FIELD_ZONELESS)
		json_put_string(w, "pattern", zoneless_time);
	else
		json_put_string(w, "format", "date-time");
}

/* The items of a list are fields too, with the bounds that schema_read() keeps. */
static struct field item_of(const struct field *list)
{
	bool bounded = list->item == FIELD_STRING && list->max > 0;
	return (struct field){
	    .type = list->item,
	    .min = bounded ? 1 : 0,
	    .max = bounded ? FIELD_ITEM_MAX : 0,
	    .words = list->words,
	    .of = list->of,
	};
}

/* NOLINTNEXTLINE(misc-no-recursion): a list's items are no lists */
static void put_list(struct json_writer *w, const struct field *field, bool null)
{
	const struct field item = item_of(field);
	put_type(w, "array", null);
	put_bounds(w, field, "minItems", "maxItems");
	json_key(w, "items");
	field_put_schema(w, &item);
}

static void put_object(struct json_writer *w, const struct field *field, bool null)
{
	put_type(w, "object", null);
	if (field->max > 0)
		json_put_int(w, "x-max-bytes", field->max);
}

/* NOLINTNEXTLINE(misc-no-recursion): a list's items are no lists */
static void put_kind(struct json_writer *w, const struct field *field)
{
	bool null = field->flags & FIELD_NULL;
	switch (field->type) {
	case FIELD_STRING:
	case FIELD_TEXT:
	case FIELD_SECRET:
		put_type(w, "string", null);
		if (field->type == FIELD_SECRET)
			json_put_string(w, "format", "password");
		put_bounds(w, field, "minLength", "maxLength");
		return;
	case FIELD_WORD:
		put_type(w, "string", null);
		put_words(w, field->words, null);
		return;
	case FIELD_INT:
		put_type(w, "integer", null);
		put_bounds(w, field, "minimum", "maximum");
		return;
	case FIELD_REAL:
		put_type(w, "number", null);
		put_bounds(w, field, "minimum", "maximum");
		return;
	case FIELD_BOOL:
		put_type(w, "boolean", null);
		return;
	case FIELD_ID:
		put_type(w, "string", null);
		json_put_string(w, "format", "uuid");
		return;
	case FIELD_TIME:
		put_time(w, field, null);
		return;
	case FIELD_OBJECT:
		put_object(w, field, null);
		return;
	case FIELD_LIST:
		put_list(w, field, null);
		return;
	case FIELD_ANY:
		return;
	}
	A_BUG("a field without a type");
}

/* An object with rows of its own, or null. */
static void put_named(struct json_writer *w, const struct field *field)
{
	json_key(w, "oneOf");
	json_array(w);
	reference_put(w, "schemas", field->of->name);
	json_object(w);
	json_put_string(w, "type", "null");
	json_end(w);
	json_end(w);
}

/* NOLINTNEXTLINE(misc-no-recursion): a list's items are no lists */
void field_put_schema(struct json_writer *w, const struct field *field)
{
	bool named = field->type == FIELD_OBJECT && field->of != NULL;
	if (named && field->summary == NULL && !(field->flags & FIELD_NULL)) {
		reference_put(w, "schemas", field->of->name);
		return;
	}
	json_object(w);
	if (field->summary != NULL)
		json_put_string(w, "description", field->summary);
	if (!named)
		put_kind(w, field);
	else if (field->flags & FIELD_NULL)
		put_named(w, field);
	else
		reference_add(w, "schemas", field->of->name);
	if (field->initial != NULL) {
		json_key(w, "default");
		json_raw(w, field->initial, strlen(field->initial));
	}
	json_end(w);
}

static void put_required(struct json_writer *w, const struct schema *schema)
{
	bool any = false;
	for (size_t i = 0; i < schema->count; i++)
		any = any || schema_needs(schema, &schema->fields[i]);
	if (!any)
		return;
	json_key(w, "required");
	json_array(w);
	for (size_t i = 0; i < schema->count; i++)
		if (schema_needs(schema, &schema->fields[i]))
			json_string(w, schema->fields[i].name);
	json_end(w);
}

/* What a body means that does not say a field; an answer says it, a change leaves it. */
static void put_property(struct json_writer *w, const struct schema *schema,
			 const struct field *field, bool in_body)
{
	struct field property = *field;
	if (!in_body || schema->only == FIELD_PATCH)
		property.initial = NULL;
	json_key(w, field->name);
	field_put_schema(w, &property);
}

void schema_put(struct json_writer *w, const struct schema *schema, bool in_body)
{
	json_object(w);
	json_put_string(w, "type", "object");
	put_required(w, schema);
	json_key(w, "properties");
	json_object(w);
	for (size_t i = 0; i < schema->count; i++)
		if (schema_takes(schema, &schema->fields[i]))
			put_property(w, schema, &schema->fields[i], in_body);
	json_end(w);
	if (in_body && !schema->open)
		json_put_bool(w, "additionalProperties", false);
	json_end(w);
}
