/*
 * A heap whose pages are all there from the start.  What requests take of it and leave free
 * again then changes nothing of the process's resident memory, and a page that it gains is one
 * that it needs; docs/decisions/0011.
 */
#ifndef ZIGGIE_BASE_HEAP_H
#define ZIGGIE_BASE_HEAP_H

#include <stdint.h>

/* The part of malloc's heap that stays resident; all zero: none does. */
struct heap {
	uintptr_t start;
	uintptr_t end;
};

/* Before the first thread: all share one heap, and it shrinks in heap_give_back() alone. */
void heap_share(void);
/* Once all has started that stays: what it took, and a spare part for what comes and goes. */
void heap_keep(struct heap *h);
/* What a busy moment took beyond goes back to the kernel as far as it is free. */
void heap_give_back(const struct heap *h);

#endif
