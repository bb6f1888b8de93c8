#include "http/idempotent.h"

#include <sodium.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "http/conditional.h"
#include "http/database.h"

/* A request is over half a second after its deadline at the latest; then a key may be taken over.
 */
enum { KEY_MAX = 255, HOLD_LONGER_MS = 2000 };

static void hash_request(const struct http_request *r, uint8_t out[IDEMPOTENCY_HASH_LEN])
{
	crypto_hash_sha256_state state;
	_Static_assert(IDEMPOTENCY_HASH_LEN == crypto_hash_sha256_BYTES, "SHA-256");
	crypto_hash_sha256_init(&state);
	crypto_hash_sha256_update(&state, (const unsigned char *)r->path, strlen(r->path) + 1);
	crypto_hash_sha256_update(&state, (const unsigned char *)r->body, r->body_len);
	crypto_hash_sha256_final(&state, out);
}

static enum err read_key(struct idempotent *a, const char *key, struct errmsg *why)
{
	size_t len = strlen(key);
	bool visible = len >= 1 && len <= KEY_MAX;
	for (size_t i = 0; i < len; i++)
		visible &= key[i] >= ' ' && key[i] <= '~';
	if (!visible)
		return err_set(why, ERR_MALFORMED,
			       "Idempotency-Key: must have 1 to %d visible characters", KEY_MAX);
	a->attempt.principal = a->r->principal.user_id;
	crypto_hash_sha256(a->attempt.key, (const unsigned char *)key, len);
	hash_request(a->r, a->attempt.request);
	uuid_new(&a->attempt.holder);
	return ERR_OK;
}

static void answer_again(struct http_response *response, const struct kept_answer *kept)
{
	response->status = kept->status;
	if (kept->location != NULL)
		http_header(response, "Location", kept->location);
	if (kept->etag != NULL)
		http_header(response, "ETag", kept->etag);
	http_header(response, "Idempotency-Replayed", "true");
	strbuf_add(&response->body, kept->body, kept->body_len);
}

enum err idempotent_begin(struct idempotent *a, struct http_request *r,
			  struct http_response *response, bool *keyed, bool *answered,
			  struct errmsg *why)
{
	const char *key = http_param(r, "HTTP_IDEMPOTENCY_KEY");
	struct db_conn *db;
	struct kept_answer kept;
	*a = (struct idempotent){.r = r};
	*keyed = key != NULL;
	*answered = false;
	if (key == NULL)
		return ERR_OK;
	enum err err = read_key(a, key, why);
	if (err == ERR_OK)
		err = http_db_borrow(r, &db, why);
	if (err != ERR_OK)
		return err;
	int64_t hold_us = (deadline_left_ms(&r->deadline) + HOLD_LONGER_MS) * US_PER_MS;
	err = idempotency_reserve(db, r->arena, &a->attempt, hold_us, answered, &kept, why);
	http_db_return(r, db);
	if (err == ERR_OK && *answered)
		answer_again(response, &kept);
	return err;
}

void idempotent_names(struct idempotent *a, const char *location, int64_t version)
{
	a->location = location;
	a->version = version;
}

enum err idempotent_keep(struct idempotent *a, struct db_conn *db, int status,
			 const struct strbuf *body, struct errmsg *why)
{
	char etag[ETAG_MAX];
	etag_format(a->version, etag);
	const struct kept_answer answer = {.status = status,
					   .location = a->location,
					   .etag = etag,
					   .body = body->data,
					   .body_len = body->len};
	return idempotency_keep(db, &a->attempt, &answer, why);
}

void idempotent_drop(struct idempotent *a, enum err failure)
{
	struct db_conn *db;
	if (failure == ERR_UNKNOWN_OUTCOME || http_db_borrow(a->r, &db, NULL) != ERR_OK)
		return;
	(void)idempotency_drop(db, &a->attempt, NULL);
	http_db_return(a->r, db);
}
