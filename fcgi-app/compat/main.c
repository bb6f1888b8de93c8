/*
 * ziggie-fcgi: the application as one small program for web servers that start
 * FastCGI programs themselves (mod_fcgid), for spawn-fcgi, and for plain CGI.  One
 * thread serves, one request at a time; the threads beside it are those that a worker
 * has for the log, the database pool and upkeep, and they serve nothing.
 */
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "app/parts.h"
#include "app/upkeep.h"
#include "base/log.h"
#include "compat/cgi.h"
#include "compat/gateway.h"
#include "compat/libfcgi.h"
#include "program/program.h"
#include "shm/scoreboard.h"

static const char help[] =
    "Usage: ziggie-fcgi [--config FILE] [--SETTING=VALUE]...\n"
    "Answers requests of Ziggie Control Center, one at a time, for web servers that start\n"
    "the application themselves: FastCGI with the listening socket on descriptor 0\n"
    "(mod_fcgid, spawn-fcgi), or CGI. ziggied and its workers do more, and faster.\n"
    "\n"
    "  --config FILE      read the settings from FILE\n"
    "  --check            check the settings and exit\n"
    "  --print-config     print every setting, its value and its source, and exit\n"
    "  --SETTING=VALUE    set one setting; see ziggie.conf(5)\n"
    "  --help, --version  print this, or the version, and exit\n"
    "\n"
    "Signals: TERM, INT and USR1 finish the request that is under way and exit; HUP opens\n"
    "the log file again.\n"
    "Exit codes: 0, and those of sysexits(3): 64 usage, 69 started by nobody who speaks\n"
    "FastCGI or CGI, 71 system, 73 log, 78 settings.\n";

static void log_start(const struct app_parts *parts)
{
	LOG_EVENT(LOG_INFO, "started", LOG_STR("version", PACKAGE_VERSION),
		  LOG_STR("commit", ZIGGIE_COMMIT), LOG_INT("threads", 1),
		  LOG_INT("db_pool_max", parts->pool_config.max));
}

static enum err serve_fastcgi(struct app_parts *parts, struct gateway *g, const sigset_t *taken,
			      struct errmsg *why)
{
	log_start(parts);
	enum err err = libfcgi_serve(g, STDIN_FILENO, taken, why);
	LOG_EVENT(LOG_INFO, "stopped", LOG_BOOL("clean", err == ERR_OK));
	return err;
}

/* taken is NULL when a CGI request is to be served. */
static enum err serve(struct app_parts *parts, const sigset_t *taken, struct errmsg *why)
{
	struct upkeep *upkeep;
	enum err err = upkeep_start(parts, NULL, &upkeep, why);
	if (err != ERR_OK)
		return err;
	struct gateway g;
	gateway_init(&g, &parts->app);
	atomic_store(&parts->app.ready, true);
	scoreboard_set_state(parts->app.scoreboard, STATE_READY);
	err = taken != NULL ? serve_fastcgi(parts, &g, taken, why) : cgi_serve(&g, why);
	gateway_release(&g);
	upkeep_stop(upkeep);
	return err;
}

static enum err run(const struct conf *conf, struct errmsg *why)
{
	static const struct app_place place = {.count = 1, .threads = 1, .db_connections = 1};
	/* Not FCGX_IsCGI(): that also changes what signals do. */
	bool fastcgi = program_is_listening(STDIN_FILENO);
	if (!fastcgi && !cgi_is_called())
		return err_set(why, ERR_NOT_FOUND,
			       "no listening socket on descriptor 0, and no request in the "
			       "environment: a web server starts this program");
	sigset_t taken;
	if (fastcgi)
		program_take_signals(&taken);
	else
		signal(SIGPIPE, SIG_IGN);
	enum err err = log_start_flusher(why);
	if (err != ERR_OK)
		return err;
	struct app_parts parts;
	err = app_parts_init(&parts, conf, &place, why);
	if (err == ERR_OK)
		err = serve(&parts, fastcgi ? &taken : NULL, why);
	app_parts_release(&parts);
	return err;
}

static const struct program ziggie_fcgi = {.name = "ziggie-fcgi", .help = help, .run = run};

int main(int argc, char **argv)
{
	return program_main(&ziggie_fcgi, argc, argv);
}
