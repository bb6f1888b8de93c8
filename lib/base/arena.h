/*
 * A per-request arena: allocate freely, release everything at once.
 *
 * Memory comes in chunks from malloc up to `limit` bytes in total; what does not
 * fit returns NULL and sets the sticky overflow flag, so a caller may check once
 * at the end.  arena_reset() keeps the first chunk, so that a thread serving
 * request after request stops calling malloc.  Not thread-safe: one owner.
 *
 * In sanitizer builds every allocation is a malloc of its own, so that
 * AddressSanitizer sees overruns and use after reset.
 */
#ifndef ZIGGIE_BASE_ARENA_H
#define ZIGGIE_BASE_ARENA_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *head; /* the chunk in use; older ones behind it */
	size_t used;              /* bytes handed out since the last reset */
	size_t limit;
	size_t chunk_size;
	bool overflowed;
};

void arena_init(struct arena *a, size_t chunk_size, size_t limit);
void arena_reset(struct arena *a);
void arena_release(struct arena *a);

/* Aligned for any type, not cleared; NULL and the flag when it does not fit. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_calloc(struct arena *a, size_t count, size_t size);
/* Copies, with a NUL behind. */
char *arena_strndup(struct arena *a, const char *text, size_t len);
char *arena_strdup(struct arena *a, const char *text);
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
