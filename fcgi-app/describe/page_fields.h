/*
 * Fields as rows of an HTML table.
 */
#ifndef ZIGGIE_DESCRIBE_PAGE_FIELDS_H
#define ZIGGIE_DESCRIBE_PAGE_FIELDS_H

#include <stdbool.h>

#include "base/strbuf.h"
#include "json/schema.h"

/* Text for HTML, also for a quoted attribute. */
void html_text(struct strbuf *out, const char *text);
/* "<a href="#Host">Host</a>" */
void html_schema_link(struct strbuf *out, const struct schema *schema);

/* "string, 1 to 20 characters": what a field's value may be. */
void field_put_kind(struct strbuf *out, const struct field *field);

/* A table of the fields; `asks` says which are needed, for what clients send. */
void fields_put_table(struct strbuf *out, const struct schema *schema, bool asks);

#endif
