/*
 * ziggied's state and the parts that work on it.  One thread, one loop:
 *
 *	supervisor.c	start, loop, signals, timers, the end
 *	children.c	the table of children: start, restart, drain, bury
 *	generation.c	settings made ready for children; replacing a generation
 *	upgrade.c	replacing this program itself
 *
 * A generation is the set of children that run with one reading of the settings.
 * `current` serves; while `replacing`, `next` is being started beside it.  When all
 * of `next` is ready it becomes current and the old one is drained; when one of its
 * children dies first, or it takes too long, it is ended and nothing has changed.
 *
 * A child's number stays its own until we have waited for it, so a signal can never
 * reach a stranger: only children in the table with a number are sent any.
 */
#ifndef ZIGGIE_SUPERVISOR_SUPERVISOR_H
#define ZIGGIE_SUPERVISOR_SUPERVISOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "conf/conf.h"
#include "shm/scoreboard.h"
#include "supervisor/child.h"
#include "supervisor/listen.h"
#include "supervisor/options.h"
#include "supervisor/pidfile.h"

enum { CHILDREN_MAX = SCOREBOARD_PROCESSES };

struct generation {
	unsigned number; /* from 1 */
	unsigned workers;
	int conf_fd; /* sealed file with the settings, for its children; -1 for none */
	int64_t drain_ns;
};

struct supervisor {
	struct options *options;
	struct conf *conf; /* of the newest generation */
	struct pidfile pidfile;
	struct listener listener;
	struct scoreboard *board;
	struct identity identity;
	char programs[PROGRAM_COUNT][512];

	struct generation current;
	struct generation next;
	struct conf *next_conf;
	bool replacing;
	bool reload_wanted; /* a HUP that came while replacing */
	int64_t replace_until_ns;
	bool serving; /* the first generation was ready once */

	struct child children[CHILDREN_MAX];
	size_t child_count;

	pid_t preflight_pid; /* of an upgrade; 0 for none */
	int64_t preflight_until_ns;
	bool upgrade_ready; /* preflight was fine */

	bool stopping;
	int exit_code; /* EX_OK, or what a child said about settings that can't work */
	int signal_fd;
	int64_t watchdog_ns; /* interval; 0 for none */
	int64_t watchdog_at_ns;
};

/* ---- children.c ---- */

/* Starts all of a generation; the first failure is returned, and what started is left running. */
enum err children_start(struct supervisor *s, const struct generation *generation,
			struct errmsg *why);
bool children_all_ready(const struct supervisor *s, unsigned generation);
/* Tells them to finish, and when they will be killed. */
void children_drain(struct supervisor *s, unsigned generation, int64_t limit_ns);
void children_drain_all(struct supervisor *s, int64_t limit_ns);
void children_kill_all(struct supervisor *s);
void children_reopen_logs(struct supervisor *s);
/* Waits for all that ended, without blocking. */
void children_reap(struct supervisor *s);
/* What child number i reported. */
void children_read_report(struct supervisor *s, size_t i);
/* Starts and kills what is due. */
void children_run_timers(struct supervisor *s, int64_t now);
int64_t children_next_timer(const struct supervisor *s);
size_t children_alive(const struct supervisor *s);

/* ---- generation.c ---- */

/* Makes the settings ready for a generation's children; generation_release() undoes it. */
enum err generation_prepare(struct generation *generation, const struct conf *conf, unsigned number,
			    struct errmsg *why);
void generation_release(struct generation *generation);
/* Opens the log as the settings say, in a way that the children's user can open it too. */
enum err generation_open_log(const struct supervisor *s, const struct conf *conf,
			     struct errmsg *why);
/* SIGHUP: reads the settings and starts the next generation, or says why not. */
void generation_reload(struct supervisor *s);
/* Starts the next generation with settings that were read already; takes conf over. */
void generation_replace(struct supervisor *s, struct conf *conf);
/* After every change: has the next generation, or the first, become ready? */
void generation_check(struct supervisor *s);
/* Gives the next generation up; reason is for the log. */
void generation_abandon(struct supervisor *s, const char *reason);

/* ---- upgrade.c ---- */

/* SIGUSR2: tries the program on disk with --preflight. */
void upgrade_begin(struct supervisor *s);
void upgrade_preflight_ended(struct supervisor *s, int status);
void upgrade_run_timers(struct supervisor *s, int64_t now);
/* Becomes the new program, if it is time to; returns when it is not, or can't be done. */
void upgrade_exec(struct supervisor *s);
/* In the new program: takes over what $ZIGGIE_UPGRADE_STATE lists; false when there is nothing. */
bool upgrade_is_pending(void);
enum err upgrade_take_over(struct supervisor *s, struct errmsg *why);

/* ---- supervisor.c ---- */

/* Runs until it is told to stop; the result is the exit code.  Takes conf over. */
int supervisor_run(struct options *options, struct conf *conf);

#endif
