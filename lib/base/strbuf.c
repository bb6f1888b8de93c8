#include "base/strbuf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

char strbuf_empty[1];

void strbuf_init(struct strbuf *b)
{
	*b = (struct strbuf)STRBUF_INIT;
}

void strbuf_clear(struct strbuf *b)
{
	b->len = 0;
	b->failed = false;
	if (b->cap > 0)
		b->data[0] = '\0';
	else
		b->data = strbuf_empty;
}

void strbuf_release(struct strbuf *b)
{
	if (b->cap > 0)
		free(b->data);
	strbuf_init(b);
}

void strbuf_borrow(struct strbuf *b, const char *text)
{
	strbuf_release(b);
	b->data = (char *)(uintptr_t)text; /* cap is 0: nothing writes there */
	b->len = strlen(text);
}

bool strbuf_grow(struct strbuf *b, size_t extra)
{
	if (b->failed)
		return false;
	AN_INVARIANT(b->cap > 0 || b->len == 0); /* borrowed text does not grow */
	size_t want;
	if (__builtin_add_overflow(b->len, extra, &want) || want > SIZE_MAX / 4) {
		b->failed = true;
		return false;
	}
	size_t cap = b->cap < 64 ? 64 : b->cap;
	while (cap <= want)
		cap += cap / 2;
	char *data = realloc(b->cap > 0 ? b->data : NULL, cap);
	if (data == NULL) {
		b->failed = true;
		return false;
	}
	data[b->len] = '\0';
	b->data = data;
	b->cap = cap;
	return true;
}

void strbuf_addu(struct strbuf *b, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);
	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	strbuf_add(b, digits + at, sizeof(digits) - at);
}

void strbuf_addi(struct strbuf *b, int64_t value)
{
	if (value < 0) {
		strbuf_addc(b, '-');
		strbuf_addu(b, (uint64_t)0 - (uint64_t)value);
	} else {
		strbuf_addu(b, (uint64_t)value);
	}
}

void strbuf_addv(struct strbuf *b, const char *format, va_list args)
{
	va_list again;
	va_copy(again, args);
	int len = vsnprintf(NULL, 0, format, args);
	if (len < 0)
		b->failed = true;
	else if (strbuf_reserve(b, (size_t)len)) {
		vsnprintf(b->data + b->len, (size_t)len + 1, format, again);
		b->len += (size_t)len;
	}
	va_end(again);
}

void strbuf_addf(struct strbuf *b, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	strbuf_addv(b, format, args);
	va_end(args);
}

void strbuf_truncate(struct strbuf *b, size_t len)
{
	AN_INVARIANT(len <= b->len);
	b->len = len;
	if (b->cap > 0)
		b->data[len] = '\0';
}
