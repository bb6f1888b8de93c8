/*
 * What the programs that are started by others (ziggied, a web server) have in
 * common: the command line, the log, the ends that signals put to them, and what
 * ziggied tells them in the environment.
 *
 *	static const struct program worker = {.name = "ziggie-worker", .help = help, .run = run};
 *	int main(int argc, char **argv)
 *	{
 *		return program_main(&worker, argc, argv);
 *	}
 *
 * Everything here belongs to the main thread.
 */
#ifndef ZIGGIE_PROGRAM_PROGRAM_H
#define ZIGGIE_PROGRAM_PROGRAM_H

#include <signal.h>
#include <stdbool.h>

#include "base/error.h"
#include "conf/conf.h"

struct program {
	const char *name;
	const char *help;
	/* Works until it is told to end.  The log is open; what goes wrong is logged. */
	enum err (*run)(const struct conf *conf, struct errmsg *why);
	/* What --check looks at beside the settings' own bounds; may be NULL. */
	enum err (*check)(const struct conf *conf, struct errmsg *why);
};

/*
 * Takes --help, --version, --check, --print-config, --config FILE and the settings;
 * otherwise runs.  Returns the exit code, one of sysexits.h.
 */
int program_main(const struct program *program, int argc, char **argv);

/* A number that ziggied told us; fallback when it is absent or not a number. */
unsigned program_told(const char *name, unsigned fallback);
/* Whether a descriptor that was inherited is a listening socket. */
bool program_is_listening(int fd);
/* Says to ziggied, if there is one, that requests may come. */
void program_tell_ready(void);

/*
 * Blocks TERM, INT, HUP and USR1 for the threads to come, and ignores PIPE.  The
 * main thread takes them from *taken with sigwaitinfo().
 */
void program_take_signals(sigset_t *taken);
/* Once the end has begun: TERM and INT don't wait for it any longer. */
void program_exit_at_next_signal(const sigset_t *taken);
/* USR1: opens the log file again. */
void program_reopen_log(void);

#endif
