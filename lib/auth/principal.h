/*
 * Who makes a request.
 */
#ifndef ZIGGIE_AUTH_PRINCIPAL_H
#define ZIGGIE_AUTH_PRINCIPAL_H

#include <stdint.h>

#include "auth/scope.h"
#include "base/uuid.h"

enum role { ROLE_NONE = 0, ROLE_READONLY, ROLE_USER, ROLE_ADMIN };

/* A plain value, copied out of the token cache. */
struct principal {
	enum role role;
	struct uuid user_id;
	char username[101 * 4]; /* up to 100 characters of UTF-8 */
	int64_t expires_us;     /* wall time at which the credential ends */
	struct uuid key_id;     /* of the API key that was given; nil for a token */
	struct uuid agent_id;   /* the one agent that the key may act as; nil for any */
	struct scopes scopes;   /* of the key */
	int64_t key_used_us;    /* wall time at which the key's use was noted last; 0 for never */
};

const char *role_name(enum role role);  /* "admin" */
enum role role_parse(const char *name); /* ROLE_NONE when it is not the name of one */

#endif
