/*
 * Strict JSON in: one value, nothing behind it, valid UTF-8, no duplicate keys,
 * no NUL in strings, at most 32 deep.  json-c does the parsing; its types stay
 * behind this header.
 *
 *	struct json_doc *doc;
 *	enum err err = json_parse(body, len, &doc, why);	(ERR_MALFORMED)
 *	schema_read(&schema, json_root(doc), values, &errors);	(json/schema.h)
 *	json_doc_free(doc);
 *
 * Strings belong to the document.  A `struct json_fields` collects every field error of
 * a body, so that one answer names them all.
 */
#ifndef ZIGGIE_JSON_PARSE_H
#define ZIGGIE_JSON_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct json_doc;
struct json_node; /* a value inside a document */

struct field_error {
	char field[64];
	char detail[128];
};

enum { JSON_FIELD_ERRORS_MAX = 16 };

struct json_fields {
	const struct json_node *object;
	size_t error_count;
	struct field_error errors[JSON_FIELD_ERRORS_MAX];
};

enum err json_parse(const char *text, size_t len, struct json_doc **out, struct errmsg *why);
void json_doc_free(struct json_doc *doc);
const struct json_node *json_root(const struct json_doc *doc);

/* Notes an error when the root is not an object; f->object is NULL then. */
void json_fields_init(struct json_fields *f, const struct json_node *object);
void json_field_error(struct json_fields *f, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Notes an error unless the text has min to max characters (code points); false then. */
bool json_check_length(struct json_fields *f, const char *field, const char *text, size_t len,
		       size_t min, size_t max);

#endif
