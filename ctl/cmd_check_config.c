#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "ctl.h"

static const char standard_file[] = ZIGGIE_SYSCONFDIR "/ziggie/ziggie.conf";

/* The file that the programs would read; NULL when they would read none. */
static const char *default_file(const struct ctl *ctl)
{
	if (ctl->config_file != NULL)
		return ctl->config_file;
	const char *named = getenv("ZIGGIE_CONFIG");
	if (named != NULL)
		return named;
	return access(standard_file, F_OK) == 0 ? standard_file : NULL;
}

/* Each error of the file, a line each; how many there are. */
static size_t check_lines(const char *file, struct strbuf *report)
{
	struct conf conf;
	struct errmsg why = ERRMSG_INIT;
	if (conf_init(&conf, &why) != ERR_OK) {
		strbuf_addf(report, "%s\n", why.text);
		return 1;
	}
	size_t errors = conf_check_file(&conf, file, report);
	conf_release(&conf);
	return errors;
}

/* What shows only when everything has been read: the environment, and settings that must agree. */
static size_t check_whole(const char *file, struct strbuf *report)
{
	struct conf conf;
	struct errmsg why = ERRMSG_INIT;
	if (conf_load(&conf, file, NULL, NULL, &why) != ERR_OK) {
		strbuf_addf(report, "%s\n", why.text);
		return 1;
	}
	conf_release(&conf);
	return 0;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	const char *file = default_file(ctl);
	if (!ctl_arguments(ctl, argc, argv, NULL, 0, &file, 0, 1))
		return EX_USAGE;
	STRBUF_CLEANUP report = STRBUF_INIT;
	size_t errors = file != NULL ? check_lines(file, &report) : 0;
	if (errors == 0)
		errors = check_whole(file, &report);
	if (errors > 0)
		return ctl_fail(EX_CONFIG, "the settings have errors:\n%.*s",
				(int)report.len - (report.len > 0), report.data);
	strbuf_adds(&report, "OK\n");
	return ctl_print(&report);
}

const struct command command_check_config = {
    .name = "check-config",
    .synopsis = "[FILE]",
    .summary = "Check the settings and report every error of the file.",
    .help = "Without FILE the file is checked that the programs would read.\n",
    .reads_settings = false,
    .run = run,
};
