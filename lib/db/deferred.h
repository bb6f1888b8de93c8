/*
 * The statements of a transaction whose answers nobody needs: they wait for its next statement
 * or its COMMIT, and then go to the server together, as one prepared compound statement.  Its
 * START TRANSACTION is the first of them.
 *
 *	deferred_add(&later, "INSERT INTO audit …", binds, count, why);
 *	sql = deferred_text(&later, true);
 *	// BEGIN NOT ATOMIC START TRANSACTION; INSERT INTO audit …; COMMIT; END
 *
 * A compound without a handler ends with the first error of its statements, which is then the
 * error of the whole; what follows is not run, the COMMIT least of all.
 *
 * Only lib/db includes this.
 */
#ifndef ZIGGIE_DB_DEFERRED_H
#define ZIGGIE_DB_DEFERRED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/strbuf.h"
#include "db/db.h"
#include "db/driver.h"

struct deferred {
	unsigned attempt; /* how often the transaction ran before */
	bool begun;       /* START TRANSACTION has been sent */
	struct strbuf sql;
	struct arena arena; /* of the texts and bytes of the values */
	struct db_value values[DRIVER_BINDS_MAX];
	size_t value_count;
};

/* Takes no memory before the first deferred_add(). */
void deferred_init(struct deferred *d, unsigned attempt);
/* Forgets what waits. */
void deferred_release(struct deferred *d);

static inline bool deferred_any(const struct deferred *d)
{
	return d->sql.len > 0 || d->sql.failed;
}

/* Whether another statement with so many values goes along with those that wait. */
static inline bool deferred_fits(const struct deferred *d, size_t value_count)
{
	return d->value_count + value_count <= DRIVER_BINDS_MAX;
}

/* Copies the text and the values; ERR_NOMEM without memory, and then there is no text either. */
enum err deferred_add(struct deferred *d, const char *sql, const struct db_value *values,
		      size_t value_count, struct errmsg *why);
/* The UPDATE that was added last must find a row; otherwise the whole fails as a deadlock does. */
void deferred_must_find(struct deferred *d);

/* The whole text, closed, with which the transaction has begun: nothing can be added before
 * deferred_release().  NULL without memory. */
const char *deferred_text(struct deferred *d, bool commit);

#endif
