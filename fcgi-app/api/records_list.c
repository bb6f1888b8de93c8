/*
 * Lists of records: which way to read one is found by the sort and the filters of the
 * query among the orders of the kind.  A cursor is the sort value and the id of a page's
 * last record; what a query asks for beside it must be the same as for that page.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/records.h"
#include "base/assert.h"
#include "base/num.h"
#include "http/database.h"
#include "http/paging.h"
#include "json/writer.h"

/* A list that is asked for. */
struct listing {
	const struct record_kind *kind;
	struct record_query query;
	size_t sort;
	size_t filters[RECORD_FILTERS_MAX];
	size_t filter_count;
	struct db_value values[RECORD_FILTERS_MAX]; /* of those filters */
};

static bool sorts_by(const struct record_kind *kind, size_t field)
{
	for (size_t i = 0; i < kind->order_count; i++)
		if (kind->orders[i].sort == field)
			return true;
	return false;
}

static bool filters_by(const struct record_kind *kind, size_t field)
{
	for (size_t i = 0; i < kind->order_count; i++)
		for (size_t k = 0; k < kind->orders[i].filter_count; k++)
			if (kind->orders[i].filters[k] == field)
				return true;
	return false;
}

static enum err read_sort(const struct http_request *r, struct listing *l, struct errmsg *why)
{
	const char *text;
	enum err err = http_query(r, "sort", &text, why);
	l->sort = RECORD_CREATED_AT;
	if (err != ERR_OK || text == NULL)
		return err;
	l->query.descending = text[0] == '-';
	const char *name = text + l->query.descending;
	for (size_t i = 0; i < l->kind->column_count; i++)
		if (strcmp(l->kind->fields[i].name, name) == 0 && sorts_by(l->kind, i)) {
			l->sort = i;
			return ERR_OK;
		}
	return err_set(why, ERR_INVALID, "sort: a list of %s can't be sorted by this",
		       l->kind->table);
}

static enum err read_filter(const struct http_request *r, const struct field *field,
			    struct db_value *out, bool *given, struct errmsg *why)
{
	const char *text;
	enum err err = http_query(r, field->name, &text, why);
	*given = err == ERR_OK && text != NULL;
	if (!*given)
		return err;
	struct uuid id;
	int64_t number;
	if (field->type == FIELD_ID && uuid_parse(text, &id)) {
		uint8_t *bytes = arena_alloc(r->arena, sizeof(id.bytes));
		if (bytes == NULL)
			return err_set(why, ERR_NOMEM, "out of memory for a filter");
		memcpy(bytes, id.bytes, sizeof(id.bytes));
		*out = db_blob(bytes, sizeof(id.bytes));
		return ERR_OK;
	}
	if (field->type == FIELD_ID)
		return err_set(why, ERR_INVALID, "%s: must be an id (a UUID)", field->name);
	if (field->type == FIELD_INT &&
	    num_i64(text, strlen(text), field->min, field->max, &number))
		*out = db_i64(number);
	else if (field->type == FIELD_INT)
		return err_set(why, ERR_INVALID,
			       "%s: must be a whole number from %" PRId64 " to %" PRId64,
			       field->name, field->min, field->max);
	else if (!field_takes_text(field, text))
		return err_set(why, ERR_INVALID, "%s: is not a value of this field", field->name);
	else
		*out = db_text(text);
	return ERR_OK;
}

static enum err read_filters(const struct http_request *r, struct listing *l, struct errmsg *why)
{
	for (size_t i = 0; i < l->kind->column_count; i++) {
		struct db_value value;
		bool given;
		if (!filters_by(l->kind, i))
			continue;
		enum err err = read_filter(r, &l->kind->fields[i], &value, &given, why);
		if (err != ERR_OK)
			return err;
		if (!given)
			continue;
		if (l->filter_count == RECORD_FILTERS_MAX)
			return err_set(why, ERR_INVALID, "%s: that many filters can't be combined",
				       l->kind->fields[i].name);
		l->values[l->filter_count] = value;
		l->filters[l->filter_count++] = i;
	}
	return ERR_OK;
}

/* Puts the filters in the order of the index; false when it is another set of them. */
static bool fits(struct listing *l, const struct record_order *order)
{
	if (order->sort != l->sort || order->filter_count != l->filter_count)
		return false;
	for (size_t i = 0; i < order->filter_count; i++) {
		size_t k = 0;
		while (k < l->filter_count && l->filters[k] != order->filters[i])
			k++;
		if (k == l->filter_count)
			return false;
		l->query.filters[i] = l->values[k];
	}
	return true;
}

static enum err find_order(struct listing *l, struct errmsg *why)
{
	for (size_t i = 0; i < l->kind->order_count; i++)
		if (fits(l, &l->kind->orders[i])) {
			l->query.order = &l->kind->orders[i];
			return ERR_OK;
		}
	if (l->filter_count > 1)
		return err_set(why, ERR_INVALID, "%s: can't be combined with the filter %s",
			       l->kind->fields[l->filters[0]].name,
			       l->kind->fields[l->filters[1]].name);
	return err_set(why, ERR_INVALID, "sort: can't be combined with the filter %s",
		       l->kind->fields[l->filters[0]].name);
}

/* Cursors: the id, and behind it the sort value, as text or as a number in decimal. */

static enum err read_cursor(const struct paging *page, struct listing *l, struct errmsg *why)
{
	struct record_query *q = &l->query;
	const struct field *sort = &l->kind->fields[l->sort];
	const char *value = page->after + sizeof(q->after_id.bytes);
	int64_t number;
	q->continues = page->after_len > 0;
	if (!q->continues)
		return ERR_OK;
	if (page->after_len < sizeof(q->after_id.bytes))
		return paging_bad_cursor(why);
	memcpy(q->after_id.bytes, page->after, sizeof(q->after_id.bytes));
	size_t len = page->after_len - sizeof(q->after_id.bytes);
	if (l->sort == RECORD_CREATED_AT)
		return len == 0 ? ERR_OK : paging_bad_cursor(why);
	bool is_number = sort->type == FIELD_INT || sort->type == FIELD_TIME;
	if (is_number && !num_i64(value, len, 0, INT64_MAX, &number))
		return paging_bad_cursor(why);
	if (!is_number && (strlen(value) != len || !field_takes_text(sort, value)))
		return paging_bad_cursor(why);
	q->after = !is_number                ? db_textn(value, len)
		   : sort->type == FIELD_INT ? db_i64(number)
					     : db_time(number);
	return ERR_OK;
}

static void write_cursor(const struct listing *l, const struct record *last, struct strbuf *out)
{
	struct uuid id;
	AN_INVARIANT(record_uuid(last, RECORD_ID, &id));
	strbuf_add(out, id.bytes, sizeof(id.bytes));
	if (l->sort == RECORD_CREATED_AT)
		return;
	const struct db_value *value = &last->values[l->sort];
	if (value->type == DB_TEXT)
		strbuf_add(out, value->as.bytes.data, value->as.bytes.len);
	else
		strbuf_addi(out, value->as.i64);
}

static enum err read_listing(const struct http_request *r, struct paging *page, struct listing *l,
			     struct errmsg *why)
{
	*l = (struct listing){.kind = r->route->resource->kind};
	enum err err = http_query_known(r, r->route->takes, why);
	if (err == ERR_OK)
		err = paging_read(r, page, why);
	if (err == ERR_OK)
		err = read_sort(r, l, why);
	if (err == ERR_OK)
		err = read_filters(r, l, why);
	if (err == ERR_OK)
		err = find_order(l, why);
	if (err == ERR_OK)
		err = read_cursor(page, l, why);
	if (err != ERR_OK)
		return err;
	l->query.limit = page->limit;
	l->query.offset = page->offset;
	return ERR_OK;
}

static enum err read_records(struct http_request *r, const struct listing *l,
			     struct record_list *list, struct errmsg *why)
{
	struct db_conn *db;
	enum err err = http_db_borrow(r, &db, why);
	if (err != ERR_OK)
		return err;
	err = record_list(db, r->arena, l->kind, &l->query, list, why);
	http_db_return(r, db);
	return err;
}

static void put_item(struct json_writer *w, const struct record *record)
{
	json_object(w);
	record_put(w, record);
	json_end(w);
}

enum err records_list(struct http_request *r, struct http_response *response, struct errmsg *why)
{
	struct paging page;
	struct listing l;
	struct record_list list;
	enum err err = read_listing(r, &page, &l, why);
	if (err == ERR_OK)
		err = read_records(r, &l, &list, why);
	if (err != ERR_OK)
		return err;
	struct json_writer w;
	paging_begin(&w, &response->body);
	for (size_t i = 0; i < list.count; i++)
		put_item(&w, &list.records[i]);
	STRBUF_CLEANUP cursor = STRBUF_INIT;
	if (list.more)
		write_cursor(&l, &list.records[list.count - 1], &cursor);
	if (list.total_is_min)
		page.total_is_min = true;
	paging_end(&w, r, response, &page, list.total, list.more ? cursor.data : NULL, cursor.len);
	return cursor.failed ? err_set(why, ERR_NOMEM, "out of memory for the cursor") : ERR_OK;
}
