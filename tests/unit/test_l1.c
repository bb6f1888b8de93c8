/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "cache/breaker.h"
#include "cache/l1.h"
#include "shm/scoreboard.h"
#include "support.h"

static struct cache_key key_of(const char *name)
{
	struct cache_key key;
	cache_key_make(&key, &name, 1);
	return key;
}

static void store_text(struct l1 *l1, const char *name, const char *text, int64_t ttl_ms)
{
	struct cache_key key = key_of(name);
	struct cache_value *value = cache_value_new(text, strlen(text));
	assert_non_null(value);
	l1_store(l1, &key, value, ttl_ms);
	cache_value_unref(value);
}

static enum cache_found look_text(struct l1 *l1, const char *name, char *text, size_t size)
{
	struct cache_key key = key_of(name);
	struct cache_value *value;
	enum cache_found found = l1_lookup(l1, &key, NULL, &value);
	snprintf(text, size, "%s", value != NULL ? value->data : "(none)");
	cache_value_unref(value);
	return found;
}

static void test_keys_differ_by_their_parts(void **state)
{
	(void)state;
	const char *ab_c[] = {"ab", "c"};
	const char *a_bc[] = {"a", "bc"};
	const char *abc[] = {"abc"};
	struct cache_key one, two, three;
	cache_key_make(&one, ab_c, 2);
	cache_key_make(&two, a_bc, 2);
	cache_key_make(&three, abc, 1);
	assert_int_equal(strlen(one.hex), CACHE_KEY_HEX);
	assert_int_equal(strspn(one.hex, "0123456789abcdef"), CACHE_KEY_HEX);
	assert_string_not_equal(one.hex, two.hex);
	assert_string_not_equal(two.hex, three.hex);
	assert_string_not_equal(one.hex, three.hex);
}

static void test_a_value_is_fresh_for_its_time(void **state)
{
	(void)state;
	struct l1 *l1 = l1_new(1 << 20, NULL);
	char text[32];
	store_text(l1, "a", "first", 60000);
	clock_test_shift(50000 * NS_PER_MS);
	assert_int_equal(look_text(l1, "a", text, sizeof(text)), CACHE_HIT);
	assert_string_equal(text, "first");
	clock_test_shift(10000 * NS_PER_MS);
	assert_int_equal(look_text(l1, "a", text, sizeof(text)), CACHE_ELECTED);
	assert_string_equal(text, "first");
	assert_int_equal(look_text(l1, "a", text, sizeof(text)), CACHE_REFRESHING);
	assert_string_equal(text, "first");
	store_text(l1, "a", "second", 250);
	assert_int_equal(look_text(l1, "a", text, sizeof(text)), CACHE_HIT);
	assert_string_equal(text, "second");
	l1_free(l1);
}

static void test_one_thread_is_elected_for_a_missing_value(void **state)
{
	(void)state;
	struct l1 *l1 = l1_new(1 << 20, NULL);
	char text[32];
	struct cache_key key = key_of("a");
	assert_int_equal(look_text(l1, "a", text, sizeof(text)), CACHE_ELECTED);
	assert_int_equal(look_text(l1, "a", text, sizeof(text)), CACHE_GAVE_UP);
	l1_abandon(l1, &key);
	assert_int_equal(look_text(l1, "a", text, sizeof(text)), CACHE_ELECTED);
	l1_store(l1, &key, NULL, 100);
	assert_int_equal(look_text(l1, "a", text, sizeof(text)), CACHE_HIT);
	assert_string_equal(text, "(none)");
	l1_free(l1);
}

static void test_an_abandoned_refresh_keeps_the_old_value(void **state)
{
	(void)state;
	struct l1 *l1 = l1_new(1 << 20, NULL);
	char text[32];
	struct cache_key key = key_of("a");
	store_text(l1, "a", "old", 10);
	clock_test_shift(20 * NS_PER_MS);
	assert_int_equal(look_text(l1, "a", text, sizeof(text)), CACHE_ELECTED);
	l1_abandon(l1, &key);
	assert_int_equal(look_text(l1, "a", text, sizeof(text)), CACHE_ELECTED);
	assert_string_equal(text, "old");
	l1_free(l1);
}

static struct scoreboard *new_board(void)
{
	struct scoreboard *board = NULL;
	assert_int_equal(scoreboard_create(1, &board, NULL), ERR_OK);
	return board;
}

static void test_another_epoch_forgets_what_there_was(void **state)
{
	(void)state;
	struct scoreboard *board = new_board();
	struct l1 *l1 = l1_new(1 << 20, board);
	char text[32];
	store_text(l1, "a", "old", 60000);
	scoreboard_bump_cache_epoch(board);
	assert_int_equal(look_text(l1, "a", text, sizeof(text)), CACHE_ELECTED);
	assert_string_equal(text, "(none)");
	store_text(l1, "a", "new", 60000);
	assert_int_equal(look_text(l1, "a", text, sizeof(text)), CACHE_HIT);
	assert_string_equal(text, "new");
	l1_free(l1);
	scoreboard_free(board);
}

/* What was asked for before may be what is to be forgotten. */
static void test_a_value_that_was_on_its_way_is_forgotten_too(void **state)
{
	(void)state;
	struct scoreboard *board = new_board();
	struct l1 *l1 = l1_new(1 << 20, board);
	char text[32];
	assert_int_equal(look_text(l1, "a", text, sizeof(text)), CACHE_ELECTED);
	scoreboard_bump_cache_epoch(board);
	assert_int_equal(look_text(l1, "a", text, sizeof(text)), CACHE_GAVE_UP);
	store_text(l1, "a", "old", 60000);
	assert_int_equal(look_text(l1, "a", text, sizeof(text)), CACHE_ELECTED);
	assert_string_equal(text, "(none)");
	l1_free(l1);
	scoreboard_free(board);
}

static void test_a_sweep_gives_back_what_is_forgotten(void **state)
{
	(void)state;
	struct scoreboard *board = new_board();
	struct l1 *l1 = l1_new(1 << 20, board);
	char text[32];
	store_text(l1, "a", "old", 60000);
	store_text(l1, "b", "old", 60000);
	assert_int_equal(look_text(l1, "being fetched", text, sizeof(text)), CACHE_ELECTED);
	l1_sweep(l1);
	struct cache_stats stats = {0};
	l1_stats(l1, &stats);
	assert_int_equal(stats.entries, 3);
	scoreboard_bump_cache_epoch(board);
	store_text(l1, "b", "new", 60000);
	l1_sweep(l1);
	stats = (struct cache_stats){0};
	l1_stats(l1, &stats);
	assert_int_equal(stats.entries, 2);
	assert_int_equal(look_text(l1, "b", text, sizeof(text)), CACHE_HIT);
	l1_free(l1);
	scoreboard_free(board);
}

static void test_size_stays_bounded_and_the_unused_goes_first(void **state)
{
	(void)state;
	enum { MAX = 256 * 1024, VALUE = 10 * 1024, COUNT = 200 };
	struct l1 *l1 = l1_new(MAX, NULL);
	char *big = malloc(VALUE);
	assert_non_null(big);
	memset(big, 'x', VALUE);
	char name[32], text[8];
	struct cache_stats stats = {0};
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "key %d", i);
		struct cache_key key = key_of(name);
		struct cache_value *value = cache_value_new(big, VALUE);
		l1_store(l1, &key, value, 60000);
		cache_value_unref(value);
		clock_test_shift(NS_PER_US);
		/* "key 0" is in use all the time. */
		assert_int_equal(look_text(l1, "key 0", text, sizeof(text)), CACHE_HIT);
		stats = (struct cache_stats){0};
		l1_stats(l1, &stats);
		assert_true(stats.bytes <= MAX);
	}
	assert_true(stats.entries >= 20 && stats.entries <= MAX / VALUE);
	assert_int_equal(stats.evictions, COUNT - stats.entries);
	assert_int_equal(look_text(l1, "key 199", text, sizeof(text)), CACHE_HIT);
	assert_int_equal(look_text(l1, "key 1", text, sizeof(text)), CACHE_ELECTED);
	free(big);
	l1_free(l1);
}

static void test_a_value_in_use_outlives_its_eviction(void **state)
{
	(void)state;
	struct l1 *l1 = l1_new(16 * 1024, NULL);
	store_text(l1, "a", "held", 60000);
	struct cache_key key = key_of("a");
	struct cache_value *held;
	assert_int_equal(l1_lookup(l1, &key, NULL, &held), CACHE_HIT);
	char *big = calloc(1, 12 * 1024);
	for (int i = 0; i < 4; i++) {
		char name[16];
		snprintf(name, sizeof(name), "b%d", i);
		struct cache_key other = key_of(name);
		struct cache_value *value = cache_value_new(big, 12 * 1024);
		l1_store(l1, &other, value, 60000);
		cache_value_unref(value);
	}
	char text[8];
	assert_int_equal(look_text(l1, "a", text, sizeof(text)), CACHE_ELECTED);
	assert_string_equal(held->data, "held");
	cache_value_unref(held);
	free(big);
	l1_free(l1);
}

struct flight {
	struct l1 *l1;
	struct cache_key key;
	pthread_barrier_t start;
	_Atomic int elected, served, gave_up;
};

static void *fly(void *arg)
{
	struct flight *f = arg;
	struct deadline deadline = deadline_in_ms(5000);
	struct cache_value *value;
	pthread_barrier_wait(&f->start);
	enum cache_found found = l1_lookup(f->l1, &f->key, &deadline, &value);
	if (found == CACHE_ELECTED) {
		f->elected++;
		test_sleep_ms(50);
		value = cache_value_new("landed", 6);
		l1_store(f->l1, &f->key, value, 60000);
	} else if (found == CACHE_HIT && strcmp(value->data, "landed") == 0) {
		f->served++;
	} else {
		f->gave_up++;
	}
	cache_value_unref(value);
	return NULL;
}

static void test_the_others_wait_for_the_elected_one(void **state)
{
	(void)state;
	enum { THREADS = 16 };
	struct flight f = {.l1 = l1_new(1 << 20, NULL), .key = key_of("flight")};
	pthread_t threads[THREADS];
	pthread_barrier_init(&f.start, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, fly, &f), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&f.start);
	assert_int_equal(f.elected, 1);
	assert_int_equal(f.served, THREADS - 1);
	assert_int_equal(f.gave_up, 0);
	l1_free(f.l1);
}

static void test_a_wait_ends_at_its_deadline(void **state)
{
	(void)state;
	struct l1 *l1 = l1_new(1 << 20, NULL);
	struct cache_key key = key_of("a");
	struct cache_value *value;
	assert_int_equal(l1_lookup(l1, &key, NULL, &value), CACHE_ELECTED);
	struct deadline deadline = deadline_in_ms(60);
	int64_t start = clock_mono_ns();
	assert_int_equal(l1_lookup(l1, &key, &deadline, &value), CACHE_GAVE_UP);
	int64_t took_ms = (clock_mono_ns() - start) / NS_PER_MS;
	assert_null(value);
	assert_true(took_ms >= 55 && took_ms < 2000);
	l1_free(l1);
}

struct churn {
	struct l1 *l1;
	unsigned seed;
	uint64_t lookups;
	_Atomic bool *wrong;
};

/* Values say their key, so that a mixed-up one shows. */
static void *churn(void *arg)
{
	struct churn *c = arg;
	for (int i = 0; i < 4000; i++) {
		char name[32];
		snprintf(name, sizeof(name), "key %d", rand_r(&c->seed) % 300);
		struct cache_key key = key_of(name);
		struct cache_value *value;
		enum cache_found found = l1_lookup(c->l1, &key, NULL, &value);
		c->lookups++;
		if (value != NULL && strcmp(value->data, name) != 0)
			atomic_store(c->wrong, true);
		cache_value_unref(value);
		if (found != CACHE_ELECTED)
			continue;
		value = cache_value_new(NULL, 512);
		if (value == NULL)
			abort();
		snprintf(value->data, 512, "%s", name);
		if (rand_r(&c->seed) % 10 == 0)
			l1_abandon(c->l1, &key);
		else
			l1_store(c->l1, &key, value, rand_r(&c->seed) % 3);
		cache_value_unref(value);
	}
	return NULL;
}

static void test_threads_never_see_another_keys_value(void **state)
{
	(void)state;
	enum { THREADS = 8, MAX = 64 * 1024 };
	_Atomic bool wrong = false;
	struct l1 *l1 = l1_new(MAX, NULL);
	pthread_t threads[THREADS];
	struct churn jobs[THREADS];
	for (unsigned i = 0; i < THREADS; i++) {
		jobs[i] = (struct churn){.l1 = l1, .seed = i + 1, .wrong = &wrong};
		assert_int_equal(pthread_create(&threads[i], NULL, churn, &jobs[i]), 0);
	}
	uint64_t lookups = 0;
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		lookups += jobs[i].lookups;
	}
	struct cache_stats stats = {0};
	l1_stats(l1, &stats);
	assert_false(wrong);
	assert_int_equal(stats.hits + stats.misses, lookups);
	assert_true(stats.evictions > 0);
	assert_true(stats.bytes <= MAX);
	l1_free(l1);
}

static void test_the_breaker_lets_one_probe_through(void **state)
{
	(void)state;
	struct breaker b = {0};
	const int64_t pause = 1000;
	assert_true(breaker_allows(&b, 5000, pause));
	assert_true(breaker_allows(&b, 5000, pause));
	assert_true(breaker_failed(&b, 5000, pause));
	assert_false(breaker_failed(&b, 5000, pause)); /* no news */
	assert_true(breaker_is_open(&b));
	assert_false(breaker_allows(&b, 5999, pause));
	assert_true(breaker_allows(&b, 6000, pause));
	assert_false(breaker_allows(&b, 6000, pause));
	/* A probe that never reports is followed by another. */
	assert_true(breaker_allows(&b, 7000, pause));
	assert_true(breaker_worked(&b));
	assert_false(breaker_worked(&b));
	assert_true(breaker_allows(&b, 7000, pause));
	assert_false(breaker_is_open(&b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_keys_differ_by_their_parts),
	    cmocka_unit_test(test_a_value_is_fresh_for_its_time),
	    cmocka_unit_test(test_one_thread_is_elected_for_a_missing_value),
	    cmocka_unit_test(test_an_abandoned_refresh_keeps_the_old_value),
	    cmocka_unit_test(test_another_epoch_forgets_what_there_was),
	    cmocka_unit_test(test_a_value_that_was_on_its_way_is_forgotten_too),
	    cmocka_unit_test(test_a_sweep_gives_back_what_is_forgotten),
	    cmocka_unit_test(test_size_stays_bounded_and_the_unused_goes_first),
	    cmocka_unit_test(test_a_value_in_use_outlives_its_eviction),
	    cmocka_unit_test(test_the_others_wait_for_the_elected_one),
	    cmocka_unit_test(test_a_wait_ends_at_its_deadline),
	    cmocka_unit_test(test_threads_never_see_another_keys_value),
	    cmocka_unit_test(test_the_breaker_lets_one_probe_through),
	};
	return cmocka_run_group_tests_name("l1", tests, NULL, NULL);
}
