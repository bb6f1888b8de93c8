/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/heap.h"

/* What comes and goes, and what is far more than is kept for that. */
enum { PIECE = 16 * 1024, FEW = 30, MANY = 512 };

/* What lies between at the start: too small for a piece. */
enum { HOLE = 8 * 1024, HOLES = 24 };

static uintptr_t end_of_heap(void)
{
	return (uintptr_t)sbrk(0);
}

static void *pieces[MANY];

static void take(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		pieces[i] = malloc(PIECE);
		assert_non_null(pieces[i]);
		memset(pieces[i], 1, PIECE);
	}
}

static void let_go(void *blocks[], size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(blocks[i]);
}

#ifdef ZIGGIE_SANITIZED

/* Memory is the sanitizer's, and there is no heap to keep. */
static void test_a_heap_of_somebody_else_is_left_alone(void **state)
{
	(void)state;
	struct heap h = {0};
	heap_share();
	heap_keep(&h);
	uintptr_t end = end_of_heap();
	take(MANY);
	heap_give_back(&h);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(((char *)pieces[i])[PIECE - 1], 1);
	let_go(pieces, MANY);
	assert_int_equal(end_of_heap(), end);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_heap_of_somebody_else_is_left_alone),
};

#else

enum { PAGES_MAX = 4096, SPARE_LEAST = 512 * 1024 };

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t resident(uintptr_t from, uintptr_t to)
{
	static unsigned char there[PAGES_MAX];
	size_t pages = (to - from) / page_size();
	size_t count = 0;
	assert_true(pages <= PAGES_MAX);
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): addresses of whole pages */
	assert_int_equal(mincore((void *)from, to - from, there), 0);
	for (size_t i = 0; i < pages; i++)
		count += there[i] & 1;
	return count;
}

static void assert_all_there(const struct heap *h)
{
	assert_int_equal(resident(h->start, h->end), (h->end - h->start) / page_size());
}

static void test_all_that_is_kept_is_there(void **state)
{
	const struct heap *h = *state;
	char *mine = malloc(1);
	assert_in_range((uintptr_t)mine, h->start, h->end);
	free(mine);
	assert_int_equal(end_of_heap(), h->end);
	assert_true(h->end - h->start >= SPARE_LEAST);
	assert_all_there(h);
}

static void test_what_comes_and_goes_changes_nothing(void **state)
{
	const struct heap *h = *state;
	take(FEW);
	assert_int_equal(end_of_heap(), h->end);
	let_go(pieces, FEW);
	assert_int_equal(end_of_heap(), h->end);
	heap_give_back(h);
	assert_int_equal(end_of_heap(), h->end);
	assert_all_there(h);
}

static void test_what_a_busy_moment_took_goes_back(void **state)
{
	const struct heap *h = *state;
	take(MANY);
	assert_true(end_of_heap() > h->end);
	let_go(pieces, MANY);
	heap_give_back(h);
	assert_int_equal(end_of_heap(), h->end);
	assert_all_there(h);
}

/* As what a thread goes on using: it holds its pages and no others. */
static void test_a_piece_far_up_holds_no_more_than_itself(void **state)
{
	const struct heap *h = *state;
	take(MANY);
	let_go(pieces, MANY - 1);
	heap_give_back(h);
	uintptr_t last = (uintptr_t)pieces[MANY - 1];
	assert_true(last > h->end);
	assert_in_range(end_of_heap(), last + PIECE, last + PIECE + 2 * page_size());
	assert_true(resident(h->end, end_of_heap()) <= PIECE / page_size() + 2);
	assert_all_there(h);
	free(pieces[MANY - 1]);
	heap_give_back(h);
	assert_int_equal(end_of_heap(), h->end);
}

static void *take_one(void *context)
{
	(void)context;
	take(1);
	return NULL;
}

static void test_threads_take_of_the_same(void **state)
{
	const struct heap *h = *state;
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, take_one, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_in_range((uintptr_t)pieces[0], h->start, h->end);
	let_go(pieces, 1);
}

/* A program that keeps nothing. */
static void test_without_a_part_to_keep_all_goes_back(void **state)
{
	const struct heap *h = *state;
	const struct heap none = {0};
	take(MANY);
	let_go(pieces, MANY);
	heap_give_back(&none);
	assert_true(end_of_heap() < h->end);
	heap_give_back(h);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_all_that_is_kept_is_there),
    cmocka_unit_test(test_what_comes_and_goes_changes_nothing),
    cmocka_unit_test(test_what_a_busy_moment_took_goes_back),
    cmocka_unit_test(test_a_piece_far_up_holds_no_more_than_itself),
    cmocka_unit_test(test_threads_take_of_the_same),
    cmocka_unit_test(test_without_a_part_to_keep_all_goes_back),
};

#endif

static void *walls[HOLES];

/* With holes that nobody has touched yet. */
static int keep(void **state)
{
	static struct heap kept;
	void *holes[HOLES];
	heap_share();
	for (size_t i = 0; i < HOLES; i++) {
		holes[i] = malloc(HOLE);
		walls[i] = malloc(HOLE);
	}
	let_go(holes, HOLES);
	heap_keep(&kept);
	*state = &kept;
	return 0;
}

static int end(void **state)
{
	(void)state;
	let_go(walls, HOLES);
	return 0;
}

int main(void)
{
	return cmocka_run_group_tests(tests, keep, end);
}
