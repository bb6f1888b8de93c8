#include <sysexits.h>

#include "agent_files.h"
#include "user_change.h"

static enum err write_agent(struct db_conn *db, struct arena *arena, void *arg, size_t which,
			    enum import_outcome *outcome, struct errmsg *why)
{
	const struct found_agent *found = &((const struct found_agents *)arg)->items[which];
	const char *const *said = found->text->values;
	const struct agent_source source = {
	    .id = said[AGENT_KEY_ID],
	    .level = said[AGENT_KEY_LEVEL],
	    .parent = said[AGENT_KEY_PARENT],
	    .name = said[AGENT_KEY_NAME],
	    .title = said[AGENT_KEY_TITLE],
	    .role = said[AGENT_KEY_ROLE],
	    .category = said[AGENT_KEY_CATEGORY],
	    .description = said[AGENT_KEY_DESCRIPTION],
	    .status = said[AGENT_KEY_STATUS],
	    .filename = found->path,
	    .modified_us = found->modified_us,
	};
	enum err err = agent_import(db, arena, &source, &ctl_origin, outcome, why);
	if (err == ERR_INVALID || err == ERR_CONFLICT) {
		struct errmsg reason = *why;
		return err_set(why, err, "%s: %s", source.id, reason.text);
	}
	return err;
}

static const char *place_of(void *arg, size_t which, unsigned *line)
{
	const struct found_agent *found = &((const struct found_agents *)arg)->items[which];
	*line = found->text->line;
	return found->path;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	struct import im = {.ctl = ctl};
	struct found_agents found;
	const char *directory;
	const struct ctl_option options[] = {IMPORT_OPTIONS(&im)};
	int exit_code = EX_USAGE;
	if (!ctl_arguments(ctl, argc, argv, options, sizeof(options) / sizeof(options[0]),
			   &directory, 1, 1))
		return EX_USAGE;
	if (agent_files_read(&im, directory, &found, &exit_code)) {
		const struct import_kind kind = {.name = "agents",
						 .count = found.count,
						 .arg = &found,
						 .write = write_agent,
						 .place = place_of};
		exit_code = import_run(&im, &kind);
		if (exit_code == EX_OK)
			exit_code = import_end(&im);
	}
	agent_files_release(&found);
	return exit_code;
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
