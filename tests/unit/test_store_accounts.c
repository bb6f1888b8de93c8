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

#include "base/assert.h"
#include "base/clock.h"
#include "store/accounts.h"
#include "store/tokens.h"
#include "store/users.h"
#include "support_mariadb.h"

struct fixture {
	struct db_conn *db;
	struct arena arena;
	struct user bob;
};

static struct fixture fixture;

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
	assert_int_equal(users_list(f->db, &f->arena, 0, 10, &all, &count, NULL), ERR_OK);
	assert_int_equal(count, 2);
}

static void test_a_profile_changes_what_it_sets(void **state)
{
	struct fixture *f = *state;
	struct user read;
	struct user_change profile = {.sets_email = true,
				      .sets_full_name = true,
				      .email = "b@example.org",
				      .full_name = "Bob"};
	assert_int_equal(users_change(f->db, &f->bob.id, &profile, NULL), ERR_OK);
	profile = (struct user_change){.sets_full_name = true, .full_name = "Robert"};
	assert_int_equal(users_change(f->db, &f->bob.id, &profile, NULL), ERR_OK);
	assert_int_equal(users_by_id(f->db, &f->arena, &f->bob.id, &read, NULL), ERR_OK);
	assert_string_equal(read.email, "b@example.org");
	assert_string_equal(read.full_name, "Robert");
	profile = (struct user_change){.sets_email = true, .full_name = "ignored"};
	assert_int_equal(users_change(f->db, &f->bob.id, &profile, NULL), ERR_OK);
	assert_int_equal(users_by_id(f->db, &f->arena, &f->bob.id, &read, NULL), ERR_OK);
	assert_null(read.email);
	assert_string_equal(read.full_name, "Robert");
	struct uuid nobody;
	uuid_new(&nobody);
	assert_int_equal(users_change(f->db, &nobody, &profile, NULL), ERR_NOT_FOUND);
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

static enum err set_active(struct fixture *f, bool active)
{
	const struct user_change change = {.sets_active = true, .active = active};
	return users_change(f->db, &f->bob.id, &change, NULL);
}

static enum err set_password(struct db_conn *db, const struct uuid *id, const char *hash,
			     struct errmsg *why)
{
	const struct user_change change = {.password_hash = hash};
	return users_change(db, id, &change, why);
}

static void test_expired_disabled_and_removed_tokens_are_refused(void **state)
{
	struct fixture *f = *state;
	uint8_t digest[TOKEN_DIGEST_LEN];
	struct principal principal;
	add_token(f, 1, -1, digest);
	assert_int_equal(tokens_find(f->db, digest, &principal, NULL), ERR_UNAUTHORIZED);
	add_token(f, 2, 60 * US_PER_S, digest);
	assert_int_equal(set_active(f, false), ERR_OK);
	assert_int_equal(tokens_find(f->db, digest, &principal, NULL), ERR_UNAUTHORIZED);
	assert_int_equal(set_active(f, true), ERR_OK);
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
	assert_int_equal(tokens_remove_expired(f->db, 5, NULL, NULL), ERR_OK);
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM ziggie.tokens"), 5);
	assert_int_equal(tokens_remove_expired(f->db, 5, NULL, NULL), ERR_OK);
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
	assert_int_equal(set_password(f->db, &f->bob.id, "$argon2id$two", NULL), ERR_OK);
	assert_int_equal(users_note_login(f->db, &f->bob, 5, NULL), ERR_NOT_FOUND);
	assert_int_equal(users_by_id(f->db, &f->arena, &f->bob.id, &read, NULL), ERR_OK);
	assert_int_equal(set_active(f, false), ERR_OK);
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
	enum err err = set_password(db, &race->f->bob.id, "$argon2id$two", why);
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

static const struct audit_entry by_a_test = {.remote_addr = "a test"};

static struct user add_admin(struct fixture *f, const char *name)
{
	struct user admin = f->bob;
	admin.username = name;
	admin.role = ROLE_ADMIN;
	uuid_new(&admin.id);
	assert_int_equal(accounts_add(f->db, &admin, &by_a_test, NULL), ERR_OK);
	return admin;
}

struct work {
	const struct uuid *id;
	struct account_change change;
	bool removes;
	struct user user;
	struct arena arena;
	enum err err;
	struct errmsg why;
	pthread_barrier_t *start;
};

static enum err do_work(struct db_conn *db, void *arg, struct errmsg *why)
{
	struct work *w = arg;
	if (w->removes)
		return accounts_remove(db, &w->arena, w->id, &by_a_test, why);
	return accounts_change(db, &w->arena, w->id, &w->change, &by_a_test, &w->user, why);
}

static enum err in_transaction(struct db_conn *db, struct work *w)
{
	arena_init(&w->arena, 4096, 1 << 20);
	w->err = db_transaction(db, do_work, w, &w->why);
	arena_release(&w->arena);
	return w->err;
}

static struct work demotion(const struct uuid *id)
{
	return (struct work){.id = id, .change = {.user = {.role = ROLE_USER}}};
}

static struct work disabling(const struct uuid *id)
{
	return (struct work){.id = id, .change = {.user = {.sets_active = true}}};
}

static struct work removal(const struct uuid *id)
{
	return (struct work){.id = id, .removes = true};
}

static void test_the_last_active_admin_stays(void **state)
{
	struct fixture *f = *state;
	struct user root = add_admin(f, "root"), idle = add_admin(f, "idle");
	struct work tries[] = {demotion(&root.id), disabling(&root.id), removal(&root.id)};
	struct work off = disabling(&idle.id);
	assert_int_equal(in_transaction(f->db, &off), ERR_OK);
	for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
		assert_int_equal(in_transaction(f->db, &tries[i]), ERR_CONFLICT);
		assert_non_null(strstr(tries[i].why.text, "root"));
	}
	/* An administrator who can't sign in is none that would be missed. */
	struct work idle_goes = removal(&idle.id), bob_goes = removal(&f->bob.id);
	assert_int_equal(in_transaction(f->db, &idle_goes), ERR_OK);
	assert_int_equal(in_transaction(f->db, &bob_goes), ERR_OK);
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM ziggie.users WHERE"
					     " username = 'root' AND role = 'admin' AND is_active"),
			 1);
	/* What takes nothing away is fine. */
	struct work promotion = {.id = &root.id, .change = {.user = {.role = ROLE_ADMIN}}};
	assert_int_equal(in_transaction(f->db, &promotion), ERR_OK);
}

static void *run_work(void *arg)
{
	struct work *w = arg;
	struct db_conn *db = test_mariadb_connect(test_mariadb_server());
	pthread_barrier_wait(w->start);
	in_transaction(db, w);
	db_close(db);
	return NULL;
}

/* Many times over, each of two administrators takes the other's role, account or access away. */
static void test_two_admins_can_not_remove_each_other(void **state)
{
	struct fixture *f = *state;
	enum { ROUNDS = 30 };
	pthread_barrier_t start;
	pthread_barrier_init(&start, NULL, 2);
	for (int round = 0; round < ROUNDS; round++) {
		struct user anna = add_admin(f, "anna"), bert = add_admin(f, "bert");
		struct work both[2][3] = {
		    {demotion(&bert.id), disabling(&bert.id), removal(&bert.id)},
		    {demotion(&anna.id), disabling(&anna.id), removal(&anna.id)}};
		struct work *of_anna = &both[0][round % 3], *of_bert = &both[1][round / 3 % 3];
		of_anna->start = of_bert->start = &start;
		pthread_t thread;
		assert_int_equal(pthread_create(&thread, NULL, run_work, of_anna), 0);
		run_work(of_bert);
		pthread_join(thread, NULL);
		assert_int_equal((of_anna->err == ERR_OK) + (of_bert->err == ERR_OK), 1);
		assert_int_equal((of_anna->err == ERR_CONFLICT) + (of_bert->err == ERR_CONFLICT),
				 1);
		assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM ziggie.users WHERE"
						     " role = 'admin' AND is_active"),
				 1);
		test_mariadb_sql("DELETE FROM ziggie.users WHERE username IN ('anna', 'bert')");
	}
	pthread_barrier_destroy(&start);
}

static int64_t tokens_left(void)
{
	return test_mariadb_number("SELECT COUNT(*) FROM ziggie.tokens");
}

static void test_changes_end_the_sessions_that_they_should(void **state)
{
	struct fixture *f = *state;
	uint8_t kept[TOKEN_DIGEST_LEN], other[TOKEN_DIGEST_LEN];
	add_token(f, 1, 60 * US_PER_S, kept);
	add_token(f, 2, 60 * US_PER_S, other);
	struct work w = {.id = &f->bob.id,
			 .change = {.user = {.sets_full_name = true, .role = ROLE_USER}}};
	assert_int_equal(in_transaction(f->db, &w), ERR_OK);
	assert_int_equal(tokens_left(), 2);
	w.change = (struct account_change){.user = {.password_hash = "$argon2id$two"},
					   .replaces = "$argon2id$one",
					   .kept_session = kept};
	assert_int_equal(in_transaction(f->db, &w), ERR_OK);
	assert_int_equal(tokens_left(), 1);
	struct principal principal;
	assert_int_equal(tokens_find(f->db, kept, &principal, NULL), ERR_OK);
	/* The password is another one by now. */
	assert_int_equal(in_transaction(f->db, &w), ERR_CONFLICT);
	w.change = (struct account_change){.user = {.password_hash = "$argon2id$three"}};
	assert_int_equal(in_transaction(f->db, &w), ERR_OK);
	assert_int_equal(tokens_left(), 0);
	add_token(f, 3, 60 * US_PER_S, other);
	struct work off = disabling(&f->bob.id);
	off.change.kept_session = other;
	assert_int_equal(in_transaction(f->db, &off), ERR_OK);
	assert_int_equal(tokens_left(), 0);
}

static void test_every_change_of_an_account_is_in_the_audit(void **state)
{
	struct fixture *f = *state;
	test_mariadb_sql("DELETE FROM ziggie.audit");
	struct user root = add_admin(f, "root"), other = add_admin(f, "other");
	struct work change = {.id = &other.id,
			      .change = {.user = {.role = ROLE_READONLY,
						  .sets_email = true,
						  .email = "o@example.org",
						  .password_hash = "$argon2id$two"}}};
	struct work goes = removal(&other.id), refused = removal(&root.id);
	assert_int_equal(in_transaction(f->db, &change), ERR_OK);
	assert_int_equal(in_transaction(f->db, &goes), ERR_OK);
	assert_int_equal(in_transaction(f->db, &refused), ERR_CONFLICT);
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM ziggie.audit"), 4);
	assert_int_equal(test_mariadb_number(
			     "SELECT COUNT(*) FROM ziggie.audit WHERE action = 'update' AND"
			     " resource = 'user' AND remote_address = 'a test' AND"
			     " JSON_VALUE(before_json, '$.role') = 'admin' AND"
			     " JSON_VALUE(after_json, '$.role') = 'readonly' AND"
			     " JSON_VALUE(after_json, '$.email') = 'o@example.org' AND"
			     " JSON_VALUE(after_json, '$.new_password') = 1 AND"
			     " before_json NOT LIKE '%argon%' AND after_json NOT LIKE '%argon%'"),
			 1);
	assert_int_equal(
	    test_mariadb_number("SELECT COUNT(*) FROM ziggie.audit WHERE action = 'delete' AND"
				" after_json IS NULL AND"
				" JSON_VALUE(before_json, '$.username') = 'other'"),
	    1);
}

static void test_users_are_counted_by_role(void **state)
{
	struct fixture *f = *state;
	struct user_counts counts;
	struct user *page;
	size_t count;
	add_admin(f, "root");
	struct user other = add_admin(f, "aaa");
	struct work off = disabling(&other.id);
	assert_int_equal(in_transaction(f->db, &off), ERR_OK);
	assert_int_equal(users_count(f->db, &f->arena, &counts, NULL), ERR_OK);
	assert_int_equal(counts.total, 3);
	assert_int_equal(counts.active, 2);
	assert_int_equal(counts.by_role[ROLE_ADMIN], 2);
	assert_int_equal(counts.by_role[ROLE_READONLY], 1);
	assert_int_equal(counts.by_role[ROLE_USER], 0);
	assert_int_equal(users_list(f->db, &f->arena, 1, 1, &page, &count, NULL), ERR_OK);
	assert_int_equal(count, 1);
	assert_string_equal(page[0].username, "bob");
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
	    TEST(test_the_last_active_admin_stays),
	    TEST(test_two_admins_can_not_remove_each_other),
	    TEST(test_changes_end_the_sessions_that_they_should),
	    TEST(test_every_change_of_an_account_is_in_the_audit),
	    TEST(test_users_are_counted_by_role),
	};
	return cmocka_run_group_tests_name("store_accounts", tests, test_mariadb_set_up,
					   test_mariadb_tear_down);
}
