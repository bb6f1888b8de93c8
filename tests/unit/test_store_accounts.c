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
#include <unistd.h>

#include "base/clock.h"
#include "store/migrate.h"
#include "store/tokens.h"
#include "store/users.h"
#include "support_mariadb.h"

enum { PATIENCE_MS = 20000 };

struct fixture {
	struct db_conn *db;
	struct arena arena;
	struct user bob;
};

static struct fixture fixture;

static int set_up_server(void **state)
{
	(void)state;
	test_mariadb_start();
	struct deadline limit = deadline_in_ms(PATIENCE_MS);
	struct errmsg why = ERRMSG_INIT;
	assert_int_equal(migrate_apply(test_mariadb_server(), migrations, &limit, NULL, NULL, &why),
			 ERR_OK);
	return 0;
}

static int tear_down_server(void **state)
{
	(void)state;
	test_mariadb_stop();
	return 0;
}

static int set_up(void **state)
{
	struct fixture *f = &fixture;
	test_mariadb_sql("DELETE FROM ziggie.users");
	f->db = test_mariadb_connect(test_mariadb_server());
	arena_init(&f->arena, 4096, 1 << 20);
	f->bob = (struct user){
	    .username = "bob",
	    .role = ROLE_READONLY,
	    .is_active = true,
	    .password_hash = "$argon2id$one",
	    .created_us = clock_wall_us(),
	};
	uuid_new(&f->bob.id);
	assert_int_equal(users_add(f->db, &f->bob, NULL), ERR_OK);
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

static void test_a_user_is_read_as_written(void **state)
{
	struct fixture *f = *state;
	struct user full = f->bob, read;
	full.username = "Z\xc3\xb6"
			"e";
	full.email = "zoe@example.org";
	full.full_name = "Zo\xc3\xab";
	full.role = ROLE_ADMIN;
	full.is_active = false;
	uuid_new(&full.id);
	assert_int_equal(users_add(f->db, &full, NULL), ERR_OK);
	assert_int_equal(users_by_id(f->db, &f->arena, &full.id, &read, NULL), ERR_OK);
	assert_memory_equal(&read.id, &full.id, sizeof(full.id));
	assert_string_equal(read.username, full.username);
	assert_string_equal(read.email, full.email);
	assert_string_equal(read.full_name, full.full_name);
	assert_string_equal(read.password_hash, full.password_hash);
	assert_int_equal(read.role, ROLE_ADMIN);
	assert_false(read.is_active);
	assert_true(read.created_us == full.created_us);
	assert_true(read.last_login_us == 0);
	assert_int_equal(users_by_name(f->db, &f->arena, "bob", &read, NULL), ERR_OK);
	assert_null(read.email);
	assert_null(read.full_name);
}

static void test_names_are_unique_and_exact(void **state)
{
	struct fixture *f = *state;
	struct user other = f->bob, read;
	struct errmsg why = ERRMSG_INIT;
	uuid_new(&other.id);
	assert_int_equal(users_add(f->db, &other, &why), ERR_CONFLICT);
	assert_non_null(strstr(why.text, "bob"));
	assert_int_equal(users_by_name(f->db, &f->arena, "Bob", &read, NULL), ERR_NOT_FOUND);
	assert_int_equal(users_by_name(f->db, &f->arena, "bob ", &read, NULL), ERR_NOT_FOUND);
	assert_int_equal(users_by_name(f->db, &f->arena, "b%", &read, NULL), ERR_NOT_FOUND);
	other.username = "Bob";
	assert_int_equal(users_add(f->db, &other, NULL), ERR_OK);
	struct user *all;
	size_t count;
	assert_int_equal(users_list(f->db, &f->arena, &all, &count, NULL), ERR_OK);
	assert_int_equal(count, 2);
}

static void test_a_profile_changes_what_it_sets(void **state)
{
	struct fixture *f = *state;
	struct user read;
	struct user_profile profile = {true, true, "b@example.org", "Bob"};
	assert_int_equal(users_set_profile(f->db, &f->bob.id, &profile, NULL), ERR_OK);
	profile = (struct user_profile){.sets_full_name = true, .full_name = "Robert"};
	assert_int_equal(users_set_profile(f->db, &f->bob.id, &profile, NULL), ERR_OK);
	assert_int_equal(users_by_id(f->db, &f->arena, &f->bob.id, &read, NULL), ERR_OK);
	assert_string_equal(read.email, "b@example.org");
	assert_string_equal(read.full_name, "Robert");
	profile = (struct user_profile){.sets_email = true, .full_name = "ignored"};
	assert_int_equal(users_set_profile(f->db, &f->bob.id, &profile, NULL), ERR_OK);
	assert_int_equal(users_by_id(f->db, &f->arena, &f->bob.id, &read, NULL), ERR_OK);
	assert_null(read.email);
	assert_string_equal(read.full_name, "Robert");
	struct uuid nobody;
	uuid_new(&nobody);
	assert_int_equal(users_set_profile(f->db, &nobody, &profile, NULL), ERR_NOT_FOUND);
}

static void add_token(struct fixture *f, uint8_t first, int64_t lifetime_us,
		      uint8_t digest[TOKEN_DIGEST_LEN])
{
	memset(digest, 0, TOKEN_DIGEST_LEN);
	digest[0] = first;
	assert_int_equal(
	    tokens_add(f->db, digest, &f->bob.id, "test", clock_wall_us() + lifetime_us, NULL),
	    ERR_OK);
}

static void test_a_token_gives_its_owner(void **state)
{
	struct fixture *f = *state;
	uint8_t digest[TOKEN_DIGEST_LEN];
	struct principal principal;
	add_token(f, 1, 60 * US_PER_S, digest);
	assert_int_equal(tokens_find(f->db, digest, &principal, NULL), ERR_OK);
	assert_memory_equal(&principal.user_id, &f->bob.id, sizeof(f->bob.id));
	assert_true(uuid_is_nil(&principal.key_id));
	assert_true(uuid_is_nil(&principal.agent_id));
	assert_string_equal(principal.username, "bob");
	assert_int_equal(principal.role, ROLE_READONLY);
	assert_true(principal.expires_us > clock_wall_us() + 50 * US_PER_S);
	digest[31] = 1;
	assert_int_equal(tokens_find(f->db, digest, &principal, NULL), ERR_UNAUTHORIZED);
}

static void test_expired_disabled_and_removed_tokens_are_refused(void **state)
{
	struct fixture *f = *state;
	uint8_t digest[TOKEN_DIGEST_LEN];
	struct principal principal;
	add_token(f, 1, -1, digest);
	assert_int_equal(tokens_find(f->db, digest, &principal, NULL), ERR_UNAUTHORIZED);
	add_token(f, 2, 60 * US_PER_S, digest);
	assert_int_equal(users_set_active(f->db, &f->bob.id, false, NULL), ERR_OK);
	assert_int_equal(tokens_find(f->db, digest, &principal, NULL), ERR_UNAUTHORIZED);
	assert_int_equal(users_set_active(f->db, &f->bob.id, true, NULL), ERR_OK);
	assert_int_equal(tokens_find(f->db, digest, &principal, NULL), ERR_OK);
	assert_int_equal(tokens_remove(f->db, digest, NULL), ERR_OK);
	assert_int_equal(tokens_find(f->db, digest, &principal, NULL), ERR_UNAUTHORIZED);
	assert_int_equal(tokens_remove(f->db, digest, NULL), ERR_OK);
}

static void test_expired_tokens_go_in_batches(void **state)
{
	struct fixture *f = *state;
	uint8_t digest[TOKEN_DIGEST_LEN];
	for (uint8_t i = 1; i <= 10; i++)
		add_token(f, i, i <= 7 ? -i : 60 * US_PER_S, digest);
	assert_int_equal(tokens_remove_expired(f->db, 5, NULL), ERR_OK);
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM ziggie.tokens"), 5);
	assert_int_equal(tokens_remove_expired(f->db, 5, NULL), ERR_OK);
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM ziggie.tokens"), 3);
	assert_int_equal(tokens_remove_all_of(f->db, &f->bob.id, NULL), ERR_OK);
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM ziggie.tokens"), 0);
}

static void test_a_login_counts_only_for_the_password_that_was_checked(void **state)
{
	struct fixture *f = *state;
	struct user read;
	assert_int_equal(users_note_login(f->db, &f->bob, 1700000000000001, NULL), ERR_OK);
	assert_int_equal(users_note_login(f->db, &f->bob, 1700000000000001, NULL), ERR_OK);
	assert_int_equal(users_by_id(f->db, &f->arena, &f->bob.id, &read, NULL), ERR_OK);
	assert_true(read.last_login_us == 1700000000000001);
	assert_int_equal(users_set_password(f->db, &f->bob.id, "$argon2id$two", NULL), ERR_OK);
	assert_int_equal(users_note_login(f->db, &f->bob, 5, NULL), ERR_NOT_FOUND);
	assert_int_equal(users_by_id(f->db, &f->arena, &f->bob.id, &read, NULL), ERR_OK);
	assert_int_equal(users_set_active(f->db, &f->bob.id, false, NULL), ERR_OK);
	assert_int_equal(users_note_login(f->db, &read, 5, NULL), ERR_NOT_FOUND);
}

struct race {
	struct fixture *f;
	_Atomic bool noted;
};

/* A sign-in that has checked the old password and is slow to finish. */
static enum err slow_login(struct db_conn *db, void *arg, struct errmsg *why)
{
	struct race *race = arg;
	uint8_t digest[TOKEN_DIGEST_LEN] = {9};
	enum err err = users_note_login(db, &race->f->bob, clock_wall_us(), why);
	atomic_store(&race->noted, true);
	usleep(200000);
	if (err != ERR_OK)
		return err;
	return tokens_add(db, digest, &race->f->bob.id, "login", clock_wall_us() + US_PER_S, why);
}

static void *run_slow_login(void *arg)
{
	struct db_conn *db = test_mariadb_connect(test_mariadb_server());
	struct race *race = arg;
	enum err err = db_transaction(db, slow_login, race, NULL);
	db_close(db);
	return err == ERR_OK ? race : NULL;
}

static enum err change_password(struct db_conn *db, void *arg, struct errmsg *why)
{
	struct race *race = arg;
	enum err err = users_set_password(db, &race->f->bob.id, "$argon2id$two", why);
	return err != ERR_OK ? err : tokens_remove_all_of(db, &race->f->bob.id, why);
}

static void test_a_new_password_ends_a_login_that_is_under_way(void **state)
{
	struct race race = {.f = *state};
	pthread_t thread;
	void *committed;
	assert_int_equal(pthread_create(&thread, NULL, run_slow_login, &race), 0);
	for (int i = 0; i < 1000 && !atomic_load(&race.noted); i++)
		usleep(5000);
	assert_true(atomic_load(&race.noted));
	assert_int_equal(db_transaction(race.f->db, change_password, &race, NULL), ERR_OK);
	pthread_join(thread, &committed);
	assert_non_null(committed);
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM ziggie.tokens"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_a_user_is_read_as_written),
	    TEST(test_names_are_unique_and_exact),
	    TEST(test_a_profile_changes_what_it_sets),
	    TEST(test_a_token_gives_its_owner),
	    TEST(test_expired_disabled_and_removed_tokens_are_refused),
	    TEST(test_expired_tokens_go_in_batches),
	    TEST(test_a_login_counts_only_for_the_password_that_was_checked),
	    TEST(test_a_new_password_ends_a_login_that_is_under_way),
	};
	return cmocka_run_group_tests_name("store_accounts", tests, set_up_server,
					   tear_down_server);
}
