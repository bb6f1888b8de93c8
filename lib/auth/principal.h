/*
 * Who makes a request.
 */
#ifndef ZIGGIE_AUTH_PRINCIPAL_H
#define ZIGGIE_AUTH_PRINCIPAL_H

#include <stdint.h>

enum role { ROLE_NONE = 0, ROLE_READONLY, ROLE_USER, ROLE_ADMIN };

/* A plain value, copied out of the token cache. */
struct principal {
	enum role role;
	char user_id[37];       /* UUID text */
	char username[101 * 4]; /* up to 100 characters of UTF-8 */
	int64_t expires_us;     /* wall time at which the credential ends */
};

const char *role_name(enum role role);  /* "admin" */
enum role role_parse(const char *name); /* ROLE_NONE when it is not the name of one */

#endif
