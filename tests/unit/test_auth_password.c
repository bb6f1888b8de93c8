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
#include <sys/resource.h>
#include <time.h>

#include "auth/guessable.h"
#include "auth/password.h"
#include "base/assert.h"
#include "base/clock.h"
#include "support.h"

static struct password_hasher *new_hasher(unsigned at_once, unsigned waiting)
{
	struct password_hasher *hasher;
	struct errmsg why = ERRMSG_INIT;
	assert_int_equal(password_hasher_new(at_once, waiting, &hasher, &why), ERR_OK);
	return hasher;
}

static void test_a_hash_matches_its_password_alone(void **state)
{
	(void)state;
	struct password_hasher *hasher = new_hasher(1, 1);
	struct deadline deadline = deadline_in_ms(60000);
	char hash[PASSWORD_HASH_SIZE];
	bool matches = false;
	assert_int_equal(password_hash(hasher, "correct horse", &deadline, hash, NULL), ERR_OK);
	assert_memory_equal(hash, "$argon2id$v=19$m=65536,t=2,p=1$", 31);
	assert_true(password_hash_known(hash));
	assert_false(password_hash_foreign(hash));
	assert_int_equal(password_verify(hasher, hash, "correct horse", &deadline, &matches, NULL),
			 ERR_OK);
	assert_true(matches);
	assert_int_equal(password_verify(hasher, hash, "correct horsf", &deadline, &matches, NULL),
			 ERR_OK);
	assert_false(matches);
	password_hasher_free(hasher);
}

static void test_a_text_that_is_no_hash_is_an_error(void **state)
{
	(void)state;
	struct password_hasher *hasher = new_hasher(1, 1);
	struct deadline deadline = deadline_in_ms(60000);
	char hash[PASSWORD_HASH_SIZE], broken[PASSWORD_HASH_SIZE + 2];
	bool matches = true;
	assert_int_equal(password_hash(hasher, "correct horse", &deadline, hash, NULL), ERR_OK);
	size_t len = strlen(hash);
	/* Cut off anywhere, continued, and with each of its signs replaced. */
	for (size_t i = 0; i <= len; i++) {
		snprintf(broken, sizeof(broken), "%.*s", (int)i, hash);
		if (i == len)
			snprintf(broken, sizeof(broken), "%sA", hash);
		assert_int_equal(
		    password_verify(hasher, broken, "correct horse", &deadline, &matches, NULL),
		    ERR_INTERNAL);
		assert_true(matches);
	}
	for (const char *at = hash; (at = strpbrk(at, "$=,")) != NULL; at++) {
		snprintf(broken, sizeof(broken), "%s", hash);
		broken[at - hash] = '!';
		assert_int_equal(
		    password_verify(hasher, broken, "correct horse", &deadline, &matches, NULL),
		    ERR_INTERNAL);
		assert_true(matches);
	}
	/* No cost at all, less than Argon2 takes, and more than there can be. */
	static const char *const costs[] = {"m=0,t=2", "m=7,t=2", "m=65536,t=0",
					    "m=99999999999,t=2", "m=65536,t=99999999"};
	for (size_t i = 0; i < sizeof(costs) / sizeof(costs[0]); i++) {
		snprintf(broken, sizeof(broken), "$argon2id$v=19$%s%s", costs[i],
			 strstr(hash, ",p=1$"));
		assert_int_equal(
		    password_verify(hasher, broken, "correct horse", &deadline, &matches, NULL),
		    ERR_INTERNAL);
		assert_true(matches);
	}
	password_hasher_free(hasher);
}

static void test_a_hash_of_the_least_cost_can_be_checked(void **state)
{
	(void)state;
	struct password_hasher *hasher = new_hasher(1, 1);
	struct deadline deadline = deadline_in_ms(60000);
	char hash[PASSWORD_HASH_SIZE], cheap[PASSWORD_HASH_SIZE];
	bool matches = true;
	assert_int_equal(password_hash(hasher, "correct horse", &deadline, hash, NULL), ERR_OK);
	snprintf(cheap, sizeof(cheap), "$argon2id$v=19$m=8,t=1%s", strstr(hash, ",p=1$"));
	assert_int_equal(password_verify(hasher, cheap, "correct horse", &deadline, &matches, NULL),
			 ERR_OK);
	/* The bytes are those that another cost came to. */
	assert_false(matches);
	password_hasher_free(hasher);
}

static void test_a_hasher_leaves_nothing_behind(void **state)
{
	(void)state;
	size_t before = test_heap_bytes();
	for (int i = 0; i < 1000; i++)
		password_hasher_free(new_hasher(1, 1));
	assert_in_range(test_heap_bytes(), 0, before + 64 * 1024);
}

static int64_t cpu_ns(void)
{
	struct timespec used;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return used.tv_sec * NS_PER_S + used.tv_nsec;
}

static int64_t cost_of(struct password_hasher *hasher, const char *hash)
{
	struct deadline deadline = deadline_in_ms(60000);
	bool matches = true;
	int64_t least = INT64_MAX;
	for (int i = 0; i < 3; i++) {
		int64_t start = cpu_ns();
		assert_int_equal(
		    password_verify(hasher, hash, "not this one", &deadline, &matches, NULL),
		    ERR_OK);
		int64_t took = cpu_ns() - start;
		least = took < least ? took : least;
		assert_false(matches);
	}
	return least;
}

static void test_an_unknown_user_costs_the_same_work(void **state)
{
	(void)state;
	struct password_hasher *hasher = new_hasher(1, 1);
	struct deadline deadline = deadline_in_ms(60000);
	char hash[PASSWORD_HASH_SIZE];
	assert_int_equal(password_hash(hasher, "correct horse", &deadline, hash, NULL), ERR_OK);
	int64_t known = cost_of(hasher, hash), unknown = cost_of(hasher, NULL);
	assert_true(unknown > known / 2 && unknown < known * 2);
	password_hasher_free(hasher);
}

struct attempt {
	struct password_hasher *hasher;
	pthread_barrier_t *start;
	int64_t limit_ms;
	enum err err;
};

static void *attempt(void *arg)
{
	struct attempt *a = arg;
	bool matches;
	pthread_barrier_wait(a->start);
	struct deadline deadline = deadline_in_ms(a->limit_ms);
	a->err = password_verify(a->hasher, NULL, "whatever", &deadline, &matches, NULL);
	return NULL;
}

enum { CROWD = 12 };

static void run_crowd(struct password_hasher *hasher, int64_t limit_ms, unsigned results[ERR_COUNT])
{
	pthread_t threads[CROWD];
	struct attempt attempts[CROWD];
	pthread_barrier_t start;
	pthread_barrier_init(&start, NULL, CROWD);
	for (size_t i = 0; i < CROWD; i++) {
		attempts[i] = (struct attempt){hasher, &start, limit_ms, ERR_INTERNAL};
		assert_int_equal(pthread_create(&threads[i], NULL, attempt, &attempts[i]), 0);
	}
	for (size_t i = 0; i < CROWD; i++) {
		pthread_join(threads[i], NULL);
		results[attempts[i].err]++;
	}
	pthread_barrier_destroy(&start);
}

static void test_all_get_a_turn_when_there_is_room_to_wait(void **state)
{
	(void)state;
	struct password_hasher *hasher = new_hasher(2, CROWD);
	unsigned results[ERR_COUNT] = {0};
	run_crowd(hasher, 60000, results);
	assert_int_equal(results[ERR_OK], CROWD);
	password_hasher_free(hasher);
}

static void test_too_many_waiting_are_refused_at_once(void **state)
{
	(void)state;
	struct password_hasher *hasher = new_hasher(1, 1);
	struct deadline deadline = deadline_in_ms(60000);
	unsigned results[ERR_COUNT] = {0};
	bool matches;
	/* A turn that was given back makes no second one. */
	assert_int_equal(password_verify(hasher, NULL, "whatever", &deadline, &matches, NULL),
			 ERR_OK);
	run_crowd(hasher, 60000, results);
	assert_int_equal(results[ERR_OK] + results[ERR_OVERLOADED], CROWD);
	assert_in_range(results[ERR_OVERLOADED], 1, CROWD - 2);
	password_hasher_free(hasher);
}

static void test_waiting_ends_at_the_deadline(void **state)
{
	(void)state;
	struct password_hasher *hasher = new_hasher(1, CROWD);
	unsigned results[ERR_COUNT] = {0};
	run_crowd(hasher, 1, results);
	assert_int_equal(results[ERR_OK] + results[ERR_TIMEOUT], CROWD);
	assert_in_range(results[ERR_TIMEOUT], 1, CROWD);
	/* Nobody took a turn away. */
	struct deadline deadline = deadline_in_ms(60000);
	bool matches;
	assert_int_equal(password_verify(hasher, NULL, "x", &deadline, &matches, NULL), ERR_OK);
	password_hasher_free(hasher);
}

static void test_hashing_waits_for_its_turn_too(void **state)
{
	(void)state;
	struct password_hasher *hasher = new_hasher(1, 0);
	struct deadline passed = deadline_in_ms(-1), enough = deadline_in_ms(60000);
	char hash[PASSWORD_HASH_SIZE] = "untouched";
	struct attempt attempt_at_once = {.hasher = hasher, .limit_ms = 60000};
	pthread_barrier_t start;
	pthread_t thread;
	/* One hash is under way for about as long as this thread needs to be refused. */
	enum err err = ERR_OK;
	for (int i = 0; i < 20 && err == ERR_OK; i++) {
		pthread_barrier_init(&start, NULL, 2);
		attempt_at_once.start = &start;
		assert_int_equal(pthread_create(&thread, NULL, attempt, &attempt_at_once), 0);
		pthread_barrier_wait(&start);
		nanosleep(&(struct timespec){.tv_nsec = 5 * NS_PER_MS}, NULL);
		err = password_hash(hasher, "correct horse", &passed, hash, NULL);
		pthread_join(thread, NULL);
		pthread_barrier_destroy(&start);
	}
	assert_int_equal(err, ERR_OVERLOADED);
	assert_int_equal(password_hash(hasher, "correct horse", &enough, hash, NULL), ERR_OK);
	password_hasher_free(hasher);
	password_hasher_free(NULL);
}

#ifndef ZIGGIE_SANITIZED /* a sanitizer can't live without address space */
/* Without room for the 64 MB: all the address space that is left is what there is already. */
static void test_without_memory_nobody_is_let_in_or_turned_away(void **state)
{
	(void)state;
	struct password_hasher *hasher = new_hasher(1, 1);
	struct deadline deadline = deadline_in_ms(60000);
	char hash[PASSWORD_HASH_SIZE], other[PASSWORD_HASH_SIZE];
	bool matches = true;
	struct rlimit before;
	assert_int_equal(password_hash(hasher, "correct horse", &deadline, hash, NULL), ERR_OK);
	assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
	const struct rlimit none = {.rlim_cur = 1, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
	enum err hashing = password_hash(hasher, "correct horse", &deadline, other, NULL);
	enum err checking =
	    password_verify(hasher, hash, "correct horse", &deadline, &matches, NULL);
	assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
	assert_int_equal(hashing, ERR_NOMEM);
	assert_int_equal(checking, ERR_NOMEM);
	assert_true(matches);
	/* Both turns were given back. */
	assert_int_equal(password_verify(hasher, hash, "correct horse", &deadline, &matches, NULL),
			 ERR_OK);
	assert_true(matches);
	password_hasher_free(hasher);
}
#endif

static void test_bad_new_passwords_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"tiny",
					  "ninechars",
					  "AbCdEfGhIj\xff",
					  "qwertyuiop",
					  "QWERTYuiop",
					  "Password123",
					  "correcthorsebatterystaple",
					  "bbbbbbbbbbbb",
					  "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
					  "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9",
					  "some.username",
					  "Some.Username"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct errmsg why = ERRMSG_INIT;
		assert_int_equal(password_acceptable(bad[i], "some.username", &why), ERR_INVALID);
		assert_string_not_equal(why.text, "");
		assert_null(strstr(why.text, bad[i]));
	}
	struct errmsg why = ERRMSG_INIT;
	assert_int_equal(password_acceptable("Some.Username", "some.username", &why), ERR_INVALID);
	assert_string_equal(why.text, "must not be the user's name");
	assert_int_equal(password_acceptable("tenletters", "bob", NULL), ERR_OK);
	/* Ten characters, not ten bytes. */
	assert_int_equal(password_acceptable("\xc3\xa9t\xc3\xa9\xc3\xa9t\xc3\xa9", "bob", NULL),
			 ERR_INVALID);
	char longest[PASSWORD_LEN_MAX + 2];
	for (size_t i = 0; i < sizeof(longest) - 1; i++)
		longest[i] = (char)('a' + i % 26);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(password_acceptable(longest, "bob", NULL), ERR_INVALID);
	longest[PASSWORD_LEN_MAX] = '\0';
	assert_int_equal(password_acceptable(longest, "bob", NULL), ERR_OK);
}

/* The address sanitizer sees it. */
static void test_a_password_is_not_read_beyond_its_end(void **state)
{
	(void)state;
	/* A character of four bytes over and over, and then one of a single byte. */
	char *password = strdup("\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80"
				"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80"
				"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80"
				"a");
	assert_non_null(password);
	assert_int_equal(password_acceptable(password, "bob", NULL), ERR_INVALID);
	free(password);
}

static const struct {
	const char *hash, *password;
} imported[] = {
    {"$2b$04$abcdefghijklmnopqrstuuFkqCYl1sZhFcdBXBznR1I2LdekaY3XO", "old password"},
    {"$2a$04$abcdefghijklmnopqrstuuSVZvE1vhP1hw2ZhiMzDRHO.Pe5f/RYK", "p\xc3\xa9"},
    /* What is behind the 72nd byte counts for nothing, as in the program that made it. */
    {"$2y$05$abcdefghijklmnopqrstuujf8SX2ahXLwp9w/B.Y5XdysS6yR576q",
     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx and more"},
};

static void test_an_imported_hash_matches_its_password_alone(void **state)
{
	(void)state;
	struct password_hasher *h;
	assert_int_equal(password_hasher_new(1, 1, &h, NULL), ERR_OK);
	struct deadline limit = deadline_in_ms(20000);
	for (size_t i = 0; i < sizeof(imported) / sizeof(imported[0]); i++) {
		bool matches = false;
		assert_true(password_hash_known(imported[i].hash));
		assert_true(password_hash_foreign(imported[i].hash));
		assert_int_equal(password_verify(h, imported[i].hash, imported[i].password, &limit,
						 &matches, NULL),
				 ERR_OK);
		assert_true(matches);
		assert_int_equal(
		    password_verify(h, imported[i].hash, "another", &limit, &matches, NULL),
		    ERR_OK);
		assert_false(matches);
	}
	password_hasher_free(h);
}

/* A cost of 31 would keep a processor for days. */
static void test_only_bcrypt_of_a_bearable_cost_is_imported(void **state)
{
	(void)state;
	static const char *const none[] = {
	    "",
	    "plain text",
	    "$2b$04$",
	    "$2b$03$abcdefghijklmnopqrstuuFkqCYl1sZhFcdBXBznR1I2LdekaY3XO",
	    "$2b$15$abcdefghijklmnopqrstuuFkqCYl1sZhFcdBXBznR1I2LdekaY3XO",
	    "$2b$31$abcdefghijklmnopqrstuuFkqCYl1sZhFcdBXBznR1I2LdekaY3XO",
	    "$2x$04$abcdefghijklmnopqrstuuFkqCYl1sZhFcdBXBznR1I2LdekaY3XO",
	    "$2b$0x$abcdefghijklmnopqrstuuFkqCYl1sZhFcdBXBznR1I2LdekaY3XO",
	    "$2b$04$abcdefghijklmnopqrstuuFkqCYl1sZhFcdBXBznR1I2LdekaY3XO.",
	    "$2b$04$abcdefghijklmnopqrstuu!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!",
	    "$5$rounds=1000$salt$x",
	    /* as long as one, with another sign in the place of each that is always there */
	    "!2b$04$abcdefghijklmnopqrstuuFkqCYl1sZhFcdBXBznR1I2LdekaY3XO",
	    "$3b$04$abcdefghijklmnopqrstuuFkqCYl1sZhFcdBXBznR1I2LdekaY3XO",
	    "$2b!04$abcdefghijklmnopqrstuuFkqCYl1sZhFcdBXBznR1I2LdekaY3XO",
	    "$2b$04!abcdefghijklmnopqrstuuFkqCYl1sZhFcdBXBznR1I2LdekaY3XO",
	    "$2b$04$!bcdefghijklmnopqrstuuFkqCYl1sZhFcdBXBznR1I2LdekaY3XO",
	};
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		assert_false(password_hash_known(none[i]));
		assert_false(password_hash_foreign(none[i]));
	}
	assert_true(
	    password_hash_known("$2b$14$abcdefghijklmnopqrstuuFkqCYl1sZhFcdBXBznR1I2LdekaY3XO"));
}

static void test_few_pieces_are_guessed(void **state)
{
	(void)state;
	static const char *const guessed[] = {
	    /* rows, one way and the other, and one after the other */
	    "1234567890", "0987654321", "qwertyuiop", "poiuytrewq", "abcdefghij", "asdfghjkl;",
	    "1qaz2wsx3edc", "1q2w3e4r5t", "q1w2e3r4t5", "zaq12wsxcde3", "qwerty123456",
	    "qwertzuiop1", "azerty12345", "abcd1234efgh",
	    /* again and again */
	    "bbbbbbbbbb!", "1212121212", "x7x7x7x7x7", "abcabcabcabc", "adminadmin", "ziggieziggie",
	    "trustno1trustno1", "aaaaabbbbb12345",
	    /* words, as they are and as they are written */
	    "administrator", "password12", "P@ssw0rd-2024!", "passw0rd123", "letmein1234",
	    "Welcome2024", "changemenow", "iloveyou123", "sunshine123", "secretpassword",
	    "SuperAdmin99", "$ummer2025!", "m1cha3l1985",
	    /* dates, and the user's own name */
	    "24121999!!", "19991224ab", "241299 241299", "some.username1", "s0me.username!",
	    "1990some.username"};
	static const char *const taken[] = {"tenletters",
					    "correct horse",
					    "a long password",
					    "kdH7-mq2Xw",
					    "mein dicker Hund",
					    "07911 235813",
					    "p\xc3\xa4ssw\xc3\xb6rter gut",
					    "\xe6\xbc\xa2\xe5\xad\x97"
					    "\xe3\x81\xae\xe9\x95\xb7\xe3\x81\x84"
					    "\xe8\xa8\x80\xe8\x91\x89\xe3\x81\xa7"
					    "\xe3\x81\x99\xe3\x82\x88"};
	for (size_t i = 0; i < sizeof(guessed) / sizeof(guessed[0]); i++)
		if (!password_is_guessable(guessed[i], "some.username"))
			fail_msg("%s would be taken", guessed[i]);
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		if (password_is_guessable(taken[i], "some.username"))
			fail_msg("%s is refused", taken[i]);
	/* The name counts as a piece only for its user, and a short one not at all.
	 */
	assert_false(password_is_guessable("some.username1", "bob"));
	assert_false(password_is_guessable("mx mx-qzvk", "mx"));
	/* One that is longer than what is looked at is no part of a password. */
	char long_name[200] = "some.username";
	memset(long_name + strlen(long_name), 'x', sizeof(long_name) - strlen(long_name) - 1);
	assert_false(password_is_guessable("some.username1", long_name));
}

/* "kxqzwv" is six pieces, none of them in any list; each case is one from the limit. */
static void test_a_piece_is_as_long_as_it_is(void **state)
{
	(void)state;
	static const struct {
		const char *password;
		bool guessable;
	} cases[] = {
	    {"kxqzw", true},
	    {"kxqzwv", false},
	    /* years from 1900 to 2099, and days with and without one */
	    {"1900kxqz", true},
	    {"2099kxqz", true},
	    {"1899kxqz", false},
	    {"2100kxqz", false},
	    {"19991224kxqz", true},
	    {"19991224kxqzw", false},
	    {"24121999kxqz", true},
	    {"24121999kxqzw", false},
	    {"241299kxqz", true},
	    {"241200kxqz", true},
	    {"241299kxqzw", false},
	    /* a block that is begun again is no block */
	    {"kxqzkxqz", true},
	    {"kxqzkx", false},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (password_is_guessable(cases[i].password, "bob") != cases[i].guessable)
			fail_msg("%s", cases[i].password);
	/* The shortest name that counts, and the longest. */
	assert_true(password_is_guessable("bobkxqz", "bob"));
	assert_false(password_is_guessable("bobkxqz", "rob"));
	unsigned seed = 1;
	char name[129] = "";
	for (size_t i = 0; i < sizeof(name) - 1; i++)
		name[i] = "kxqzwvj"[rand_r(&seed) % 7];
	assert_true(password_is_guessable(name, name));
	assert_false(password_is_guessable(name, "bob"));
}

/* Whatever the bytes are, within the bounds that a sanitizer watches. */
static void test_any_text_can_be_judged(void **state)
{
	(void)state;
	unsigned seed = 1;
	for (int round = 0; round < 3000; round++) {
		char text[140];
		size_t len = (size_t)rand_r(&seed) % sizeof(text);
		for (size_t i = 0; i < len; i++)
			text[i] = "aab1219-/qwe0"[rand_r(&seed) % 13];
		text[len < sizeof(text) ? len : len - 1] = '\0';
		char *exact = strdup(text);
		assert_non_null(exact);
		(void)password_is_guessable(exact, exact);
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_hash_matches_its_password_alone),
	    cmocka_unit_test(test_a_text_that_is_no_hash_is_an_error),
	    cmocka_unit_test(test_an_imported_hash_matches_its_password_alone),
	    cmocka_unit_test(test_only_bcrypt_of_a_bearable_cost_is_imported),
	    cmocka_unit_test(test_a_hash_of_the_least_cost_can_be_checked),
	    cmocka_unit_test(test_a_hasher_leaves_nothing_behind),
	    cmocka_unit_test(test_an_unknown_user_costs_the_same_work),
	    cmocka_unit_test(test_all_get_a_turn_when_there_is_room_to_wait),
	    cmocka_unit_test(test_too_many_waiting_are_refused_at_once),
	    cmocka_unit_test(test_waiting_ends_at_the_deadline),
	    cmocka_unit_test(test_hashing_waits_for_its_turn_too),
#ifndef ZIGGIE_SANITIZED
	    cmocka_unit_test(test_without_memory_nobody_is_let_in_or_turned_away),
#endif
	    cmocka_unit_test(test_bad_new_passwords_are_refused),
	    cmocka_unit_test(test_a_password_is_not_read_beyond_its_end),
	    cmocka_unit_test(test_few_pieces_are_guessed),
	    cmocka_unit_test(test_a_piece_is_as_long_as_it_is),
	    cmocka_unit_test(test_any_text_can_be_judged),
	};
	return cmocka_run_group_tests_name("auth_password", tests, NULL, NULL);
}
