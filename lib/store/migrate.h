/*
 * Schema migrations: the numbered files of schema/, embedded when building and
 * applied in order, each recorded in schema_migrations with its checksum.
 *
 * Only forward.  A release adds what the next one needs and never takes away
 * what the one before it uses, so a database with newer migrations than this
 * program knows is fine.  A migration that was applied and has another text now
 * is an error.
 *
 * Several hosts may start at once: one works while the others wait for its row
 * lock, which a second connection holds (DDL commits, and would release it).
 * DDL can't be rolled back, so every statement of a migration can run again (IF NOT EXISTS):
 * one that was cut off is simply run once more.
 *
 * Workers read and write meanwhile.  So a statement that changes a table that is in use must
 * do it online (ALGORITHM=INSTANT or INPLACE, LOCK=NONE; the server refuses it otherwise), and
 * one that meets a long transaction gives way after a second and is tried again: all who
 * want the table would wait behind it.
 *
 * In a file every statement ends with a semicolon at the end of a line, and a
 * comment is a line that begins with two dashes.
 */
#ifndef ZIGGIE_STORE_MIGRATE_H
#define ZIGGIE_STORE_MIGRATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/deadline.h"
#include "base/error.h"
#include "db/db.h"

struct migration {
	unsigned version;
	const char *name; /* the file's name without number and ending */
	const char *sql;
};

/* In ascending order of version; ends with one that has no name. */
extern const struct migration migrations[];

/* Called after each migration that was applied. */
typedef void migrate_progress(const struct migration *migration, int64_t took_ns, void *arg);

/*
 * Applies what is missing from list (migrations[], or a test's).  The deadline bounds waiting for
 * another migrator and for transactions that use what is changed (ERR_TIMEOUT), and is not applied
 * to the statements themselves; progress may be NULL.
 */
enum err migrate_apply(const struct db_server *server, const struct migration *list,
		       const struct deadline *deadline, migrate_progress *progress, void *arg,
		       struct errmsg *why);

/* How many of list are not applied; an empty database misses all.  ERR_CONFLICT when an
 * applied one has another checksum. Changes nothing. */
enum err migrate_pending(struct db_conn *db, const struct migration *list, unsigned *pending,
			 struct errmsg *why);

#endif
