#include "json/parse.h"

#include <ctype.h>
#include <json.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "base/utf8.h"

enum { MAX_DEPTH = 32, UNIT_ESCAPE = 6, PAIR_ESCAPE = 12 }; /* as in \u00e9 */

/* Both are json-c's object under another name, so that its header stays in this file. */
static struct json_object *object_of(const struct json_node *node)
{
	return (struct json_object *)(uintptr_t)node;
}

static size_t digits_at(const char *text, size_t len)
{
	size_t count = 0;
	while (count < len && text[count] >= '0' && text[count] <= '9')
		count++;
	return count;
}

/* The length of the number that begins here, 0 when it is none of RFC 8259, 6. */
static size_t number_at(const char *text, size_t len)
{
	size_t at = text[0] == '-', count = digits_at(text + at, len - at);
	if (count == 0 || (count > 1 && text[at] == '0'))
		return 0;
	at += count;
	if (at < len && text[at] == '.') {
		count = digits_at(text + at + 1, len - at - 1);
		if (count == 0)
			return 0;
		at += 1 + count;
	}
	if (at < len && (text[at] == 'e' || text[at] == 'E')) {
		at++;
		at += at < len && (text[at] == '+' || text[at] == '-');
		count = digits_at(text + at, len - at);
		at = count > 0 ? at + count : 0;
	}
	return at;
}

/* What stands outside of strings. */
struct outline {
	size_t colons;
	size_t depth, deepest; /* arrays and objects that are open, as far as text can say */
	bool foreign;          /* a character or number that JSON does not have */
};

static void note_character(struct outline *outline, char c)
{
	static const char own[] = "{}[]:, \t\r\ntruefalsn";
	outline->foreign |= strchr(own, c) == NULL;
	outline->colons += c == ':';
	outline->depth += c == '[' || c == '{';
	outline->depth -= outline->depth > 0 && (c == ']' || c == '}');
	if (outline->depth > outline->deepest)
		outline->deepest = outline->depth;
}

static struct outline outline_of(const char *text, size_t len)
{
	struct outline outline = {0};
	bool in_string = false;
	for (size_t i = 0; i < len; i++) {
		if (in_string && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			in_string = !in_string;
		else if (in_string)
			outline.foreign |= (unsigned char)text[i] < 0x20;
		else if (text[i] == '-' || digits_at(text + i, 1) > 0) {
			size_t number = number_at(text + i, len - i);
			outline.foreign |= number == 0;
			i += number > 0 ? number - 1 : 0;
		} else {
			note_character(&outline, text[i]);
		}
	}
	return outline;
}

/* What a document holds, to be compared with its text. */
struct content {
	size_t members;
	size_t string_bytes; /* of all strings, names too */
};

/* NOLINTNEXTLINE(misc-no-recursion): at most MAX_DEPTH deep */
static void add_content(struct json_object *value, struct content *sum)
{
	if (json_object_is_type(value, json_type_object)) {
		json_object_object_foreach(value, key, member)
		{
			sum->members++;
			sum->string_bytes += strlen(key);
			add_content(member, sum);
		}
	} else if (json_object_is_type(value, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(value); i++)
			add_content(json_object_array_get_idx(value, i), sum);
	} else if (json_object_is_type(value, json_type_string)) {
		sum->string_bytes += (size_t)json_object_get_string_len(value);
	}
}

/* In well-formed JSON an escaped NUL is the only way for a NUL to get into a string. */
static bool has_nul_escape(const char *text, size_t len)
{
	for (size_t i = 0; i + 1 < len; i++) {
		if (text[i] != '\\')
			continue;
		if (len - i >= 6 && memcmp(text + i, "\\u0000", 6) == 0)
			return true;
		i++;
	}
	return false;
}

static unsigned hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	return (unsigned)((c | 0x20) - 'a') + 10;
}

static unsigned escaped_unit(const char *digits)
{
	unsigned unit = 0;
	for (int i = 0; i < 4; i++)
		unit = unit << 4 | hex_digit(digits[i]);
	return unit;
}

static bool is_surrogate(unsigned unit)
{
	return unit >= 0xd800 && unit <= 0xdfff;
}

/* Whether an escape of four hexadecimal digits stands here. */
static bool is_unit_escape(const char *text)
{
	if (text[0] != '\\' || text[1] != 'u')
		return false;
	for (int i = 2; i < UNIT_ESCAPE; i++)
		if (!isxdigit((unsigned char)text[i]))
			return false;
	return true;
}

/* The character that the two escapes here stand for together, 0 when they do not. */
static unsigned paired_escapes(const char *text, size_t len)
{
	if (len < PAIR_ESCAPE || !is_unit_escape(text) || !is_unit_escape(text + UNIT_ESCAPE))
		return 0;
	unsigned high = escaped_unit(text + 2);
	unsigned low = escaped_unit(text + UNIT_ESCAPE + 2);
	if (!is_surrogate(high) || !is_surrogate(low) || high >= 0xdc00 || low < 0xdc00)
		return 0;
	return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

/*
 * The text with such characters written as they are: some of them, U+1D800 to U+1DFFF
 * among others, json-c 0.16 takes for halves and replaces by U+FFFD.
 */
static void join_pairs(const char *text, size_t len, struct strbuf *out)
{
	for (size_t i = 0; i < len; i++) {
		unsigned point = text[i] == '\\' ? paired_escapes(text + i, len - i) : 0;
		if (point != 0) {
			const char bytes[] = {
			    (char)(0xf0 | point >> 18), (char)(0x80 | (point >> 12 & 0x3f)),
			    (char)(0x80 | (point >> 6 & 0x3f)), (char)(0x80 | (point & 0x3f))};
			strbuf_add(out, bytes, sizeof(bytes));
			i += PAIR_ESCAPE - 1;
			continue;
		}
		strbuf_addc(out, text[i]);
		if (text[i] == '\\' && i + 1 < len)
			strbuf_addc(out, text[++i]);
	}
}

/* json-c turns half a pair into U+FFFD; here it is an error.  No pairs are left. */
static bool has_lone_surrogate(const char *text, size_t len)
{
	for (size_t i = 0; i + 1 < len; i++) {
		if (text[i] != '\\')
			continue;
		i++;
		if (text[i] == 'u' && is_surrogate(escaped_unit(text + i + 1)))
			return true;
	}
	return false;
}

/* Bytes of the strings of well-formed text, once their escapes are replaced. */
static size_t string_bytes_of(const char *text, size_t len)
{
	size_t bytes = 0;
	bool in_string = false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '"') {
			in_string = !in_string;
		} else if (in_string && (text[i] != '\\' || text[++i] != 'u')) {
			bytes++;
		} else if (in_string) {
			unsigned unit = escaped_unit(text + i + 1);
			bytes += unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3;
			i += 4;
		}
	}
	return bytes;
}

/*
 * Of several members with one name json-c silently keeps the last.  Up to 0.16 it also
 * goes on without a member or a part of a string when it has no memory for them.  In
 * well-formed text every colon outside a string is one member.
 */
static bool is_whole(struct json_object *root, const char *text, size_t len, size_t colons)
{
	struct content content = {0};
	add_content(root, &content);
	return content.members == colons && content.string_bytes == string_bytes_of(text, len);
}

/* json-c 0.16 says "success" and gives its null when it has no memory. */
static bool is_null(const char *text, size_t len)
{
	size_t blank = 0;
	while (blank < len && strchr(" \t\r\n", text[blank]) != NULL)
		blank++;
	return blank < len && text[blank] == 'n';
}

static enum err run_json_c(const char *text, size_t len, struct json_object **out,
			   struct errmsg *why)
{
	/* To json-c what stands in the innermost array is a level too. */
	struct json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH + 1);
	if (tokener == NULL)
		return err_set(why, ERR_NOMEM, "out of memory parsing JSON");
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	struct json_object *root = json_tokener_parse_ex(tokener, text, (int)len);
	enum json_tokener_error error = json_tokener_get_error(tokener);
	if (error == json_tokener_continue && root == NULL) {
		/* A bare number or literal ends only when something follows it. */
		root = json_tokener_parse_ex(tokener, "", -1);
		error = json_tokener_get_error(tokener);
	}
	size_t end = json_tokener_get_parse_end(tokener);
	json_tokener_free(tokener);
	if (error == json_tokener_continue)
		return err_set(why, ERR_MALFORMED, "the JSON text ends too early");
	if (error != json_tokener_success) {
		json_object_put(root);
		return err_set(why, ERR_MALFORMED, "broken JSON at byte %zu: %s", end,
			       json_tokener_error_desc(error));
	}
	if (root == NULL && !is_null(text, len))
		return err_set(why, ERR_NOMEM, "out of memory parsing JSON");
	if (root == NULL)
		return err_set(why, ERR_INVALID, "body: must be a JSON object, not null");
	*out = root;
	return ERR_OK;
}

static enum err check_escapes(const char *text, size_t len, struct errmsg *why)
{
	if (has_nul_escape(text, len))
		return err_set(why, ERR_MALFORMED, "a string holds the NUL character");
	if (has_lone_surrogate(text, len))
		return err_set(why, ERR_MALFORMED, "a string holds half a surrogate pair");
	return ERR_OK;
}

/* Once more when something is missing: the second time it was no want of memory. */
static enum err parse_whole(const char *text, size_t len, size_t colons, struct json_object **out,
			    struct errmsg *why)
{
	for (int attempt = 0; attempt < 2; attempt++) {
		enum err err = run_json_c(text, len, out, why);
		if (err != ERR_OK)
			return err;
		err = check_escapes(text, len, why);
		if (err == ERR_OK && is_whole(*out, text, len, colons))
			return ERR_OK;
		json_object_put(*out);
		if (err != ERR_OK)
			return err;
	}
	return err_set(why, ERR_MALFORMED, "an object has two members with the same name");
}

enum err json_parse(const char *text, size_t len, struct json_doc **out, struct errmsg *why)
{
	if (len > INT_MAX)
		return err_set(why, ERR_TOO_LARGE, "the JSON text is too long");
	if (!utf8_valid(text, len))
		return err_set(why, ERR_MALFORMED, "the body is not valid UTF-8");
	if (memchr(text, '\0', len) != NULL)
		return err_set(why, ERR_MALFORMED, "the body holds a NUL byte");
	struct outline outline = outline_of(text, len);
	/* Even when it is strict, json-c takes NaN, comments, single quotes, bare newlines and
	 * numbers like -01, 1. and .5. */
	if (outline.foreign)
		return err_set(why, ERR_MALFORMED,
			       "broken JSON: a character or number that it does not have");
	if (outline.deepest > MAX_DEPTH)
		return err_set(why, ERR_MALFORMED, "the JSON text is nested too deep");
	STRBUF_CLEANUP joined = STRBUF_INIT;
	join_pairs(text, len, &joined);
	if (joined.failed)
		return err_set(why, ERR_NOMEM, "out of memory parsing JSON");
	struct json_object *root = NULL;
	enum err err = parse_whole(joined.data, joined.len, outline.colons, &root, why);
	if (err != ERR_OK)
		return err;
	*out = (struct json_doc *)root;
	return ERR_OK;
}

void json_doc_free(struct json_doc *doc)
{
	json_object_put((struct json_object *)doc);
}

const struct json_node *json_root(const struct json_doc *doc)
{
	return (const struct json_node *)doc;
}

void json_fields_init(struct json_fields *f, const struct json_node *object)
{
	f->object = object;
	f->error_count = 0;
	if (!json_object_is_type(object_of(object), json_type_object)) {
		f->object = NULL;
		json_field_error(f, "body", "must be a JSON object");
	}
}

void json_field_error(struct json_fields *f, const char *field, const char *format, ...)
{
	if (f->error_count == JSON_FIELD_ERRORS_MAX)
		return;
	struct field_error *error = &f->errors[f->error_count++];
	snprintf(error->field, sizeof(error->field), "%s", field);
	va_list args;
	va_start(args, format);
	vsnprintf(error->detail, sizeof(error->detail), format, args);
	va_end(args);
}

bool json_check_length(struct json_fields *f, const char *field, const char *text, size_t len,
		       size_t min, size_t max)
{
	size_t count = utf8_count(text, len);
	if (count >= min && count <= max)
		return true;
	json_field_error(f, field, "must have %zu to %zu characters, has %zu", min, max, count);
	return false;
}
