#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "reference.h"

/* Deep nesting would only prove that the stack of this file ends. */
enum { DEEPEST = 100 };

struct reader {
	const char *at;
	const char *end;
	unsigned depth;
	unsigned deepest;
	const char *wanted; /* the outermost member whose string goes to *found */
	struct strbuf *found;
	bool is_found;
};

static bool value(struct reader *r);

static bool take(struct reader *r, char c)
{
	if (r->at == r->end || *r->at != c)
		return false;
	r->at++;
	return true;
}

static bool take_any(struct reader *r, const char *set, char *out)
{
	if (r->at == r->end || *r->at == '\0' || strchr(set, *r->at) == NULL)
		return false;
	*out = *r->at++;
	return true;
}

static void blanks(struct reader *r)
{
	char c;
	while (take_any(r, " \t\r\n", &c))
		;
}

static bool word(struct reader *r, const char *text)
{
	while (*text != '\0')
		if (!take(r, *text++))
			return false;
	return true;
}

static bool digits(struct reader *r)
{
	char c;
	bool any = false;
	while (take_any(r, "0123456789", &c))
		any = true;
	return any;
}

static bool number(struct reader *r)
{
	char c;
	take(r, '-');
	if (!take(r, '0') && !digits(r))
		return false;
	if (take(r, '.') && !digits(r))
		return false;
	if (take_any(r, "eE", &c)) {
		take_any(r, "+-", &c);
		return digits(r);
	}
	return true;
}

static bool unit(struct reader *r, uint32_t *out)
{
	static const char set[] = "0123456789abcdefABCDEF";
	char c, four[5] = "";
	for (int i = 0; i < 4; i++) {
		if (!take_any(r, set, &c))
			return false;
		four[i] = c;
	}
	*out = (uint32_t)strtoul(four, NULL, 16);
	return true;
}

static void add_point(struct strbuf *out, uint32_t point)
{
	unsigned more = point < 0x80 ? 0 : point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
	static const unsigned char lead[] = {0, 0xc0, 0xe0, 0xf0};
	strbuf_addc(out, (char)(lead[more] | point >> 6 * more));
	while (more-- > 0)
		strbuf_addc(out, (char)(0x80 | (point >> 6 * more & 0x3f)));
}

static bool unicode_escape(struct reader *r, struct strbuf *out)
{
	uint32_t high, low;
	if (!unit(r, &high) || high == 0 || (high >= 0xdc00 && high < 0xe000))
		return false;
	if (high >= 0xd800 && high < 0xdc00) {
		if (!take(r, '\\') || !take(r, 'u') || !unit(r, &low) || low < 0xdc00 ||
		    low >= 0xe000)
			return false;
		high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
	}
	add_point(out, high);
	return true;
}

static bool escape(struct reader *r, struct strbuf *out)
{
	static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	char c;
	if (take(r, 'u'))
		return unicode_escape(r, out);
	if (!take_any(r, names, &c))
		return false;
	strbuf_addc(out, meant[strchr(names, c) - names]);
	return true;
}

static bool string(struct reader *r, struct strbuf *out)
{
	if (!take(r, '"'))
		return false;
	while (!take(r, '"')) {
		if (r->at == r->end || (unsigned char)*r->at < 0x20)
			return false;
		char c = *r->at++;
		if (c != '\\')
			strbuf_addc(out, c);
		else if (!escape(r, out))
			return false;
	}
	return true;
}

/* Names end with "\n,"; a line feed inside of one is written "\nn". */
static bool add_name(struct strbuf *names, const struct strbuf *name)
{
	STRBUF_CLEANUP entry = STRBUF_INIT;
	for (size_t i = 0; i < name->len; i++) {
		strbuf_addc(&entry, name->data[i]);
		if (name->data[i] == '\n')
			strbuf_addc(&entry, 'n');
	}
	strbuf_adds(&entry, "\n,");
	for (const char *at = names->data; *at != '\0';) {
		const char *next = strstr(at, "\n,") + 2;
		if ((size_t)(next - at) == entry.len && memcmp(at, entry.data, entry.len) == 0)
			return false;
		at = next;
	}
	strbuf_add(names, entry.data, entry.len);
	return true;
}

static bool member(struct reader *r, struct strbuf *names)
{
	STRBUF_CLEANUP name = STRBUF_INIT;
	blanks(r);
	if (!string(r, &name) || !add_name(names, &name))
		return false;
	blanks(r);
	if (!take(r, ':'))
		return false;
	bool is_wanted = r->wanted != NULL && r->depth == 1 && strcmp(name.data, r->wanted) == 0;
	blanks(r);
	if (!is_wanted || r->at == r->end || *r->at != '"')
		return value(r);
	r->is_found = string(r, r->found);
	blanks(r);
	return r->is_found;
}

static bool list(struct reader *r, char close)
{
	STRBUF_CLEANUP names = STRBUF_INIT;
	if (++r->depth > r->deepest)
		r->deepest = r->depth;
	if (r->depth > DEEPEST)
		return false;
	blanks(r);
	if (!take(r, close)) {
		do {
			if (close == '}' ? !member(r, &names) : !value(r))
				return false;
		} while (take(r, ','));
		if (!take(r, close))
			return false;
	}
	r->depth--;
	return true;
}

static bool value(struct reader *r)
{
	STRBUF_CLEANUP ignored = STRBUF_INIT;
	bool good;
	blanks(r);
	if (r->at == r->end)
		return false;
	switch (*r->at) {
	case '{':
		r->at++;
		good = list(r, '}');
		break;
	case '[':
		r->at++;
		good = list(r, ']');
		break;
	case '"':
		good = string(r, &ignored);
		break;
	case 't':
		good = word(r, "true");
		break;
	case 'f':
		good = word(r, "false");
		break;
	case 'n':
		good = word(r, "null");
		break;
	default:
		good = number(r);
	}
	blanks(r);
	return good;
}

struct reference_json reference_json(const char *text, size_t len)
{
	struct reader r = {.at = text, .end = text + len};
	bool taken = reference_utf8(text, len) && value(&r) && r.at == r.end;
	struct reader start = {.at = text, .end = text + len};
	blanks(&start);
	return (struct reference_json){
	    .taken = taken, .deep = r.deepest, .is_null = taken && *start.at == 'n'};
}

bool reference_json_string(const char *text, size_t len, const char *name, struct strbuf *out)
{
	struct reader r = {.at = text, .end = text + len, .wanted = name, .found = out};
	blanks(&r);
	return r.at < r.end && *r.at == '{' && value(&r) && r.is_found;
}
