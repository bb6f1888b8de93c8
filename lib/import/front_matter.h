/*
 * YAML front matter: the texts of a mapping, by their keys.  libyaml does the reading.
 */
#ifndef ZIGGIE_IMPORT_FRONT_MATTER_H
#define ZIGGIE_IMPORT_FRONT_MATTER_H

#include <stddef.h>

#include "base/error.h"

/* Bytes of YAML that are looked at: libyaml takes more than linear time for some texts. */
enum { FRONT_MATTER_MAX = 65536 };

/*
 * Called for each pair of the mapping, in order.  value is NULL where it is no text: a
 * list, a mapping or an alias.  Anything but ERR_OK ends the reading and is returned.
 */
typedef enum err front_matter_pair(void *arg, unsigned line, const char *key, size_t key_len,
				   const char *value, size_t value_len, struct errmsg *why);

/*
 * ERR_INVALID when it is not a YAML mapping, ERR_TOO_LARGE above the limit; *line says
 * where, from 1.  Nothing, and comments alone, are a mapping without pairs.
 */
enum err front_matter_read(const char *text, size_t len, front_matter_pair *pair, void *arg,
			   unsigned *line, struct errmsg *why);

#endif
