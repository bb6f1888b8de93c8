#include "http/paging.h"

#include <sodium.h>
#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"

enum {
	LIMIT_DEFAULT = 50,
	LIMIT_MAX = 200,
	OFFSET_MAX = 10000,
	VARIANT = sodium_base64_VARIANT_URLSAFE_NO_PADDING,
	CURSOR_SIZE = sodium_base64_ENCODED_LEN(PAGING_KEY_MAX, VARIANT),
};

static enum err read_cursor(const struct http_request *r, const char **after, struct errmsg *why)
{
	const char *cursor;
	enum err err = http_query(r, "cursor", &cursor, why);
	*after = "";
	if (err != ERR_OK || cursor == NULL)
		return err;
	unsigned char key[PAGING_KEY_MAX];
	size_t len = 0;
	if (sodium_base642bin(key, sizeof(key), cursor, strlen(cursor), NULL, &len, NULL,
			      VARIANT) != 0 ||
	    len == 0 || memchr(key, '\0', len) != NULL || !utf8_valid((const char *)key, len))
		return err_set(why, ERR_INVALID, "cursor: is not one that a list gave out");
	*after = arena_strndup(r->arena, (const char *)key, len);
	return *after != NULL ? ERR_OK : err_set(why, ERR_NOMEM, "out of memory");
}

enum err paging_read(const struct http_request *r, struct paging *out, struct errmsg *why)
{
	int64_t limit = LIMIT_DEFAULT, offset = 0;
	*out = (struct paging){.after = ""};
	enum err err = http_query_number(r, "limit", 1, LIMIT_MAX, &limit, why);
	if (err == ERR_OK)
		err = http_query_number(r, "offset", 0, OFFSET_MAX, &offset, why);
	if (err == ERR_OK)
		err = read_cursor(r, &out->after, why);
	if (err == ERR_OK && offset > 0 && out->after[0] != '\0')
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

/* The list's own path is that of its row: it has no arguments. */
static void link_next(const struct http_request *r, struct http_response *response,
		      const struct paging *page, const char *cursor)
{
	STRBUF_CLEANUP link = STRBUF_INIT;
	strbuf_addf(&link, "<%s?limit=%llu&cursor=%s>; rel=\"next\"", r->route->path,
		    (unsigned long long)page->limit, cursor);
	http_header(response, "Link", link.data);
}

void paging_end(struct json_writer *w, const struct http_request *r, struct http_response *response,
		const struct paging *page, uint64_t total, const char *last)
{
	json_end(w);
	json_put_uint(w, "total", total);
	json_put_uint(w, "limit", page->limit);
	if (last == NULL) {
		json_put_null(w, "next_cursor");
	} else {
		char cursor[CURSOR_SIZE];
		size_t len = strlen(last);
		AN_INVARIANT(len <= PAGING_KEY_MAX);
		sodium_bin2base64(cursor, sizeof(cursor), (const unsigned char *)last, len,
				  VARIANT);
		json_put_string(w, "next_cursor", cursor);
		link_next(r, response, page, cursor);
	}
	json_end(w);
}
