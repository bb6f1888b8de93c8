/*
 * Asserts with meanings.  A broken invariant is a bug and aborts, in every
 * build; bad input is never asserted on, it returns an error.
 */
#ifndef ZIGGIE_BASE_ASSERT_H
#define ZIGGIE_BASE_ASSERT_H

#include <stdio.h>
#include <stdlib.h>

/* An invariant of ours: failing means this program is wrong. */
#define AN_INVARIANT(expression)                                                                   \
	do {                                                                                       \
		if (!(expression)) {                                                               \
			fprintf(stderr, "%s:%d: %s: invariant broken: %s\n", __FILE__, __LINE__,   \
				__func__, #expression);                                            \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* A place that no correct program reaches. */
#define A_BUG(text)                                                                                \
	do {                                                                                       \
		fprintf(stderr, "%s:%d: %s: bug: %s\n", __FILE__, __LINE__, __func__, text);       \
		abort();                                                                           \
	} while (0)

/* Magic numbers on objects that cross threads or a void pointer. */
#define CHECK_MAGIC(object, value) AN_INVARIANT((object) != NULL && (object)->magic == (value))

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

/* Leaves a message in the binary when a table and its enum disagree. */
#define TABLE_MATCHES(table, count)                                                                \
	_Static_assert(ARRAY_LEN(table) == (count), "a table and its enum disagree")

#endif
