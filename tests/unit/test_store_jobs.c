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
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "store/jobs.h"
#include "store/projects.h"
#include "store/record_totals.h"
#include "store/schedules.h"
#include "support_mariadb.h"

enum { LEASE_MS = 60000, CLAIMERS = 6, JOBS = 90 };

static const char *const types[] = {"remove-expired", NULL};
static const struct job_taking taking = {.types = types, .host = "here", .lease_ms = LEASE_MS};

static struct test_session fixture;

static int set_up(void **state)
{
	(void)state;
	test_session_open(&fixture);
	test_mariadb_sql("DELETE FROM ziggie.jobs");
	test_mariadb_sql("DELETE FROM ziggie.schedules");
	test_mariadb_sql("UPDATE ziggie.leases SET holder = NULL, held_until = NULL");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	test_session_close(&fixture);
	return 0;
}

/* So many jobs that are due, each with three attempts. */
#define QUEUE(count, repeatable)                                                                   \
	test_mariadb_sql("INSERT INTO ziggie.jobs (id, created_at, updated_at, job_type, status,"  \
			 " payload, max_attempts, repeatable, run_after) SELECT"                   \
			 " UNHEX(MD5(seq)), UTC_TIMESTAMP(), UTC_TIMESTAMP(), 'remove-expired',"   \
			 " 'queued', '{}', 3, " repeatable ", UTC_TIMESTAMP(6)"                    \
			 " FROM ziggie.seq_1_to_" count)
#define LET_LEASES_RUN_OUT()                                                                       \
	test_mariadb_sql("UPDATE ziggie.jobs SET lease_until = '2020-01-01'"                       \
			 " WHERE status = 'running'")
#define LET_PAUSES_END() test_mariadb_sql("UPDATE ziggie.jobs SET run_after = '2020-01-01'")

static int64_t in_status(const char *condition)
{
	char sql[200];
	snprintf(sql, sizeof(sql), "SELECT COUNT(*) FROM ziggie.jobs WHERE %s", condition);
	return test_mariadb_number(sql);
}

static struct job_claim claim_one(void)
{
	struct job_claim claim;
	struct errmsg why = ERRMSG_INIT;
	if (jobs_claim(fixture.db, &fixture.arena, &taking, &claim, &why) != ERR_OK)
		fail_msg("%s", why.text);
	return claim;
}

static void reclaim(uint64_t expected)
{
	uint64_t count;
	assert_int_equal(jobs_reclaim(fixture.db, 100, &count, NULL), ERR_OK);
	assert_int_equal(count, expected);
}

/* Claims */

static void *claim_until_none(void *arg)
{
	atomic_int *claimed = arg;
	struct db_conn *db = test_mariadb_connect(test_mariadb_server());
	struct arena arena;
	struct job_claim claim;
	arena_init(&arena, 4096, 1 << 20);
	const struct job_end end = {.status = "completed"};
	while (jobs_claim(db, &arena, &taking, &claim, NULL) == ERR_OK) {
		AN_INVARIANT(jobs_end(db, &claim, &end, NULL) == ERR_OK);
		atomic_fetch_add(claimed, 1);
	}
	arena_release(&arena);
	db_close(db);
	return NULL;
}

static void test_each_job_is_claimed_once(void **state)
{
	(void)state;
	pthread_t threads[CLAIMERS];
	atomic_int claimed = 0;
	QUEUE("90", "TRUE");
	for (int i = 0; i < CLAIMERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, claim_until_none, &claimed), 0);
	for (int i = 0; i < CLAIMERS; i++)
		pthread_join(threads[i], NULL);
	/* Who meets others at the last ones may skip them all and leave. */
	claim_until_none(&claimed);
	assert_int_equal(atomic_load(&claimed), JOBS);
	assert_int_equal(in_status("status = 'completed' AND attempts = 1 AND progress = 100"),
			 JOBS);
}

static void test_only_what_is_due_and_known_is_claimed(void **state)
{
	(void)state;
	static const char *const others[] = {"verify-counts", NULL};
	const struct job_taking other = {.types = others, .host = "here", .lease_ms = LEASE_MS};
	struct job_claim claim;
	QUEUE("1", "TRUE");
	assert_int_equal(jobs_claim(fixture.db, &fixture.arena, &other, &claim, NULL),
			 ERR_NOT_FOUND);
	test_mariadb_sql("UPDATE ziggie.jobs SET run_after = UTC_TIMESTAMP() + INTERVAL 1 HOUR");
	assert_int_equal(jobs_claim(fixture.db, &fixture.arena, &taking, &claim, NULL),
			 ERR_NOT_FOUND);
}

/* Who has lost the lease writes nothing any more. */
static void test_a_lost_lease_ends_nothing(void **state)
{
	(void)state;
	const struct job_end done = {.status = "completed", .result = "{\"by\":\"the second\"}"};
	const struct job_end late = {.status = "completed", .result = "{\"by\":\"the first\"}"};
	const struct job_progress progress = {.percent = 50, .message = "half", .changed = true};
	bool cancel;
	QUEUE("1", "TRUE");
	const struct job_claim first = claim_one();
	reclaim(0);
	LET_LEASES_RUN_OUT();
	reclaim(1);
	assert_int_equal(in_status("status = 'queued' AND attempts = 1 AND error IS NOT NULL"), 1);
	LET_PAUSES_END();
	const struct job_claim second = claim_one();
	assert_int_equal(second.attempts, 2);
	assert_int_equal(jobs_extend(fixture.db, &first, LEASE_MS, &progress, &cancel, NULL),
			 ERR_CONFLICT);
	assert_int_equal(jobs_end(fixture.db, &first, &late, NULL), ERR_CONFLICT);
	assert_int_equal(jobs_extend(fixture.db, &second, LEASE_MS, &progress, &cancel, NULL),
			 ERR_OK);
	assert_int_equal(jobs_end(fixture.db, &second, &done, NULL), ERR_OK);
	assert_int_equal(jobs_end(fixture.db, &second, &done, NULL), ERR_CONFLICT);
	assert_int_equal(in_status("result LIKE '%second%' AND message = 'half'"), 1);
}

static void test_a_renewed_lease_is_kept(void **state)
{
	(void)state;
	const struct job_progress progress = {.changed = false};
	bool cancel;
	QUEUE("1", "TRUE");
	const struct job_claim claim = claim_one();
	LET_LEASES_RUN_OUT();
	assert_int_equal(jobs_extend(fixture.db, &claim, LEASE_MS, &progress, &cancel, NULL),
			 ERR_OK);
	assert_false(cancel);
	reclaim(0);
	assert_int_equal(in_status("status = 'running' AND version = 2"), 1);
}

/* Ends */

static void test_what_is_not_repeatable_fails_when_its_process_is_gone(void **state)
{
	(void)state;
	QUEUE("1", "FALSE");
	claim_one();
	LET_LEASES_RUN_OUT();
	reclaim(1);
	assert_int_equal(in_status("status = 'failed' AND error IS NOT NULL"
				   " AND completed_at IS NOT NULL"),
			 1);
}

static void test_used_up_attempts_are_dead(void **state)
{
	(void)state;
	QUEUE("1", "TRUE");
	for (int i = 1; i <= 3; i++) {
		const struct job_claim claim = claim_one();
		const struct job_end end = job_end_failed(&claim, "no luck");
		assert_string_equal(end.status, i < 3 ? "queued" : "dead");
		assert_int_equal(jobs_end(fixture.db, &claim, &end, NULL), ERR_OK);
		if (i < 3)
			assert_int_equal(in_status("run_after > UTC_TIMESTAMP(6)"), 1);
		LET_PAUSES_END();
	}
	assert_int_equal(in_status("status = 'dead' AND error = 'no luck' AND attempts = 3"), 1);
	struct job_counts counts;
	assert_int_equal(jobs_count(fixture.db, &counts, NULL), ERR_OK);
	assert_int_equal(counts.dead, 1);
	assert_int_equal(counts.queued + counts.running + counts.oldest_us, 0);
}

static void test_what_is_given_back_has_used_no_attempt(void **state)
{
	(void)state;
	const struct job_end end = {.status = "queued", .attempt_not_used = true};
	QUEUE("1", "TRUE");
	const struct job_claim claim = claim_one();
	assert_int_equal(jobs_end(fixture.db, &claim, &end, NULL), ERR_OK);
	assert_int_equal(in_status("status = 'queued' AND attempts = 0 AND lease_id IS NULL"), 1);
	assert_int_equal(claim_one().attempts, 1);
}

static void test_cancelling_reaches_who_runs_it(void **state)
{
	(void)state;
	const struct job_progress progress = {.changed = false};
	bool cancel;
	QUEUE("1", "TRUE");
	const struct job_claim claim = claim_one();
	test_mariadb_sql("UPDATE ziggie.jobs SET cancel_requested = TRUE");
	assert_int_equal(jobs_extend(fixture.db, &claim, LEASE_MS, &progress, &cancel, NULL),
			 ERR_OK);
	assert_true(cancel);
	LET_LEASES_RUN_OUT();
	reclaim(1);
	assert_int_equal(in_status("status = 'cancelled'"), 1);
}

static void test_pauses_double_up_to_a_bound(void **state)
{
	(void)state;
	assert_int_equal(job_pause_ms(1, 0), 500);
	assert_int_equal(job_pause_ms(1, UINT32_MAX), 1000);
	assert_int_equal(job_pause_ms(2, UINT32_MAX), 2000);
	assert_int_equal(job_pause_ms(5, 0), 8000);
	assert_int_equal(job_pause_ms(5, UINT32_MAX), 16000);
	assert_int_equal(job_pause_ms(11, UINT32_MAX), 600000);
	assert_int_equal(job_pause_ms(INT64_MAX, UINT32_MAX), 600000);
}

static void test_old_jobs_are_removed_and_not_counted(void **state)
{
	(void)state;
	uint64_t removed;
	int64_t off;
	QUEUE("90", "TRUE");
	test_mariadb_sql("UPDATE ziggie.jobs SET status = 'failed', completed_at = '2020-01-01'"
			 " ORDER BY id LIMIT 5");
	assert_int_equal(record_verify_total(fixture.db, &jobs, &off, NULL), ERR_OK);
	assert_int_equal(jobs_remove_before(fixture.db, clock_wall_us(), 3, &removed, NULL),
			 ERR_OK);
	assert_int_equal(removed, 3);
	assert_int_equal(jobs_remove_before(fixture.db, clock_wall_us(), 3, &removed, NULL),
			 ERR_OK);
	assert_int_equal(removed, 2);
	assert_int_equal(record_verify_total(fixture.db, &jobs, &off, NULL), ERR_OK);
	assert_int_equal(off, 0);
}

static void test_totals_are_mended(void **state)
{
	(void)state;
	int64_t off;
	assert_int_equal(record_verify_total(fixture.db, &projects, &off, NULL), ERR_OK);
	test_mariadb_sql("INSERT INTO ziggie.record_counts VALUES ('project', 77, 5)");
	assert_int_equal(record_verify_total(fixture.db, &projects, &off, NULL), ERR_OK);
	assert_int_equal(off, -5);
	assert_int_equal(record_verify_total(fixture.db, &projects, &off, NULL), ERR_OK);
	assert_int_equal(off, 0);
}

/* The scheduler */

static struct uuid somebody(void)
{
	struct uuid id;
	uuid_new(&id);
	return id;
}

static bool takes(const struct uuid *holder)
{
	bool held;
	assert_int_equal(lease_take(fixture.db, "scheduler", holder, LEASE_MS, &held, NULL),
			 ERR_OK);
	return held;
}

static int64_t fence(void)
{
	return test_mariadb_number("SELECT fence FROM ziggie.leases WHERE name = 'scheduler'");
}

static void test_one_holds_the_lease(void **state)
{
	(void)state;
	const struct uuid a = somebody(), b = somebody();
	int64_t before = fence();
	assert_true(takes(&a));
	assert_true(takes(&a));
	assert_false(takes(&b));
	assert_int_equal(fence(), before + 1);
	test_mariadb_sql("UPDATE ziggie.leases SET held_until = '2020-01-01'");
	assert_true(takes(&b));
	assert_false(takes(&a));
	assert_int_equal(fence(), before + 2);
	assert_int_equal(lease_give_up(fixture.db, "scheduler", &a, NULL), ERR_OK);
	assert_false(takes(&a));
	assert_int_equal(lease_give_up(fixture.db, "scheduler", &b, NULL), ERR_OK);
	assert_true(takes(&a));
}

static void *try_once(void *arg)
{
	atomic_int *holders = arg;
	struct db_conn *db = test_mariadb_connect(test_mariadb_server());
	const struct uuid id = somebody();
	bool held;
	AN_INVARIANT(lease_take(db, "scheduler", &id, LEASE_MS, &held, NULL) == ERR_OK);
	if (held)
		atomic_fetch_add(holders, 1);
	db_close(db);
	return NULL;
}

static void test_of_many_at_once_one_holds_the_lease(void **state)
{
	(void)state;
	enum { ROUNDS = 10 };
	for (int round = 0; round < ROUNDS; round++) {
		pthread_t threads[CLAIMERS];
		atomic_int holders = 0;
		test_mariadb_sql("UPDATE ziggie.leases SET held_until = '2020-01-01'");
		for (int i = 0; i < CLAIMERS; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, try_once, &holders), 0);
		for (int i = 0; i < CLAIMERS; i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(atomic_load(&holders), 1);
	}
}

static uint64_t run_schedules(const struct uuid *holder)
{
	uint64_t made;
	assert_int_equal(schedules_run(fixture.db, holder, job_types, JOB_TYPES, &made, NULL),
			 ERR_OK);
	return made;
}

static void test_what_is_due_is_made_once(void **state)
{
	(void)state;
	const struct uuid a = somebody();
	assert_true(takes(&a));
	assert_int_equal(run_schedules(&a), JOB_TYPES);
	assert_int_equal(run_schedules(&a), 0);
	test_mariadb_sql("UPDATE ziggie.schedules SET next_at = '2020-01-01'");
	assert_int_equal(run_schedules(&a), 0); /* those of before are still queued */
	test_mariadb_sql("UPDATE ziggie.jobs SET status = 'completed'");
	test_mariadb_sql("UPDATE ziggie.schedules SET next_at = '2020-01-01'");
	assert_int_equal(run_schedules(&a), JOB_TYPES);
}

static void test_who_lost_the_lease_makes_nothing(void **state)
{
	(void)state;
	const struct uuid a = somebody(), b = somebody();
	uint64_t made;
	assert_true(takes(&a));
	test_mariadb_sql("UPDATE ziggie.leases SET held_until = '2020-01-01'");
	assert_int_equal(schedules_run(fixture.db, &a, job_types, JOB_TYPES, &made, NULL),
			 ERR_CONFLICT);
	assert_true(takes(&b));
	assert_int_equal(schedules_run(fixture.db, &a, job_types, JOB_TYPES, &made, NULL),
			 ERR_CONFLICT);
	assert_int_equal(in_status("TRUE"), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_each_job_is_claimed_once),
	    TEST(test_only_what_is_due_and_known_is_claimed),
	    TEST(test_a_lost_lease_ends_nothing),
	    TEST(test_a_renewed_lease_is_kept),
	    TEST(test_what_is_not_repeatable_fails_when_its_process_is_gone),
	    TEST(test_used_up_attempts_are_dead),
	    TEST(test_what_is_given_back_has_used_no_attempt),
	    TEST(test_cancelling_reaches_who_runs_it),
	    TEST(test_pauses_double_up_to_a_bound),
	    TEST(test_old_jobs_are_removed_and_not_counted),
	    TEST(test_totals_are_mended),
	    TEST(test_one_holds_the_lease),
	    TEST(test_of_many_at_once_one_holds_the_lease),
	    TEST(test_what_is_due_is_made_once),
	    TEST(test_who_lost_the_lease_makes_nothing),
	};
	return cmocka_run_group_tests(tests, test_mariadb_set_up, test_mariadb_tear_down);
}
