/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/strbuf.h"
#include "supervisor/pidfile.h"

/* Seconds after which a process that a failed test left behind ends by itself. */
enum { LIFE = 60, NOBODY = 65534 };

static char directory[64];
static char path[96];

static int set_up(void **state)
{
	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/zgpid.XXXXXX");
	if (mkdtemp(directory) == NULL || chmod(directory, 0755) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/pid", directory);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	char other[96];
	snprintf(other, sizeof(other), "%s/other", directory);
	unlink(other);
	unlink(path);
	rmdir(path);
	return rmdir(directory);
}

static void put(const char *text)
{
	FD_CLEANUP fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, text, strlen(text)), ERR_OK);
}

static void holds_our_number(void)
{
	char expected[16];
	struct errmsg why = ERRMSG_INIT;
	STRBUF_CLEANUP text = STRBUF_INIT;
	snprintf(expected, sizeof(expected), "%d\n", (int)getpid());
	assert_int_equal(io_read_file(path, 100, &text, &why), ERR_OK);
	assert_string_equal(text.data, expected);
}

static void acquires_and_releases(void)
{
	struct pidfile file = PIDFILE_INIT;
	struct errmsg why = ERRMSG_INIT;
	assert_int_equal(pidfile_acquire(&file, path, &why), ERR_OK);
	holds_our_number();
	pidfile_release(&file);
	assert_int_equal(access(path, F_OK), -1);
}

static void refused(enum err expected, const char *word)
{
	struct pidfile file = PIDFILE_INIT;
	struct errmsg why = ERRMSG_INIT;
	assert_int_equal(pidfile_acquire(&file, path, &why), expected);
	assert_int_equal(file.fd, -1);
	assert_non_null(strstr(why.text, word));
	assert_non_null(strstr(why.text, path));
}

/* A process that holds the file until the test closes its end of the pipe, or kills it. */
struct holder {
	pid_t pid;
	int release_fd;
};

static struct holder start_holder(void)
{
	int told[2], ready[2];
	char byte;
	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct pidfile file = PIDFILE_INIT;
		struct errmsg why = ERRMSG_INIT;
		alarm(LIFE);
		close(told[1]);
		if (pidfile_acquire(&file, path, &why) != ERR_OK)
			_exit(1);
		if (write(ready[1], "R", 1) != 1 || read(told[0], &byte, 1) != 0)
			_exit(2);
		pidfile_release(&file);
		_exit(0);
	}
	close(ready[1]);
	close(told[0]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return (struct holder){pid, told[1]};
}

static void end_holder(struct holder *holder, bool brutally)
{
	int status = 0;
	if (brutally)
		kill(holder->pid, SIGKILL);
	close(holder->release_fd);
	assert_int_equal(waitpid(holder->pid, &status, 0), holder->pid);
	assert_true(brutally ? WIFSIGNALED(status) : status == 0);
}

static void test_normal_start_and_stop(void **state)
{
	(void)state;
	acquires_and_releases();
	acquires_and_releases();
}

static void test_a_second_start_names_the_first_and_how_to_stop_it(void **state)
{
	(void)state;
	char number[32], command[32];
	struct holder holder = start_holder();
	snprintf(number, sizeof(number), "process %d ", (int)holder.pid);
	snprintf(command, sizeof(command), "kill %d", (int)holder.pid);
	refused(ERR_CONFLICT, number);
	refused(ERR_CONFLICT, command);
	/* What the file says does not matter while it is locked. */
	put("1\n");
	refused(ERR_CONFLICT, command);
	put("");
	refused(ERR_CONFLICT, command);
	end_holder(&holder, false);
	acquires_and_releases();
}

static void test_a_file_left_by_kill_9_is_taken_over(void **state)
{
	(void)state;
	struct holder holder = start_holder();
	end_holder(&holder, true);
	assert_int_equal(access(path, F_OK), 0);
	acquires_and_releases();
}

static void test_a_stale_number_of_another_program_harms_nobody(void **state)
{
	(void)state;
	char text[16];
	int status = 0;
	pid_t bystander = fork();
	if (bystander == 0) {
		alarm(LIFE);
		pause();
		_exit(0);
	}
	snprintf(text, sizeof(text), "%d\n", (int)bystander);
	put(text);
	acquires_and_releases();
	assert_int_equal(waitpid(bystander, &status, WNOHANG), 0);
	kill(bystander, SIGKILL);
	waitpid(bystander, &status, 0);
}

static void test_corrupt_content_is_replaced(void **state)
{
	(void)state;
	static const char *const contents[] = {
	    "",        "\n",
	    "x",       "-1\n",
	    "0\n",     "99999999999999999999\n",
	    "12 34\n", "a text that is much longer than any process number could ever be\n"};
	for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
		put(contents[i]);
		acquires_and_releases();
	}
}

static void test_a_link_is_not_followed(void **state)
{
	(void)state;
	char target[96];
	struct stat st;
	snprintf(target, sizeof(target), "%s/other", directory);
	assert_int_equal(symlink(target, path), 0);
	refused(ERR_FORBIDDEN, "symbolic link");
	assert_int_equal(lstat(target, &st), -1);
	unlink(path);
	put("precious");
	assert_int_equal(link(path, target), 0);
	refused(ERR_FORBIDDEN, "other names");
	assert_int_equal(stat(target, &st), 0);
	assert_int_equal(st.st_size, 8);
}

static void test_what_is_no_regular_file_is_refused(void **state)
{
	(void)state;
	assert_int_equal(mkfifo(path, 0644), 0);
	refused(ERR_FORBIDDEN, "regular");
	unlink(path);
	assert_int_equal(mkdir(path, 0755), 0);
	refused(ERR_IO, "directory");
}

static void test_a_missing_directory_is_an_error(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "%s/none/pid", directory);
	refused(ERR_IO, "No such file");
	snprintf(path, sizeof(path), "%s/pid", directory);
}

/* Runs the check in a process of its own, which may change its user or limits. */
static void in_a_child(void (*check)(void))
{
	int status = 0;
	pid_t pid = fork();
	if (pid == 0) {
		check();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void become_somebody(void)
{
	if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
		_exit(10);
}

static void exit_unless(bool holds, int code)
{
	if (!holds)
		_exit(code);
}

static void check_unreadable(void)
{
	struct pidfile file = PIDFILE_INIT;
	struct errmsg why = ERRMSG_INIT;
	become_somebody();
	exit_unless(pidfile_acquire(&file, path, &why) == ERR_IO, 1);
	exit_unless(strstr(why.text, "Permission denied") != NULL, 2);
}

static void test_a_file_that_cannot_be_opened_is_an_error(void **state)
{
	(void)state;
	put("1\n");
	assert_int_equal(chmod(path, 0), 0);
	in_a_child(check_unreadable);
	assert_int_equal(chmod(path, 0444), 0);
	in_a_child(check_unreadable);
}

static void check_unwritable(void)
{
	struct pidfile file = PIDFILE_INIT;
	struct errmsg why = ERRMSG_INIT;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){0, 0});
	exit_unless(pidfile_acquire(&file, path, &why) == ERR_IO, 1);
	exit_unless(strstr(why.text, "can't write") != NULL, 2);
	exit_unless(file.fd == -1, 3);
}

static void test_a_file_that_cannot_be_written_is_an_error(void **state)
{
	(void)state;
	in_a_child(check_unwritable);
	acquires_and_releases();
}

static struct holder other_users_holder;

static void check_other_user(void)
{
	char number[32];
	struct pidfile file = PIDFILE_INIT;
	struct errmsg why = ERRMSG_INIT;
	become_somebody();
	snprintf(number, sizeof(number), "process %d ", (int)other_users_holder.pid);
	exit_unless(pidfile_acquire(&file, path, &why) == ERR_CONFLICT, 1);
	exit_unless(strstr(why.text, number) != NULL, 2);
}

static void test_another_user_is_told_who_runs(void **state)
{
	(void)state;
	other_users_holder = start_holder();
	/* Without root there is one user only, who may still not write. */
	assert_int_equal(chmod(path, 0444), 0);
	in_a_child(check_other_user);
	end_holder(&other_users_holder, false);
}

static void check_foreign_file(void)
{
	struct pidfile file = PIDFILE_INIT;
	struct errmsg why = ERRMSG_INIT;
	exit_unless(pidfile_acquire(&file, path, &why) == ERR_FORBIDDEN, 1);
	exit_unless(strstr(why.text, "belongs to user") != NULL, 2);
}

static void test_a_file_of_another_user_is_not_trusted(void **state)
{
	(void)state;
	put("1\n");
	if (geteuid() == 0) {
		assert_int_equal(chown(path, NOBODY, NOBODY), 0);
		in_a_child(check_foreign_file);
		return;
	}
	/* An ordinary user meets such files too: every device is root's, and writable. */
	snprintf(path, sizeof(path), "/dev/null");
	refused(ERR_FORBIDDEN, "regular");
	snprintf(path, sizeof(path), "%s/pid", directory);
}

/* ---- twenty at once ---- */

enum { STARTERS = 20, ROUNDS = 20, WON = 10, LOST = 11 };

/* Waits for the start, tries once; the winner holds until the test is over. */
static void __attribute__((noreturn)) contend(int start_fd, int result_fd, int end_fd)
{
	char byte = 0;
	struct pidfile file = PIDFILE_INIT;
	struct errmsg why = ERRMSG_INIT;
	alarm(LIFE);
	exit_unless(read(start_fd, &byte, 1) == 0, 1);
	enum err err = pidfile_acquire(&file, path, &why);
	exit_unless(err == ERR_OK || err == ERR_CONFLICT, 2);
	byte = err == ERR_OK ? WON : LOST;
	exit_unless(write(result_fd, &byte, 1) == 1, 3);
	exit_unless(read(end_fd, &byte, 1) == 0, 4);
	pidfile_release(&file);
	_exit(0);
}

static void race_once(void)
{
	int start[2], result[2], end[2], status = 0;
	pid_t pids[STARTERS];
	size_t winners = 0;
	assert_int_equal(pipe2(start, O_CLOEXEC), 0);
	assert_int_equal(pipe2(result, O_CLOEXEC), 0);
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	for (size_t i = 0; i < STARTERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			close(start[1]);
			close(end[1]);
			contend(start[0], result[1], end[0]);
		}
	}
	close(start[1]);
	for (size_t i = 0; i < STARTERS; i++) {
		char byte = 0;
		assert_int_equal(read(result[0], &byte, 1), 1);
		winners += byte == WON;
	}
	close(end[1]);
	for (size_t i = 0; i < STARTERS; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	close(start[0]);
	close(result[0]);
	close(result[1]);
	close(end[0]);
	assert_int_equal(winners, 1);
}

static void test_of_twenty_starts_exactly_one_wins(void **state)
{
	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		if (i % 2 == 1)
			put("4711\n");
		race_once();
	}
}

static void test_starts_while_another_ends_never_both_hold(void **state)
{
	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct holder holder = start_holder();
		struct pidfile file = PIDFILE_INIT;
		struct errmsg why = ERRMSG_INIT;
		close(holder.release_fd);
		enum err err = ERR_CONFLICT;
		while (err == ERR_CONFLICT)
			err = pidfile_acquire(&file, path, &why);
		assert_int_equal(err, ERR_OK);
		/* The name must lead to the file that is locked. */
		holds_our_number();
		int status = 0;
		assert_int_equal(waitpid(holder.pid, &status, 0), holder.pid);
		assert_int_equal(status, 0);
		holds_our_number();
		pidfile_release(&file);
	}
}

int main(void)
{
	alarm(2 * LIFE);
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	    TEST(test_normal_start_and_stop),
	    TEST(test_a_second_start_names_the_first_and_how_to_stop_it),
	    TEST(test_a_file_left_by_kill_9_is_taken_over),
	    TEST(test_a_stale_number_of_another_program_harms_nobody),
	    TEST(test_corrupt_content_is_replaced),
	    TEST(test_a_link_is_not_followed),
	    TEST(test_what_is_no_regular_file_is_refused),
	    TEST(test_a_missing_directory_is_an_error),
	    TEST(test_a_file_that_cannot_be_opened_is_an_error),
	    TEST(test_a_file_that_cannot_be_written_is_an_error),
	    TEST(test_another_user_is_told_who_runs),
	    TEST(test_a_file_of_another_user_is_not_trusted),
	    TEST(test_of_twenty_starts_exactly_one_wins),
	    TEST(test_starts_while_another_ends_never_both_hold),
#undef TEST
	};
	return cmocka_run_group_tests_name("pidfile", tests, NULL, NULL);
}
