#include "json/schema.h"

#include <inttypes.h>
#include <json.h>
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/strbuf.h"
#include "base/utf8.h"

struct reading {
	const struct field *field;
	struct field_value *value;
	struct json_fields *errors;
};

static struct json_object *object_of(const struct json_node *node)
{
	return (struct json_object *)(uintptr_t)node;
}

const char *field_type_word(enum field_type type)
{
	switch (type) {
	case FIELD_STRING:
		return "string";
	case FIELD_TEXT:
		return "text";
	case FIELD_SECRET:
		return "secret";
	case FIELD_WORD:
		return "word";
	case FIELD_INT:
		return "int";
	case FIELD_REAL:
		return "real";
	case FIELD_BOOL:
		return "bool";
	case FIELD_ID:
		return "id";
	case FIELD_TIME:
		return "time";
	case FIELD_OBJECT:
		return "object";
	case FIELD_LIST:
		return "list";
	case FIELD_ANY:
		return "any";
	}
	A_BUG("a field without a type");
}

void field_words(const struct field *field, struct strbuf *out)
{
	for (size_t i = 0; field->words[i] != NULL; i++) {
		bool last = field->words[i + 1] == NULL;
		strbuf_addf(out, "%s%s", i == 0 ? "" : last ? " or " : ", ", field->words[i]);
	}
}

static void refuse_kind(const struct reading *r, const char *kind)
{
	json_field_error(r->errors, r->field->name, "must be %s", kind);
}

static bool has_bad_control(const char *text, enum field_type type)
{
	if (type == FIELD_SECRET)
		return false;
	if (type == FIELD_STRING)
		return utf8_has_control(text);
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		if ((c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f)
			return true;
	}
	return false;
}

static void keep_text(struct field_value *value, const char *text, size_t len)
{
	value->as.text.data = text;
	value->as.text.len = len;
	value->given = true;
}

static bool breaks_rule(const struct reading *r, const char *text)
{
	struct errmsg fault = ERRMSG_INIT;
	if (r->field->rule == NULL || r->field->rule(text, &fault) == ERR_OK)
		return false;
	json_field_error(r->errors, r->field->name, "%s", fault.text);
	return true;
}

static void read_text(const struct reading *r, struct json_object *json)
{
	const struct field *field = r->field;
	if (!json_object_is_type(json, json_type_string)) {
		refuse_kind(r, "a string");
		return;
	}
	const char *text = json_object_get_string(json);
	size_t len = (size_t)json_object_get_string_len(json);
	if (!json_check_length(r->errors, field->name, text, len, (size_t)field->min,
			       (size_t)field->max))
		return;
	if (has_bad_control(text, field->type))
		json_field_error(r->errors, field->name, "must not hold control characters");
	else if (!breaks_rule(r, text))
		keep_text(r->value, text, len);
}

static bool is_word(const char *const *words, const char *text)
{
	for (size_t i = 0; words[i] != NULL; i++)
		if (strcmp(words[i], text) == 0)
			return true;
	return false;
}

bool field_takes_text(const struct field *field, const char *text)
{
	if (field->type == FIELD_WORD)
		return is_word(field->words, text);
	size_t count = utf8_count(text, strlen(text));
	return (int64_t)count >= field->min && (int64_t)count <= field->max &&
	       !has_bad_control(text, field->type);
}

static void refuse_word(const struct reading *r)
{
	STRBUF_CLEANUP words = STRBUF_INIT;
	field_words(r->field, &words);
	json_field_error(r->errors, r->field->name, "must be %s", words.data);
}

static void read_word(const struct reading *r, struct json_object *json)
{
	const char *text =
	    json_object_is_type(json, json_type_string) ? json_object_get_string(json) : NULL;
	if (text == NULL || !is_word(r->field->words, text))
		refuse_word(r);
	else
		keep_text(r->value, text, strlen(text));
}

/* json-c keeps what is too large for it as the largest that it has. */
static bool is_clamped(struct json_object *json)
{
	int64_t value = json_object_get_int64(json);
	return value == INT64_MIN || json_object_get_uint64(json) == UINT64_MAX ||
	       value == INT64_MAX;
}

static void read_int(const struct reading *r, struct json_object *json)
{
	const struct field *field = r->field;
	bool whole = json_object_is_type(json, json_type_int) && !is_clamped(json);
	int64_t value = whole ? json_object_get_int64(json) : 0;
	if (!whole || value < field->min || value > field->max) {
		json_field_error(r->errors, field->name,
				 "must be a whole number from %" PRId64 " to %" PRId64, field->min,
				 field->max);
		return;
	}
	r->value->as.integer = value;
	r->value->given = true;
}

static void read_real(const struct reading *r, struct json_object *json)
{
	const struct field *field = r->field;
	bool number =
	    json_object_is_type(json, json_type_int) || json_object_is_type(json, json_type_double);
	double value = number ? json_object_get_double(json) : NAN;
	if (!isfinite(value) || value < (double)field->min || value > (double)field->max) {
		json_field_error(r->errors, field->name,
				 "must be a number from %" PRId64 " to %" PRId64, field->min,
				 field->max);
		return;
	}
	r->value->as.real = value;
	r->value->given = true;
}

static void read_bool(const struct reading *r, struct json_object *json)
{
	if (!json_object_is_type(json, json_type_boolean)) {
		refuse_kind(r, "true or false");
		return;
	}
	r->value->as.boolean = json_object_get_boolean(json);
	r->value->given = true;
}

static bool is_id(struct json_object *json, struct uuid *out)
{
	return json_object_is_type(json, json_type_string) &&
	       uuid_parse(json_object_get_string(json), out);
}

static void read_id(const struct reading *r, struct json_object *json)
{
	if (is_id(json, &r->value->as.id))
		r->value->given = true;
	else
		refuse_kind(r, "an id (a UUID)");
}

static void read_time(const struct reading *r, struct json_object *json)
{
	if (json_object_is_type(json, json_type_string) &&
	    clock_parse_utc(json_object_get_string(json), &r->value->as.integer))
		r->value->given = true;
	else
		refuse_kind(r, "a time such as 2026-01-31T23:59:59.123Z");
}

/* Whether a value holds a number that could not be kept as it was written. */
/* NOLINTNEXTLINE(misc-no-recursion): json_parse() takes 32 levels */
static bool loses_a_number(struct json_object *json)
{
	if (json_object_is_type(json, json_type_int))
		return is_clamped(json);
	if (json_object_is_type(json, json_type_double))
		return !isfinite(json_object_get_double(json));
	if (json_object_is_type(json, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(json); i++)
			if (loses_a_number(json_object_array_get_idx(json, i)))
				return true;
	} else if (json_object_is_type(json, json_type_object)) {
		json_object_object_foreach(json, key, member)
		{
			(void)key;
			if (loses_a_number(member))
				return true;
		}
	}
	return false;
}

static void read_json(const struct reading *r, struct json_object *json)
{
	if (loses_a_number(json)) {
		json_field_error(r->errors, r->field->name, "holds a number that is too large");
		return;
	}
	size_t len;
	const char *text = json_object_to_json_string_length(
	    json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
	int64_t max = r->field->type == FIELD_LIST ? INT64_MAX : r->field->max;
	if (text == NULL)
		json_field_error(r->errors, r->field->name, "does not fit into memory");
	else if ((int64_t)len > max)
		json_field_error(r->errors, r->field->name,
				 "must have at most %" PRId64 " bytes as JSON, has %zu", max, len);
	else
		keep_text(r->value, text, len);
}

static bool is_string_item(struct json_object *json)
{
	if (!json_object_is_type(json, json_type_string))
		return false;
	const char *text = json_object_get_string(json);
	size_t count = utf8_count(text, (size_t)json_object_get_string_len(json));
	return count >= 1 && count <= FIELD_ITEM_MAX && !has_bad_control(text, FIELD_TEXT);
}

static bool is_item(const struct field *field, struct json_object *json)
{
	struct uuid id;
	switch (field->item) {
	case FIELD_STRING:
		return is_string_item(json);
	case FIELD_WORD:
		return json_object_is_type(json, json_type_string) &&
		       is_word(field->words, json_object_get_string(json));
	case FIELD_ID:
		return is_id(json, &id);
	default:
		A_BUG("a list of what bodies do not have");
	}
}

static void refuse_item(const struct reading *r, size_t index)
{
	STRBUF_CLEANUP words = STRBUF_INIT;
	char name[sizeof(r->errors->errors[0].field)];
	snprintf(name, sizeof(name), "%s[%zu]", r->field->name, index);
	if (r->field->item == FIELD_WORD)
		field_words(r->field, &words);
	else if (r->field->item == FIELD_ID)
		strbuf_adds(&words, "an id (a UUID)");
	else
		strbuf_addf(&words, "a string of 1 to %d characters", FIELD_ITEM_MAX);
	json_field_error(r->errors, name, "must be %s", words.data);
}

/* The list was checked and is written compactly: ["...","..."]. */
size_t field_ids(const struct field_value *value, struct uuid *out)
{
	enum { TEXT_LEN = UUID_TEXT_MAX - 1 };
	size_t count = 0;
	const char *at = value->given ? strchr(value->as.text.data, '"') : NULL;
	while (at != NULL) {
		char text[UUID_TEXT_MAX] = "";
		memcpy(text, at + 1, TEXT_LEN);
		AN_INVARIANT(uuid_parse(text, &out[count]));
		count++;
		at = strchr(at + 1 + TEXT_LEN + 1, '"');
	}
	return count;
}

static void read_list(const struct reading *r, struct json_object *json)
{
	const struct field *field = r->field;
	if (!json_object_is_type(json, json_type_array)) {
		refuse_kind(r, "a list");
		return;
	}
	size_t count = json_object_array_length(json);
	if ((int64_t)count < field->min || (int64_t)count > field->max) {
		json_field_error(r->errors, field->name,
				 "must have %" PRId64 " to %" PRId64 " items, has %zu", field->min,
				 field->max, count);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		if (!is_item(field, json_object_array_get_idx(json, i))) {
			refuse_item(r, i);
			return;
		}
	}
	read_json(r, json);
}

static void read_value(const struct reading *r, struct json_object *json)
{
	switch (r->field->type) {
	case FIELD_STRING:
	case FIELD_TEXT:
	case FIELD_SECRET:
		read_text(r, json);
		return;
	case FIELD_WORD:
		read_word(r, json);
		return;
	case FIELD_INT:
		read_int(r, json);
		return;
	case FIELD_REAL:
		read_real(r, json);
		return;
	case FIELD_BOOL:
		read_bool(r, json);
		return;
	case FIELD_ID:
		read_id(r, json);
		return;
	case FIELD_TIME:
		read_time(r, json);
		return;
	case FIELD_OBJECT:
		if (json_object_is_type(json, json_type_object))
			read_json(r, json);
		else
			refuse_kind(r, "an object");
		return;
	case FIELD_LIST:
		read_list(r, json);
		return;
	case FIELD_ANY:
		read_json(r, json);
		return;
	}
	A_BUG("a field without a type");
}

static void read_field(const struct reading *r, struct json_object *object, bool may_be_missing)
{
	struct json_object *json;
	if (!json_object_object_get_ex(object, r->field->name, &json)) {
		if ((r->field->flags & FIELD_REQUIRED) && !may_be_missing)
			json_field_error(r->errors, r->field->name, "is missing");
	} else if (json != NULL) {
		read_value(r, json);
	} else if (r->field->flags & FIELD_NULL) {
		r->value->given = true;
		r->value->null = true;
	} else {
		json_field_error(r->errors, r->field->name, "must not be null");
	}
}

bool schema_takes(const struct schema *schema, const struct field *field)
{
	return schema->only == 0 || (field->flags & schema->only) != 0;
}

bool schema_needs(const struct schema *schema, const struct field *field)
{
	if (!schema_takes(schema, field) || schema->only == FIELD_PATCH)
		return false;
	return schema->whole || (field->flags & FIELD_REQUIRED);
}

bool schema_has(const struct schema *schema, const char *name)
{
	for (size_t i = 0; i < schema->count; i++)
		if (schema_takes(schema, &schema->fields[i]) &&
		    strcmp(schema->fields[i].name, name) == 0)
			return true;
	return false;
}

static void refuse_others(const struct schema *schema, struct json_object *object,
			  struct json_fields *errors)
{
	if (schema->open)
		return;
	json_object_object_foreach(object, key, member)
	{
		(void)member;
		if (!schema_has(schema, key))
			json_field_error(errors, key, "is not a field that can be set here");
	}
}

void schema_read(const struct schema *schema, const struct json_node *object,
		 struct field_value *values, struct json_fields *errors)
{
	json_fields_init(errors, object);
	memset(values, 0, schema->count * sizeof(*values));
	if (errors->object == NULL)
		return;
	for (size_t i = 0; i < schema->count; i++) {
		struct reading r = {&schema->fields[i], &values[i], errors};
		if (schema_takes(schema, &schema->fields[i]))
			read_field(&r, object_of(object), schema->only == FIELD_PATCH);
	}
	refuse_others(schema, object_of(object), errors);
}
