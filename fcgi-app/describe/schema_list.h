/*
 * Every schema that the rows name, each once, nested ones too.
 */
#ifndef ZIGGIE_DESCRIBE_SCHEMA_LIST_H
#define ZIGGIE_DESCRIBE_SCHEMA_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "http/route.h"
#include "json/schema.h"

struct schema_use {
	const struct schema *schema;
	bool in_body; /* of a request: other members are refused there */
	bool in_answer;
};

struct schema_list {
	struct schema_use *uses;
	size_t count;
	size_t size;
};

/*
 * ERR_INTERNAL names two schemas that share a name, which a description can't tell
 * apart.  Release it in any case.
 */
enum err schema_list_fill(struct schema_list *list, const struct route_table *tables, size_t count,
			  struct errmsg *why);
void schema_list_release(struct schema_list *list);

#endif
