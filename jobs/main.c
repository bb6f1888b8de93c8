/*
 * ziggie-jobs: samples the host for all workers.  ziggied starts and watches it; it
 * ends with ziggied.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/num.h"
#include "cache/cache.h"
#include "conf/conf.h"
#include "sampler.h"
#include "shm/scoreboard.h"

static const char help[] =
    "Usage: ziggie-jobs [--config FILE] [--SETTING=VALUE]...\n"
    "Samples this host for Ziggie Control Center. Usually ziggied starts it.\n"
    "\n"
    "  --config FILE      read the settings from FILE\n"
    "  --check            check the settings and exit\n"
    "  --SETTING=VALUE    set one setting; see ziggie.conf(5)\n"
    "  --help, --version  print this, or the version, and exit\n"
    "\n"
    "Signals: TERM ends it, a second TERM at once; USR1 and HUP open the log file again.\n"
    "Exit codes: 0, and those of sysexits(3): 64 usage, 71 system, 73 log, 78 settings.\n";

/* A number that ziggied told us; 0 when it is absent or not a number. */
static unsigned told(const char *name)
{
	const char *text = getenv(name);
	uint64_t value;
	return text != NULL && num_u64s(text, 0, 1 << 30, &value) ? (unsigned)value : 0;
}

static void tell_ready(void)
{
	int fd = (int)told("ZIGGIE_READY_FD");
	if (fd <= STDERR_FILENO)
		return;
	if (io_write_all(fd, "R", 1) != ERR_OK)
		LOG_EVENT(LOG_WARNING, "ready_not_told", LOG_STR("error", strerror(errno)));
	close(fd);
}

/* Every thread inherits the mask; the main thread takes these one by one. */
static void take_signals(sigset_t *taken)
{
	sigemptyset(taken);
	sigaddset(taken, SIGTERM);
	sigaddset(taken, SIGINT);
	sigaddset(taken, SIGHUP);
	sigaddset(taken, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, taken, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void reopen_log(void)
{
	struct errmsg why = ERRMSG_INIT;
	if (log_reopen(&why) != ERR_OK)
		LOG_EVENT(LOG_ERROR, "log_not_reopened", LOG_STR("detail", why.text));
}

/* The kernel's signal may be lost when ziggied dies while we start, so look as well. */
static bool supervisor_is_gone(void)
{
	unsigned supervisor = told("ZIGGIE_SUPERVISOR_PID");
	return supervisor != 0 && getppid() != (pid_t)supervisor;
}

static void wait_for_the_end(const sigset_t *taken)
{
	const struct timespec second = {.tv_sec = 1};
	while (!supervisor_is_gone()) {
		int signal_number = sigtimedwait(taken, NULL, &second);
		if (signal_number == SIGHUP || signal_number == SIGUSR1)
			reopen_log();
		else if (signal_number > 0)
			return;
	}
	LOG_EVENT(LOG_WARNING, "supervisor_gone",
		  LOG_INT("supervisor", told("ZIGGIE_SUPERVISOR_PID")));
}

static void exit_at_once(int signal_number)
{
	(void)signal_number;
	_exit(EX_OK);
}

static void exit_at_a_second_signal(const sigset_t *taken)
{
	signal(SIGTERM, exit_at_once);
	signal(SIGINT, exit_at_once);
	pthread_sigmask(SIG_UNBLOCK, taken, NULL);
}

static enum err claim_row(struct scoreboard *board, struct errmsg *why)
{
	const struct scoreboard_claim claim = {
	    .program = PROGRAM_JOBS, .generation = told("ZIGGIE_GENERATION"), .others = 1};
	return scoreboard_claim(board, &claim, why);
}

/* Without memcached nobody could read a sample: then there is nothing to do but to wait. */
static enum err start_sampling(const struct conf *conf, struct cache *cache,
			       struct scoreboard *board, struct sampler **out, struct errmsg *why)
{
	if (conf_text(conf, memcached)[0] == '\0') {
		LOG_EVENT(LOG_WARNING, "not_sampling", LOG_STR("detail", "no memcached is set"));
		return ERR_OK;
	}
	const struct sampler_options options = {
	    .host_id = conf_host_id(conf),
	    .proc_root = conf_text(conf, proc_root),
	    .sys_root = conf_text(conf, sys_root),
	    .timing = host_timing_from_conf(conf),
	    .retry_ms = conf_number(conf, memcached_retry),
	    .cache = cache,
	    .scoreboard = board,
	};
	return sampler_start(&options, out, why);
}

static enum err work_until_told(const struct conf *conf, struct errmsg *why)
{
	sigset_t taken;
	take_signals(&taken);
	struct scoreboard *board = NULL;
	struct cache *cache = NULL;
	struct sampler *sampler = NULL;
	const struct cache_options cache_options = cache_options_from_conf(conf);
	enum err err = log_start_flusher(why);
	if (err == ERR_OK)
		err = scoreboard_open(&board, why);
	if (err == ERR_OK)
		err = claim_row(board, why);
	if (err == ERR_OK)
		err = cache_new(&cache_options, &cache, why);
	if (err == ERR_OK)
		err = start_sampling(conf, cache, board, &sampler, why);
	if (err == ERR_OK) {
		scoreboard_set_state(board, STATE_READY);
		LOG_EVENT(LOG_INFO, "started", LOG_STR("version", PACKAGE_VERSION),
			  LOG_STR("commit", ZIGGIE_COMMIT), LOG_STR("host", conf_host_id(conf)),
			  LOG_STR("memcached", conf_text(conf, memcached)));
		tell_ready();
		wait_for_the_end(&taken);
		scoreboard_set_state(board, STATE_DRAINING);
		exit_at_a_second_signal(&taken);
		LOG_EVENT(LOG_INFO, "stopped", LOG_STR("host", conf_host_id(conf)));
	}
	sampler_stop(sampler);
	cache_free(cache);
	scoreboard_free(board);
	return err;
}

/* What the command line asks for beside settings. */
struct command_line {
	const char *config_file;
	bool check;
};

static enum err read_command_line(struct command_line *line, struct conf *conf, int argc,
				  char **argv, struct errmsg *why)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], "--config") == 0)
			line->config_file = argv[i + 1];
	enum err err = conf_load(conf, line->config_file, &argc, argv, why);
	for (int i = 1; i < argc && err == ERR_OK; i++) {
		if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
			i++;
		else if (strcmp(argv[i], "--check") == 0)
			line->check = true;
		else
			err = err_set(why, ERR_MALFORMED, "unknown option \"%s\"; see --help",
				      argv[i]);
	}
	return err;
}

static int complain(const char *text, int exit_code)
{
	fprintf(stderr, "ziggie-jobs: %s\n", text);
	return exit_code;
}

static int run(const struct conf *conf)
{
	struct errmsg why = ERRMSG_INIT;
	enum log_level level = LOG_INFO;
	log_level_parse(conf_text(conf, log_level), &level);
	if (log_open("ziggie-jobs", conf_text(conf, log_file), level, &why) != ERR_OK)
		return complain(why.text, EX_CANTCREAT);
	enum err err = work_until_told(conf, &why);
	if (err != ERR_OK)
		LOG_EVENT(LOG_ERROR, "not_started", LOG_STR("detail", why.text));
	log_close();
	return err == ERR_OK ? EX_OK : err == ERR_INVALID ? EX_CONFIG : EX_OSERR;
}

/* The settings that are more than one value: the list of servers. */
static int check(const struct conf *conf)
{
	struct errmsg why = ERRMSG_INIT;
	struct cache *cache = NULL;
	const struct cache_options options = cache_options_from_conf(conf);
	if (cache_new(&options, &cache, &why) != ERR_OK)
		return complain(why.text, EX_CONFIG);
	cache_free(cache);
	return EX_OK;
}

int main(int argc, char **argv)
{
	struct command_line line = {0};
	struct errmsg why = ERRMSG_INIT;
	struct conf conf = {0};
	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return fputs(help, stdout) < 0 ? EX_IOERR : EX_OK;
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return printf("ziggie-jobs %s (%s)\n", PACKAGE_VERSION, ZIGGIE_COMMIT) < 0
			   ? EX_IOERR
			   : EX_OK;
	enum err err = read_command_line(&line, &conf, argc, argv, &why);
	int exit_code;
	if (err != ERR_OK)
		exit_code = complain(why.text, err == ERR_MALFORMED ? EX_USAGE : EX_CONFIG);
	else
		exit_code = line.check ? check(&conf) : run(&conf);
	conf_release(&conf);
	return exit_code;
}
