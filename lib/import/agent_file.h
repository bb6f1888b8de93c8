/*
 * Agents in a Markdown file: in its front matter, or below headings that begin with an
 * id.  docs/import.md has the formats.  A pure function of the file's bytes.
 *
 *	struct agent_file file;
 *	err = agent_file_read(&arena, text, len, "art-director", &file, why);
 *	for (a = file.agents; a != NULL; a = a->next) …
 *	for (f = file.faults; f != NULL; f = f->next) … file:line: reason …
 *
 * An id such as L1.2, L2.1.3 or L3.2.1.4 says the level, and whom the agent is below:
 * L2.1.3 is the third below L1.1, L3.2.1.4 the fourth below L2.2.1.  Any other id needs
 * both said.
 */
#ifndef ZIGGIE_IMPORT_AGENT_FILE_H
#define ZIGGIE_IMPORT_AGENT_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"

enum agent_key {
	AGENT_KEY_ID,
	AGENT_KEY_LEVEL,
	AGENT_KEY_PARENT,
	AGENT_KEY_PARENT_L1, /* the same, as two levels may say it; NULL in a read agent */
	AGENT_KEY_PARENT_L2,
	AGENT_KEY_NAME,
	AGENT_KEY_TITLE,
	AGENT_KEY_ROLE,
	AGENT_KEY_CATEGORY,
	AGENT_KEY_DESCRIPTION,
	AGENT_KEY_STATUS,
	AGENT_KEY_COUNT,
};

/* Characters. */
enum {
	AGENT_ID_MAX = 64,
	AGENT_NAME_MAX = 200,
	AGENT_CATEGORY_MAX = 100,
	AGENT_ROLE_MAX = 2000,
	AGENT_DESCRIPTION_MAX = 8000,
};

/*
 * id, level and name are always there, and parent where the level is not L1; what was
 * not said is NULL.  Texts are valid UTF-8 without control characters, one line each.
 */
struct agent_text {
	const struct agent_text *next;
	unsigned line; /* where it begins, from 1 */
	const char *values[AGENT_KEY_COUNT];
};

/* What was left out, and why. */
struct agent_fault {
	const struct agent_fault *next;
	unsigned line;
	const char *reason; /* "L2.1.3: the parent …" */
};

struct agent_file {
	const struct agent_text *agents; /* in the order of the file */
	const struct agent_fault *faults;
};

/*
 * Fills *out from the arena; only ERR_NOMEM is an error, everything else a fault.  stem
 * is the file's name without its ending: the id that front matter with a level and without
 * an id stands for.
 */
enum err agent_file_read(struct arena *arena, const char *text, size_t len, const char *stem,
			 struct agent_file *out, struct errmsg *why);

/*
 * Makes of what was said of an agent what is promised above, or says what is wrong with
 * it: ERR_INVALID.  For agents from other places than files too.
 */
enum err agent_text_check(struct arena *arena, struct agent_text *agent, struct errmsg *why);

/*
 * The text on one line, without control characters and the marks of bold and code; NULL for
 * NULL, and when nothing is left.
 */
const char *agent_plain_text(struct arena *arena, const char *text);

/* The key that a name in any case and with "_", "-" or " " means; AGENT_KEY_COUNT for none. */
enum agent_key agent_key_named(const char *name, size_t len);

/* Whether the text may be an agent's id, and whether it is (or tries to be) one that says its
 * level. */
bool agent_is_id(const char *id);
bool agent_id_says_level(const char *id);

#endif
