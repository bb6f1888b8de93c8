/*
 * ziggied's command line, and the settings that come with it.
 */
#ifndef ZIGGIE_SUPERVISOR_OPTIONS_H
#define ZIGGIE_SUPERVISOR_OPTIONS_H

#include <stdbool.h>

#include "base/error.h"
#include "conf/conf.h"
#include "shm/scoreboard.h"

enum action {
	ACTION_RUN,
	ACTION_CHECK,
	ACTION_PREFLIGHT,
	ACTION_PRINT,
	ACTION_HELP,
	ACTION_VERSION
};

struct options {
	enum action action;
	const char *config;      /* NULL: the standard places */
	const char *libexec_dir; /* where the other programs are */
	char *self;              /* path of this program, for an upgrade */
	int argc;                /* as they came */
	char **argv;
};

/*
 * Reads the command line, and the settings from file, environment and command line,
 * unless the action is ACTION_HELP or ACTION_VERSION, which need none.  ERR_MALFORMED
 * for what is no option, ERR_INVALID and others for the settings.  argv must outlive *out.
 */
enum err options_read(struct options *out, int argc, char **argv, struct conf *conf,
		      struct errmsg *why);
void options_release(struct options *options);

/* The settings once more, for a reload. */
enum err options_load_conf(const struct options *options, struct conf *conf, struct errmsg *why);

/* The path of a program that we start; ERR_NOT_FOUND when it is not there to be executed. */
enum err options_program(const struct options *options, enum scoreboard_program program, char *out,
			 size_t size, struct errmsg *why);

#endif
