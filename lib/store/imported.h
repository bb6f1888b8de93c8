/*
 * What else an import brings: files that agents know, the use of APIs, and jobs that are over.
 * Each is found again, so that an import can run again: a file by its path, the others by an id
 * that is made of the row.
 *
 * Each function belongs into a transaction, and leaves the audit to it.  Texts are NULL and times
 * 0 where the source says nothing.
 */
#ifndef ZIGGIE_STORE_IMPORTED_H
#define ZIGGIE_STORE_IMPORTED_H

#include <stdbool.h>
#include <stdint.h>

#include "db/db.h"
#include "store/import_outcome.h"
#include "store/knowledge.h"

struct imported_usage {
	const char *source_id; /* of the row, where it came from */
	int64_t at_us;
	const char *provider, *model;
	int64_t input_tokens, output_tokens; /* -1 where nobody counted */
	int64_t tokens;
	const char *cost; /* a decimal number, US dollars */
};

struct imported_job {
	const char *source_id;
	const char *job_type, *status, *result, *error;
	int64_t started_us, completed_us;
};

/* Kept when it changed here since the source did. */
enum err knowledge_import(struct db_conn *db, struct arena *arena,
			  const struct knowledge_file *source, enum import_outcome *outcome,
			  struct errmsg *why);
/* Never changes once it is there. */
enum err usage_import(struct db_conn *db, struct arena *arena, const struct imported_usage *source,
		      enum import_outcome *outcome, struct errmsg *why);
/* Changes when the source says another end of it. */
enum err job_import(struct db_conn *db, struct arena *arena, const struct imported_job *source,
		    enum import_outcome *outcome, struct errmsg *why);

#endif
