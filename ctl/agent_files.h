/*
 * The agents of all Markdown files below a directory.
 */
#ifndef ZIGGIE_CTL_AGENT_FILES_H
#define ZIGGIE_CTL_AGENT_FILES_H

#include "import.h"
#include "import/agent_file.h"

struct found_agent {
	const struct agent_text *text;
	const char *path; /* of its file, below the directory */
	int64_t modified_us;
};

struct found_agents {
	struct arena arena;
	struct found_agent *items; /* those above come before those below them */
	size_t count, room;
	size_t files; /* that were read */
};

/*
 * Reads what there is; says of everything that is left out why (import_skip()).  False,
 * with a message printed and *exit_code set, when there is nothing to go on with.
 * To be released after true and false.
 */
bool agent_files_read(struct import *im, const char *directory, struct found_agents *out,
		      int *exit_code);
void agent_files_release(struct found_agents *found);

#endif
