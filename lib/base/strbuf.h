/*
 * A growable byte string with a sticky out-of-memory flag: append freely, check
 * once.  `data` is always NUL-terminated and never NULL.  strbuf_clear() keeps
 * the memory; strbuf_release() gives it back.  Not thread-safe: one owner.
 *
 *	struct strbuf out = STRBUF_INIT;
 *	strbuf_addf(&out, "%d bottles", 99);
 *	if (!out.failed) use(out.data, out.len);
 *	strbuf_release(&out);
 */
#ifndef ZIGGIE_BASE_STRBUF_H
#define ZIGGIE_BASE_STRBUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct strbuf {
	char *data;
	size_t len;
	size_t cap; /* 0 while data points at the shared empty string */
	bool failed;
};

extern char strbuf_empty[1];

#define STRBUF_INIT                                                                                \
	{                                                                                          \
		.data = strbuf_empty                                                               \
	}

void strbuf_init(struct strbuf *b);
void strbuf_clear(struct strbuf *b);
void strbuf_release(struct strbuf *b);

/* Takes a constant text instead of memory: to be read, cleared or released, no more. */
void strbuf_borrow(struct strbuf *b, const char *text);

/* What strbuf_reserve() does when there is no room yet. */
bool strbuf_grow(struct strbuf *b, size_t extra);

/* Room for `extra` more bytes plus the NUL; false and the flag when there is none. */
static inline bool strbuf_reserve(struct strbuf *b, size_t extra)
{
	return (!b->failed && b->cap > 0 && extra < b->cap - b->len) || strbuf_grow(b, extra);
}

/* An answer is thousands of these, so they are part of who calls them. */
static inline void strbuf_add(struct strbuf *b, const void *bytes, size_t len)
{
	if (len == 0 || !strbuf_reserve(b, len))
		return;
	memcpy(b->data + b->len, bytes, len);
	b->len += len;
	b->data[b->len] = '\0';
}

static inline void strbuf_adds(struct strbuf *b, const char *text)
{
	strbuf_add(b, text, strlen(text));
}

static inline void strbuf_addc(struct strbuf *b, char c)
{
	strbuf_add(b, &c, 1);
}

void strbuf_addu(struct strbuf *b, uint64_t value);
void strbuf_addi(struct strbuf *b, int64_t value);
void strbuf_addf(struct strbuf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void strbuf_addv(struct strbuf *b, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Cuts back to len, which must not be longer than the string is. */
void strbuf_truncate(struct strbuf *b, size_t len);

#define STRBUF_CLEANUP __attribute__((cleanup(strbuf_release))) struct strbuf

#endif
