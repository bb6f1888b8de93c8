/*
 * Strict JSON in: one value, nothing behind it, valid UTF-8, no duplicate keys,
 * no NUL in strings, at most 32 deep.  json-c does the parsing; its types stay
 * behind this header.
 *
 * Field readers fill a `struct json_fields`, which collects every field error of
 * a body, so that one answer names them all:
 *
 *	struct json_doc *doc;
 *	enum err err = json_parse(body, len, &doc, why);	(ERR_MALFORMED)
 *	struct json_fields f;
 *	json_fields_init(&f, json_root(doc));
 *	const char *name = json_need_string(&f, "username", 3, 100);
 *	if (f.error_count > 0) ...			(ERR_INVALID; f.errors[])
 *	json_doc_free(doc);
 *
 * Strings belong to the document.
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

/* Notes an error when the root is not an object; every reader then says "missing". */
void json_fields_init(struct json_fields *f, const struct json_node *object);
void json_field_error(struct json_fields *f, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The rule below for text that came in another way, a form's field say; false after an error. */
bool json_check_length(struct json_fields *f, const char *field, const char *text, size_t len,
		       size_t min, size_t max);

/* Lengths in characters (code points).  NULL after an error. */
const char *json_need_string(struct json_fields *f, const char *field, size_t min, size_t max);
/* As above, but absent or null is allowed and gives NULL; *present says whether the key was there.
 */
const char *json_want_string(struct json_fields *f, const char *field, size_t min, size_t max,
			     bool *present);

#endif
