#include "http/paging.h"

#include <sodium.h>
#include <string.h>

#include "base/assert.h"

enum {
	VARIANT = sodium_base64_VARIANT_URLSAFE_NO_PADDING,
	CURSOR_SIZE = sodium_base64_ENCODED_LEN(PAGING_KEY_MAX, VARIANT),
};
_Static_assert((int)CURSOR_SIZE <= (int)PAGING_CURSOR_MAX, "a cursor is as long as its row says");

enum err paging_bad_cursor(struct errmsg *why)
{
	return err_set(why, ERR_INVALID, "cursor: is not one that this list gave out");
}

static enum err read_cursor(const struct http_request *r, struct paging *page, struct errmsg *why)
{
	const char *cursor;
	enum err err = http_query(r, "cursor", &cursor, why);
	if (err != ERR_OK || cursor == NULL)
		return err;
	unsigned char key[PAGING_KEY_MAX];
	if (sodium_base642bin(key, sizeof(key), cursor, strlen(cursor), NULL, &page->after_len,
			      NULL, VARIANT) != 0 ||
	    page->after_len == 0)
		return paging_bad_cursor(why);
	page->after = arena_strndup(r->arena, (const char *)key, page->after_len);
	return page->after != NULL ? ERR_OK : err_set(why, ERR_NOMEM, "out of memory");
}

enum err paging_read(const struct http_request *r, struct paging *out, struct errmsg *why)
{
	int64_t limit = PAGING_LIMIT_DEFAULT, offset = 0;
	*out = (struct paging){.after = ""};
	enum err err = http_query_number(r, "limit", 1, PAGING_LIMIT_MAX, &limit, why);
	if (err == ERR_OK)
		err = http_query_number(r, "offset", 0, PAGING_OFFSET_MAX, &offset, why);
	if (err == ERR_OK)
		err = read_cursor(r, out, why);
	if (err == ERR_OK && offset > 0 && out->after_len > 0)
		err = err_set(why, ERR_INVALID, "offset: can't be combined with a cursor");
	out->limit = (uint64_t)limit;
	out->offset = (uint64_t)offset;
	return err;
}

void paging_begin(struct json_writer *w, struct strbuf *body)
{
	json_init(w, body);
	json_object(w);
	json_key(w, "items");
	json_array(w);
}

/* Whether a parameter of the query says where the page begins or how long it is. */
static bool is_about_the_page(const char *pair, size_t len)
{
	static const char *const names[] = {"cursor=", "offset=", "limit="};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (len >= strlen(names[i]) && memcmp(pair, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

/* As the client wrote it, but for what would end the link. */
static void add_pair(struct strbuf *link, const char *pair, size_t len)
{
	strbuf_addc(link, '&');
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)pair[i];
		if (c <= ' ' || c >= 0x7f || strchr("<>\"\\^`{|}", c) != NULL)
			strbuf_addf(link, "%%%02X", c);
		else
			strbuf_addc(link, (char)c);
	}
}

/* The list's own path is that of its row: it has no arguments. */
static void link_next(const struct http_request *r, struct http_response *response,
		      const struct paging *page, const char *cursor)
{
	STRBUF_CLEANUP link = STRBUF_INIT;
	strbuf_addf(&link, "<%s?limit=%llu&cursor=%s", r->route->path,
		    (unsigned long long)page->limit, cursor);
	for (const char *at = r->query; *at != '\0';) {
		size_t len = strcspn(at, "&");
		if (len > 0 && !is_about_the_page(at, len))
			add_pair(&link, at, len);
		at += len + (at[len] == '&');
	}
	strbuf_adds(&link, ">; rel=\"next\"");
	http_header(response, "Link", link.data);
}

void paging_end(struct json_writer *w, const struct http_request *r, struct http_response *response,
		const struct paging *page, uint64_t total, const char *last, size_t last_len)
{
	json_end(w);
	json_put_uint(w, "total", total);
	json_put_bool(w, "total_is_min", page->total_is_min);
	json_put_uint(w, "limit", page->limit);
	if (last == NULL) {
		json_put_null(w, "next_cursor");
	} else {
		char cursor[CURSOR_SIZE];
		AN_INVARIANT(last_len <= PAGING_KEY_MAX);
		sodium_bin2base64(cursor, sizeof(cursor), (const unsigned char *)last, last_len,
				  VARIANT);
		json_put_string(w, "next_cursor", cursor);
		link_next(r, response, page, cursor);
	}
	json_end(w);
}
