#include <sysexits.h>

#include "ctl.h"

static int run_print(struct ctl *ctl, int argc, char **argv)
{
	STRBUF_CLEANUP out = STRBUF_INIT;
	if (!ctl_arguments(ctl, argc, argv, NULL, 0, NULL, 0, 0))
		return EX_USAGE;
	conf_print(&ctl->conf, &out);
	return ctl_print(&out);
}

static int run_example(struct ctl *ctl, int argc, char **argv)
{
	STRBUF_CLEANUP out = STRBUF_INIT;
	if (!ctl_arguments(ctl, argc, argv, NULL, 0, NULL, 0, 0))
		return EX_USAGE;
	conf_print_example(&out);
	return ctl_print(&out);
}

static int run_reference(struct ctl *ctl, int argc, char **argv)
{
	STRBUF_CLEANUP out = STRBUF_INIT;
	if (!ctl_arguments(ctl, argc, argv, NULL, 0, NULL, 0, 0))
		return EX_USAGE;
	conf_print_reference(&out);
	return ctl_print(&out);
}

static int run_manual(struct ctl *ctl, int argc, char **argv)
{
	STRBUF_CLEANUP out = STRBUF_INIT;
	if (!ctl_arguments(ctl, argc, argv, NULL, 0, NULL, 0, 0))
		return EX_USAGE;
	conf_print_man(&out);
	return ctl_print(&out);
}

const struct command command_print_config = {
    .name = "print-config",
    .synopsis = "",
    .summary = "Print every setting with its value and where it came from.",
    .help = "",
    .reads_settings = true,
    .run = run_print,
};

const struct command command_config_example = {
    .name = "config-example",
    .synopsis = "",
    .summary = "Print an example of the configuration file.",
    .help = "",
    .reads_settings = false,
    .run = run_example,
};

const struct command command_config_reference = {
    .name = "config-reference",
    .synopsis = "",
    .summary = "Print the reference of all settings, in Markdown.",
    .help = "",
    .reads_settings = false,
    .run = run_reference,
};

const struct command command_config_manual = {
    .name = "config-manual",
    .synopsis = "",
    .summary = "Print the manual page of all settings.",
    .help = "",
    .reads_settings = false,
    .run = run_manual,
};
