#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "reference.h"

/* Reads one character by its bits, then asks whether it was written in the shortest way. */
static size_t utf8_one(const unsigned char *s, size_t len)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t size = s[0] < 0x80         ? 1
		      : s[0] >> 5 == 0x06 ? 2
		      : s[0] >> 4 == 0x0e ? 3
		      : s[0] >> 3 == 0x1e ? 4
					  : 0;
	if (size < 2 || size > len)
		return size == 1 ? 1 : 0;
	uint32_t point = s[0] & (0x7fu >> size);
	for (size_t i = 1; i < size; i++) {
		if (s[i] >> 6 != 2)
			return 0;
		point = point << 6 | (s[i] & 0x3f);
	}
	if (point < least[size] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
		return 0;
	return size;
}

bool reference_utf8(const char *text, size_t len)
{
	while (len > 0) {
		size_t size = utf8_one((const unsigned char *)text, len);
		if (size == 0)
			return false;
		text += size;
		len -= size;
	}
	return true;
}

static bool hex(char c, unsigned *value)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *at = c != '\0' ? strchr(digits, c) : NULL;
	if (at != NULL)
		*value = *value << 4 | ((unsigned)(at - digits) & 15);
	return at != NULL;
}

bool reference_decode(const char *text, size_t len, bool plus, struct strbuf *out)
{
	for (size_t i = 0; i < len; i++) {
		unsigned value = (unsigned char)text[i];
		if (text[i] == '+' && plus)
			value = ' ';
		if (text[i] == '%') {
			value = 0;
			if (i + 2 >= len || !hex(text[i + 1], &value) || !hex(text[i + 2], &value))
				return false;
			i += 2;
		}
		if (value == 0)
			return false;
		strbuf_addc(out, (char)value);
	}
	return reference_utf8(out->data, out->len);
}

void reference_encode(const char *text, struct strbuf *out)
{
	for (; *text != '\0'; text++)
		strbuf_addf(out, "%%%02x", (unsigned char)*text);
}

/* Where the separator stands, or the end. */
static size_t up_to(const char *text, size_t len, char separator)
{
	size_t i = 0;
	while (i < len && text[i] != separator)
		i++;
	return i;
}

enum err reference_form(const char *text, size_t len, const char *name, bool *found,
			struct strbuf *value)
{
	*found = false;
	for (size_t at = 0; at < len;) {
		STRBUF_CLEANUP key = STRBUF_INIT;
		size_t pair = up_to(text + at, len - at, '&');
		size_t key_len = up_to(text + at, pair, '=');
		size_t value_at = key_len < pair ? key_len + 1 : pair;
		if (pair > 0 && reference_decode(text + at, key_len, true, &key) &&
		    strcmp(key.data, name) == 0) {
			if (*found ||
			    !reference_decode(text + at + value_at, pair - value_at, true, value))
				return ERR_INVALID;
			*found = true;
		}
		at += pair + 1;
	}
	return ERR_OK;
}
