/*
 * ziggie-worker: answers requests.  ziggied starts it with a listening socket as
 * descriptor 3 (LISTEN_FDS); alone it takes that or a listening socket on
 * descriptor 0.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "app/parts.h"
#include "app/upkeep.h"
#include "base/heap.h"
#include "base/io.h"
#include "base/log.h"
#include "base/num.h"
#include "conf/conf.h"
#include "program/program.h"
#include "shm/scoreboard.h"
#include "worker/calls.h"
#include "worker/engine.h"

enum { LISTEN_FDS_START = 3 };

static const char help[] =
    "Usage: ziggie-worker [--config FILE] [--SETTING=VALUE]...\n"
    "Answers FastCGI requests of Ziggie Control Center. Usually ziggied starts it.\n"
    "\n"
    "The listening socket comes as descriptor 3 with LISTEN_FDS=1, or as descriptor 0.\n"
    "\n"
    "  --config FILE      read the settings from FILE\n"
    "  --check            check the settings and exit\n"
    "  --print-config     print every setting, its value and its source, and exit\n"
    "  --SETTING=VALUE    set one setting; see ziggie.conf(5)\n"
    "  --help, --version  print this, or the version, and exit\n"
    "\n"
    "Signals: TERM finishes what is under way and exits, a second TERM exits at once;\n"
    "USR1 opens the log file again.\n"
    "Exit codes: 0, and those of sysexits(3): 64 usage, 69 no socket, 71 system, 78 settings.\n";

/* -1 when there is none. */
static int find_socket(void)
{
	bool ours = program_told("LISTEN_PID", (unsigned)getpid()) == (unsigned)getpid();
	if (ours && program_told("LISTEN_FDS", 0) >= 1 && program_is_listening(LISTEN_FDS_START))
		return LISTEN_FDS_START;
	return program_is_listening(STDIN_FILENO) ? STDIN_FILENO : -1;
}

static void wait_for_the_end(const sigset_t *taken)
{
	for (;;) {
		int signal_number = sigwaitinfo(taken, NULL);
		if (signal_number == SIGUSR1)
			program_reopen_log();
		else if (signal_number == SIGTERM || signal_number == SIGINT)
			return;
	}
}

/*
 * A worker that wakes up does not push anybody off a processor.  The web server then goes on
 * until it has handed over all that came, instead of being interrupted by each request of its own,
 * and what it handed over is read from the database together; docs/decisions/0024.  Whoever
 * chose another policy than the usual one meant it.
 */
static void let_others_finish(void)
{
	const struct sched_param param = {0};
	if (sched_getscheduler(0) == SCHED_OTHER && sched_setscheduler(0, SCHED_BATCH, &param) != 0)
		LOG_EVENT(LOG_WARNING, "scheduling_refused",
			  LOG_STR("error", strerrordesc_np(errno)));
}

static void finish(struct app_parts *w, struct engine *engine, struct upkeep *upkeep,
		   const sigset_t *taken)
{
	int64_t limit_ms = conf_number(w->app.conf, drain_timeout);
	atomic_store(&w->app.draining, true);
	scoreboard_set_state(w->app.scoreboard, STATE_DRAINING);
	LOG_EVENT(LOG_INFO, "draining", LOG_INT("limit_ms", limit_ms));
	program_exit_at_next_signal(taken);
	bool clean = engine_drain(engine, limit_ms);
	upkeep_stop(upkeep); /* it reads the engine's counts */
	engine_stop(engine);
	LOG_EVENT(LOG_INFO, "stopped", LOG_BOOL("clean", clean));
}

static void log_start(const struct app_parts *w, const struct app_place *place)
{
	LOG_EVENT(LOG_INFO, "started", LOG_STR("version", PACKAGE_VERSION),
		  LOG_STR("commit", ZIGGIE_COMMIT), LOG_INT("worker", place->index),
		  LOG_INT("workers", place->count), LOG_INT("generation", place->generation),
		  LOG_INT("threads", place->threads), LOG_INT("db_pool_min", w->pool_config.min),
		  LOG_INT("db_pool_max", w->pool_config.max),
		  LOG_INT("db_pool_wait_ms", w->pool_config.wait_ms),
		  LOG_INT("db_pool_recycle_ms", w->pool_config.recycle_ms),
		  LOG_INT("db_pool_max_of_host", conf_number(w->app.conf, db_pool_max)));
}

static enum err serve_until_told(const struct conf *conf, struct errmsg *why)
{
	int listen_fd = find_socket();
	if (listen_fd < 0)
		return err_set(why, ERR_NOT_FOUND,
			       "no listening socket on descriptor 3 (LISTEN_FDS) or 0");
	const struct app_place place = {
	    .index = program_told("ZIGGIE_WORKER_INDEX", 0),
	    .count = program_told("ZIGGIE_WORKER_COUNT", 1),
	    .generation = program_told("ZIGGIE_GENERATION", 0),
	    .threads = (unsigned)conf_number(conf, threads),
	};
	const struct engine_config config = {
	    .listen_fd = listen_fd,
	    .threads = place.threads,
	    .max_connections = (unsigned)conf_number(conf, max_connections),
	    .max_body = (size_t)conf_number(conf, max_body),
	    .read_timeout_ms = conf_number(conf, read_timeout),
	    .write_timeout_ms = conf_number(conf, write_timeout),
	    .idle_timeout_ms = conf_number(conf, idle_timeout),
	    .queue_target_ms = conf_number(conf, queue_target),
	    .queue_interval_ms = conf_number(conf, queue_interval),
	};
	sigset_t taken;
	program_take_signals(&taken);
	heap_share();
	let_others_finish();
	enum err err = log_start_flusher(why);
	if (err != ERR_OK)
		return err;
	struct app_parts w;
	struct engine *engine = NULL;
	struct upkeep *upkeep = NULL;
	err = app_parts_init(&w, conf, &place, why);
	if (err == ERR_OK) {
		struct engine_app calls = worker_engine_calls;
		calls.context = &w;
		err = engine_start(&engine, &config, &calls, why);
	}
	if (err == ERR_OK) {
		const struct upkeep_more more = {.publish = worker_publish_engine,
						 .context = engine_stats(engine),
						 .keep_heap = true};
		err = upkeep_start(&w, &more, &upkeep, why);
	}
	if (err == ERR_OK) {
		atomic_store(&w.app.ready, true);
		scoreboard_set_state(w.app.scoreboard, STATE_READY);
		log_start(&w, &place);
		program_tell_ready();
		wait_for_the_end(&taken);
		finish(&w, engine, upkeep, &taken);
	} else if (engine != NULL) {
		engine_stop(engine);
	}
	app_parts_release(&w);
	return err;
}

static const struct program worker = {
    .name = "ziggie-worker", .help = help, .run = serve_until_told};

int main(int argc, char **argv)
{
	return program_main(&worker, argc, argv);
}
