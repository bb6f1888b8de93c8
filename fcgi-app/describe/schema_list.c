#include "describe/schema_list.h"

#include <stdlib.h>
#include <string.h>

#include "http/problem.h"

static enum err grow(struct schema_list *list, struct errmsg *why)
{
	if (list->count < list->size)
		return ERR_OK;
	size_t size = list->size == 0 ? 64 : 2 * list->size;
	struct schema_use *uses = reallocarray(list->uses, size, sizeof(*uses));
	if (uses == NULL)
		return err_set(why, ERR_NOMEM, "out of memory describing the routes");
	list->uses = uses;
	list->size = size;
	return ERR_OK;
}

static struct schema_use *find(const struct schema_list *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->uses[i].schema->name, name) == 0)
			return &list->uses[i];
	return NULL;
}

/* Its place in the list, made when there is none. */
static enum err use_of(struct schema_list *list, const struct schema *schema,
		       struct schema_use **out, struct errmsg *why)
{
	*out = find(list, schema->name);
	if (*out != NULL && (*out)->schema != schema)
		return err_set(why, ERR_INTERNAL, "two schemas are called %s", schema->name);
	if (*out != NULL)
		return ERR_OK;
	enum err err = grow(list, why);
	if (err != ERR_OK)
		return err;
	*out = &list->uses[list->count++];
	**out = (struct schema_use){.schema = schema};
	return ERR_OK;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the rows are */
static enum err add(struct schema_list *list, const struct schema *schema, bool in_body,
		    struct errmsg *why)
{
	if (schema == NULL)
		return ERR_OK;
	struct schema_use *use;
	enum err err = use_of(list, schema, &use, why);
	if (err != ERR_OK)
		return err;
	use->in_body = use->in_body || in_body;
	use->in_answer = use->in_answer || !in_body;
	for (size_t i = 0; i < schema->count && err == ERR_OK; i++)
		if (schema_takes(schema, &schema->fields[i]))
			err = add(list, schema->fields[i].of, in_body, why);
	return err;
}

static enum err add_row(struct schema_list *list, const struct route *row, struct errmsg *why)
{
	enum err err = add(list, row->accepts, true, why);
	return err == ERR_OK ? add(list, row->answers, false, why) : err;
}

enum err schema_list_fill(struct schema_list *list, const struct route_table *tables, size_t count,
			  struct errmsg *why)
{
	*list = (struct schema_list){.uses = NULL};
	enum err err = add(list, &problem_schema, false, why);
	for (size_t i = 0; i < count; i++)
		for (size_t row = 0; row < *tables[i].count && err == ERR_OK; row++)
			err = add_row(list, &tables[i].rows[row], why);
	return err;
}

void schema_list_release(struct schema_list *list)
{
	free(list->uses);
	*list = (struct schema_list){.uses = NULL};
}
