/*
 * What the commands that import share: things are written in batches, each in a
 * transaction of its own; what is left out is said at once, and what came of it all at
 * the end.
 */
#ifndef ZIGGIE_CTL_IMPORT_H
#define ZIGGIE_CTL_IMPORT_H

#include "base/arena.h"
#include "ctl.h"
#include "store/agent_import.h"

struct import {
	const struct ctl *ctl;
	bool dry_run; /* all in one transaction, which is rolled back */
	bool strict;  /* what is left out makes an exit code */
	size_t skipped;
	size_t changed; /* created or updated, of all kinds */
};

/* The options that all have; for ctl_arguments(). */
#define IMPORT_OPTIONS(im)                                                                         \
	{.name = "dry-run", .flag = &(im)->dry_run},                                               \
	{                                                                                          \
		.name = "strict", .flag = &(im)->strict                                            \
	}
#define IMPORT_HELP                                                                                \
	"With --dry-run everything is done in one transaction that is taken back, so that the\n"   \
	"report is that of a real run. With --strict the exit code is 65 when anything was\n"      \
	"left out.\n"

/* Says what is left out and why.  A line of 0 is none; place may hold any bytes. */
void import_skip(struct import *im, const char *place, unsigned line, const char *reason);

/* Says something that is no fault, beside the report. */
void import_note(const char *place, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct import_kind {
	const char *name; /* "agents" */
	size_t count;
	void *arg;
	/* Writes one; ERR_INVALID and ERR_CONFLICT leave it out. The arena is that of the batch. */
	enum err (*write)(struct db_conn *db, struct arena *arena, void *arg, size_t which,
			  enum import_outcome *outcome, struct errmsg *why);
	/*
	 * What the audit calls them, when a row for each would bury all others: then each
	 * transaction leaves one, with how many it wrote out of which file.  NULL when write()
	 * adds rows.
	 */
	const char *audited_as;
	const char *file;
	/* Where it came from, for messages: a name, and a line or 0. */
	const char *(*place)(void *arg, size_t which, unsigned *line);
};

/* Writes all of a kind and prints what came of it; an exit code. */
int import_run(struct import *im, const struct import_kind *kind);

/* The last line and the exit code of the command. */
int import_end(const struct import *im);

#endif
