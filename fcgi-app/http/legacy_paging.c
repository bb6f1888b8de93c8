#include "http/legacy_paging.h"

#include "base/assert.h"

static const struct field page_fields[] = {LEGACY_PAGE_TAKES};
const struct schema legacy_page_schema = SCHEMA("PageQuery", page_fields);

static const struct field meta_fields[] = {
    {"total", FIELD_INT, FIELD_REQUIRED, 0, INT64_MAX, .summary = "Items of all pages"},
    {"page", FIELD_INT, FIELD_REQUIRED, 1, INT64_MAX, .summary = "This page, from 1"},
    {"page_size", FIELD_INT, FIELD_REQUIRED, 1, LEGACY_SIZE_MAX, .summary = "Items on a page"},
    {"total_pages", FIELD_INT, FIELD_REQUIRED, 0, INT64_MAX, .summary = "How many pages there are"},
    {"has_next", FIELD_BOOL, FIELD_REQUIRED, .summary = "Whether there is a page behind this one"},
    {"has_prev", FIELD_BOOL, FIELD_REQUIRED, .summary = "Whether there is one before it"},
    {"next_page", FIELD_INT, FIELD_REQUIRED | FIELD_NULL, 2, INT64_MAX, .summary = "Its number"},
    {"prev_page", FIELD_INT, FIELD_REQUIRED | FIELD_NULL, 1, INT64_MAX, .summary = "Its number"},
};
const struct schema legacy_meta_schema = SCHEMA("PageMeta", meta_fields);

enum err legacy_page_read(const struct http_request *r, struct legacy_page *out, struct errmsg *why)
{
	int64_t number = 1, size = LEGACY_SIZE_DEFAULT, offset = -1;
	enum err err = http_query_number(r, "page", 1, LEGACY_PAGE_MAX, &number, why);
	if (err == ERR_OK)
		err = http_query_number(r, "page_size", 1, LEGACY_SIZE_MAX, &size, why);
	if (err == ERR_OK)
		err = http_query_number(r, "offset", 0, LEGACY_OFFSET_MAX, &offset, why);
	if (err != ERR_OK)
		return err;
	out->size = (uint64_t)size;
	out->asked = offset >= 0 ? "offset" : "page";
	out->skip = offset >= 0 ? (uint64_t)offset : (uint64_t)((number - 1) * size);
	out->number = out->skip / out->size + 1;
	return ERR_OK;
}

static void put_page_or_null(struct json_writer *w, const char *key, bool there, uint64_t number)
{
	if (there)
		json_put_uint(w, key, number);
	else
		json_put_null(w, key);
}

void legacy_page_put(struct json_writer *w, const struct legacy_page *page, uint64_t total,
		     bool cached)
{
	uint64_t pages = (total + page->size - 1) / page->size;
	bool has_next = total > page->skip + page->size;
	bool has_prev = page->number > 1;
	json_put_uint(w, "total", total);
	json_key(w, "meta");
	json_object(w);
	json_put_uint(w, "total", total);
	json_put_uint(w, "page", page->number);
	json_put_uint(w, "page_size", page->size);
	json_put_uint(w, "total_pages", pages);
	json_put_bool(w, "has_next", has_next);
	json_put_bool(w, "has_prev", has_prev);
	put_page_or_null(w, "next_page", has_next, page->number + 1);
	put_page_or_null(w, "prev_page", has_prev, page->number - 1);
	json_end(w);
	json_put_bool(w, "cached", cached);
}
