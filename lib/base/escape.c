#include "base/escape.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/utf8.h"

static const char hex[] = "0123456789abcdef";

static void escape_control(struct strbuf *out, unsigned char c)
{
	switch (c) {
	case '"':
		strbuf_add(out, "\\\"", 2);
		break;
	case '\\':
		strbuf_add(out, "\\\\", 2);
		break;
	case '\n':
		strbuf_add(out, "\\n", 2);
		break;
	case '\r':
		strbuf_add(out, "\\r", 2);
		break;
	case '\t':
		strbuf_add(out, "\\t", 2);
		break;
	default: {
		char code[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
		strbuf_add(out, code, sizeof(code));
	}
	}
}

/* U+0080 to U+009F: to a terminal U+009B begins a command, as ESC [ does. */
static int is_c1_control(const char *text)
{
	return (unsigned char)text[0] == 0xc2 && (unsigned char)text[1] < 0xa0;
}

static int plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* The byte in all eight places of a word. */
#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Has the top bit of a byte set when that byte is 0, or one above it was. */
static uint64_t zero_bytes(uint64_t word)
{
	return (word - EACH(0x01)) & ~word;
}

/* Whether each of the eight bytes is plain(). */
static bool all_plain(uint64_t word)
{
	uint64_t odd = word;                 /* from 0x80 on */
	odd |= word - EACH(0x20);            /* below a blank */
	odd |= zero_bytes(word ^ EACH('"')); /* to be escaped */
	odd |= zero_bytes(word ^ EACH('\\'));
	odd |= zero_bytes(word ^ EACH(0x7f));
	return (odd & EACH(0x80)) == 0;
}

static size_t plain_run(const char *text, size_t from, size_t len)
{
	uint64_t word;
	while (len - from >= sizeof(word)) {
		memcpy(&word, text + from, sizeof(word));
		if (!all_plain(word))
			break;
		from += sizeof(word);
	}
	while (from < len && plain((unsigned char)text[from]))
		from++;
	return from;
}

/* Most texts have nothing to escape, and go in one piece. */
static bool add_plain(struct strbuf *out, const char *text, size_t len)
{
	if (len == 0 || plain_run(text, 0, len) < len || !strbuf_reserve(out, len + 2))
		return false;
	char *at = out->data + out->len;
	at[0] = '"';
	memcpy(at + 1, text, len);
	at[len + 1] = '"';
	at[len + 2] = '\0';
	out->len += len + 2;
	return true;
}

void escape_json(struct strbuf *out, const char *text, size_t len)
{
	if (add_plain(out, text, len))
		return;
	strbuf_addc(out, '"');
	for (size_t i = 0; i < len;) {
		size_t run = plain_run(text, i, len);
		strbuf_add(out, text + i, run - i);
		i = run;
		if (i == len)
			break;
		unsigned char c = (unsigned char)text[i];
		if (c < 0x80) {
			escape_control(out, c);
			i++;
			continue;
		}
		size_t step = utf8_sequence(text + i, len - i);
		if (step == 0) {
			strbuf_add(out, "\xef\xbf\xbd", 3);
			i++;
			continue;
		}
		if (step == 2 && is_c1_control(text + i))
			escape_control(out, (unsigned char)text[i + 1]);
		else
			strbuf_add(out, text + i, step);
		i += step;
	}
	strbuf_addc(out, '"');
}
