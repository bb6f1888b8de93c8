/*
 * Memory whose pages are there from the beginning, for libmemcached.  A connection has some 17 KB
 * of buffers, and the last of them would be touched one day by a value that is longer than any
 * before: by each of the threads for itself, hours after the start; docs/decisions/0011.
 * free() takes it back.
 */
#ifndef ZIGGIE_CACHE_TOUCHED_H
#define ZIGGIE_CACHE_TOUCHED_H

#include <stddef.h>

/* As realloc() and calloc(). */
void *touched_realloc(void *old, size_t size);
void *touched_calloc(size_t count, size_t size);

#endif
