/*
 * What the fields of an account may hold, for whoever fills them: HTTP and ziggiectl.
 * A new password has its rules in auth/password.h.
 */
#ifndef ZIGGIE_AUTH_ACCOUNT_H
#define ZIGGIE_AUTH_ACCOUNT_H

#include "base/error.h"

/* Characters. */
enum {
	USERNAME_MIN = 3,
	USERNAME_MAX = 100,
	EMAIL_MIN = 3,
	EMAIL_MAX = 254,
	FULL_NAME_MIN = 1,
	FULL_NAME_MAX = 200,
};

/* ERR_INVALID with what is wrong, as a clause behind the field's name: "must be …". */
enum err account_check_username(const char *text, struct errmsg *why);
enum err account_check_email(const char *text, struct errmsg *why);
enum err account_check_full_name(const char *text, struct errmsg *why);

#endif
