/*
 * A new password from whoever runs ziggiectl: a file's first line, two prompts
 * without echo on a terminal, or the first line of standard input.  Never an
 * argument, which everybody on the machine could read.
 */
#ifndef ZIGGIE_CTL_PASSWORD_INPUT_H
#define ZIGGIE_CTL_PASSWORD_INPUT_H

#include "auth/password.h"
#include "base/error.h"

/*
 * Reads it, checks that it may become username's, and hashes it into out.  file is NULL when
 * none was given.  Nothing of the password stays in memory.
 */
enum err password_input(const char *file, const char *username, char out[PASSWORD_HASH_SIZE],
			struct errmsg *why);

#endif
