/*
 * A thread's stack, taken at once: otherwise each goes on to touch a page now and then, whenever
 * its thread calls deeper than ever before; docs/decisions/0011.
 */
#ifndef ZIGGIE_BASE_STACK_H
#define ZIGGIE_BASE_STACK_H

/* When a thread begins: as much as answers to requests need. */
void stack_touch(void);

#endif
