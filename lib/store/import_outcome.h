/*
 * What came of a thing that an import brought, and what those share who find out.
 */
#ifndef ZIGGIE_STORE_IMPORT_OUTCOME_H
#define ZIGGIE_STORE_IMPORT_OUTCOME_H

#include <stdbool.h>
#include <string.h>

enum import_outcome {
	IMPORT_CREATED,
	IMPORT_UPDATED,
	IMPORT_UNCHANGED, /* all of it is here */
	IMPORT_KEPT,      /* it is different here, and newer */
	IMPORT_OUTCOMES,
};

/* NULL, for nothing said, is the same as NULL alone. */
static inline bool import_same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

#endif
