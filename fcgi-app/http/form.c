#include "http/form.h"

#include <string.h>

#include "base/utf8.h"

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

char *form_decode(struct arena *arena, const char *text, size_t len, bool plus)
{
	char *out = arena_alloc(arena, len + 1);
	if (out == NULL)
		return NULL;
	size_t used = 0;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		if (c == '+' && plus) {
			c = ' ';
		} else if (c == '%') {
			int high = len - i > 2 ? hex_value(text[i + 1]) : -1;
			int low = high >= 0 ? hex_value(text[i + 2]) : -1;
			if (low < 0)
				return NULL;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (c == '\0')
			return NULL;
		out[used++] = c;
	}
	out[used] = '\0';
	return utf8_valid(out, used) ? out : NULL;
}

static bool decodes_to(struct arena *arena, const char *text, size_t len, const char *name)
{
	if (memchr(text, '%', len) == NULL && memchr(text, '+', len) == NULL)
		return len == strlen(name) && memcmp(text, name, len) == 0;
	const char *decoded = form_decode(arena, text, len, true);
	return decoded != NULL && strcmp(decoded, name) == 0;
}

enum err form_get(struct arena *arena, const char *text, size_t len, const char *name,
		  const char **out, struct errmsg *why)
{
	const char *found = NULL;
	const char *end = text + len;
	for (const char *at = text; at < end;) {
		const char *next = memchr(at, '&', (size_t)(end - at));
		const char *stop = next != NULL ? next : end;
		const char *equals = memchr(at, '=', (size_t)(stop - at));
		const char *name_end = equals != NULL ? equals : stop;
		if (stop > at && decodes_to(arena, at, (size_t)(name_end - at), name)) {
			if (found != NULL)
				return err_set(why, ERR_INVALID, "%s: is given twice", name);
			const char *value = equals != NULL ? equals + 1 : stop;
			found = form_decode(arena, value, (size_t)(stop - value), true);
			if (found == NULL && !arena->overflowed)
				return err_set(why, ERR_INVALID,
					       "%s: has a broken %%-escape, NUL or invalid UTF-8",
					       name);
		}
		at = stop + 1;
	}
	/* Not even a name could be decoded, then: this one may have been among them. */
	if (arena->overflowed)
		return err_set(why, ERR_NOMEM, "out of memory for the parameters");
	*out = found;
	return ERR_OK;
}
