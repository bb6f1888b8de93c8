/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "auth/principal.h"
#include "auth/token.h"
#include "auth/token_cache.h"
#include "base/assert.h"
#include "base/clock.h"

enum { VALUE_MAX = 512 }; /* what the token cache takes at most */

static void test_minted_tokens_are_well_formed_and_differ(void **state)
{
	(void)state;
	char first[TOKEN_TEXT_SIZE], second[TOKEN_TEXT_SIZE];
	uint8_t first_digest[TOKEN_DIGEST_LEN], second_digest[TOKEN_DIGEST_LEN];
	token_mint(TOKEN_SESSION, first, first_digest);
	token_mint(TOKEN_SESSION, second, second_digest);
	assert_int_equal(strlen(first), TOKEN_TEXT_LEN);
	assert_true(token_well_formed(TOKEN_SESSION, first, strlen(first)));
	assert_string_not_equal(first, second);
	assert_memory_not_equal(first_digest, second_digest, TOKEN_DIGEST_LEN);
}

static void test_digest_is_the_sha256_of_the_text(void **state)
{
	(void)state;
	static const uint8_t of_abc[TOKEN_DIGEST_LEN] = {
	    0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
	    0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
	    0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
	uint8_t digest[TOKEN_DIGEST_LEN];
	token_digest("abc", 3, digest);
	assert_memory_equal(digest, of_abc, TOKEN_DIGEST_LEN);
}

static void test_other_texts_are_no_tokens(void **state)
{
	(void)state;
	char text[TOKEN_TEXT_SIZE + 1];
	uint8_t digest[TOKEN_DIGEST_LEN];
	token_mint(TOKEN_SESSION, text, digest);
	assert_false(token_well_formed(TOKEN_SESSION, text, TOKEN_TEXT_LEN - 1));
	text[TOKEN_TEXT_LEN] = 'a';
	assert_false(token_well_formed(TOKEN_SESSION, text, TOKEN_TEXT_LEN + 1));
	text[10] = '+';
	assert_false(token_well_formed(TOKEN_SESSION, text, TOKEN_TEXT_LEN));
	/* Each class of base64url up to its ends, and the characters beside them. */
	for (const char *at = "azAZ09-_"; *at != '\0'; at++) {
		text[10] = *at;
		assert_true(token_well_formed(TOKEN_SESSION, text, TOKEN_TEXT_LEN));
	}
	for (const char *at = "`{@[/:,.^+=\xff"; *at != '\0'; at++) {
		text[10] = *at;
		assert_false(token_well_formed(TOKEN_SESSION, text, TOKEN_TEXT_LEN));
	}
	text[10] = 'a';
	text[TOKEN_TEXT_LEN - 1] = '=';
	assert_false(token_well_formed(TOKEN_SESSION, text, TOKEN_TEXT_LEN));
	text[TOKEN_TEXT_LEN - 1] = 'a';
	text[4] = '=';
	assert_false(token_well_formed(TOKEN_SESSION, text, TOKEN_TEXT_LEN));
	text[4] = 'a';
	assert_true(token_well_formed(TOKEN_SESSION, text, TOKEN_TEXT_LEN));
	for (size_t i = 0; i < strlen("zgt_"); i++) {
		text[i] = 'Z';
		assert_false(token_well_formed(TOKEN_SESSION, text, TOKEN_TEXT_LEN));
		text[i] = "zgt_"[i];
		assert_true(token_well_formed(TOKEN_SESSION, text, TOKEN_TEXT_LEN));
	}
	assert_false(token_well_formed(TOKEN_SESSION, "", 0));
}

static void test_a_key_is_no_token(void **state)
{
	(void)state;
	char token[TOKEN_TEXT_SIZE], key[TOKEN_TEXT_SIZE];
	uint8_t digest[TOKEN_DIGEST_LEN], again[TOKEN_DIGEST_LEN];
	token_mint(TOKEN_SESSION, token, digest);
	token_mint(TOKEN_KEY, key, digest);
	assert_int_equal(strlen(key), KEY_TEXT_LEN);
	assert_memory_equal(key, "zk_", 3);
	token_digest(key, KEY_TEXT_LEN, again);
	assert_memory_equal(digest, again, sizeof(digest));
	assert_true(token_well_formed(TOKEN_KEY, key, KEY_TEXT_LEN));
	assert_false(token_well_formed(TOKEN_KEY, key, KEY_TEXT_LEN - 1));
	assert_false(token_well_formed(TOKEN_SESSION, key, KEY_TEXT_LEN));
	assert_false(token_well_formed(TOKEN_KEY, token, TOKEN_TEXT_LEN));
}

static void test_role_names_go_both_ways(void **state)
{
	(void)state;
	for (int role = ROLE_READONLY; role <= ROLE_ADMIN; role++)
		assert_int_equal(role_parse(role_name((enum role)role)), role);
	assert_int_equal(role_parse("none"), ROLE_NONE);
	assert_int_equal(role_parse("Admin"), ROLE_NONE);
}

static void test_cache_returns_what_was_put_last(void **state)
{
	(void)state;
	struct token_cache *cache = token_cache_new(64, 100);
	struct token_key key = {{42, 43}}, other = {{42, 44}}, third = {{41, 43}};
	char in[100] = "first", out[100];
	assert_false(token_cache_get(cache, &key, out));
	token_cache_put(cache, &key, in);
	assert_int_equal(token_cache_count(cache), 1);
	memcpy(in, "second", 7);
	in[99] = 'x';
	token_cache_put(cache, &key, in);
	assert_true(token_cache_get(cache, &key, out));
	assert_memory_equal(out, in, sizeof(in));
	assert_false(token_cache_get(cache, &other, out));
	assert_false(token_cache_get(cache, &third, out));
	assert_int_equal(token_cache_count(cache), 1);
	token_cache_remove(cache, &other);
	assert_true(token_cache_get(cache, &key, out));
	token_cache_remove(cache, &key);
	assert_false(token_cache_get(cache, &key, out));
	assert_int_equal(token_cache_count(cache), 0);
	/* The key that entries have which were never written. */
	token_cache_remove(cache, &(struct token_key){{0, 0}});
	assert_int_equal(token_cache_count(cache), 0);
	token_cache_free(cache);
	token_cache_free(NULL);
}

static void test_cache_is_bounded_and_forgets_the_oldest(void **state)
{
	(void)state;
	struct token_cache *cache = token_cache_new(8, sizeof(uint64_t)); /* a single set */
	uint64_t value;
	for (uint64_t i = 1; i <= 8; i++)
		token_cache_put(cache, &(struct token_key){{i << 40, i}}, &i);
	value = 100;
	token_cache_put(cache, &(struct token_key){{UINT64_C(1) << 40, 1}}, &value);
	value = 9;
	token_cache_put(cache, &(struct token_key){{UINT64_C(9) << 40, 9}}, &value);
	assert_int_equal(token_cache_count(cache), 8);
	assert_false(token_cache_get(cache, &(struct token_key){{UINT64_C(2) << 40, 2}}, &value));
	assert_true(token_cache_get(cache, &(struct token_key){{UINT64_C(1) << 40, 1}}, &value));
	assert_int_equal(value, 100);
	/* Removing one that is not there takes nobody else's place. */
	token_cache_remove(cache, &(struct token_key){{UINT64_C(2) << 40, 2}});
	assert_int_equal(token_cache_count(cache), 8);
	token_cache_free(cache);
}

static void test_cache_keeps_values_of_any_size_whole(void **state)
{
	(void)state;
	const struct token_key key = {{1, 1}}, other = {{2, 2}};
	char value[VALUE_MAX], another[VALUE_MAX], out[VALUE_MAX];
	memset(value, 'v', sizeof(value));
	memset(another, 'a', sizeof(another));
	for (size_t size = 1; size <= VALUE_MAX; size++) {
		struct token_cache *cache = token_cache_new(8, size);
		assert_non_null(cache);
		token_cache_put(cache, &key, value);
		token_cache_put(cache, &other, another);
		memset(out, '-', sizeof(out));
		assert_true(token_cache_get(cache, &key, out));
		assert_memory_equal(out, value, size);
		token_cache_free(cache);
	}
}

static const struct token_key wanted_by_all = {{5, 5}};

/* Threads that write one entry and threads that read it, until they are stopped. */
struct crowd {
	struct token_cache *cache;
	_Atomic bool stop;
	_Atomic uint64_t writes, reads, torn, missed;
};

/* A value is one number over and over, and no number comes twice. */
static void write_number(struct crowd *c)
{
	uint64_t value[VALUE_MAX / sizeof(uint64_t)];
	uint64_t number = atomic_fetch_add(&c->writes, 1);
	for (size_t i = 0; i < ARRAY_LEN(value); i++)
		value[i] = number;
	token_cache_put(c->cache, &wanted_by_all, value);
}

static void *keep_writing(void *arg)
{
	struct crowd *c = arg;
	while (!atomic_load(&c->stop))
		write_number(c);
	return NULL;
}

static void *keep_reading(void *arg)
{
	struct crowd *c = arg;
	uint64_t value[VALUE_MAX / sizeof(uint64_t)];
	for (; !atomic_load(&c->stop); atomic_fetch_add(&c->reads, 1)) {
		if (!token_cache_get(c->cache, &wanted_by_all, value)) {
			atomic_fetch_add(&c->missed, 1);
			continue;
		}
		for (size_t i = 1; i < ARRAY_LEN(value); i++) {
			if (value[i] != value[0])
				atomic_fetch_add(&c->torn, 1);
		}
	}
	return NULL;
}

static void test_cache_never_shows_a_value_half_written(void **state)
{
	(void)state;
	struct crowd crowd = {.cache = token_cache_new(8, VALUE_MAX)};
	pthread_t threads[4];
	assert_non_null(crowd.cache);
	write_number(&crowd);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						i % 2 == 0 ? keep_writing : keep_reading, &crowd),
				 0);
	nanosleep(&(struct timespec){.tv_nsec = 300 * NS_PER_MS}, NULL);
	atomic_store(&crowd.stop, true);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(crowd.torn, 0);
	assert_int_equal(crowd.missed, 0);
	assert_true(crowd.writes > 1 && crowd.reads > 0);
	token_cache_free(crowd.cache);
}

static void test_cache_spreads_keys_over_all_sets(void **state)
{
	(void)state;
	struct token_cache *cache = token_cache_new(1000, sizeof(uint64_t));
	for (uint64_t i = 0; i < 100000; i++) {
		uint64_t mixed = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
		token_cache_put(cache, &(struct token_key){{mixed, i}}, &i);
	}
	assert_int_equal(token_cache_count(cache), 1000);
	token_cache_free(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_minted_tokens_are_well_formed_and_differ),
	    cmocka_unit_test(test_digest_is_the_sha256_of_the_text),
	    cmocka_unit_test(test_other_texts_are_no_tokens),
	    cmocka_unit_test(test_a_key_is_no_token),
	    cmocka_unit_test(test_role_names_go_both_ways),
	    cmocka_unit_test(test_cache_returns_what_was_put_last),
	    cmocka_unit_test(test_cache_is_bounded_and_forgets_the_oldest),
	    cmocka_unit_test(test_cache_keeps_values_of_any_size_whole),
	    cmocka_unit_test(test_cache_never_shows_a_value_half_written),
	    cmocka_unit_test(test_cache_spreads_keys_over_all_sets),
	};
	return cmocka_run_group_tests_name("auth_token", tests, NULL, NULL);
}
