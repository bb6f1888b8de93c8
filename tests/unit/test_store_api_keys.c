/* API keys and tickets in the database. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "store/api_keys.h"
#include "store/tickets.h"
#include "store/tokens.h"
#include "store/users.h"
#include "support_mariadb.h"

struct fixture {
	struct db_conn *db;
	struct arena arena;
	struct user bob;
	uint8_t last; /* the first byte of the digest that was used last */
};

static struct fixture fixture;

static struct user add_user(struct fixture *f, const char *name)
{
	struct user user = {.username = name,
			    .role = ROLE_USER,
			    .is_active = true,
			    .password_hash = "$argon2id$one",
			    .created_us = clock_wall_us()};
	uuid_new(&user.id);
	assert_int_equal(users_add(f->db, &user, NULL), ERR_OK);
	return user;
}

static int set_up(void **state)
{
	struct fixture *f = &fixture;
	test_mariadb_sql("DELETE FROM ziggie.users");
	test_mariadb_sql("DELETE FROM ziggie.agents");
	f->db = test_mariadb_connect(test_mariadb_server());
	arena_init(&f->arena, 4096, 1 << 20);
	f->bob = add_user(f, "bob");
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	db_close(f->db);
	arena_release(&f->arena);
	return 0;
}

static struct api_key a_key(const struct user *owner)
{
	struct api_key key = {.user_id = owner->id,
			      .name = "for the tests",
			      .prefix = "zk_abcdefgh",
			      .scopes = scopes_parse("agents:read tasks:write"),
			      .created_us = clock_wall_us()};
	uuid_new(&key.id);
	return key;
}

static void add(struct fixture *f, const struct api_key *key, uint8_t digest[TOKEN_DIGEST_LEN])
{
	struct errmsg why = ERRMSG_INIT;
	memset(digest, 0, TOKEN_DIGEST_LEN);
	digest[0] = ++f->last;
	if (api_keys_add(f->db, key, digest, &why) != ERR_OK)
		fail_msg("%s", why.text);
}

static enum err find(struct fixture *f, const uint8_t digest[TOKEN_DIGEST_LEN],
		     struct principal *out)
{
	return api_keys_find(f->db, digest, out, NULL);
}

static void test_a_key_gives_its_owner_and_scopes(void **state)
{
	struct fixture *f = *state;
	struct api_key key = a_key(&f->bob);
	uint8_t digest[TOKEN_DIGEST_LEN];
	struct principal principal;
	add(f, &key, digest);
	assert_int_equal(find(f, digest, &principal), ERR_OK);
	assert_memory_equal(&principal.user_id, &f->bob.id, sizeof(f->bob.id));
	assert_memory_equal(&principal.key_id, &key.id, sizeof(key.id));
	assert_true(uuid_is_nil(&principal.agent_id));
	assert_string_equal(principal.username, "bob");
	assert_int_equal(principal.role, ROLE_USER);
	assert_true(principal.expires_us == INT64_MAX);
	assert_true(principal.key_used_us == 0);
	assert_true(scopes_allow(&principal.scopes, "tasks", true));
	assert_false(scopes_allow(&principal.scopes, "agents", true));
	digest[31] = 1;
	assert_int_equal(find(f, digest, &principal), ERR_UNAUTHORIZED);
}

static void test_a_key_has_the_role_that_its_owner_has_now(void **state)
{
	struct fixture *f = *state;
	struct api_key key = a_key(&f->bob);
	uint8_t digest[TOKEN_DIGEST_LEN];
	struct principal principal;
	add(f, &key, digest);
	const struct user_change demotion = {.role = ROLE_READONLY};
	assert_int_equal(users_change(f->db, &f->bob.id, &demotion, NULL), ERR_OK);
	assert_int_equal(find(f, digest, &principal), ERR_OK);
	assert_int_equal(principal.role, ROLE_READONLY);
	const struct user_change off = {.sets_active = true};
	assert_int_equal(users_change(f->db, &f->bob.id, &off, NULL), ERR_OK);
	assert_int_equal(find(f, digest, &principal), ERR_UNAUTHORIZED);
	assert_int_equal(users_remove(f->db, &f->bob.id, NULL), ERR_OK);
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM ziggie.api_keys"), 0);
}

static void test_expired_and_revoked_keys_are_refused(void **state)
{
	struct fixture *f = *state;
	struct api_key old = a_key(&f->bob), good = a_key(&f->bob), read;
	uint8_t old_digest[TOKEN_DIGEST_LEN], digest[TOKEN_DIGEST_LEN];
	struct principal principal;
	old.expires_us = clock_wall_us() - 1;
	good.expires_us = clock_wall_us() + 60 * US_PER_S;
	add(f, &old, old_digest);
	add(f, &good, digest);
	assert_int_equal(find(f, old_digest, &principal), ERR_UNAUTHORIZED);
	assert_int_equal(find(f, digest, &principal), ERR_OK);
	assert_true(principal.expires_us == good.expires_us);
	assert_int_equal(api_keys_revoke(f->db, &good.id, 1700000000000001, NULL), ERR_OK);
	assert_int_equal(find(f, digest, &principal), ERR_UNAUTHORIZED);
	assert_int_equal(api_keys_revoke(f->db, &good.id, 1800000000000001, NULL), ERR_OK);
	assert_int_equal(api_keys_lock(f->db, &f->arena, &good.id, &read, NULL), ERR_OK);
	assert_true(read.revoked_us == 1700000000000001);
	struct uuid none;
	uuid_new(&none);
	assert_int_equal(api_keys_lock(f->db, &f->arena, &none, &read, NULL), ERR_NOT_FOUND);
}

static void test_the_use_is_noted_once_a_minute(void **state)
{
	struct fixture *f = *state;
	struct api_key key = a_key(&f->bob);
	uint8_t digest[TOKEN_DIGEST_LEN];
	struct principal principal;
	int64_t first = clock_wall_us(), minute = 60 * US_PER_S;
	add(f, &key, digest);
	const struct {
		int64_t at, noted;
	} uses[] = {{first, first},
		    {first + minute - 1, first},
		    {first + minute, first + minute},
		    {first - minute, first + minute}};
	for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
		assert_int_equal(api_keys_note_use(f->db, &key.id, uses[i].at, NULL), ERR_OK);
		assert_int_equal(find(f, digest, &principal), ERR_OK);
		assert_true(principal.key_used_us == uses[i].noted);
	}
}

static void test_a_key_ends_with_its_agent(void **state)
{
	struct fixture *f = *state;
	struct api_key key = a_key(&f->bob);
	uint8_t digest[TOKEN_DIGEST_LEN] = {99};
	struct principal principal;
	struct errmsg why = ERRMSG_INIT;
	memset(key.agent_id.bytes, 'a', sizeof(key.agent_id.bytes));
	assert_int_equal(api_keys_add(f->db, &key, digest, &why), ERR_INVALID);
	assert_non_null(strstr(why.text, "agent_id: "));
	test_mariadb_sql(
	    "INSERT INTO ziggie.agents (id, created_at, updated_at, name, agent_type,"
	    " status, configuration, metadata, resource_limits) VALUES"
	    " (REPEAT('a', 16), NOW(6), NOW(6), 'one', 'x', 'active', '{}', '{}', '{}')");
	add(f, &key, digest);
	assert_int_equal(find(f, digest, &principal), ERR_OK);
	assert_memory_equal(&principal.agent_id, &key.agent_id, sizeof(key.agent_id));
	test_mariadb_sql("DELETE FROM ziggie.agents");
	assert_int_equal(find(f, digest, &principal), ERR_UNAUTHORIZED);
}

static void test_lists_are_newest_first_and_of_one_or_all(void **state)
{
	struct fixture *f = *state;
	struct user eve = add_user(f, "eve");
	struct api_key made[4];
	uint8_t digest[TOKEN_DIGEST_LEN];
	for (int i = 0; i < 4; i++) {
		made[i] = a_key(i == 1 ? &eve : &f->bob);
		add(f, &made[i], digest);
	}
	struct api_key *keys;
	size_t count;
	uint64_t total;
	struct api_key_page page = {.limit = 3};
	assert_int_equal(api_keys_list(f->db, &f->arena, &page, &keys, &count, &total, NULL),
			 ERR_OK);
	assert_int_equal(count, 3);
	assert_int_equal(total, 4);
	assert_memory_equal(&keys[0].id, &made[3].id, sizeof(keys[0].id));
	assert_string_equal(keys[2].username, "eve");
	assert_string_equal(keys[0].name, "for the tests");
	assert_string_equal(keys[0].prefix, "zk_abcdefgh");
	page = (struct api_key_page){.owner = &f->bob.id, .before = &made[3].id, .limit = 9};
	assert_int_equal(api_keys_list(f->db, &f->arena, &page, &keys, &count, &total, NULL),
			 ERR_OK);
	assert_int_equal(count, 2);
	assert_int_equal(total, 3);
	assert_memory_equal(&keys[1].id, &made[0].id, sizeof(keys[1].id));
	page.skip = 1;
	assert_int_equal(api_keys_list(f->db, &f->arena, &page, &keys, &count, &total, NULL),
			 ERR_OK);
	assert_int_equal(count, 1);
}

/* Tickets */

struct taking {
	uint8_t digest[TOKEN_DIGEST_LEN];
	pthread_barrier_t *start;
	struct principal principal;
	enum err err;
};

static enum err take(struct db_conn *db, void *arg, struct errmsg *why)
{
	struct taking *t = arg;
	return tickets_take(db, t->digest, &t->principal, why);
}

static void *run_taking(void *arg)
{
	struct taking *t = arg;
	struct db_conn *db = test_mariadb_connect(test_mariadb_server());
	pthread_barrier_wait(t->start);
	t->err = db_transaction(db, take, t, NULL);
	db_close(db);
	return NULL;
}

static void add_session(struct fixture *f, uint8_t session[TOKEN_DIGEST_LEN])
{
	memset(session, 0, TOKEN_DIGEST_LEN);
	session[0] = ++f->last;
	assert_int_equal(
	    tokens_add(f->db, session, &f->bob.id, "test", clock_wall_us() + 60 * US_PER_S, NULL),
	    ERR_OK);
}

static void test_of_two_who_take_a_ticket_one_gets_it(void **state)
{
	struct fixture *f = *state;
	uint8_t session[TOKEN_DIGEST_LEN];
	pthread_barrier_t start;
	pthread_barrier_init(&start, NULL, 2);
	add_session(f, session);
	for (uint8_t i = 1; i <= 10; i++) {
		struct taking both[2] = {{.digest = {i}, .start = &start},
					 {.digest = {i}, .start = &start}};
		pthread_t thread;
		assert_int_equal(tickets_add(f->db, both[0].digest, session, clock_wall_us(), NULL),
				 ERR_OK);
		assert_int_equal(pthread_create(&thread, NULL, run_taking, &both[0]), 0);
		run_taking(&both[1]);
		pthread_join(thread, NULL);
		assert_int_equal((both[0].err == ERR_OK) + (both[1].err == ERR_OK), 1);
		const struct taking *winner = both[0].err == ERR_OK ? &both[0] : &both[1];
		assert_string_equal(winner->principal.username, "bob");
		assert_int_equal(both[0].err + both[1].err, ERR_UNAUTHORIZED);
	}
	pthread_barrier_destroy(&start);
}

static void test_a_ticket_ends_with_time_and_session(void **state)
{
	struct fixture *f = *state;
	uint8_t session[TOKEN_DIGEST_LEN], late[TOKEN_DIGEST_LEN] = {1},
					   orphan[TOKEN_DIGEST_LEN] = {2};
	struct principal principal;
	add_session(f, session);
	int64_t long_ago = clock_wall_us() - TICKET_LIFETIME_S * US_PER_S;
	assert_int_equal(tickets_add(f->db, late, session, long_ago, NULL), ERR_OK);
	assert_int_equal(tickets_take(f->db, late, &principal, NULL), ERR_UNAUTHORIZED);
	assert_int_equal(tickets_add(f->db, orphan, session, clock_wall_us(), NULL), ERR_OK);
	assert_int_equal(tickets_remove_expired(f->db, 10, NULL, NULL), ERR_OK);
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM ziggie.ws_tickets"), 1);
	assert_int_equal(tokens_remove(f->db, session, NULL), ERR_OK);
	assert_int_equal(tickets_take(f->db, orphan, &principal, NULL), ERR_UNAUTHORIZED);
	assert_int_equal(tickets_add(f->db, orphan, session, clock_wall_us(), NULL),
			 ERR_UNAUTHORIZED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_a_key_gives_its_owner_and_scopes),
	    TEST(test_a_key_has_the_role_that_its_owner_has_now),
	    TEST(test_expired_and_revoked_keys_are_refused),
	    TEST(test_the_use_is_noted_once_a_minute),
	    TEST(test_a_key_ends_with_its_agent),
	    TEST(test_lists_are_newest_first_and_of_one_or_all),
	    TEST(test_of_two_who_take_a_ticket_one_gets_it),
	    TEST(test_a_ticket_ends_with_time_and_session),
	};
	return cmocka_run_group_tests_name("store_api_keys", tests, test_mariadb_set_up,
					   test_mariadb_tear_down);
}
