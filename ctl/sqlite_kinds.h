/*
 * What import sqlite takes over: a row for each table of the predecessor, in the order in
 * which they are read.
 */
#ifndef ZIGGIE_CTL_SQLITE_KINDS_H
#define ZIGGIE_CTL_SQLITE_KINDS_H

#include "import.h"
#include "import/agent_file.h"
#include "import/sqlite_file.h"

struct sqlite_kind {
	const char *table;
	const char *name; /* for the report: "users" */
	const struct sqlite_column *columns;
	size_t column_count;
	/* Writes one row, as import_kind's does. */
	enum err (*write)(struct db_conn *db, struct arena *arena, const struct sqlite_rows *rows,
			  size_t row, enum import_outcome *outcome, struct errmsg *why);
	const char *audited_as; /* as import_kind's */
};

extern const struct sqlite_kind sqlite_users;
extern const struct sqlite_kind sqlite_services;
extern const struct sqlite_kind sqlite_knowledge;
extern const struct sqlite_kind sqlite_usage;
extern const struct sqlite_kind sqlite_jobs;

/* The columns of agents, which are written in the order of their hierarchy (agent_list.h). */
enum { SQLITE_AGENT_FILENAME = AGENT_KEY_COUNT, SQLITE_AGENT_MODIFIED, SQLITE_AGENT_COLUMNS };
extern const struct sqlite_column sqlite_agent_columns[SQLITE_AGENT_COLUMNS];

#endif
