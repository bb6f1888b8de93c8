#include "base/stack.h"

#include <stddef.h>

enum { SIZE = 56 * 1024, STEP = 2048 /* no page is smaller */ };

/* Out of line, so that the pages it touches are those below its caller's frame. */
__attribute__((noinline)) void stack_touch(void)
{
	volatile char pages[SIZE];
	for (size_t i = 0; i < sizeof(pages); i += STEP)
		pages[i] = 0;
}
