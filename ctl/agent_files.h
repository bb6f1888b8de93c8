/*
 * The agents of all Markdown files below a directory.
 */
#ifndef ZIGGIE_CTL_AGENT_FILES_H
#define ZIGGIE_CTL_AGENT_FILES_H

#include "agent_list.h"

/*
 * Adds what there is, and says of everything that is left out why (import_skip()).  False,
 * with a message printed and *exit_code set, when there is nothing to go on with.
 */
bool agent_files_read(struct import *im, const char *directory, struct agent_list *out,
		      int *exit_code);

#endif
