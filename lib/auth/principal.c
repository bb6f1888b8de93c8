#include "auth/principal.h"

#include <string.h>

#include "base/assert.h"

static const char *const role_names[] = {
    [ROLE_NONE] = "none",
    [ROLE_READONLY] = "readonly",
    [ROLE_USER] = "user",
    [ROLE_ADMIN] = "admin",
};

const char *role_name(enum role role)
{
	AN_INVARIANT((unsigned)role < ARRAY_LEN(role_names));
	return role_names[role];
}

enum role role_parse(const char *name)
{
	for (size_t i = ROLE_READONLY; i < ARRAY_LEN(role_names); i++) {
		if (strcmp(role_names[i], name) == 0)
			return (enum role)i;
	}
	return ROLE_NONE;
}
