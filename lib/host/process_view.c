/*
 * GET /api/system/processes with other than the default parameters: filter, sort
 * and cut what a sample carries.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "host/host.h"
#include "host/process_row.h"

/* ASCII only: the case of other letters depends on a locale that we don't know. */
static int fold(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : (unsigned char)c;
}

static bool begins(const char *text, const char *part, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (fold(text[i]) != fold(part[i]))
			return false;
	return true;
}

static bool contains(struct span name, const char *part, size_t len)
{
	for (size_t i = 0; i + len <= name.len; i++)
		if (begins(name.text + i, part, len))
			return true;
	return false;
}

static int by_cpu(const void *a, const void *b)
{
	return process_row_compare(a, b);
}

static int by_memory(const void *a, const void *b)
{
	const struct process_row *x = a, *y = b;
	if (x->rss != y->rss)
		return x->rss > y->rss ? -1 : 1;
	return process_row_compare(x, y);
}

static int by_pid(const void *a, const void *b)
{
	const struct process_row *x = a, *y = b;
	return (x->pid > y->pid) - (x->pid < y->pid);
}

static int by_name(const void *a, const void *b)
{
	const struct process_row *x = a, *y = b;
	size_t shorter = x->name.len < y->name.len ? x->name.len : y->name.len;
	for (size_t i = 0; i < shorter; i++) {
		int order = fold(x->name.text[i]) - fold(y->name.text[i]);
		if (order != 0)
			return order;
	}
	if (x->name.len != y->name.len)
		return x->name.len < y->name.len ? -1 : 1;
	return by_pid(x, y);
}

static int (*const orders[])(const void *, const void *) = {
    [HOST_SORT_CPU] = by_cpu,
    [HOST_SORT_MEMORY] = by_memory,
    [HOST_SORT_PID] = by_pid,
    [HOST_SORT_NAME] = by_name,
};

struct row_list {
	struct process_row *rows;
	size_t count, cap;
};

static void row_list_release(struct row_list *list)
{
	free(list->rows);
}

static bool row_list_add(struct row_list *list, const struct process_row *row)
{
	if (list->count == list->cap) {
		size_t cap = list->cap > 0 ? list->cap * 2 : 256;
		struct process_row *rows = reallocarray(list->rows, cap, sizeof(*rows));
		if (rows == NULL)
			return false;
		list->rows = rows;
		list->cap = cap;
	}
	list->rows[list->count++] = *row;
	return true;
}

static enum err select_rows(struct cursor *c, const char *search, struct row_list *out)
{
	size_t search_len = search != NULL ? strlen(search) : 0;
	while (cursor_left(c) > 0) {
		struct process_row row;
		if (!process_row_read(c, &row))
			return ERR_MALFORMED;
		if (contains(row.name, search, search_len) && !row_list_add(out, &row))
			return ERR_NOMEM;
	}
	return ERR_OK;
}

static void write_answer(const struct host_view *view, const struct process_list_head *head,
			 const struct row_list *list, size_t limit, struct json_writer *w)
{
	json_object(w);
	json_put_bool(w, "success", true);
	json_put_time_legacy(w, "timestamp", view->taken_us);
	json_put_uint(w, "count", head->count);
	json_put_uint(w, "matched", list->count);
	json_key(w, "processes");
	json_array(w);
	for (size_t i = 0; i < list->count && i < limit; i++)
		process_row_put(&list->rows[i], head->memory_total, w);
	json_end(w);
	json_end(w);
}

enum err host_view_processes(const struct host_view *view, const struct host_process_query *query,
			     struct strbuf *json, struct errmsg *why)
{
	if (view->kind != HOST_PROCESSES)
		return err_set(why, ERR_INVALID, "this sample does not list processes");
	if ((size_t)query->sort >= ARRAY_LEN(orders) || query->limit == 0 ||
	    query->limit > PROCESSES_LIMIT_MAX)
		return err_set(why, ERR_INVALID, "limit must be 1 to %d", PROCESSES_LIMIT_MAX);
	struct cursor c = cursor_over(view->rest, view->rest_len);
	struct process_list_head head;
	if (!process_head_read(&c, &head))
		return err_set(why, ERR_MALFORMED, "the sample's process list can't be read");
	__attribute__((cleanup(row_list_release))) struct row_list list = {0};
	enum err err = select_rows(&c, query->search, &list);
	if (err != ERR_OK)
		return err_set(why, err, "the sample's process list can't be read");
	if (list.count > 0)
		qsort(list.rows, list.count, sizeof(*list.rows), orders[query->sort]);
	struct json_writer w;
	json_init(&w, json);
	write_answer(view, &head, &list, query->limit, &w);
	if (!json_ok(&w))
		return err_set(why, ERR_NOMEM, "out of memory");
	return ERR_OK;
}
