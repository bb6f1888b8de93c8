#include "store/credentials.h"

#include "db/pool.h"
#include "store/api_keys.h"
#include "store/tokens.h"

enum err credentials_load(void *context, enum token_kind kind,
			  const uint8_t digest[TOKEN_DIGEST_LEN], const struct deadline *deadline,
			  struct principal *out, struct errmsg *why)
{
	struct db_pool *pool = context;
	struct db_conn *db;
	enum err err = db_pool_borrow(pool, deadline, "token", &db, why);
	if (err != ERR_OK)
		return err;
	err = kind == TOKEN_KEY ? api_keys_find(db, digest, out, why)
				: tokens_find(db, digest, out, why);
	db_pool_return(pool, db);
	return err;
}
