#include "cache/touched.h"

#include <malloc.h>
#include <stdlib.h>

enum { STEP = 2048 }; /* no page is smaller */

/* Only what is new: the rest holds something. */
static void touch(volatile char *memory, size_t from, size_t size)
{
	for (size_t i = from; i < size; i += STEP)
		memory[i] = 0;
	if (from < size)
		memory[size - 1] = 0;
}

void *touched_realloc(void *old, size_t size)
{
	size_t before = malloc_usable_size(old);
	void *memory = realloc(old, size);
	if (memory != NULL)
		touch(memory, before, size);
	return memory;
}

void *touched_calloc(size_t count, size_t size)
{
	void *memory = calloc(count, size);
	if (memory != NULL)
		touch(memory, 0, count * size);
	return memory;
}
