/*
 * The agents of an import, wherever they come from.
 */
#ifndef ZIGGIE_CTL_AGENT_LIST_H
#define ZIGGIE_CTL_AGENT_LIST_H

#include "import.h"
#include "import/agent_file.h"

struct listed_agent {
	const struct agent_text *text;
	const char *place;    /* where it stands, for messages: the path of its file, say */
	const char *filename; /* what it is said to come from; NULL for nothing */
	int64_t modified_us;  /* when that last changed */
};

struct agent_list {
	struct arena arena; /* for what the items are made of */
	struct listed_agent *items;
	size_t count, room;
	bool keeps_what_is_newer; /* here, than what the source says */
};

void agent_list_init(struct agent_list *list);
void agent_list_release(struct agent_list *list);
/* False without memory. */
bool agent_list_add(struct agent_list *list, struct listed_agent agent);

/*
 * Brings those above before those below, leaves out all but the first of an id, saying so,
 * and writes the rest; an exit code.
 */
int agent_list_import(struct agent_list *list, struct import *im);

#endif
