/*
 * What the programs do when they start, with each of its calls failing once: the first,
 * then the second, and so on; alone, and with all calls of its kind behind it.  A start
 * works or says why it did not, and leaves nothing behind.
 *
 * Of a start that makes many calls a few are tried; with "long" as argument, all.
 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "faults.h"
#include "../../jobs/sampler.h"
#include "shm/scoreboard.h"
#include "support.h"
#include "supervisor/listen.h"
#include "supervisor/pidfile.h"
#include "whole_worker.h"

enum { FEW = 5, CALLS_MAX = 20000 };

struct fixture {
	struct whole_worker worker;
	char settings[128], listening[128], pid[128];
	bool is_long;
};

/* Most of it for the listening socket, which waits three seconds for one that is in use. */
#define LIMIT_NS (15 * NS_PER_S)

static struct fixture fixture;

/* ---- what is started, and ended again ---- */

static enum err start_settings(struct fixture *f, struct errmsg *why)
{
	struct conf conf = {0};
	char name[] = "ziggied", option[] = "--threads=5", *argv[] = {name, option, NULL};
	int argc = 2;
	enum err err = conf_load(&conf, f->settings, &argc, argv, why);
	if (err == ERR_OK)
		assert_int_equal(conf_number(&conf, threads), 5);
	conf_release(&conf);
	return err;
}

static enum err start_log(struct fixture *f, struct errmsg *why)
{
	enum err err = log_open("test", f->worker.log, LOG_INFO, why);
	if (err == ERR_OK)
		err = log_start_flusher(why);
	if (err == ERR_OK)
		err = log_reopen(why);
	log_close();
	return err;
}

static enum err start_listening(struct fixture *f, struct errmsg *why)
{
	struct listener listener = LISTENER_INIT;
	enum err err = listener_open(&listener, f->listening, -1, 16, why);
	listener_release(&listener);
	return err;
}

static enum err start_pid_file(struct fixture *f, struct errmsg *why)
{
	struct pidfile file = PIDFILE_INIT;
	enum err err = pidfile_acquire(&file, f->pid, why);
	if (err == ERR_OK)
		pidfile_release(&file);
	return err;
}

static enum err start_scoreboard(struct fixture *f, struct errmsg *why)
{
	(void)f;
	struct scoreboard *board = NULL;
	enum err err = scoreboard_create(4, &board, why);
	if (err == ERR_OK)
		scoreboard_free(board);
	return err;
}

static enum err run_sampler(const struct conf *conf, struct cache *cache, struct scoreboard *board,
			    struct errmsg *why)
{
	const struct scoreboard_claim claim = {.program = PROGRAM_JOBS, .others = 1};
	const struct sampler_options options = {
	    .host_id = "here",
	    .proc_root = conf_text(conf, proc_root),
	    .sys_root = conf_text(conf, sys_root),
	    .timing = host_timing_from_conf(conf),
	    .retry_ms = 10,
	    .cache = cache,
	    .scoreboard = board,
	};
	struct sampler *sampler = NULL;
	enum err err = scoreboard_claim(board, &claim, why);
	if (err == ERR_OK)
		err = sampler_start(&options, &sampler, why);
	if (err == ERR_OK)
		sampler_stop(sampler);
	return err;
}

static enum err start_sampler(struct fixture *f, struct errmsg *why)
{
	const struct conf *conf = &f->worker.conf;
	const struct cache_options options = cache_options_from_conf(conf);
	struct cache *cache = NULL;
	struct scoreboard *board = NULL;
	enum err err = cache_new(&options, &cache, why);
	if (err == ERR_OK)
		err = scoreboard_create(1, &board, why);
	if (err == ERR_OK)
		err = run_sampler(conf, cache, board, why);
	if (board != NULL)
		scoreboard_free(board);
	cache_free(cache);
	return err;
}

static enum err start_worker(struct fixture *f, struct errmsg *why)
{
	enum err err = whole_worker_start(&f->worker, why);
	if (err == ERR_OK)
		whole_worker_stop(&f->worker);
	return err;
}

static const struct start {
	const char *name;
	enum err (*run)(struct fixture *f, struct errmsg *why);
} starts[] = {
    {"settings", start_settings},     {"log", start_log},
    {"listening", start_listening},   {"pid file", start_pid_file},
    {"scoreboard", start_scoreboard}, {"sampler", start_sampler},
    {"worker", start_worker},
};

/* ---- all calls in turn ---- */

static void blame(const struct start *start, const struct fault *fault, const char *what)
{
	fail_msg("%s, %s number %u failing%s with \"%s\": %s", start->name,
		 fault_names[fault->call], fault->at,
		 fault->mode == FAULT_ONCE ? "" : " and all behind it", strerror(fault->error),
		 what);
}

/* Returns how many such calls there were. */
static unsigned try_fault(struct fixture *f, const struct start *start, const struct fault *fault)
{
	struct errmsg why = ERRMSG_INIT;
	unsigned files = test_open_files();
	int64_t began = clock_mono_ns();
	fault_arm(fault);
	enum err err = start->run(f, &why);
	unsigned calls = fault_lift();
	if (clock_mono_ns() - began > LIMIT_NS)
		blame(start, fault, "it took too long to start and to end");
	unlink(f->pid);
	unlink(f->listening);
	if (err != ERR_OK && why.text[0] == '\0')
		blame(start, fault, "no reason is given");
	if (calls > CALLS_MAX)
		blame(start, fault, "something spins");
	if (test_open_files() > files)
		blame(start, fault, "a descriptor stays open");
	return calls;
}

static void expect_start(struct fixture *f, const struct start *start, const struct fault *before)
{
	struct errmsg why = ERRMSG_INIT;
	if (start->run(f, &why) != ERR_OK)
		blame(start, before, why.text);
}

static unsigned try_start(struct fixture *f, const struct start *start, enum fault_call call,
			  int error)
{
	struct fault fault = {.call = call, .error = error, .at = UINT32_MAX};
	unsigned struck = 0, most = try_fault(f, start, &fault);
	unsigned step = f->is_long || most <= FEW ? 1 : most / FEW;
	for (int mode = FAULT_ONCE; mode <= FAULT_FROM_THEN_ON; mode++) {
		fault.mode = (enum fault_mode)mode;
		for (fault.at = 1; fault.at <= most; fault.at += step)
			struck += try_fault(f, start, &fault) >= fault.at;
	}
	if (most > 0)
		expect_start(f, start, &fault);
	return struck;
}

static void test_starts(void **state)
{
	static const struct {
		enum fault_call call;
		int error;
	} rows[] = {
	    {FAULT_MEMORY, ENOMEM},       {FAULT_OPEN, EMFILE},      {FAULT_READ, EIO},
	    {FAULT_WRITE, ENOSPC},        {FAULT_PWRITE, ENOSPC},    {FAULT_FCNTL, ENOLCK},
	    {FAULT_FTRUNCATE, ENOSPC},    {FAULT_MEMFD, EMFILE},     {FAULT_MMAP, ENOMEM},
	    {FAULT_SOCKET, EMFILE},       {FAULT_BIND, EACCES},      {FAULT_LISTEN, EADDRINUSE},
	    {FAULT_EPOLL_CREATE, EMFILE}, {FAULT_EPOLL_CTL, ENOSPC}, {FAULT_EVENTFD, EMFILE},
	    {FAULT_GETRLIMIT, EPERM},     {FAULT_THREAD, EAGAIN},    {FAULT_STATVFS, EIO},
	    {FAULT_POLL, ENOMEM},
	};
	struct fixture *f = *state;
	unsigned all = 0;
	for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
		unsigned struck = 0;
		for (size_t i = 0; i < ARRAY_LEN(starts); i++)
			struck += try_start(f, &starts[i], rows[row].call, rows[row].error);
		if (struck == 0)
			fail_msg("no start calls %s: is it wrapped?", fault_names[rows[row].call]);
		all += struck;
	}
	print_message("# %u faults\n", all);
}

/* ---- */

static int set_up(void **state)
{
	struct fixture *f = &fixture;
	whole_worker_prepare(&f->worker);
	whole_worker_set(&f->worker, CONF_db_connect_timeout, "200ms");
	snprintf(f->settings, sizeof(f->settings), "%.63s/settings", f->worker.dir);
	snprintf(f->listening, sizeof(f->listening), "%.63s/listening", f->worker.dir);
	snprintf(f->pid, sizeof(f->pid), "%.63s/pid", f->worker.dir);
	FILE *file = fopen(f->settings, "w");
	assert_non_null(file);
	fputs("# as an operator writes them\nworkers = 2\nhost_id = \"a host\"\nmax_body = 2M\n",
	      file);
	assert_int_equal(fclose(file), 0);
	/* What a first start makes for good. */
	for (size_t i = 0; i < ARRAY_LEN(starts); i++)
		expect_start(f, &starts[i], &(struct fault){.call = FAULT_NONE});
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	unlink(f->settings);
	whole_worker_remove(&f->worker);
	return 0;
}

int main(int argc, char **argv)
{
	fixture.is_long = argc > 1 && strcmp(argv[1], "long") == 0;
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_starts),
	};
	return cmocka_run_group_tests_name("faults_start", tests, set_up, tear_down);
}
