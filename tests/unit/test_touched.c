/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cache/touched.h"

/* So large that they come straight from the kernel, with pages nobody has touched. */
enum { SIZE = 1 << 20, GROWN = 4 << 20, PAGES_MAX = GROWN / 4096 };

static void assert_resident(void *memory, size_t size)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char pages[PAGES_MAX + 1];
	uintptr_t first = (uintptr_t)memory / page * page;
	size_t span = (uintptr_t)memory + size - first;
	assert_non_null(memory);
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): the page that it begins on */
	assert_int_equal(mincore((void *)first, span, pages), 0);
	for (size_t i = 0; i < (span + page - 1) / page; i++)
		assert_true(pages[i] & 1);
}

static void test_all_pages_of_what_is_new_are_there(void **state)
{
	(void)state;
	char *memory = touched_realloc(NULL, SIZE);
	assert_resident(memory, SIZE);
	memory[0] = 'a';
	memory[SIZE - 1] = 'z';
	memory = touched_realloc(memory, GROWN);
	assert_resident(memory, GROWN);
	assert_int_equal(memory[0], 'a');
	assert_int_equal(memory[SIZE - 1], 'z');
	memory = touched_realloc(memory, 1);
	assert_int_equal(memory[0], 'a');
	free(memory);
}

static void test_what_is_cleared_is_clear(void **state)
{
	(void)state;
	char *memory = touched_calloc(4, SIZE / 4);
	assert_resident(memory, SIZE);
	for (size_t i = 0; i < SIZE; i++)
		assert_int_equal(memory[i], 0);
	free(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_all_pages_of_what_is_new_are_there),
	    cmocka_unit_test(test_what_is_cleared_is_clear),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
