/*
 * What came of a thing that an import brought.
 */
#ifndef ZIGGIE_STORE_IMPORT_OUTCOME_H
#define ZIGGIE_STORE_IMPORT_OUTCOME_H

enum import_outcome {
	IMPORT_CREATED,
	IMPORT_UPDATED,
	IMPORT_UNCHANGED, /* all of it is here */
	IMPORT_KEPT,      /* it is different here, and newer */
	IMPORT_OUTCOMES,
};

#endif
