#include "auth/bcrypt.h"

#include <crypt.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"

enum {
	HASH_LEN = 60,
	HEAD_LEN = 7, /* "$2b$12$" */
	USED_LEN = 72,
};

bool bcrypt_is_hash(const char *text)
{
	static const char base64[] =
	    "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	uint64_t cost;
	return strlen(text) == HASH_LEN && text[0] == '$' && text[1] == '2' &&
	       strchr("aby", text[2]) != NULL && text[3] == '$' && text[6] == '$' &&
	       num_u64(text + 4, 2, 0, 99, &cost) && cost >= BCRYPT_COST_MIN &&
	       cost <= BCRYPT_COST_MAX && strspn(text + HEAD_LEN, base64) == HASH_LEN - HEAD_LEN;
}

enum err bcrypt_matches(const char *hash, const char *password, bool *matches)
{
	char used[USED_LEN + 1]; /* the library refuses what is much longer */
	snprintf(used, sizeof(used), "%s", password);
	struct crypt_data *data = calloc(1, sizeof(*data));
	if (data == NULL)
		return ERR_NOMEM;
	const char *made = crypt_r(used, hash, data);
	bool known = made != NULL && made[0] == '$';
	*matches = known && strlen(made) == HASH_LEN && sodium_memcmp(made, hash, HASH_LEN) == 0;
	sodium_memzero(data, sizeof(*data));
	sodium_memzero(used, sizeof(used));
	free(data);
	return known ? ERR_OK : ERR_INTERNAL;
}
