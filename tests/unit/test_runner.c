/*
 * The runner of ziggie-jobs, in processes of its own with toy types of work: this program again,
 * called with the server's socket.
 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "conf/conf.h"
#include "../../jobs/runner.h"
#include "program/program.h"
#include "store/jobs.h"
#include "support.h"
#include "support_mariadb.h"

enum {
	PORTIONS = 10,
	PORTION_MS = 20,
	PROCESSES = 2,
	KILLS = 3,
	PATIENCE_MS = 60000,
	STEP_MS = 20,
	JOB_THREADS = 3
};

/* Toys: what they do stands in tables of their own, by the payload. */

static enum err note(struct job_run *run, const char *sql, struct errmsg *why)
{
	return db_exec(job_db(run), sql, DB_BINDS(db_text(job_payload(run))), NULL, why);
}

static enum err work_on(struct job_run *run, struct errmsg *why)
{
	enum err err = ERR_OK;
	for (int i = 0; i < PORTIONS && err == ERR_OK; i++) {
		err = job_goes_on(run, i * 100 / PORTIONS, "at work", why);
		test_sleep_ms(PORTION_MS);
	}
	return err;
}

/* May be done again: the same row. */
static enum err add(struct job_run *run, struct strbuf *result, struct errmsg *why)
{
	enum err err = work_on(run, why);
	if (err == ERR_OK)
		err = note(run, "INSERT IGNORE INTO added (payload) VALUES (?)", why);
	strbuf_adds(result, "{\"done\":true}");
	return err;
}

/* Must not: a row each time that it is begun. */
static enum err send_out(struct job_run *run, struct strbuf *result, struct errmsg *why)
{
	(void)result;
	enum err err = note(run, "INSERT INTO sent (payload) VALUES (?)", why);
	return err == ERR_OK ? work_on(run, why) : err;
}

static enum err go_on_for_ever(struct job_run *run, struct strbuf *result, struct errmsg *why)
{
	(void)result;
	enum err err = ERR_OK;
	while (err == ERR_OK) {
		err = job_goes_on(run, 50, "at work", why);
		test_sleep_ms(PORTION_MS);
	}
	return err;
}

static enum err break_down(struct job_run *run, struct strbuf *result, struct errmsg *why)
{
	(void)run;
	(void)result;
	return err_set(why, ERR_IO, "it does not work");
}

static enum err refuse(struct job_run *run, struct strbuf *result, struct errmsg *why)
{
	(void)run;
	(void)result;
	return err_set(why, ERR_INVALID, "it makes no sense");
}

static const struct job_type toys[] = {
    {"add", 0, 60, 9, true, ""},  {"send", 0, 60, 9, false, ""},  {"for-ever", 0, 60, 9, true, ""},
    {"fail", 0, 60, 2, true, ""}, {"refuse", 0, 60, 9, true, ""}, {"too-long", 0, 1, 1, true, ""},
};
static const struct job_work work[] = {
    {&toys[0], add},        {&toys[1], send_out}, {&toys[2], go_on_for_ever},
    {&toys[3], break_down}, {&toys[4], refuse},   {&toys[5], go_on_for_ever}};

/* The process that runs them. */
static int be_runner(const char *socket)
{
	struct conf conf;
	struct runner *runner;
	sigset_t taken;
	int number;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	program_take_signals(&taken);
	AN_INVARIANT(conf_init(&conf, NULL) == ERR_OK);
	AN_INVARIANT(conf_set(&conf, CONF_db_socket, socket, "test", NULL) == ERR_OK);
	AN_INVARIANT(conf_set(&conf, CONF_db_user, "root", "test", NULL) == ERR_OK);
	AN_INVARIANT(conf_set(&conf, CONF_job_lease, "3s", "test", NULL) == ERR_OK);
	AN_INVARIANT(conf_set(&conf, CONF_job_threads, "3", "test", NULL) == ERR_OK);
	AN_INVARIANT(runner_start(&conf, work, ARRAY_LEN(work), &runner, NULL) == ERR_OK);
	AN_INVARIANT(sigwait(&taken, &number) == 0);
	runner_stop(runner);
	conf_release(&conf);
	return 0;
}

static pid_t start_runner(void)
{
	pid_t pid = fork();
	if (pid == 0) {
		execl("/proc/self/exe", "test_runner", test_mariadb_root()->socket, (char *)NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	return pid;
}

static int end_runner(pid_t pid, int number)
{
	int status;
	kill(pid, number);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* The database's side */

static int64_t count(const char *condition)
{
	char sql[256];
	snprintf(sql, sizeof(sql), "SELECT COUNT(*) FROM ziggie.jobs WHERE %s", condition);
	return test_mariadb_number(sql);
}

static void wait_until(const char *condition, int64_t expected)
{
	int64_t found = count(condition);
	for (int waited = 0; found != expected && waited < PATIENCE_MS; waited += STEP_MS) {
		test_sleep_ms(STEP_MS);
		found = count(condition);
	}
	if (found != expected)
		fail_msg("%s: %lld, not %lld", condition, (long long)found, (long long)expected);
}

#define QUEUE(type, number, repeatable, attempts)                                                  \
	test_mariadb_sql("INSERT INTO ziggie.jobs (id, created_at, updated_at, job_type, status,"  \
			 " payload, max_attempts, repeatable, run_after) SELECT"                   \
			 " UNHEX(MD5(CONCAT('" type "', seq))), UTC_TIMESTAMP(), UTC_TIMESTAMP()," \
			 " '" type "', 'queued', CONCAT('{\"n\":', seq, '}'), " attempts           \
			 ", " repeatable ", '2020-01-01' FROM ziggie.seq_1_to_" number)

static int set_up(void **state)
{
	(void)state;
	test_mariadb_sql("DELETE FROM ziggie.jobs");
	test_mariadb_sql("DELETE FROM ziggie.added");
	test_mariadb_sql("DELETE FROM ziggie.sent");
	return 0;
}

static int set_up_server(void **state)
{
	test_mariadb_set_up(state);
	test_mariadb_sql("CREATE TABLE ziggie.added (payload VARCHAR(99) PRIMARY KEY)");
	test_mariadb_sql("CREATE TABLE ziggie.sent (id INT AUTO_INCREMENT PRIMARY KEY,"
			 " payload VARCHAR(99))");
	return 0;
}

/* As the scheduler does, and without the wait for leases and pauses. */
static void take_over(struct db_conn *db)
{
	uint64_t reclaimed;
	test_mariadb_sql("UPDATE ziggie.jobs SET lease_until = '2020-01-01'"
			 " WHERE status = 'running'");
	assert_int_equal(jobs_reclaim(db, 1000, &reclaimed, NULL), ERR_OK);
	test_mariadb_sql("UPDATE ziggie.jobs SET run_after = '2020-01-01'"
			 " WHERE status = 'queued'");
}

/* Tests */

static void test_killed_anywhere_each_is_done_once_or_seen_to_have_failed(void **state)
{
	(void)state;
	struct db_conn *db = test_mariadb_connect(test_mariadb_server());
	pid_t pids[PROCESSES];
	QUEUE("add", "40", "TRUE", "9");
	QUEUE("send", "40", "FALSE", "9");
	for (int kills = 0; kills <= KILLS; kills++) {
		for (int i = 0; i < PROCESSES; i++)
			pids[i] = start_runner();
		if (kills < KILLS)
			wait_until("EXISTS (SELECT 1 FROM ziggie.jobs WHERE status = 'running')",
				   80);
		else
			wait_until("status IN ('queued', 'running')", 0);
		for (int i = 0; i < PROCESSES; i++)
			end_runner(pids[i], SIGKILL);
		take_over(db);
	}
	assert_int_equal(count("job_type = 'add' AND status = 'completed'"), 40);
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM ziggie.added"), 40);
	assert_int_equal(count("job_type = 'send' AND status IN ('completed', 'failed')"), 40);
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) - COUNT(DISTINCT payload)"
					     " FROM ziggie.sent"),
			 0);
	assert_int_equal(count("status = 'failed' AND error IS NULL"), 0);
	/* They were in the middle of something. */
	assert_true(count("attempts > 1 OR status = 'failed'") > 0);
	db_close(db);
}

static void test_a_job_is_given_back_at_the_end(void **state)
{
	(void)state;
	QUEUE("for-ever", "2", "TRUE", "9");
	pid_t pid = start_runner();
	wait_until("status = 'running' AND progress = 50 AND message = 'at work'", 2);
	assert_int_equal(end_runner(pid, SIGTERM), 0);
	assert_int_equal(count("status = 'queued' AND attempts = 0 AND lease_id IS NULL"), 2);
}

static size_t threads_of(pid_t pid)
{
	char path[64];
	size_t threads = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *tasks = opendir(path);
	assert_non_null(tasks);
	for (const struct dirent *entry; (entry = readdir(tasks)) != NULL;)
		threads += entry->d_name[0] != '.';
	closedir(tasks);
	return threads;
}

static void await_claim(void)
{
	static const char waiting[] = "SELECT COUNT(*) FROM information_schema.processlist"
				      " WHERE state LIKE 'Waiting for table metadata lock'";
	for (int waited = 0; test_mariadb_number(waiting) == 0; waited += STEP_MS) {
		assert_true(waited < PATIENCE_MS);
		test_sleep_ms(STEP_MS);
	}
}

/* Its other threads have ended when the claim comes through. */
static void end_while_it_claims(struct db_conn *lock)
{
	assert_int_equal(db_exec(lock, "LOCK TABLES ziggie.jobs WRITE", DB_NO_BINDS, NULL, NULL),
			 ERR_OK);
	pid_t pid = start_runner();
	await_claim();
	size_t threads = threads_of(pid);
	kill(pid, SIGTERM);
	for (int waited = 0; threads_of(pid) + JOB_THREADS > threads; waited += STEP_MS) {
		assert_true(waited < PATIENCE_MS);
		test_sleep_ms(STEP_MS);
	}
	assert_int_equal(db_exec(lock, "UNLOCK TABLES", DB_NO_BINDS, NULL, NULL), ERR_OK);
	assert_int_equal(end_runner(pid, SIGCONT), 0);
}

static void test_what_is_claimed_while_it_ends_is_given_back(void **state)
{
	(void)state;
	enum { TRIES = 5 }; /* on a slow machine the claim may have timed out */
	struct db_conn *lock = test_mariadb_connect(test_mariadb_root());
	QUEUE("add", "1", "TRUE", "9");
	for (int i = 0; i < TRIES && count("started_at IS NOT NULL") == 0; i++)
		end_while_it_claims(lock);
	assert_int_equal(count("started_at IS NOT NULL"), 1);
	assert_int_equal(count("status = 'queued' AND attempts = 0 AND lease_id IS NULL"), 1);
	db_close(lock);
}

static void test_a_running_job_is_cancelled(void **state)
{
	(void)state;
	QUEUE("for-ever", "2", "TRUE", "9");
	pid_t pid = start_runner();
	wait_until("status = 'running'", 2);
	test_mariadb_sql("UPDATE ziggie.jobs SET cancel_requested = TRUE ORDER BY id LIMIT 1");
	wait_until("status = 'cancelled' AND completed_at IS NOT NULL", 1);
	assert_int_equal(count("status = 'running'"), 1);
	end_runner(pid, SIGKILL);
}

static void test_failures_are_tried_again_and_then_dead(void **state)
{
	(void)state;
	QUEUE("fail", "1", "TRUE", "2");
	QUEUE("refuse", "1", "TRUE", "9");
	QUEUE("too-long", "1", "TRUE", "1");
	pid_t pid = start_runner();
	wait_until("job_type = 'fail' AND status = 'dead' AND attempts = 2"
		   " AND error = 'it does not work'",
		   1);
	wait_until("job_type = 'refuse' AND status = 'failed' AND attempts = 1"
		   " AND error = 'it makes no sense'",
		   1);
	wait_until("job_type = 'too-long' AND status = 'dead' AND error LIKE '%1 s%'", 1);
	end_runner(pid, SIGKILL);
}

#define TEST(function) cmocka_unit_test_setup(function, set_up)

int main(int argc, char **argv)
{
	if (argc == 2)
		return be_runner(argv[1]);
	const struct CMUnitTest tests[] = {
	    TEST(test_killed_anywhere_each_is_done_once_or_seen_to_have_failed),
	    TEST(test_a_job_is_given_back_at_the_end),
	    TEST(test_what_is_claimed_while_it_ends_is_given_back),
	    TEST(test_a_running_job_is_cancelled),
	    TEST(test_failures_are_tried_again_and_then_dead),
	};
	return cmocka_run_group_tests(tests, set_up_server, test_mariadb_tear_down);
}
