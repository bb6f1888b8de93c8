#include "store/job_types.h"

#include <stddef.h>
#include <string.h>

#define ROW(name, word, every, limit, attempts, repeatable, summary)                               \
	[JOB_##name] = {word, every, limit, attempts, repeatable, summary},
#define WORD(name, word, ...) word,

const struct job_type job_types[JOB_TYPES] = {JOB_TYPE_ROWS(ROW)};
const char *const job_type_words[JOB_TYPES + 1] = {JOB_TYPE_ROWS(WORD) NULL};

const struct job_type *job_type_find(const char *name)
{
	for (size_t i = 0; i < JOB_TYPES; i++)
		if (strcmp(job_types[i].name, name) == 0)
			return &job_types[i];
	return NULL;
}
