/*
 * Files that agents know.
 */
#ifndef ZIGGIE_STORE_KNOWLEDGE_H
#define ZIGGIE_STORE_KNOWLEDGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/uuid.h"
#include "db/db.h"

/* Texts belong to the arena; NULL where nothing is known. */
struct knowledge_file {
	struct uuid id;
	const char *name, *path;
	const char *agent; /* the id that its source has for it: "L1.2" */
	const char *category;
	uint64_t size; /* bytes */
	int64_t modified_us;
};

/* Those of an agent in the order of their ids, and how many there are. */
enum err knowledge_of(struct db_conn *db, struct arena *arena, const char *agent, uint64_t skip,
		      uint64_t limit, struct knowledge_file **out, size_t *count, uint64_t *total,
		      struct errmsg *why);

#endif
