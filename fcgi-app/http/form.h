/*
 * application/x-www-form-urlencoded text: queries and form bodies, as the WHATWG
 * URL standard has them, but strict: a broken escape, invalid UTF-8, NUL or a name
 * given twice is an error instead of a guess.
 */
#ifndef ZIGGIE_HTTP_FORM_H
#define ZIGGIE_HTTP_FORM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"

/*
 * Decodes percent escapes (and '+' as a blank when plus is set) into the arena.
 * NULL when an escape is broken, the result holds NUL or is not UTF-8, or the
 * arena is full.
 */
char *form_decode(struct arena *arena, const char *text, size_t len, bool plus);

/*
 * The decoded value of name in "a=1&b=2"; NULL in *out when it is absent.
 * ERR_INVALID names the parameter.
 */
enum err form_get(struct arena *arena, const char *text, size_t len, const char *name,
		  const char **out, struct errmsg *why);

#endif
