#include <sysexits.h>

#include "agent_files.h"

static int run(struct ctl *ctl, int argc, char **argv)
{
	struct import im = {.ctl = ctl};
	struct agent_list agents;
	const char *directory;
	const struct ctl_option options[] = {IMPORT_OPTIONS(&im)};
	int exit_code = EX_OK;
	if (!ctl_arguments(ctl, argc, argv, options, sizeof(options) / sizeof(options[0]),
			   &directory, 1, 1))
		return EX_USAGE;
	agent_list_init(&agents);
	if (agent_files_read(&im, directory, &agents, &exit_code))
		exit_code = agent_list_import(&agents, &im);
	agent_list_release(&agents);
	return exit_code == EX_OK ? import_end(&im) : exit_code;
}

const struct command command_import_agents = {
    .name = "import agents",
    .synopsis = "DIRECTORY [--dry-run] [--strict]",
    .summary = "Take over agents from Markdown files.",
    .help = "Reads every .md file below DIRECTORY: front matter, and headings that begin with an\n"
	    "id such as L2.1.3. Says what it leaves out and why. It may run again: agents are\n"
	    "found by their id, and changed where their file says something else than before.\n"
	    "A hundred are written in one transaction, so that a run that is interrupted leaves\n"
	    "whole agents, none without the one above it, and the next run does the "
	    "rest.\n" IMPORT_HELP,
    .reads_settings = true,
    .run = run,
};
