/*
 * Agents that an import brings: made when they are new, changed when what is said of them
 * has changed, and left alone otherwise, so that an import can run again.
 *
 * What agents have no column for stands in their metadata, and other members of that stay
 * as they are.  An agent is found again by its did: AGENT_DID_PREFIX and the id that the
 * source has for it.
 */
#ifndef ZIGGIE_STORE_AGENT_IMPORT_H
#define ZIGGIE_STORE_AGENT_IMPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "store/audit.h"
#include "store/import_outcome.h"

/* NULL where the source says nothing. */
struct agent_source {
	const char *id;     /* "L2.1.3" */
	const char *level;  /* "L2" */
	const char *parent; /* "L1.1"; NULL for none */
	const char *name;
	const char *title, *role, *category, *description, *filename;
	const char *status;       /* of an agent that is new; afterwards its own business */
	int64_t modified_us;      /* when the source last changed; 0 for nobody knows */
	bool keeps_what_is_newer; /* leaves an agent that changed here since then */
};

/*
 * Belongs into a transaction.  ERR_INVALID when there is no such parent, or one that is
 * not a level above; otherwise as in store/record.h.
 */
enum err agent_import(struct db_conn *db, struct arena *arena, const struct agent_source *source,
		      const struct audit_entry *by, enum import_outcome *outcome,
		      struct errmsg *why);

#endif
