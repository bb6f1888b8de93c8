#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arena_chunk {
	struct arena_chunk *next;
	size_t size;
	size_t used;
	alignas(max_align_t) char data[];
};

void arena_init(struct arena *a, size_t chunk_size, size_t limit)
{
	*a = (struct arena){.chunk_size = chunk_size, .limit = limit};
}

static struct arena_chunk *chunk_new(size_t size)
{
	struct arena_chunk *chunk = malloc(sizeof(*chunk) + size);
	if (chunk != NULL)
		*chunk = (struct arena_chunk){.size = size};
	return chunk;
}

static void free_from(struct arena_chunk *chunk)
{
	while (chunk != NULL) {
		struct arena_chunk *next = chunk->next;
		free(chunk);
		chunk = next;
	}
}

void arena_release(struct arena *a)
{
	free_from(a->head);
	a->head = NULL;
	a->used = 0;
	a->overflowed = false;
}

void arena_reset(struct arena *a)
{
#ifdef ZIGGIE_SANITIZED
	arena_release(a);
#else
	struct arena_chunk *first = a->head;
	while (first != NULL && first->next != NULL) {
		struct arena_chunk *next = first->next;
		free(first);
		first = next;
	}
	if (first != NULL)
		first->used = 0;
	a->head = first;
	a->used = 0;
	a->overflowed = false;
#endif
}

static void *from_new_chunk(struct arena *a, size_t size)
{
#ifdef ZIGGIE_SANITIZED
	size_t chunk_size = size;
#else
	size_t chunk_size = size > a->chunk_size ? size : a->chunk_size;
#endif
	struct arena_chunk *chunk = chunk_new(chunk_size);
	if (chunk == NULL)
		return NULL;
	chunk->next = a->head;
	chunk->used = size;
	a->head = chunk;
	return chunk->data;
}

void *arena_alloc(struct arena *a, size_t size)
{
	const size_t alignment = alignof(max_align_t);
	if (size == 0)
		size = 1;
	if (size > SIZE_MAX - alignment)
		goto overflow;
#ifndef ZIGGIE_SANITIZED
	size = (size + alignment - 1) & ~(alignment - 1);
#endif
	if (size > a->limit - a->used)
		goto overflow;

	void *memory;
	struct arena_chunk *chunk = a->head;
	if (chunk != NULL && size <= chunk->size - chunk->used) {
		memory = chunk->data + chunk->used;
		chunk->used += size;
	} else {
		memory = from_new_chunk(a, size);
		if (memory == NULL)
			goto overflow;
	}
	a->used += size;
	return memory;
overflow:
	a->overflowed = true;
	return NULL;
}

void *arena_calloc(struct arena *a, size_t count, size_t size)
{
	size_t total;
	if (__builtin_mul_overflow(count, size, &total)) {
		a->overflowed = true;
		return NULL;
	}
	void *memory = arena_alloc(a, total);
	if (memory != NULL)
		memset(memory, 0, total);
	return memory;
}

char *arena_strndup(struct arena *a, const char *text, size_t len)
{
	if (len == SIZE_MAX) {
		a->overflowed = true;
		return NULL;
	}
	char *copy = arena_alloc(a, len + 1);
	if (copy == NULL)
		return NULL;
	if (len > 0)
		memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

char *arena_strdup(struct arena *a, const char *text)
{
	return arena_strndup(a, text, strlen(text));
}

char *arena_printf(struct arena *a, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	va_list again;
	va_copy(again, args);
	int len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	char *text = len < 0 ? NULL : arena_alloc(a, (size_t)len + 1);
	if (text != NULL)
		vsnprintf(text, (size_t)len + 1, format, again);
	va_end(again);
	return text;
}
