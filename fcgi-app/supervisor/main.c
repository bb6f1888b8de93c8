/*
 * ziggied: binds the socket, starts the workers and ziggie-jobs, and watches them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/strbuf.h"
#include "conf/conf.h"
#include "supervisor/options.h"
#include "supervisor/supervisor.h"

static const char help[] =
    "Usage: ziggied [--config FILE] [--SETTING=VALUE]...\n"
    "Supervises Ziggie Control Center: starts its workers, restarts what dies.\n"
    "\n"
    "  --config FILE        read the settings from FILE\n"
    "  --pid-file FILE      the file that holds the process number and the lock\n"
    "  --libexec-dir DIR    where ziggie-worker and ziggie-jobs are\n"
    "  --SETTING=VALUE      set one setting; see ziggie.conf(5)\n"
    "  --foreground         stay in the foreground; it always does\n"
    "  --check              check the settings and the programs, and exit\n"
    "  --preflight          the same, as an upgrade asks the new program\n"
    "  --print-config       print every setting, its value and its source, and exit\n"
    "  --help, --version    print this, or the version, and exit\n"
    "\n"
    "Signals: TERM and INT finish what is under way and stop, a second one stops at once;\n"
    "HUP reads the settings again and replaces the workers without losing a request;\n"
    "USR1 opens the log files again; USR2 upgrades to the program on disk.\n"
    "Exit codes: 0, and those of sysexits(3): 64 usage, 69 a program is missing, 71 system,\n"
    "75 it runs already, 77 a file is not ours to trust, 78 settings.\n";

static int print_config(const struct conf *conf)
{
	STRBUF_CLEANUP text = STRBUF_INIT;
	conf_print(conf, &text);
	return text.failed || fputs(text.data, stdout) < 0 ? EX_IOERR : EX_OK;
}

static int check(const struct options *options)
{
	struct errmsg why = ERRMSG_INIT;
	char path[512];
	for (int i = 0; i < PROGRAM_COUNT; i++)
		if (options_program(options, (enum scoreboard_program)i, path, sizeof(path),
				    &why) != ERR_OK) {
			fprintf(stderr, "ziggied: %s\n", why.text);
			return EX_UNAVAILABLE;
		}
	return options->action == ACTION_PREFLIGHT || puts("The settings are fine.") >= 0
		   ? EX_OK
		   : EX_IOERR;
}

static int act(struct options *options, struct conf *conf)
{
	int code = options->action == ACTION_PRINT ? print_config(conf) : check(options);
	conf_release(conf);
	free(conf);
	return code;
}

int main(int argc, char **argv)
{
	struct errmsg why = ERRMSG_INIT;
	struct options options;
	struct conf *conf = calloc(1, sizeof(*conf));
	if (conf == NULL)
		return EX_OSERR;
	enum err err = options_read(&options, argc, argv, conf, &why);
	if (err != ERR_OK) {
		fprintf(stderr, "ziggied: %s\n", why.text);
		free(conf);
		return err == ERR_MALFORMED ? EX_USAGE : EX_CONFIG;
	}
	int code = EX_OK;
	if (options.action == ACTION_HELP || options.action == ACTION_VERSION) {
		free(conf);
		code = options.action == ACTION_HELP
			   ? (fputs(help, stdout) < 0 ? EX_IOERR : EX_OK)
			   : (printf("ziggied %s (%s)\n", PACKAGE_VERSION, ZIGGIE_COMMIT) < 0
				  ? EX_IOERR
				  : EX_OK);
	} else if (options.action == ACTION_RUN) {
		code = supervisor_run(&options, conf);
	} else {
		code = act(&options, conf);
	}
	options_release(&options);
	return code;
}
