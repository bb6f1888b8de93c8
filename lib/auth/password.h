/*
 * Password hashes: Argon2id with libsodium's interactive cost, 2 passes over
 * 64 MB, some 50 to 100 ms of a processor each.
 *
 * A hasher bounds how many run at once and how many threads may wait for a turn,
 * so that a flood of sign-ins takes neither the memory nor all the threads.
 * Thread-safe.
 */
#ifndef ZIGGIE_AUTH_PASSWORD_H
#define ZIGGIE_AUTH_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/deadline.h"
#include "base/error.h"

enum {
	PASSWORD_LEN_MIN = 6,      /* what sign-in takes */
	PASSWORD_LEN_MAX = 1024,   /* characters */
	PASSWORD_NEW_LEN_MIN = 10, /* what a new password must have */
	PASSWORD_HASH_SIZE = 129,  /* with the NUL */
};

struct password_hasher;

enum err password_hasher_new(unsigned at_once, unsigned waiting, struct password_hasher **out,
			     struct errmsg *why);
void password_hasher_free(struct password_hasher *h);

/*
 * Waits for a turn (ERR_TIMEOUT at the deadline, ERR_OVERLOADED when too many wait
 * already) and hashes; ERR_NOMEM when the 64 MB are not there.
 */
enum err password_hash(struct password_hasher *h, const char *password,
		       const struct deadline *deadline, char out[PASSWORD_HASH_SIZE],
		       struct errmsg *why);

/* Whether it is a hash that password_verify() takes: one of ours, or bcrypt's. */
bool password_hash_known(const char *hash);
/* Whether it is not one of ours: to be replaced when its password is known. */
bool password_hash_foreign(const char *hash);

/*
 * *matches says whether the password is the one that was hashed.  A NULL hash, for
 * a user who does not exist, costs the same work and never matches.  ERR_INTERNAL when it
 * is no hash that is known; otherwise as above.
 *
 * An imported hash takes bcrypt's time, a few times ours: until its user has signed in, the
 * time of a refusal tells that there is such a user.
 */
enum err password_verify(struct password_hasher *h, const char *hash, const char *password,
			 const struct deadline *deadline, bool *matches, struct errmsg *why);

/*
 * Whether it may become somebody's password: long enough, not the name, not made of a few
 * pieces that are guessed as a whole (auth/guessable.h); ERR_INVALID with the reason, as a clause
 * behind the field's name.
 */
enum err password_acceptable(const char *password, const char *username, struct errmsg *why);

#endif
