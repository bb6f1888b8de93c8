/*
 * What unit tests share: a private memcached, and what is small.  Failing to set it up
 * fails the test that asked.
 */
#ifndef ZIGGIE_TESTS_SUPPORT_H
#define ZIGGIE_TESTS_SUPPORT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A memcached on a Unix socket in a directory of its own. */
struct test_memcached {
	char dir[64];
	char socket[96];
	pid_t pid; /* 0 while it is not running */
};

/* Waits, 10 s at most, until it answers. */
void test_memcached_start(struct test_memcached *m);
/* kill -9 and wait; test_memcached_restart() gives a new one on the same socket. */
void test_memcached_kill(struct test_memcached *m);
void test_memcached_restart(struct test_memcached *m);
/* SIGSTOP and SIGCONT. */
void test_memcached_stall(struct test_memcached *m);
void test_memcached_resume(struct test_memcached *m);
/* Ends it and removes the directory. */
void test_memcached_stop(struct test_memcached *m);

void test_sleep_ms(unsigned ms);

/*
 * How long something takes at best: a busy machine makes it longer, but not every time.
 * measure() says how long it took, and is called again while that is more than limit_ms,
 * a few dozen times at most.
 */
int64_t test_best_ms(int64_t (*measure)(void *context), void *context, int64_t limit_ms);

/* How many descriptors this process has open. */
unsigned test_open_files(void);

/*
 * What the first thread has taken from the heap and not given back.  Always 0 with a
 * sanitizer's allocator: there LeakSanitizer looks after it.
 */
size_t test_heap_bytes(void);

#endif
