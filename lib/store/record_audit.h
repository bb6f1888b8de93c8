/*
 * The audit's row for a change of a record.
 */
#ifndef ZIGGIE_STORE_RECORD_AUDIT_H
#define ZIGGIE_STORE_RECORD_AUDIT_H

#include "store/audit.h"
#include "store/record.h"

/*
 * Adds the row: what there was before and after, as far as it differs; NULL where there
 * is no record.  `by` says who and where from, as in store/accounts.h.
 */
enum err record_audit(struct db_conn *db, const struct audit_entry *by, const char *action,
		      const struct record *before, const struct record *after, struct errmsg *why);

#endif
