/*
 * A field's row as JSON Schema (2020-12), which is what OpenAPI 3.1 speaks.
 */
#ifndef ZIGGIE_DESCRIBE_FIELD_SCHEMA_H
#define ZIGGIE_DESCRIBE_FIELD_SCHEMA_H

#include <stdbool.h>

#include "json/schema.h"
#include "json/writer.h"

/* The schema of one value; objects with rows of their own are named (#/components/schemas). */
void field_put_schema(struct json_writer *w, const struct field *field);
/* The schema of an object; in the body of a request it has no other members, unless it is open. */
void schema_put(struct json_writer *w, const struct schema *schema, bool in_body);
/* "$ref": "#/components/KIND/NAME", as a member of the object that is open, or as one. */
void reference_add(struct json_writer *w, const char *kind, const char *name);
void reference_put(struct json_writer *w, const char *kind, const char *name);

#endif
