/* What decides who may come in, while the libraries under it and the memory give way. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <crypt.h>
#include <errno.h>
#include <string.h>

#include "auth/auth.h"
#include "auth/password.h"
#include "base/assert.h"
#include "faults.h"

static const char imported[] = "$2b$04$abcdefghijklmnopqrstuuFkqCYl1sZhFcdBXBznR1I2LdekaY3XO";

/* ---- the libraries' own refusals ---- */

static bool sodium_refuses;

int __real_sodium_init(void);
int __wrap_sodium_init(void);
int __wrap_sodium_init(void)
{
	return sodium_refuses ? -1 : __real_sodium_init();
}

/* What crypt_r() answers instead, when told. */
static struct {
	bool is_told;
	const char *answer;
} told;

char *__real_crypt_r(const char *password, const char *setting, struct crypt_data *data);
char *__wrap_crypt_r(const char *password, const char *setting, struct crypt_data *data);
char *__wrap_crypt_r(const char *password, const char *setting, struct crypt_data *data)
{
	if (!told.is_told)
		return __real_crypt_r(password, setting, data);
	if (told.answer == NULL)
		return NULL;
	memcpy(data->output, told.answer, strlen(told.answer) + 1);
	return data->output;
}

/* ---- */

/* Without a database: every token is one that it knows. */
static enum err load(void *context, enum token_kind kind, const uint8_t digest[TOKEN_DIGEST_LEN],
		     const struct deadline *deadline, struct principal *out, struct errmsg *why)
{
	(void)kind, (void)digest, (void)deadline, (void)why;
	unsigned *reads = context;
	++*reads;
	*out = (struct principal){.role = ROLE_USER, .expires_us = INT64_MAX};
	return ERR_OK;
}

static enum err start(unsigned *reads, struct auth **out, struct errmsg *why)
{
	const struct auth_config config = {.load = load,
					   .load_context = reads,
					   .cache_ttl_ms = 20000,
					   .cache_size = 64,
					   .password_hashes = 1,
					   .password_waiting = 1};
	return auth_new(&config, out, why);
}

static void fail_allocation(unsigned number)
{
	fault_arm(&(struct fault){FAULT_MEMORY, ENOMEM, number, FAULT_ONCE});
}

/* A start has several allocations, and takes none of them with it when one fails. */
static void test_a_start_without_memory_leaves_nothing(void **state)
{
	(void)state;
	unsigned reads = 0, number = 0, calls;
	enum err err;
	do {
		struct auth *auth = NULL;
		struct errmsg why = ERRMSG_INIT;
		size_t heap = fault_heap_bytes();
		fail_allocation(++number);
		err = start(&reads, &auth, &why);
		calls = fault_lift();
		if (calls >= number) {
			assert_int_equal(err, ERR_NOMEM);
			assert_string_not_equal(why.text, "");
			assert_null(auth);
		}
		auth_free(auth);
		assert_int_equal(fault_heap_bytes(), heap);
	} while (calls >= number);
	assert_int_equal(err, ERR_OK);
	assert_in_range(number, 4, 20);
}

static void test_no_start_without_random_numbers(void **state)
{
	(void)state;
	unsigned reads = 0;
	struct auth *auth = NULL;
	struct password_hasher *hasher = NULL;
	struct errmsg why = ERRMSG_INIT;
	sodium_refuses = true;
	enum err starting = start(&reads, &auth, &why);
	enum err hashing = password_hasher_new(1, 1, &hasher, NULL);
	sodium_refuses = false;
	assert_int_equal(starting, ERR_INTERNAL);
	assert_string_not_equal(why.text, "");
	assert_int_equal(hashing, ERR_INTERNAL);
	assert_null(auth);
	assert_null(hasher);
}

static void test_a_token_is_asked_for_once_more_when_there_is_memory(void **state)
{
	(void)state;
	unsigned reads = 0;
	struct auth *auth;
	struct principal principal;
	struct errmsg why = ERRMSG_INIT;
	char token[TOKEN_TEXT_SIZE];
	uint8_t digest[TOKEN_DIGEST_LEN];
	const struct deadline enough = deadline_in_ms(60000);
	assert_int_equal(start(&reads, &auth, NULL), ERR_OK);
	token_mint(TOKEN_SESSION, token, digest);
	const struct credential given = {TOKEN_SESSION, token, strlen(token)};
	fail_allocation(1);
	enum err err = auth_check(auth, &given, &enough, true, &principal, &why);
	assert_int_equal(fault_lift(), 1);
	assert_int_equal(err, ERR_NOMEM);
	assert_string_not_equal(why.text, "");
	assert_int_equal(reads, 0);
	assert_int_equal(auth_check(auth, &given, &enough, true, &principal, NULL), ERR_OK);
	assert_int_equal(reads, 1);
	auth_free(auth);
}

/* ---- imported passwords ---- */

static enum err verify(struct password_hasher *hasher, bool *matches, struct errmsg *why)
{
	const struct deadline enough = deadline_in_ms(60000);
	return password_verify(hasher, imported, "old password", &enough, matches, why);
}

static void expect_a_match(struct password_hasher *hasher)
{
	bool matches = false;
	assert_int_equal(verify(hasher, &matches, NULL), ERR_OK);
	assert_true(matches);
}

/* Nobody is told that the password is wrong; and the turn was given back. */
static void test_an_imported_hash_waits_for_memory(void **state)
{
	(void)state;
	struct password_hasher *hasher;
	struct errmsg why = ERRMSG_INIT;
	bool matches = true;
	assert_int_equal(password_hasher_new(1, 1, &hasher, NULL), ERR_OK);
	fail_allocation(1);
	enum err err = verify(hasher, &matches, &why);
	assert_in_range(fault_lift(), 1, UINT32_MAX);
	assert_int_equal(err, ERR_NOMEM);
	assert_string_not_equal(why.text, "");
	assert_true(matches);
	expect_a_match(hasher);
	password_hasher_free(hasher);
}

static enum err verify_told(struct password_hasher *hasher, const char *answer, bool *matches,
			    struct errmsg *why)
{
	told.is_told = true;
	told.answer = answer;
	enum err err = verify(hasher, matches, why);
	told.is_told = false;
	return err;
}

/* crypt(3): NULL, or a text that begins with '*', when it can't make a hash. */
static void test_an_imported_hash_that_the_library_refuses_is_an_error(void **state)
{
	(void)state;
	static const char *const refusals[] = {NULL, "", "*0", "*1"};
	struct password_hasher *hasher;
	assert_int_equal(password_hasher_new(1, 1, &hasher, NULL), ERR_OK);
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		struct errmsg why = ERRMSG_INIT;
		bool matches = true;
		assert_int_equal(verify_told(hasher, refusals[i], &matches, &why), ERR_INTERNAL);
		assert_string_not_equal(why.text, "");
		assert_true(matches);
	}
	expect_a_match(hasher);
	password_hasher_free(hasher);
}

static void test_a_hash_of_another_length_does_not_match(void **state)
{
	(void)state;
	static const char *const others[] = {
	    "$2b$04$abcdefghijklmnopqrstuuFkqCYl1sZhFcdBXBznR1I2LdekaY3X",
	    "$2b$04$abcdefghijklmnopqrstuuFkqCYl1sZhFcdBXBznR1I2LdekaY3XO."};
	struct password_hasher *hasher;
	assert_int_equal(password_hasher_new(1, 1, &hasher, NULL), ERR_OK);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		bool matches = true;
		assert_int_equal(verify_told(hasher, others[i], &matches, NULL), ERR_OK);
		assert_false(matches);
	}
	password_hasher_free(hasher);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_start_without_memory_leaves_nothing),
	    cmocka_unit_test(test_no_start_without_random_numbers),
	    cmocka_unit_test(test_a_token_is_asked_for_once_more_when_there_is_memory),
	    cmocka_unit_test(test_an_imported_hash_waits_for_memory),
	    cmocka_unit_test(test_an_imported_hash_that_the_library_refuses_is_an_error),
	    cmocka_unit_test(test_a_hash_of_another_length_does_not_match),
	};
	return cmocka_run_group_tests_name("faults_auth", tests, NULL, NULL);
}
