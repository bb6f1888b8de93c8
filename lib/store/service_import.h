/*
 * Services that an import brings.
 */
#ifndef ZIGGIE_STORE_SERVICE_IMPORT_H
#define ZIGGIE_STORE_SERVICE_IMPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "store/audit.h"
#include "store/import_outcome.h"

/* Texts are NULL where the source says nothing. */
struct imported_service {
	const char *name, *description;
	const char *status; /* stopped, running or failed */
	const char *health; /* healthy, unhealthy or unknown */
	int64_t port, pid;  /* 0 for none */
	bool is_system;
	int64_t created_us, updated_us;
};

/*
 * Adds the service, or changes the one of that name when `source` changed after it; belongs
 * into a transaction.  `by` says who and where from, for the audit.
 */
enum err service_import(struct db_conn *db, struct arena *arena,
			const struct imported_service *source, const struct audit_entry *by,
			enum import_outcome *outcome, struct errmsg *why);

#endif
