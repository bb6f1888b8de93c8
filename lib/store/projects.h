/*
 * Projects: what goals belong to.
 */
#ifndef ZIGGIE_STORE_PROJECTS_H
#define ZIGGIE_STORE_PROJECTS_H

#include "store/record.h"

enum {
	PROJECT_NAME = RECORD_HEAD,
	PROJECT_PATH,
	PROJECT_DESCRIPTION,
	PROJECT_STATUS,
	PROJECT_FIELDS
};

extern const struct field project_fields[PROJECT_FIELDS];
extern const struct record_kind projects;

#endif
