/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/auth.h"
#include "base/clock.h"
#include "base/io.h"
#include "conf/conf.h"
#include "shm/scoreboard.h"

/* Long, so that only a shifted clock ends it. */
enum { TTL_MS = 20000, GRACE_MS = 600000, NEAR_MS = 5000, CACHE_SIZE = 64, CROWD = 8 };

/* A database with one answer for all tokens, that counts how often it is asked. */
struct database {
	_Atomic unsigned reads;
	_Atomic int answer; /* enum err */
	_Atomic int64_t delay_ms;
	_Atomic unsigned crowd;   /* the next read ends when so many wait for its answer */
	_Atomic unsigned hang_up; /* this many reads end with ERR_CANCELLED */
	int64_t expires_us;       /* 0 for an hour from now */
	bool keys;                /* the tokens are API keys */
	int64_t key_used_us;      /* when their use was noted last */
	struct auth *revokes;     /* a revocation comes while it is asked */
};

static void sleep_ms(int64_t ms)
{
	usleep((useconds_t)(ms * 1000));
}

/* How many threads wait for another's answer. */
static _Atomic unsigned waiting;

int __real_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *lock,
				  const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *lock,
				  const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *lock,
				  const struct timespec *until)
{
	atomic_fetch_add(&waiting, 1);
	int result = __real_pthread_cond_timedwait(condition, lock, until);
	atomic_fetch_sub(&waiting, 1);
	return result;
}

/* Or until the test fails for want of them. */
static void wait_until_waiting(unsigned threads)
{
	for (unsigned i = 0; i < 20000 && atomic_load(&waiting) < threads; i++)
		sleep_ms(1);
}

static enum err check_token(struct auth *a, const char *token, const struct deadline *deadline,
			    bool grace, struct principal *out, struct errmsg *why)
{
	const struct credential given = {TOKEN_SESSION, token, strlen(token)};
	return auth_check(a, &given, deadline, grace, out, why);
}

static enum err load(void *context, enum token_kind kind, const uint8_t digest[TOKEN_DIGEST_LEN],
		     const struct deadline *deadline, struct principal *out, struct errmsg *why)
{
	(void)kind;
	struct database *db = context;
	enum err answer = (enum err)atomic_load(&db->answer);
	atomic_fetch_add(&db->reads, 1);
	int64_t delay = atomic_load(&db->delay_ms), left = deadline_left_ms(deadline);
	sleep_ms(delay < left ? delay : left);
	wait_until_waiting(atomic_exchange(&db->crowd, 0));
	if (db->revokes != NULL)
		auth_revoked(db->revokes);
	if (deadline_passed(deadline))
		return err_set(why, ERR_TIMEOUT, "the time is up");
	if (atomic_load(&db->hang_up) > 0) {
		atomic_fetch_sub(&db->hang_up, 1);
		return err_set(why, ERR_CANCELLED, "the client has gone");
	}
	if (answer != ERR_OK)
		return err_set(why, answer, "no answer");
	*out = (struct principal){.role = ROLE_USER, .expires_us = db->expires_us};
	if (db->expires_us == 0)
		out->expires_us = clock_wall_us() + 3600 * US_PER_S;
	/* A whole principal, so that a torn one shows. */
	for (size_t i = 0; i < sizeof(out->username) - 1; i++)
		out->username[i] = (char)('a' + digest[0] % 26);
	memcpy(out->user_id.bytes, digest, sizeof(out->user_id.bytes));
	if (db->keys)
		memcpy(out->key_id.bytes, digest, sizeof(out->key_id.bytes));
	out->key_used_us = db->key_used_us;
	return ERR_OK;
}

struct fixture {
	struct database db;
	struct auth *auth;
	char token[TOKEN_TEXT_SIZE];
	int64_t shifted;
};

static struct auth *new_auth(struct database *db, int64_t ttl_ms)
{
	const struct auth_config config = {
	    .load = load,
	    .load_context = db,
	    .cache_ttl_ms = ttl_ms,
	    .grace_ms = GRACE_MS,
	    .cache_size = CACHE_SIZE,
	    .password_hashes = 1,
	    .password_waiting = 1,
	};
	struct auth *auth;
	struct errmsg why = ERRMSG_INIT;
	assert_int_equal(auth_new(&config, &auth, &why), ERR_OK);
	return auth;
}

static void mint(char token[TOKEN_TEXT_SIZE])
{
	uint8_t digest[TOKEN_DIGEST_LEN];
	token_mint(TOKEN_SESSION, token, digest);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	f->auth = new_auth(&f->db, TTL_MS);
	mint(f->token);
	*state = f;
	return 0;
}

static void advance_ms(struct fixture *f, int64_t ms)
{
	clock_test_shift(ms * NS_PER_MS);
	f->shifted += ms * NS_PER_MS;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	clock_test_shift(-f->shifted);
	auth_free(f->auth);
	free(f);
	return 0;
}

static enum err ask(struct fixture *f, const char *token, bool grace)
{
	struct principal principal;
	struct deadline deadline = deadline_in_ms(5000);
	return check_token(f->auth, token, &deadline, grace, &principal, NULL);
}

static void test_a_token_is_read_once_per_ttl(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(ask(f, f->token, false), ERR_OK);
	assert_int_equal(f->db.reads, 1);
	advance_ms(f, TTL_MS + 1);
	for (int i = 0; i < 100; i++)
		assert_int_equal(ask(f, f->token, false), ERR_OK);
	assert_int_equal(f->db.reads, 2);
}

static void test_without_a_ttl_every_request_reads(void **state)
{
	struct fixture *f = *state;
	auth_free(f->auth);
	f->auth = new_auth(&f->db, 0);
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(ask(f, f->token, false), ERR_OK);
		assert_int_equal(f->db.reads, i);
	}
}

static void test_the_principal_is_the_token_owner(void **state)
{
	struct fixture *f = *state;
	struct principal principal;
	struct deadline deadline = deadline_in_ms(5000);
	uint8_t digest[TOKEN_DIGEST_LEN];
	token_digest(f->token, strlen(f->token), digest);
	for (int i = 0; i < 2; i++) {
		memset(&principal, 0, sizeof(principal));
		assert_int_equal(check_token(f->auth, f->token, &deadline, false, &principal, NULL),
				 ERR_OK);
		assert_memory_equal(&principal.user_id, digest, sizeof(principal.user_id));
		assert_int_equal(principal.role, ROLE_USER);
		assert_int_equal(strlen(principal.username), sizeof(principal.username) - 1);
	}
}

static void test_a_revocation_makes_every_token_read_again(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(ask(f, f->token, false), ERR_OK);
	f->db.answer = ERR_UNAUTHORIZED;
	assert_int_equal(ask(f, f->token, false), ERR_OK);
	auth_revoked(f->auth);
	assert_int_equal(ask(f, f->token, false), ERR_UNAUTHORIZED);
	assert_int_equal(f->db.reads, 2);
}

static void test_unknown_tokens_are_remembered_too(void **state)
{
	struct fixture *f = *state;
	f->db.answer = ERR_UNAUTHORIZED;
	for (int i = 0; i < 100; i++)
		assert_int_equal(ask(f, f->token, false), ERR_UNAUTHORIZED);
	assert_int_equal(f->db.reads, 1);
	f->db.answer = ERR_OK;
	advance_ms(f, TTL_MS + 1);
	assert_int_equal(ask(f, f->token, false), ERR_OK);
}

static void test_unknown_tokens_do_not_push_out_known_ones(void **state)
{
	struct fixture *f = *state;
	char unknown[TOKEN_TEXT_SIZE];
	assert_int_equal(ask(f, f->token, false), ERR_OK);
	f->db.answer = ERR_UNAUTHORIZED;
	for (int i = 0; i < CACHE_SIZE * 20; i++) {
		mint(unknown);
		assert_int_equal(ask(f, unknown, false), ERR_UNAUTHORIZED);
	}
	assert_int_equal(f->db.reads, 1 + CACHE_SIZE * 20);
	assert_int_equal(ask(f, f->token, false), ERR_OK);
	assert_int_equal(f->db.reads, 1 + CACHE_SIZE * 20);
}

static void test_what_is_no_token_is_never_looked_up(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(ask(f, "zgt_", false), ERR_UNAUTHORIZED);
	assert_int_equal(ask(f, "", false), ERR_UNAUTHORIZED);
	assert_int_equal(ask(f, "' OR 1=1 --", true), ERR_UNAUTHORIZED);
	assert_int_equal(f->db.reads, 0);
}

static void test_a_token_ends_although_it_is_remembered(void **state)
{
	struct fixture *f = *state;
	f->db.expires_us = clock_wall_us() + 500 * US_PER_MS;
	assert_int_equal(ask(f, f->token, true), ERR_OK);
	advance_ms(f, 501);
	assert_int_equal(ask(f, f->token, true), ERR_UNAUTHORIZED);
	assert_int_equal(f->db.reads, 1);
}

static void test_grace_serves_who_allows_it(void **state)
{
	struct fixture *f = *state;
	char other[TOKEN_TEXT_SIZE];
	mint(other);
	assert_int_equal(ask(f, f->token, false), ERR_OK);
	f->db.answer = ERR_UNAVAILABLE;
	advance_ms(f, TTL_MS + 1);
	assert_int_equal(ask(f, f->token, false), ERR_UNAVAILABLE);
	assert_int_equal(ask(f, f->token, true), ERR_OK);
	assert_int_equal(ask(f, other, true), ERR_UNAVAILABLE);
	advance_ms(f, GRACE_MS - NEAR_MS);
	assert_int_equal(ask(f, f->token, true), ERR_OK);
	advance_ms(f, 2 * NEAR_MS);
	assert_int_equal(ask(f, f->token, true), ERR_UNAVAILABLE);
}

static void test_grace_ends_with_the_outage(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(ask(f, f->token, true), ERR_OK);
	f->db.answer = ERR_UNAVAILABLE;
	advance_ms(f, TTL_MS + 1);
	assert_int_equal(ask(f, f->token, true), ERR_OK);
	f->db.answer = ERR_UNAUTHORIZED;
	advance_ms(f, 1001);
	assert_int_equal(ask(f, f->token, true), ERR_UNAUTHORIZED);
}

static void test_an_outage_is_probed_once_a_second(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(ask(f, f->token, true), ERR_OK);
	f->db.answer = ERR_UNAVAILABLE;
	advance_ms(f, TTL_MS + 1);
	for (int i = 0; i < 100; i++)
		assert_int_equal(ask(f, f->token, true), ERR_OK);
	assert_int_equal(f->db.reads, 2);
	advance_ms(f, 1001);
	assert_int_equal(ask(f, f->token, true), ERR_OK);
	assert_int_equal(f->db.reads, 3);
}

static void test_grace_is_for_the_current_epoch_only(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(ask(f, f->token, true), ERR_OK);
	f->db.answer = ERR_UNAVAILABLE;
	auth_revoked(f->auth);
	assert_int_equal(ask(f, f->token, true), ERR_UNAVAILABLE);
}

static void test_grace_does_not_bring_a_refused_token_back(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(ask(f, f->token, true), ERR_OK);
	f->db.answer = ERR_UNAUTHORIZED;
	advance_ms(f, TTL_MS + 1);
	assert_int_equal(ask(f, f->token, true), ERR_UNAUTHORIZED);
	f->db.answer = ERR_UNAVAILABLE;
	advance_ms(f, TTL_MS + 1);
	assert_int_equal(ask(f, f->token, true), ERR_UNAVAILABLE);
}

static void test_each_check_is_counted_once_by_its_source(void **state)
{
	struct fixture *f = *state;
	char unknown[TOKEN_TEXT_SIZE];
	mint(unknown);
	assert_int_equal(ask(f, f->token, false), ERR_OK);
	assert_int_equal(ask(f, f->token, false), ERR_OK);
	assert_int_equal(ask(f, f->token, false), ERR_OK);
	f->db.answer = ERR_UNAUTHORIZED;
	assert_int_equal(ask(f, unknown, false), ERR_UNAUTHORIZED);
	assert_int_equal(ask(f, unknown, false), ERR_UNAUTHORIZED);
	assert_int_equal(ask(f, "no token", false), ERR_UNAUTHORIZED);
	struct auth_stats seen;
	auth_stats_read(f->auth, &seen);
	assert_int_equal(seen.refused, 3);
	assert_int_equal(seen.entries, 2); /* a text that can be no token is not remembered */
	/* Without the database a token is let in or not, but it is not refused. */
	f->db.answer = ERR_UNAVAILABLE;
	advance_ms(f, TTL_MS + 1);
	assert_int_equal(ask(f, f->token, true), ERR_OK);
	assert_int_equal(ask(f, f->token, false), ERR_UNAVAILABLE);
	auth_stats_read(f->auth, &seen);
	assert_int_equal(seen.read, 1);
	assert_int_equal(seen.remembered, 2);
	assert_int_equal(seen.grace, 1);
	assert_int_equal(seen.refused, 3);
}

static void test_grace_does_not_wait_long_for_a_silent_database(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(ask(f, f->token, true), ERR_OK);
	f->db.delay_ms = 60000;
	advance_ms(f, TTL_MS + 1);
	int64_t start = clock_mono_ns();
	assert_int_equal(ask(f, f->token, true), ERR_OK);
	assert_true(clock_mono_ns() - start < 3 * NS_PER_S);
	/* And the next one not at all. */
	assert_int_equal(ask(f, f->token, true), ERR_OK);
	assert_int_equal(f->db.reads, 2);
}

struct asker {
	struct auth *auth;
	pthread_barrier_t *start;
	const char *token;
	int64_t limit_ms;
	enum err err;
};

static void *ask_once(void *arg)
{
	struct asker *a = arg;
	struct principal principal;
	pthread_barrier_wait(a->start);
	struct deadline deadline = deadline_in_ms(a->limit_ms);
	a->err = check_token(a->auth, a->token, &deadline, false, &principal, NULL);
	return NULL;
}

static void ask_together(struct fixture *f, int64_t limit_ms, unsigned results[ERR_COUNT])
{
	pthread_t threads[CROWD];
	struct asker askers[CROWD];
	pthread_barrier_t start;
	pthread_barrier_init(&start, NULL, CROWD);
	for (size_t i = 0; i < CROWD; i++) {
		askers[i] = (struct asker){f->auth, &start, f->token, limit_ms, ERR_INTERNAL};
		assert_int_equal(pthread_create(&threads[i], NULL, ask_once, &askers[i]), 0);
	}
	for (size_t i = 0; i < CROWD; i++) {
		pthread_join(threads[i], NULL);
		results[askers[i].err]++;
	}
	pthread_barrier_destroy(&start);
}

static void test_a_crowd_reads_once(void **state)
{
	struct fixture *f = *state;
	unsigned results[ERR_COUNT] = {0};
	f->db.crowd = CROWD - 1;
	ask_together(f, 60000, results);
	assert_int_equal(results[ERR_OK], CROWD);
	assert_int_equal(f->db.reads, 1);
}

static void test_a_crowd_learns_the_bad_news_together(void **state)
{
	struct fixture *f = *state;
	static const enum err answers[] = {ERR_UNAVAILABLE, ERR_OVERLOADED, ERR_INTERNAL,
					   ERR_UNAUTHORIZED};
	for (unsigned i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		unsigned results[ERR_COUNT] = {0};
		f->db.answer = (int)answers[i];
		f->db.crowd = CROWD - 1;
		ask_together(f, 60000, results);
		assert_int_equal(results[answers[i]], CROWD);
		assert_int_equal(f->db.reads, i + 1);
	}
}

static void test_a_leader_that_hangs_up_takes_nobody_along(void **state)
{
	struct fixture *f = *state;
	unsigned results[ERR_COUNT] = {0};
	f->db.crowd = CROWD - 1;
	f->db.hang_up = 1;
	ask_together(f, 60000, results);
	assert_int_equal(results[ERR_CANCELLED], 1);
	assert_int_equal(results[ERR_OK], CROWD - 1);
	assert_int_equal(f->db.reads, 2);
}

static void test_waiting_for_another_ends_at_the_deadline(void **state)
{
	struct fixture *f = *state;
	unsigned results[ERR_COUNT] = {0};
	f->db.delay_ms = 60000;
	int64_t start = clock_mono_ns();
	ask_together(f, 200, results);
	assert_int_equal(results[ERR_TIMEOUT], CROWD);
	assert_true(clock_mono_ns() - start < 3 * NS_PER_S);
}

struct hammer {
	struct auth *auth;
	_Atomic bool *stop;
	char (*tokens)[TOKEN_TEXT_SIZE];
	size_t count;
	_Atomic unsigned asked;
	unsigned wrong;
};

static bool belongs(const struct principal *principal, const char *token)
{
	uint8_t digest[TOKEN_DIGEST_LEN];
	token_digest(token, TOKEN_TEXT_LEN, digest);
	for (size_t i = 0; i < sizeof(principal->username) - 1; i++) {
		if (principal->username[i] != 'a' + digest[0] % 26)
			return false;
	}
	return true;
}

static void *hammer(void *arg)
{
	struct hammer *h = arg;
	while (!atomic_load(h->stop)) {
		const char *token = h->tokens[atomic_fetch_add(&h->asked, 1) % h->count];
		struct principal principal;
		struct deadline deadline = deadline_in_ms(5000);
		enum err err = check_token(h->auth, token, &deadline, false, &principal, NULL);
		if (err != ERR_OK || !belongs(&principal, token))
			h->wrong++;
	}
	return NULL;
}

/* Each of them, and many times: a busy machine begins some late. */
static bool all_have_asked(struct hammer hammers[CROWD])
{
	for (size_t i = 0; i < CROWD; i++)
		if (atomic_load(&hammers[i].asked) < 2 * CACHE_SIZE)
			return false;
	return true;
}

static void test_many_threads_never_get_another_ones_principal(void **state)
{
	struct fixture *f = *state;
	static char tokens[CACHE_SIZE * 3][TOKEN_TEXT_SIZE];
	_Atomic bool stop = false;
	pthread_t threads[CROWD];
	struct hammer hammers[CROWD];
	for (size_t i = 0; i < CACHE_SIZE * 3; i++)
		mint(tokens[i]);
	for (size_t i = 0; i < CROWD; i++) {
		/* Half of them on one token, half on more than fit. */
		hammers[i] =
		    (struct hammer){f->auth, &stop, tokens, i % 2 ? CACHE_SIZE * 3 : 1, 0, 0};
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, &hammers[i]), 0);
	}
	for (int i = 0; i < 100 || !all_have_asked(hammers); i++) {
		sleep_ms(5);
		auth_revoked(f->auth);
	}
	atomic_store(&stop, true);
	for (size_t i = 0; i < CROWD; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(hammers[i].wrong, 0);
	}
}

static void with_metrics_file(const char *text, struct auth **out, enum err expected)
{
	char path[] = "/tmp/ziggie-metrics-token-XXXXXX";
	int fd = mkstemp(path);
	struct database db = {0};
	struct errmsg why = ERRMSG_INIT;
	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, text, strlen(text)), ERR_OK);
	close(fd);
	const struct auth_config config = {.load = load,
					   .load_context = &db,
					   .cache_size = CACHE_SIZE,
					   .password_hashes = 1,
					   .metrics_token_file = path};
	assert_int_equal(auth_new(&config, out, &why), expected);
	unlink(path);
}

static void test_the_metrics_token_comes_from_its_file(void **state)
{
	struct fixture *f = *state;
	struct auth *auth;
	assert_false(auth_is_metrics_token(f->auth, "", 0));
	with_metrics_file("0123456789abcdef\n", &auth, ERR_OK);
	assert_true(auth_is_metrics_token(auth, "0123456789abcdef", 16));
	assert_false(auth_is_metrics_token(auth, "0123456789abcdeg", 16));
	assert_false(auth_is_metrics_token(auth, "0123456789abcde", 15));
	auth_free(auth);
	with_metrics_file("short\n", &auth, ERR_INVALID);
	with_metrics_file("0123456789abcdef\nand more\n", &auth, ERR_INVALID);
	with_metrics_file("", &auth, ERR_INVALID);
	char large[4098];
	memset(large, 'x', sizeof(large));
	large[4097] = '\0';
	with_metrics_file(large, &auth, ERR_TOO_LARGE);
	large[4096] = '\0';
	with_metrics_file(large, &auth, ERR_OK);
	assert_true(auth_is_metrics_token(auth, large, 4096));
	auth_free(auth);
}

static void test_a_metrics_token_that_cannot_be_read_is_an_error(void **state)
{
	(void)state;
	struct database db = {0};
	struct errmsg why = ERRMSG_INIT;
	struct auth *auth = NULL;
	struct auth_config config = {.load = load,
				     .load_context = &db,
				     .cache_size = CACHE_SIZE,
				     .password_hashes = 1,
				     .metrics_token_file = "/nonexistent/token"};
	assert_int_equal(auth_new(&config, &auth, &why), ERR_NOT_FOUND);
	assert_null(auth);
	config.metrics_token_file = "";
	assert_int_equal(auth_new(&config, &auth, &why), ERR_OK);
	/* Not even the text whose digest is all zero could be one. */
	assert_false(auth_is_metrics_token(auth, "", 0));
	auth_free(auth);
	auth_free(NULL);
}

/* A principal is let in by each of so many new tokens. */
static void use_new_tokens(struct fixture *f, unsigned count)
{
	struct deadline deadline = deadline_in_ms(60000);
	struct principal who;
	for (unsigned i = 0; i < count; i++) {
		mint(f->token);
		assert_int_equal(check_token(f->auth, f->token, &deadline, false, &who, NULL),
				 ERR_OK);
	}
}

static void test_the_use_of_keys_alone_is_kept_for_upkeep(void **state)
{
	struct fixture *f = *state;
	struct deadline deadline = deadline_in_ms(60000);
	struct principal who;
	struct uuid used[3];
	use_new_tokens(f, 1);
	assert_int_equal(auth_take_used_keys(f->auth, used, 3), 0);
	f->db.keys = true;
	use_new_tokens(f, 2);
	/* Read once more, the second is still one key. */
	advance_ms(f, TTL_MS);
	assert_int_equal(check_token(f->auth, f->token, &deadline, false, &who, NULL), ERR_OK);
	assert_int_equal(auth_take_used_keys(f->auth, &used[0], 1), 1);
	assert_int_equal(auth_take_used_keys(f->auth, &used[1], 2), 1);
	assert_int_equal(auth_take_used_keys(f->auth, &used[2], 1), 0);
	assert_false(uuid_equal(&used[0], &used[1]));
	assert_true(uuid_equal(&who.key_id, &used[0]) || uuid_equal(&who.key_id, &used[1]));
}

static void test_the_use_of_a_key_is_kept_once_a_minute(void **state)
{
	struct fixture *f = *state;
	struct uuid used[2];
	f->db.keys = true;
	f->db.key_used_us = clock_wall_us() - 50 * US_PER_S;
	use_new_tokens(f, 1);
	assert_int_equal(auth_take_used_keys(f->auth, used, 2), 0);
	f->db.key_used_us = clock_wall_us() - 60 * US_PER_S;
	use_new_tokens(f, 1);
	assert_int_equal(auth_take_used_keys(f->auth, used, 2), 1);
}

static void test_no_more_than_256_used_keys_are_kept(void **state)
{
	struct fixture *f = *state;
	enum { KEPT = 256 };
	struct uuid used[KEPT + 1];
	f->db.keys = true;
	use_new_tokens(f, KEPT + 1);
	assert_int_equal(auth_take_used_keys(f->auth, used, KEPT + 1), KEPT);
	use_new_tokens(f, 1);
	assert_int_equal(auth_take_used_keys(f->auth, used, KEPT + 1), 1);
}

static void test_a_revocation_reaches_all_who_share_a_scoreboard(void **state)
{
	struct fixture *f = *state;
	struct errmsg why = ERRMSG_INIT;
	struct scoreboard *board;
	struct auth *other;
	assert_int_equal(scoreboard_open(&board, &why), ERR_OK);
	const struct auth_config config = {.load = load,
					   .load_context = &f->db,
					   .board = board,
					   .cache_ttl_ms = TTL_MS,
					   .cache_size = CACHE_SIZE,
					   .password_hashes = 1};
	auth_free(f->auth);
	assert_int_equal(auth_new(&config, &f->auth, &why), ERR_OK);
	assert_int_equal(auth_new(&config, &other, &why), ERR_OK);
	assert_int_equal(ask(f, f->token, false), ERR_OK);
	assert_int_equal(f->db.reads, 1);
	auth_revoked(other);
	assert_int_equal(ask(f, f->token, false), ERR_OK);
	assert_int_equal(f->db.reads, 2);
	auth_free(other);
	auth_free(f->auth);
	f->auth = new_auth(&f->db, TTL_MS);
	scoreboard_free(board);
}

static void test_one_caller_cleans_in_each_interval(void **state)
{
	struct fixture *f = *state;
	assert_true(auth_cleaning_due(f->auth, 1000));
	assert_false(auth_cleaning_due(f->auth, 1000));
	advance_ms(f, 990);
	assert_false(auth_cleaning_due(f->auth, 1000));
	advance_ms(f, 11);
	assert_true(auth_cleaning_due(f->auth, 1000));
	assert_false(auth_cleaning_due(f->auth, 1000));
}

/* Of an outage nothing is known that the answers below would not show. */
static void test_what_counts_as_an_outage(void **state)
{
	struct fixture *f = *state;
	static const struct {
		enum err answer;
		enum err with_grace;
	} cases[] = {{ERR_UNAVAILABLE, ERR_OK},
		     {ERR_OVERLOADED, ERR_OK},
		     {ERR_INTERNAL, ERR_INTERNAL},
		     {ERR_NOMEM, ERR_NOMEM}};
	assert_int_equal(ask(f, f->token, true), ERR_OK);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		f->db.answer = (int)cases[i].answer;
		advance_ms(f, TTL_MS + 1);
		assert_int_equal(ask(f, f->token, true), cases[i].with_grace);
		assert_int_equal(ask(f, f->token, false), cases[i].answer);
	}
}

static void test_grace_does_not_outlive_the_callers_own_time(void **state)
{
	struct fixture *f = *state;
	struct principal principal;
	assert_int_equal(ask(f, f->token, true), ERR_OK);
	f->db.delay_ms = 60000;
	advance_ms(f, TTL_MS + 1);
	struct deadline deadline = deadline_in_ms(100);
	assert_int_equal(check_token(f->auth, f->token, &deadline, true, &principal, NULL),
			 ERR_TIMEOUT);
}

static void test_a_revocation_while_the_database_is_asked_ends_the_grace(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(ask(f, f->token, true), ERR_OK);
	f->db.answer = ERR_UNAVAILABLE;
	f->db.revokes = f->auth;
	advance_ms(f, TTL_MS + 1);
	assert_int_equal(ask(f, f->token, true), ERR_UNAVAILABLE);
	f->db.revokes = NULL;
}

static void test_sign_ins_leave_threads_free(void **state)
{
	(void)state;
	struct conf conf;
	assert_int_equal(conf_init(&conf, NULL), ERR_OK);
	for (unsigned threads = 3; threads <= 64; threads++) {
		char text[8];
		struct auth_config config = {0};
		snprintf(text, sizeof(text), "%u", threads);
		assert_int_equal(conf_set(&conf, CONF_threads, text, "test", NULL), ERR_OK);
		auth_config_load(&config, &conf);
		assert_in_range(config.password_hashes, 1, 2);
		assert_in_range(config.password_waiting, 1, threads);
		unsigned half = threads / 2, two_or_three = threads == 3 ? 2 : 3;
		assert_int_equal(config.password_hashes + config.password_waiting,
				 half < 3 ? two_or_three : half);
	}
	conf_release(&conf);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_a_token_is_read_once_per_ttl),
	    TEST(test_without_a_ttl_every_request_reads),
	    TEST(test_the_principal_is_the_token_owner),
	    TEST(test_a_revocation_makes_every_token_read_again),
	    TEST(test_unknown_tokens_are_remembered_too),
	    TEST(test_unknown_tokens_do_not_push_out_known_ones),
	    TEST(test_what_is_no_token_is_never_looked_up),
	    TEST(test_a_token_ends_although_it_is_remembered),
	    TEST(test_grace_serves_who_allows_it),
	    TEST(test_grace_ends_with_the_outage),
	    TEST(test_an_outage_is_probed_once_a_second),
	    TEST(test_grace_is_for_the_current_epoch_only),
	    TEST(test_grace_does_not_bring_a_refused_token_back),
	    TEST(test_each_check_is_counted_once_by_its_source),
	    TEST(test_grace_does_not_wait_long_for_a_silent_database),
	    TEST(test_a_crowd_reads_once),
	    TEST(test_a_crowd_learns_the_bad_news_together),
	    TEST(test_a_leader_that_hangs_up_takes_nobody_along),
	    TEST(test_waiting_for_another_ends_at_the_deadline),
	    TEST(test_many_threads_never_get_another_ones_principal),
	    TEST(test_the_metrics_token_comes_from_its_file),
	    TEST(test_a_metrics_token_that_cannot_be_read_is_an_error),
	    TEST(test_the_use_of_keys_alone_is_kept_for_upkeep),
	    TEST(test_the_use_of_a_key_is_kept_once_a_minute),
	    TEST(test_no_more_than_256_used_keys_are_kept),
	    TEST(test_a_revocation_reaches_all_who_share_a_scoreboard),
	    TEST(test_one_caller_cleans_in_each_interval),
	    TEST(test_what_counts_as_an_outage),
	    TEST(test_grace_does_not_outlive_the_callers_own_time),
	    TEST(test_a_revocation_while_the_database_is_asked_ends_the_grace),
	    TEST(test_sign_ins_leave_threads_free),
	};
	return cmocka_run_group_tests_name("auth_cache", tests, NULL, NULL);
}
