/*
 * ziggie-worker: answers requests.  ziggied starts it with a listening socket as
 * descriptor 3 (LISTEN_FDS); alone it takes that or a listening socket on
 * descriptor 0.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/num.h"
#include "conf/conf.h"
#include "shm/scoreboard.h"
#include "worker/app.h"
#include "worker/engine.h"
#include "worker/upkeep.h"

enum { LISTEN_FDS_START = 3 };

static const char help[] =
    "Usage: ziggie-worker [--config FILE] [--SETTING=VALUE]...\n"
    "Answers FastCGI requests of Ziggie Control Center. Usually ziggied starts it.\n"
    "\n"
    "The listening socket comes as descriptor 3 with LISTEN_FDS=1, or as descriptor 0.\n"
    "\n"
    "  --config FILE      read the settings from FILE\n"
    "  --print-config     print every setting, its value and its source, and exit\n"
    "  --SETTING=VALUE    set one setting; see ziggie.conf(5)\n"
    "  --help, --version  print this, or the version, and exit\n"
    "\n"
    "Signals: TERM finishes what is under way and exits, a second TERM exits at once;\n"
    "USR1 opens the log file again.\n"
    "Exit codes: 0, and those of sysexits(3): 64 usage, 69 no socket, 71 system, 78 settings.\n";

/* A number that ziggied told us; fallback when it is absent or not a number. */
static unsigned told(const char *name, unsigned fallback)
{
	const char *text = getenv(name);
	uint64_t value;
	return text != NULL && num_u64s(text, 0, 1 << 20, &value) ? (unsigned)value : fallback;
}

static bool is_listening(int fd)
{
	int listening = 0;
	socklen_t len = sizeof(listening);
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening;
}

/* -1 when there is none. */
static int find_socket(void)
{
	bool ours = told("LISTEN_PID", (unsigned)getpid()) == (unsigned)getpid();
	if (ours && told("LISTEN_FDS", 0) >= 1 && is_listening(LISTEN_FDS_START))
		return LISTEN_FDS_START;
	return is_listening(STDIN_FILENO) ? STDIN_FILENO : -1;
}

static void tell_ready(void)
{
	int fd = (int)told("ZIGGIE_READY_FD", 0);
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
	sigaddset(taken, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, taken, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
}

static void reopen_log(void)
{
	struct errmsg why = ERRMSG_INIT;
	if (log_reopen(&why) != ERR_OK)
		LOG_EVENT(LOG_ERROR, "log_not_reopened", LOG_STR("detail", why.text));
}

static void wait_for_the_end(const sigset_t *taken)
{
	for (;;) {
		int signal_number = sigwaitinfo(taken, NULL);
		if (signal_number == SIGUSR1)
			reopen_log();
		else if (signal_number > 0)
			return;
	}
}

static void exit_at_once(int signal_number)
{
	(void)signal_number;
	_exit(EX_OK);
}

static void finish(struct worker_app *w, struct engine *engine, struct upkeep *upkeep,
		   const sigset_t *taken)
{
	int64_t limit_ms = conf_number(w->app.conf, drain_timeout);
	atomic_store(&w->app.draining, true);
	scoreboard_set_state(w->app.scoreboard, STATE_DRAINING);
	LOG_EVENT(LOG_INFO, "draining", LOG_INT("limit_ms", limit_ms));
	signal(SIGTERM, exit_at_once);
	signal(SIGINT, exit_at_once);
	pthread_sigmask(SIG_UNBLOCK, taken, NULL);
	bool clean = engine_drain(engine, limit_ms);
	upkeep_stop(upkeep); /* it reads the engine's counts */
	engine_stop(engine);
	LOG_EVENT(LOG_INFO, "stopped", LOG_BOOL("clean", clean));
}

static void log_start(const struct worker_app *w, const struct worker_place *place)
{
	LOG_EVENT(LOG_INFO, "started", LOG_STR("version", PACKAGE_VERSION),
		  LOG_STR("commit", ZIGGIE_COMMIT), LOG_INT("worker", place->index),
		  LOG_INT("workers", place->count), LOG_INT("generation", place->generation),
		  LOG_INT("threads", conf_number(w->app.conf, threads)),
		  LOG_INT("db_pool_min", w->pool_config.min),
		  LOG_INT("db_pool_max", w->pool_config.max),
		  LOG_INT("db_pool_wait_ms", w->pool_config.wait_ms),
		  LOG_INT("db_pool_recycle_ms", w->pool_config.recycle_ms),
		  LOG_INT("db_pool_max_of_host", conf_number(w->app.conf, db_pool_max)));
}

static enum err serve_until_told(const struct conf *conf, int listen_fd, struct errmsg *why)
{
	const struct worker_place place = {
	    .index = told("ZIGGIE_WORKER_INDEX", 0),
	    .count = told("ZIGGIE_WORKER_COUNT", 1),
	    .generation = told("ZIGGIE_GENERATION", 0),
	};
	const struct engine_config config = {
	    .listen_fd = listen_fd,
	    .threads = (unsigned)conf_number(conf, threads),
	    .max_connections = (unsigned)conf_number(conf, max_connections),
	    .max_body = (size_t)conf_number(conf, max_body),
	    .read_timeout_ms = conf_number(conf, read_timeout),
	    .write_timeout_ms = conf_number(conf, write_timeout),
	    .idle_timeout_ms = conf_number(conf, idle_timeout),
	    .queue_target_ms = conf_number(conf, queue_target),
	    .queue_interval_ms = conf_number(conf, queue_interval),
	};
	sigset_t taken;
	take_signals(&taken);
	enum err err = log_start_flusher(why);
	if (err != ERR_OK)
		return err;
	struct worker_app w;
	struct engine *engine = NULL;
	struct upkeep *upkeep = NULL;
	err = worker_app_init(&w, conf, &place, why);
	if (err == ERR_OK) {
		struct engine_app calls = worker_engine_calls;
		calls.context = &w;
		err = engine_start(&engine, &config, &calls, why);
	}
	if (err == ERR_OK)
		err = upkeep_start(&w, engine_stats(engine), &upkeep, why);
	if (err == ERR_OK) {
		atomic_store(&w.app.ready, true);
		scoreboard_set_state(w.app.scoreboard, STATE_READY);
		log_start(&w, &place);
		tell_ready();
		wait_for_the_end(&taken);
		finish(&w, engine, upkeep, &taken);
	} else if (engine != NULL) {
		engine_stop(engine);
	}
	worker_app_release(&w);
	return err;
}

/* What the command line asks for beside settings. */
struct command_line {
	const char *config_file;
	bool print_config;
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
		else if (strcmp(argv[i], "--print-config") == 0)
			line->print_config = true;
		else
			err = err_set(why, ERR_MALFORMED, "unknown option \"%s\"; see --help",
				      argv[i]);
	}
	return err;
}

static int complain(const char *text, int exit_code)
{
	fprintf(stderr, "ziggie-worker: %s\n", text);
	return exit_code;
}

static int print_config(const struct conf *conf)
{
	STRBUF_CLEANUP text = STRBUF_INIT;
	conf_print(conf, &text);
	return fputs(text.data, stdout) < 0 ? EX_IOERR : EX_OK;
}

static int run(const struct conf *conf)
{
	struct errmsg why = ERRMSG_INIT;
	enum log_level level = LOG_INFO;
	log_level_parse(conf_text(conf, log_level), &level);
	if (log_open("ziggie-worker", conf_text(conf, log_file), level, &why) != ERR_OK)
		return complain(why.text, EX_CANTCREAT);
	int listen_fd = find_socket();
	if (listen_fd < 0)
		return complain("no listening socket on descriptor 3 (LISTEN_FDS) or 0",
				EX_UNAVAILABLE);
	enum err err = serve_until_told(conf, listen_fd, &why);
	if (err != ERR_OK)
		LOG_EVENT(LOG_ERROR, "not_started", LOG_STR("detail", why.text));
	log_close();
	return err == ERR_OK ? EX_OK : err == ERR_INVALID ? EX_CONFIG : EX_OSERR;
}

int main(int argc, char **argv)
{
	struct command_line line = {0};
	struct errmsg why = ERRMSG_INIT;
	struct conf conf = {0};
	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return fputs(help, stdout) < 0 ? EX_IOERR : EX_OK;
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return printf("ziggie-worker %s (%s)\n", PACKAGE_VERSION, ZIGGIE_COMMIT) < 0
			   ? EX_IOERR
			   : EX_OK;
	enum err err = read_command_line(&line, &conf, argc, argv, &why);
	int exit_code;
	if (err != ERR_OK)
		exit_code = complain(why.text, err == ERR_MALFORMED ? EX_USAGE : EX_CONFIG);
	else
		exit_code = line.print_config ? print_config(&conf) : run(&conf);
	conf_release(&conf);
	return exit_code;
}
