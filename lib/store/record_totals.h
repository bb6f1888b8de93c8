/*
 * The totals that lists show, checked against the records themselves.
 */
#ifndef ZIGGIE_STORE_RECORD_TOTALS_H
#define ZIGGIE_STORE_RECORD_TOTALS_H

#include "store/record.h"

/* Not in a transaction: counts all records of a kind, and mends its total; *off is by how much it
 * was wrong. */
enum err record_verify_total(struct db_conn *db, const struct record_kind *kind, int64_t *off,
			     struct errmsg *why);

#endif
