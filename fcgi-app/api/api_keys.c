/*
 * /api/v1/api-keys: keys for programs.  A key is shown once, in the answer to the POST
 * that makes it; for that reason its POST takes no Idempotency-Key, whose answer would
 * have to be kept.
 */
#include <sodium.h>
#include <string.h>

#include "api/api.h"
#include "api/user.h"
#include "auth/account.h"
#include "auth/auth.h"
#include "base/assert.h"
#include "base/clock.h"
#include "http/audit.h"
#include "http/database.h"
#include "http/paging.h"
#include "store/api_keys.h"

/* Twice as many as there are scopes: more would only repeat them. */
enum { NAME_MOST = 100, SCOPES_MOST = 64 };

#define KEY_FIELDS                                                                                 \
	{"id", FIELD_ID, FIELD_REQUIRED, .summary = "The key's id"},                               \
	    {"name", FIELD_STRING, FIELD_REQUIRED, 1, NAME_MOST, .summary = "What it is for"},     \
	    {"prefix",      FIELD_STRING,  FIELD_REQUIRED,                                         \
	     KEY_SHOWN_LEN, KEY_SHOWN_LEN, .summary = "How the key begins"},                       \
	    {"scopes",           FIELD_LIST,                                                       \
	     FIELD_REQUIRED,     0,                                                                \
	     SCOPES_MOST,        .words = scope_words,                                             \
	     .item = FIELD_WORD, .summary = "What it may read and write"},                         \
	    {"agent_id", FIELD_ID, FIELD_REQUIRED | FIELD_NULL,                                    \
	     .summary = "The one agent that it acts as; null for any"},                            \
	    {"username",     FIELD_STRING,                                                         \
	     FIELD_REQUIRED, USERNAME_MIN,                                                         \
	     USERNAME_MAX,   .summary = "Whose it is: it may do no more than its owner"},          \
	    {"created_at", FIELD_TIME, FIELD_REQUIRED, .summary = "When it was made"},             \
	    {"expires_at", FIELD_TIME, FIELD_REQUIRED | FIELD_NULL,                                \
	     .summary = "Until when it is good; null for ever"},                                   \
	    {"last_used_at", FIELD_TIME, FIELD_REQUIRED | FIELD_NULL,                              \
	     .summary = "When it was used last, to the minute"},                                   \
	{                                                                                          \
		"revoked_at", FIELD_TIME, FIELD_REQUIRED | FIELD_NULL,                             \
		    .summary = "Since when it is refused"                                          \
	}

static const struct field key_fields[] = {KEY_FIELDS};
static const struct schema key_schema = SCHEMA("ApiKey", key_fields);
static const struct field made_fields[] = {
    KEY_FIELDS,
    {"key", FIELD_STRING, FIELD_REQUIRED, KEY_TEXT_LEN, KEY_TEXT_LEN,
     .summary = "The key itself, for the header X-API-Key; it is not shown again"},
};
static const struct schema made_schema = SCHEMA("NewApiKeyAnswer", made_fields);
static const struct field list_fields[] = {PAGING_ANSWERS(&key_schema)};
static const struct schema list_schema = SCHEMA("ApiKeyList", list_fields);
static const struct field query_fields[] = {PAGING_TAKES};
static const struct schema query_schema = SCHEMA("ApiKeyQuery", query_fields);

static void put_id_or_null(struct json_writer *w, const char *key, const struct uuid *id)
{
	char text[UUID_TEXT_MAX];
	uuid_format(id, text);
	json_put_string(w, key, uuid_is_nil(id) ? NULL : text);
}

static void put_time_or_null(struct json_writer *w, const char *key, int64_t wall_us)
{
	if (wall_us == 0)
		json_put_null(w, key);
	else
		json_put_time(w, key, wall_us);
}

/* The members of the open object. */
static void put_key(struct json_writer *w, const struct api_key *key)
{
	STRBUF_CLEANUP scopes = STRBUF_INIT;
	scopes_format(&key->scopes, &scopes);
	w->out->failed |= scopes.failed;
	put_id_or_null(w, "id", &key->id);
	json_put_string(w, "name", key->name);
	json_put_string(w, "prefix", key->prefix);
	json_key(w, "scopes");
	json_raw(w, scopes.data, scopes.len);
	put_id_or_null(w, "agent_id", &key->agent_id);
	json_put_string(w, "username", key->username);
	json_put_time(w, "created_at", key->created_us);
	put_time_or_null(w, "expires_at", key->expires_us);
	put_time_or_null(w, "last_used_at", key->last_used_us);
	put_time_or_null(w, "revoked_at", key->revoked_us);
}

struct key_rows {
	struct api_key *keys;
	size_t count;
	uint64_t total;
};

static enum err read_page(struct http_request *r, const struct paging *paging, struct key_rows *out,
			  struct errmsg *why)
{
	struct uuid before;
	struct db_conn *db;
	struct api_key_page page = {.skip = paging->offset, .limit = paging->limit + 1};
	if (paging->after_len > 0 && paging->after_len != sizeof(before.bytes))
		return paging_bad_cursor(why);
	if (paging->after_len > 0) {
		memcpy(before.bytes, paging->after, sizeof(before.bytes));
		page.before = &before;
	}
	if (r->principal.role != ROLE_ADMIN)
		page.owner = &r->principal.user_id;
	enum err err = http_db_borrow(r, &db, why);
	if (err != ERR_OK)
		return err;
	err = api_keys_list(db, r->arena, &page, &out->keys, &out->count, &out->total, why);
	http_db_return(r, db);
	return err;
}

static enum err get_api_keys(struct http_request *r, struct http_response *response,
			     struct errmsg *why)
{
	struct paging page;
	struct key_rows rows = {.count = 0};
	enum err err = paging_read(r, &page, why);
	if (err == ERR_OK)
		err = read_page(r, &page, &rows, why);
	if (err != ERR_OK)
		return err;
	struct json_writer w;
	bool more = rows.count > page.limit;
	size_t shown = more ? page.limit : rows.count;
	paging_begin(&w, &response->body);
	for (size_t i = 0; i < shown; i++) {
		json_object(&w);
		put_key(&w, &rows.keys[i]);
		json_end(&w);
	}
	const struct uuid *last = more ? &rows.keys[shown - 1].id : NULL;
	paging_end(&w, r, response, &page, rows.total,
		   last != NULL ? (const char *)last->bytes : NULL, sizeof(last->bytes));
	return ERR_OK;
}

struct making {
	const struct http_request *r;
	struct api_key key;
	char text[TOKEN_TEXT_SIZE];
	char shown[KEY_SHOWN_LEN + 1];
	uint8_t digest[TOKEN_DIGEST_LEN];
};

static enum err audit_key(const struct http_request *r, struct db_conn *db, const char *action,
			  const struct api_key *before, const struct api_key *after,
			  struct errmsg *why)
{
	const struct api_key *keys[] = {before, after};
	struct strbuf texts[2] = {STRBUF_INIT, STRBUF_INIT};
	for (int i = 0; i < 2; i++) {
		struct json_writer w;
		json_init(&w, &texts[i]);
		json_object(&w);
		if (keys[i] != NULL)
			put_key(&w, keys[i]);
		json_end(&w);
	}
	enum err err = ERR_OK;
	if (texts[0].failed || texts[1].failed)
		err = err_set(why, ERR_NOMEM, "out of memory for the audit");
	else
		err = http_audit(
		    r, db,
		    (struct audit_entry){.action = action,
					 .resource = "api_key",
					 .record = before != NULL ? &before->id : &after->id,
					 .before = before != NULL ? texts[0].data : NULL,
					 .after = after != NULL ? texts[1].data : NULL},
		    why);
	strbuf_release(&texts[0]);
	strbuf_release(&texts[1]);
	return err;
}

static enum err add_key(struct db_conn *db, void *arg, struct errmsg *why)
{
	struct making *making = arg;
	enum err err = api_keys_add(db, &making->key, making->digest, why);
	return err == ERR_OK ? audit_key(making->r, db, "create", NULL, &making->key, why) : err;
}

enum { NEW_NAME, NEW_SCOPES, NEW_EXPIRES_AT, NEW_AGENT_ID };

static const struct field new_fields[] = {
    [NEW_NAME] = {"name", FIELD_STRING, FIELD_REQUIRED, 1, NAME_MOST, .summary = "What it is for"},
    [NEW_SCOPES] = {"scopes", FIELD_LIST, FIELD_REQUIRED, 1, SCOPES_MOST, .words = scope_words,
		    .item = FIELD_WORD, .summary = "What it may read and write"},
    [NEW_EXPIRES_AT] = {"expires_at", FIELD_TIME, FIELD_NULL,
			.summary = "Until when it is good; null for ever"},
    [NEW_AGENT_ID] = {"agent_id", FIELD_ID, FIELD_NULL,
		      .summary = "The one agent that it acts as; null for any"},
};
static const struct schema new_schema = SCHEMA("NewApiKey", new_fields);

static void make_key(const struct http_request *r, struct making *making)
{
	const struct field_value *values = r->values;
	token_mint(TOKEN_KEY, making->text, making->digest);
	memcpy(making->shown, making->text, KEY_SHOWN_LEN);
	making->shown[KEY_SHOWN_LEN] = '\0';
	making->r = r;
	making->key = (struct api_key){
	    .user_id = r->principal.user_id,
	    .username = r->principal.username,
	    .name = text_of(&values[NEW_NAME]),
	    .prefix = making->shown,
	    .scopes = scopes_parse(text_of(&values[NEW_SCOPES])),
	    .created_us = clock_wall_us(),
	};
	uuid_new(&making->key.id);
	if (values[NEW_EXPIRES_AT].given && !values[NEW_EXPIRES_AT].null)
		making->key.expires_us = values[NEW_EXPIRES_AT].as.integer;
	if (values[NEW_AGENT_ID].given && !values[NEW_AGENT_ID].null)
		making->key.agent_id = values[NEW_AGENT_ID].as.id;
}

static enum err post_api_keys(struct http_request *r, struct http_response *response,
			      struct errmsg *why)
{
	struct making making;
	make_key(r, &making);
	if (making.key.expires_us != 0 && making.key.expires_us <= making.key.created_us)
		return err_set(why, ERR_INVALID, "expires_at: must be in the future");
	enum err err = http_db_transaction(r, add_key, &making, why);
	if (err == ERR_OK) {
		struct json_writer w;
		json_init(&w, &response->body);
		json_object(&w);
		put_key(&w, &making.key);
		json_put_string(&w, "key", making.text);
		json_end(&w);
	}
	sodium_memzero(making.text, sizeof(making.text));
	return err;
}

struct revoking {
	const struct http_request *r;
	struct uuid id;
};

static enum err revoke(struct db_conn *db, void *arg, struct errmsg *why)
{
	const struct revoking *revoking = arg;
	const struct principal *who = &revoking->r->principal;
	struct api_key before, after;
	enum err err = api_keys_lock(db, revoking->r->arena, &revoking->id, &before, why);
	if (err == ERR_OK && who->role != ROLE_ADMIN && !uuid_equal(&before.user_id, &who->user_id))
		err = err_set(why, ERR_FORBIDDEN, "this API key belongs to somebody else");
	after = before;
	if (err == ERR_OK && before.revoked_us == 0)
		after.revoked_us = clock_wall_us();
	if (err == ERR_OK)
		err = api_keys_revoke(db, &revoking->id, after.revoked_us, why);
	if (err == ERR_OK)
		err = audit_key(revoking->r, db, "revoke", &before, &after, why);
	return err;
}

static enum err delete_api_key(struct http_request *r, struct http_response *response,
			       struct errmsg *why)
{
	(void)response;
	struct revoking revoking = {.r = r};
	if (!uuid_parse(http_path_arg(r, "id"), &revoking.id))
		return err_set(why, ERR_NOT_FOUND, "there is no such API key");
	enum err err = http_db_transaction(r, revoke, &revoking, why);
	/* After an error too: it may have happened all the same. */
	auth_revoked(r->app->auth);
	return err;
}

const struct route api_key_routes[] = {
    ROUTE(HTTP_GET, "/api/v1/api-keys", ACCESS_READONLY, OTHERS_NONE, SCOPE_NONE, RATE_READ,
	  WEIGHT_NORMAL, BODY_NONE, get_api_keys,
	  "The own API keys, revoked ones too; an administrator sees everybody's",
	  .takes = &query_schema, .answers = &list_schema),
    ROUTE(HTTP_POST, "/api/v1/api-keys", ACCESS_USER, OTHERS_NONE, SCOPE_NONE, RATE_WRITE,
	  WEIGHT_NORMAL, BODY_JSON, post_api_keys, "Make an API key, and see it this once",
	  .accepts = &new_schema, .answers = &made_schema, .status = 201),
    ROUTE(HTTP_DELETE, "/api/v1/api-keys/{id}", ACCESS_USER, OTHERS_KEPT, SCOPE_NONE, RATE_WRITE,
	  WEIGHT_NORMAL, BODY_NONE, delete_api_key, "Revoke an API key", .status = 204),
};
const size_t api_key_route_count = ARRAY_LEN(api_key_routes);
