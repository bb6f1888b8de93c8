/*
 * Password hashes that an import brought: bcrypt's, "$2b$12$…", as $2a$ and $2y$ too.  None is
 * made here; whoever signs in with one gets one of our own (auth/password.h).
 *
 * bcrypt looks at the first 72 bytes of a password.
 */
#ifndef ZIGGIE_AUTH_BCRYPT_H
#define ZIGGIE_AUTH_BCRYPT_H

#include <stdbool.h>

#include "base/error.h"

/* 2^BCRYPT_COST_MAX rounds take a processor some seconds: more is no hash, but an attack. */
enum { BCRYPT_COST_MIN = 4, BCRYPT_COST_MAX = 14 };

/* Whether the text is such a hash, of a cost within the bounds. */
bool bcrypt_is_hash(const char *text);
/* ERR_NOMEM, or ERR_INTERNAL when the library does not know the kind. */
enum err bcrypt_matches(const char *hash, const char *password, bool *matches);

#endif
