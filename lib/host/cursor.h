/*
 * Reading text that somebody else wrote: a cursor over a buffer that never looks
 * past its end.  The buffer needs no NUL.  A reader that returns false leaves its
 * output alone; where the cursor then stands is unspecified.
 */
#ifndef ZIGGIE_HOST_CURSOR_H
#define ZIGGIE_HOST_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const char *text;
	size_t len;
};

struct cursor {
	const char *at;
	const char *end;
};

static inline struct cursor cursor_over(const char *text, size_t len)
{
	return (struct cursor){.at = text, .end = text + len};
}

static inline size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->at);
}

static inline bool span_is(struct span s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.text, text, s.len) == 0;
}

/* Copies with a NUL behind; false when it does not fit or holds a NUL itself. */
static inline bool span_copy(struct span s, char *out, size_t size)
{
	if (s.len >= size || memchr(s.text, '\0', s.len) != NULL)
		return false;
	memcpy(out, s.text, s.len);
	out[s.len] = '\0';
	return true;
}

static inline void cursor_skip_blanks(struct cursor *c)
{
	while (c->at < c->end && (*c->at == ' ' || *c->at == '\t'))
		c->at++;
}

/* The next line without its newline; the last one may lack it. */
bool cursor_line(struct cursor *c, struct cursor *line);
/* Skips blanks and takes what stands before the next blank, newline or the end. */
bool cursor_word(struct cursor *c, struct span *out);
bool cursor_skip_words(struct cursor *c, unsigned count);
/* Exactly this text, here. */
bool cursor_literal(struct cursor *c, const char *text);
/* What stands before `stop`, and steps over it. */
bool cursor_until(struct cursor *c, char stop, struct span *out);
/* Skips blanks; decimal digits that fit.  The cursor stops behind them. */
bool cursor_u64(struct cursor *c, uint64_t *out);
/* Exactly `digits` hexadecimal digits. */
bool cursor_hex(struct cursor *c, unsigned digits, uint32_t *out);
/* A decimal fraction without sign or exponent, as in "0.25". */
bool cursor_real(struct cursor *c, double *out);

#endif
