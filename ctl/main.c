/*
 * ziggiectl: the operator's command line.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "ctl.h"

static const char usage_head[] =
    "Usage: ziggiectl [--config FILE] [--SETTING=VALUE]... COMMAND [ARGUMENT]...\n"
    "The operator's command line of Ziggie Control Center.\n"
    "\n"
    "Commands:\n";

static const char usage_tail[] =
    "\n"
    "  --config FILE      read the settings from FILE\n"
    "  --SETTING=VALUE    set one setting; see ziggie.conf(5)\n"
    "  --print-config     the same as the command print-config\n"
    "  --help, --version  print this, or the version, and exit; \"COMMAND --help\" says more\n"
    "\n"
    "Exit codes: 0, and those of sysexits(3): 64 usage, 65 input not allowed, 66 no input,\n"
    "67 no such user, host or job, 69 no database, 73 not as things are (it exists already, say),\n"
    "75 try again, 77 not allowed, 78 settings.\n";

static int print_help(void)
{
	STRBUF_CLEANUP out = STRBUF_INIT;
	strbuf_adds(&out, usage_head);
	for (size_t i = 0; i < command_count; i++)
		strbuf_addf(&out, "  %-18s %s\n", commands[i]->name, commands[i]->summary);
	strbuf_adds(&out, usage_tail);
	return ctl_print(&out);
}

static int print_command_help(const struct command *command)
{
	STRBUF_CLEANUP out = STRBUF_INIT;
	strbuf_adds(&out, "Usage: ");
	ctl_usage(command, &out);
	strbuf_addf(&out, "\n%s\n%s%s", command->summary, *command->help != '\0' ? "\n" : "",
		    command->help);
	return ctl_print(&out);
}

static int print_version(void)
{
	STRBUF_CLEANUP out = STRBUF_INIT;
	strbuf_addf(&out, "ziggiectl %s (%s)\n", PACKAGE_VERSION, ZIGGIE_COMMIT);
	return ctl_print(&out);
}

/* Takes --config and its value out of argv, wherever it stands before "--". */
static bool take_config_option(struct ctl *ctl, int *argc, char **argv)
{
	static const char name[] = "--config";
	int kept = 1;
	bool options_end = false, complete = true;
	for (int i = 1; i < *argc; i++) {
		options_end = options_end || strcmp(argv[i], "--") == 0;
		bool begins = !options_end && strncmp(argv[i], name, sizeof(name) - 1) == 0;
		const char *rest = begins ? argv[i] + sizeof(name) - 1 : NULL;
		if (rest == NULL || (*rest != '=' && *rest != '\0')) {
			argv[kept++] = argv[i];
		} else if (*rest == '=') {
			ctl->config_file = rest + 1;
		} else if (i + 1 < *argc) {
			ctl->config_file = argv[++i];
		} else {
			complete = false;
		}
	}
	*argc = kept;
	argv[kept] = NULL;
	return complete;
}

/* Whether the words at argv are the command's name; *words says how many it has. */
static bool is_command(const struct command *command, int argc, char **argv, int *words)
{
	size_t first = strcspn(command->name, " ");
	*words = command->name[first] == '\0' ? 1 : 2;
	if (argc < *words || strlen(argv[0]) != first ||
	    strncmp(argv[0], command->name, first) != 0)
		return false;
	return *words == 1 || strcmp(argv[1], command->name + first + 1) == 0;
}

static const struct command *find_command(int argc, char **argv, int *words)
{
	for (size_t i = 0; i < command_count; i++) {
		if (is_command(commands[i], argc, argv, words))
			return commands[i];
	}
	return NULL;
}

static bool asks_for_help(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--help") == 0)
			return true;
	}
	return false;
}

static int run_with_settings(struct ctl *ctl, int argc, char **argv, int words)
{
	struct errmsg why = ERRMSG_INIT;
	if (conf_load(&ctl->conf, ctl->config_file, &argc, argv, &why) != ERR_OK)
		return ctl_fail(EX_CONFIG, "%s", why.text);
	int exit_code;
	if (argc > 1 && strncmp(argv[1], "--", 2) == 0 && strcmp(argv[1], "--print-config") != 0)
		exit_code = ctl_fail(EX_USAGE, "unknown option %s; see --help", argv[1]);
	else
		exit_code = ctl->command->run(ctl, argc - 1 - words, argv + 1 + words);
	conf_release(&ctl->conf);
	return exit_code;
}

/* Where the command begins: behind the settings, which have their value in one word here. */
static int skip_settings(int argc, char **argv)
{
	int at = 1;
	while (at < argc && strncmp(argv[at], "--", 2) == 0 && strchr(argv[at], '=') != NULL)
		at++;
	return at;
}

int main(int argc, char **argv)
{
	struct ctl ctl = {.config_file = NULL};
	if (!take_config_option(&ctl, &argc, argv))
		return ctl_fail(EX_USAGE, "a file is missing behind --config");
	int at = skip_settings(argc, argv), words = 1;
	if (at == argc)
		return ctl_fail(EX_USAGE, "a command is missing; see --help");
	if (strcmp(argv[at], "--help") == 0)
		return print_help();
	if (strcmp(argv[at], "--version") == 0)
		return print_version();
	if (strcmp(argv[at], "--print-config") == 0)
		ctl.command = &command_print_config;
	else
		ctl.command = find_command(argc - at, argv + at, &words);
	if (ctl.command == NULL)
		return ctl_fail(EX_USAGE, "unknown command \"%s%s%s\"; see --help", argv[at],
				at + 1 < argc ? " " : "", at + 1 < argc ? argv[at + 1] : "");
	if (asks_for_help(argc - at, argv + at))
		return print_command_help(ctl.command);
	if (ctl.command->reads_settings)
		return run_with_settings(&ctl, argc, argv, words);
	return ctl.command->run(&ctl, argc - at - words, argv + at + words);
}
