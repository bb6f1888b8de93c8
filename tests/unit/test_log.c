/* The log where it can't be written: lines are lost whole, counted, and no longer than needed. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "faults.h"

struct fixture {
	char path[64];
	uint64_t lost; /* before the test */
	unsigned written;
};

static struct fixture fixture;

static int set_up(void **state)
{
	struct fixture *f = &fixture;
	*f = (struct fixture){.path = "/tmp/zlog.XXXXXX", .lost = log_lost()};
	int fd = mkstemp(f->path);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(log_open("test", f->path, LOG_INFO, NULL), ERR_OK);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	const struct fixture *f = *state;
	unlink(f->path);
	return log_open("test", NULL, LOG_INFO, NULL) == ERR_OK ? 0 : -1;
}

static void write_line(struct fixture *f)
{
	LOG_EVENT(LOG_INFO, "numbered", LOG_INT("number", f->written));
	f->written++;
}

static void write_buffered(struct fixture *f)
{
	log_write_buffered(LOG_INFO, "numbered", LOG_FIELDS(LOG_INT("number", f->written)));
	f->written++;
}

/* Counts the whole lines of the file; what is cut must not reach into the next line. */
static unsigned whole_lines(const struct fixture *f, unsigned *cut)
{
	unsigned whole = 0;
	STRBUF_CLEANUP text = STRBUF_INIT;
	assert_int_equal(io_read_file(f->path, 1 << 20, &text, NULL), ERR_OK);
	*cut = 0;
	for (char *line = text.data, *end; *line != '\0'; line = end + 1) {
		end = strchr(line, '\n');
		assert_non_null(end);
		bool is_whole = end[-1] == '}';
		whole += is_whole;
		*cut += !is_whole;
		assert_true(*line == '{');
		for (const char *at = line + 1; at < end; at++)
			assert_true(*at != '{');
	}
	return whole;
}

static void expect(const struct fixture *f, unsigned lost, unsigned cut_wanted)
{
	unsigned cut;
	assert_int_equal(log_lost() - f->lost, lost);
	assert_int_equal(whole_lines(f, &cut), f->written - lost);
	assert_int_equal(cut, cut_wanted);
}

static void test_a_line_without_memory_is_lost_alone(void **state)
{
	struct fixture *f = *state;
	fault_arm(&(struct fault){FAULT_MEMORY, ENOMEM, 1, FAULT_FROM_THEN_ON});
	write_line(f);
	fault_lift();
	write_line(f);
	expect(f, 1, 0);
}

static void test_no_line_of_a_buffer_goes_with_the_one_without_memory(void **state)
{
	struct fixture *f = *state;
	char text[32 * 1024];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	write_buffered(f);
	fault_arm(&(struct fault){FAULT_MEMORY, ENOMEM, 1, FAULT_FROM_THEN_ON});
	for (int i = 0; i < 3; i++) {
		/* Only a line that has no room in the thread's buffer needs memory. */
		log_write_buffered(LOG_INFO, "long", LOG_FIELDS(LOG_STR("text", text)));
		f->written++;
		write_buffered(f);
	}
	fault_lift();
	write_buffered(f);
	log_close();
	expect(f, 3, 0);
}

/* So a thread that writes lines takes no memory for it later on, however busy it gets. */
static void test_usual_lines_need_no_memory_of_their_own(void **state)
{
	struct fixture *f = *state;
	log_prepare_thread();
	fault_arm(&(struct fault){FAULT_MEMORY, ENOMEM, 1, FAULT_FROM_THEN_ON});
	for (int i = 0; i < 1000; i++)
		write_buffered(f);
	fault_lift();
	log_close();
	expect(f, 0, 0);
}

static void test_lines_are_lost_and_counted_while_the_disk_is_full(void **state)
{
	struct fixture *f = *state;
	write_line(f);
	fault_arm(&(struct fault){FAULT_WRITE, ENOSPC, 1, FAULT_FROM_THEN_ON});
	write_line(f);
	for (int i = 0; i < 3; i++)
		write_buffered(f);
	log_close();
	fault_lift();
	write_line(f);
	expect(f, 4, 0);
}

static void test_a_signal_or_a_short_write_loses_nothing(void **state)
{
	struct fixture *f = *state;
	fault_arm(&(struct fault){FAULT_WRITE, EINTR, 1, FAULT_ONCE});
	write_line(f);
	fault_arm(&(struct fault){FAULT_WRITE, FAULT_SHORT, 1, FAULT_FROM_THEN_ON});
	write_line(f);
	fault_lift();
	expect(f, 0, 0);
}

/* The file may grow to that size and no further. */
static void limit_size(rlim_t size)
{
	struct rlimit limit;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = size;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_a_line_that_a_full_disk_cut_spoils_no_other(void **state)
{
	struct fixture *f = *state;
	struct stat info;
	write_line(f);
	assert_int_equal(stat(f->path, &info), 0);
	limit_size((rlim_t)info.st_size + 10);
	write_line(f);
	write_line(f);
	limit_size(RLIM_INFINITY);
	write_line(f);
	write_line(f);
	expect(f, 2, 1);
}

static void test_the_whole_lines_of_a_cut_buffer_are_not_counted(void **state)
{
	struct fixture *f = *state;
	struct stat info;
	write_line(f);
	assert_int_equal(stat(f->path, &info), 0);
	for (int i = 0; i < 4; i++)
		write_buffered(f);
	limit_size((rlim_t)info.st_size * 5 / 2);
	log_close();
	limit_size(RLIM_INFINITY);
	write_line(f);
	expect(f, 3, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_a_line_without_memory_is_lost_alone),
	    TEST(test_no_line_of_a_buffer_goes_with_the_one_without_memory),
	    TEST(test_usual_lines_need_no_memory_of_their_own),
	    TEST(test_lines_are_lost_and_counted_while_the_disk_is_full),
	    TEST(test_a_signal_or_a_short_write_loses_nothing),
	    TEST(test_a_line_that_a_full_disk_cut_spoils_no_other),
	    TEST(test_the_whole_lines_of_a_cut_buffer_are_not_counted),
	};
	signal(SIGXFSZ, SIG_IGN); /* as the programs do */
	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
