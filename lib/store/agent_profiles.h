/*
 * Agents as the legacy family shows them: with the id that their source has for them, those
 * above them, and what an import keeps in their metadata.
 *
 * A list is read along one index and in the order of ids, which for imported agents is that
 * of their hierarchy.
 */
#ifndef ZIGGIE_STORE_AGENT_PROFILES_H
#define ZIGGIE_STORE_AGENT_PROFILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/uuid.h"
#include "db/db.h"

/* Texts belong to the arena; NULL and nil where nothing is known. */
struct agent_profile {
	struct uuid uuid;
	struct uuid parent;
	const char *id; /* "L2.1.3"; that of an agent which no import brought is its UUID */
	const char *level;
	const char *parent_id, *parent_level;           /* of the agent above */
	const char *grandparent_id, *grandparent_level; /* of the one above that */
	const char *status;
	const char *name, *title, *role, *category, *description, *filename;
	int64_t modified_us; /* of its file, or else of the record */
};

enum {
	PROFILE_SKIP_MAX = 10000,     /* how far into a list a page may begin */
	PROFILE_TOTAL_MAX = 20000,    /* where counting stops */
	PROFILE_SEARCHED_MAX = 10000, /* how many agents a search looks at */
	PROFILE_BELOW_MAX = 200,      /* how many below an agent are shown, */
	PROFILE_TREE_MAX = 2000,      /* and how many below those */
};

/* Which agents; NULL and false ask for all. */
struct profile_query {
	const char *level;
	const struct uuid *parent;
	const char *search; /* in id, name, title, role, category and description; any case */
	bool at_work;       /* only those that are active, idle or busy; with none of the others */
	uint64_t skip;      /* at most PROFILE_SKIP_MAX */
	uint64_t limit;
};

struct profile_list {
	struct agent_profile *items;
	size_t count;
	uint64_t total;
	bool total_is_min; /* there are, or may be, more: a bound above was met */
};

enum err profiles_list(struct db_conn *db, struct arena *arena, const struct profile_query *query,
		       struct profile_list *out, struct errmsg *why);

/* By the id of a profile, or by the UUID; ERR_NOT_FOUND. */
enum err profiles_find(struct db_conn *db, struct arena *arena, const char *id,
		       struct agent_profile *out, struct errmsg *why);
enum err profiles_by_uuid(struct db_conn *db, struct arena *arena, const struct uuid *uuid,
			  struct agent_profile *out, struct errmsg *why);

/* All two levels below, PROFILE_TREE_MAX at most, those of one parent together. */
enum err profiles_two_below(struct db_conn *db, struct arena *arena, const struct uuid *above,
			    struct agent_profile **out, size_t *count, struct errmsg *why);

struct profile_counts {
	uint64_t total;
	uint64_t by_level[3]; /* L1, L2, L3 */
};
/* Reads an index from its beginning to its end. */
enum err profiles_count(struct db_conn *db, struct arena *arena, struct profile_counts *out,
			struct errmsg *why);

/* The statement of a list, for the test that looks at how the server would run it. */
struct strbuf;
void profiles_list_sql(const struct profile_query *query, struct strbuf *out);

#endif
