/*
 * ziggie-jobs: samples the host for all workers, says in the database that it is
 * here, and does there what nobody waits for: the schedule and background jobs.  ziggied starts and
 * watches it; it ends with ziggied.
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
#include "presence.h"
#include "program/program.h"
#include "runner.h"
#include "sampler.h"
#include "scheduler.h"
#include "shm/scoreboard.h"
#include "work.h"

/* Who counts where in the scoreboard; the sampler has the first. */
enum { SCHEDULER_SLOT = 1, SLOTS };

static const char help[] =
    "Usage: ziggie-jobs [--config FILE] [--SETTING=VALUE]...\n"
    "Samples this host for Ziggie Control Center. Usually ziggied starts it.\n"
    "\n"
    "  --config FILE      read the settings from FILE\n"
    "  --check            check the settings and exit\n"
    "  --print-config     print every setting, its value and its source, and exit\n"
    "  --SETTING=VALUE    set one setting; see ziggie.conf(5)\n"
    "  --help, --version  print this, or the version, and exit\n"
    "\n"
    "Signals: TERM ends it, a second TERM at once; USR1 and HUP open the log file again.\n"
    "Exit codes: 0, and those of sysexits(3): 64 usage, 71 system, 73 log, 78 settings.\n";

/* The kernel's signal may be lost when ziggied dies while we start, so look as well. */
static bool supervisor_is_gone(void)
{
	unsigned supervisor = program_told("ZIGGIE_SUPERVISOR_PID", 0);
	return supervisor != 0 && getppid() != (pid_t)supervisor;
}

static void wait_for_the_end(const sigset_t *taken)
{
	const struct timespec second = {.tv_sec = 1};
	while (!supervisor_is_gone()) {
		int signal_number = sigtimedwait(taken, NULL, &second);
		if (signal_number == SIGHUP || signal_number == SIGUSR1)
			program_reopen_log();
		else if (signal_number > 0)
			return;
	}
	LOG_EVENT(LOG_WARNING, "supervisor_gone",
		  LOG_INT("supervisor", program_told("ZIGGIE_SUPERVISOR_PID", 0)));
}

static enum err claim_row(struct scoreboard *board, struct errmsg *why)
{
	const struct scoreboard_claim claim = {.program = PROGRAM_JOBS,
					       .generation = program_told("ZIGGIE_GENERATION", 0),
					       .others = SLOTS};
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
	program_take_signals(&taken);
	struct scoreboard *board = NULL;
	struct cache *cache = NULL;
	struct sampler *sampler = NULL;
	struct presence *presence = NULL;
	struct scheduler *scheduler = NULL;
	struct runner *runner = NULL;
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
	if (err == ERR_OK)
		err = presence_start(conf, &presence, why);
	if (err == ERR_OK)
		err = scheduler_start(conf, board, SCHEDULER_SLOT, &scheduler, why);
	if (err == ERR_OK)
		err = runner_start(conf, job_work, JOB_TYPES, &runner, why);
	if (err == ERR_OK) {
		scoreboard_set_state(board, STATE_READY);
		LOG_EVENT(LOG_INFO, "started", LOG_STR("version", PACKAGE_VERSION),
			  LOG_STR("commit", ZIGGIE_COMMIT), LOG_STR("host", conf_host_id(conf)),
			  LOG_STR("memcached", conf_text(conf, memcached)));
		program_tell_ready();
		wait_for_the_end(&taken);
		scoreboard_set_state(board, STATE_DRAINING);
		program_exit_at_next_signal(&taken);
		LOG_EVENT(LOG_INFO, "stopped", LOG_STR("host", conf_host_id(conf)));
	}
	runner_stop(runner);
	scheduler_stop(scheduler);
	presence_stop(presence);
	sampler_stop(sampler);
	cache_free(cache);
	scoreboard_free(board);
	return err;
}

/* The settings that are more than one value: the list of servers. */
static enum err check(const struct conf *conf, struct errmsg *why)
{
	struct cache *cache = NULL;
	const struct cache_options options = cache_options_from_conf(conf);
	enum err err = cache_new(&options, &cache, why);
	cache_free(cache);
	return err;
}

static const struct program jobs = {
    .name = "ziggie-jobs", .help = help, .run = work_until_told, .check = check};

int main(int argc, char **argv)
{
	return program_main(&jobs, argc, argv);
}
