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

#include "base/clock.h"
#include "base/uuid.h"

enum { THREADS = 4, IDS_EACH = 20000 };

static void test_version_variant_and_time(void **state)
{
	(void)state;
	int64_t before = clock_wall_us() / US_PER_MS;
	struct uuid id;
	uuid_new(&id);
	int64_t after = clock_wall_us() / US_PER_MS;
	assert_int_equal(id.bytes[6] >> 4, 7);
	assert_int_equal(id.bytes[8] >> 6, 2);
	int64_t ms = 0;
	for (int i = 0; i < 6; i++)
		ms = ms << 8 | id.bytes[i];
	assert_in_range(ms, before, after);
}

static void test_ids_ascend_within_a_millisecond(void **state)
{
	(void)state;
	struct uuid last, id;
	uuid_new(&last);
	for (int i = 0; i < 50000; i++) {
		uuid_new(&id);
		assert_true(memcmp(&last, &id, sizeof(id)) < 0);
		last = id;
	}
}

static void test_ids_ascend_when_the_clock_steps_back(void **state)
{
	(void)state;
	struct uuid before, after;
	uuid_new(&before);
	clock_test_shift(-60 * NS_PER_S);
	uuid_new(&after);
	clock_test_shift(60 * NS_PER_S);
	assert_true(memcmp(&before, &after, sizeof(after)) < 0);
}

static void *make_many(void *arg)
{
	struct uuid *ids = arg;
	for (int i = 0; i < IDS_EACH; i++)
		uuid_new(&ids[i]);
	return NULL;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct uuid));
}

static void test_threads_never_make_the_same(void **state)
{
	(void)state;
	struct uuid *ids = calloc(THREADS * IDS_EACH, sizeof(*ids));
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, make_many, ids + i * IDS_EACH);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	qsort(ids, THREADS * IDS_EACH, sizeof(*ids), compare);
	for (int i = 1; i < THREADS * IDS_EACH; i++)
		/* Without the random tail: time and count alone differ. */
		assert_true(memcmp(&ids[i - 1], &ids[i], 8) < 0);
	free(ids);
}

static void test_text_and_back(void **state)
{
	(void)state;
	static const char text[] = "0190a5c3-7b1e-7f00-8c11-0123456789ab";
	static const uint8_t bytes[16] = {0x01, 0x90, 0xa5, 0xc3, 0x7b, 0x1e, 0x7f, 0x00,
					  0x8c, 0x11, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab};
	struct uuid id;
	assert_true(uuid_parse(text, &id));
	assert_memory_equal(id.bytes, bytes, sizeof(bytes));
	assert_true(uuid_parse("0190A5C3-7B1E-7F00-8C11-0123456789AB", &id));
	char out[UUID_TEXT_MAX];
	uuid_format(&id, out);
	assert_string_equal(out, text);
}

static void test_other_text_is_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"",
					  "0190a5c3",
					  "0190a5c3-7b1e-7f00-8c11-0123456789a",
					  "0190a5c3-7b1e-7f00-8c11-0123456789abc",
					  "0190a5c37b1e7f008c110123456789ab",
					  "{190a5c3-7b1e-7f00-8c11-0123456789ab",
					  "0190a5c3-7b1e-7f00-8c11_0123456789ab",
					  "0190a5c3-7b1e-7f00-8c11-0123456789ag",
					  " 190a5c3-7b1e-7f00-8c11-0123456789ab"};
	struct uuid untouched;
	memset(&untouched, 7, sizeof(untouched));
	struct uuid id = untouched;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(uuid_parse(bad[i], &id));
		assert_memory_equal(&id, &untouched, sizeof(id));
	}
}

static void test_nil_is_no_id_that_was_made(void **state)
{
	(void)state;
	struct uuid id = {{0}};
	assert_true(uuid_is_nil(&id));
	id.bytes[15] = 1;
	assert_false(uuid_is_nil(&id));
	uuid_new(&id);
	assert_false(uuid_is_nil(&id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_version_variant_and_time),
	    cmocka_unit_test(test_ids_ascend_within_a_millisecond),
	    cmocka_unit_test(test_ids_ascend_when_the_clock_steps_back),
	    cmocka_unit_test(test_threads_never_make_the_same),
	    cmocka_unit_test(test_text_and_back),
	    cmocka_unit_test(test_other_text_is_refused),
	    cmocka_unit_test(test_nil_is_no_id_that_was_made),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
