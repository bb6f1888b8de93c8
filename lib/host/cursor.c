#include "host/cursor.h"

bool cursor_line(struct cursor *c, struct cursor *line)
{
	if (c->at == c->end)
		return false;
	const char *newline = memchr(c->at, '\n', cursor_left(c));
	line->at = c->at;
	line->end = newline != NULL ? newline : c->end;
	c->at = newline != NULL ? newline + 1 : c->end;
	return true;
}

static bool ends_word(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

bool cursor_word(struct cursor *c, struct span *out)
{
	cursor_skip_blanks(c);
	const char *start = c->at;
	while (c->at < c->end && !ends_word(*c->at))
		c->at++;
	if (c->at == start)
		return false;
	*out = (struct span){.text = start, .len = (size_t)(c->at - start)};
	return true;
}

bool cursor_skip_words(struct cursor *c, unsigned count)
{
	struct span word;
	for (unsigned i = 0; i < count; i++)
		if (!cursor_word(c, &word))
			return false;
	return true;
}

bool cursor_literal(struct cursor *c, const char *text)
{
	size_t len = strlen(text);
	if (cursor_left(c) < len || memcmp(c->at, text, len) != 0)
		return false;
	c->at += len;
	return true;
}

bool cursor_until(struct cursor *c, char stop, struct span *out)
{
	if (c->at == c->end)
		return false;
	const char *found = memchr(c->at, stop, cursor_left(c));
	if (found == NULL)
		return false;
	*out = (struct span){.text = c->at, .len = (size_t)(found - c->at)};
	c->at = found + 1;
	return true;
}

static bool digit_at(const struct cursor *c, unsigned *digit)
{
	if (c->at == c->end)
		return false;
	*digit = (unsigned)(unsigned char)*c->at - '0';
	return *digit <= 9;
}

bool cursor_u64(struct cursor *c, uint64_t *out)
{
	cursor_skip_blanks(c);
	uint64_t value = 0;
	unsigned digit;
	if (!digit_at(c, &digit))
		return false;
	for (; digit_at(c, &digit); c->at++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, digit, &value))
			return false;
	*out = value;
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

bool cursor_hex(struct cursor *c, unsigned digits, uint32_t *out)
{
	uint32_t value = 0;
	if (cursor_left(c) < digits)
		return false;
	for (unsigned i = 0; i < digits; i++, c->at++) {
		int digit = hex_digit(*c->at);
		if (digit < 0)
			return false;
		value = value << 4 | (uint32_t)digit;
	}
	*out = value;
	return true;
}

bool cursor_real(struct cursor *c, double *out)
{
	uint64_t whole;
	if (!cursor_u64(c, &whole))
		return false;
	double value = (double)whole;
	if (cursor_literal(c, ".")) {
		double scale = 0.1;
		unsigned digit;
		while (digit_at(c, &digit)) {
			value += digit * scale;
			scale /= 10;
			c->at++;
		}
	}
	*out = value;
	return true;
}
