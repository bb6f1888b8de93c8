/*
 * Sessions: signing in and out, and whose token it is.
 */
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "api/user.h"
#include "auth/account.h"
#include "auth/auth.h"
#include "base/assert.h"
#include "base/clock.h"
#include "conf/conf.h"
#include "http/audit.h"
#include "http/authenticate.h"
#include "http/database.h"
#include "http/limits.h"
#include "http/request.h"
#include "json/writer.h"
#include "shm/scoreboard.h"
#include "store/tickets.h"
#include "store/tokens.h"
#include "store/users.h"

/* Expired tokens go a few at a time, behind a sign-in. */
enum { CLEANING_INTERVAL_MS = 10000, CLEANING_BATCH = 500 };

enum { LOGIN_USERNAME, LOGIN_PASSWORD, LOGIN_GRANT_TYPE };

static const struct field login_fields[] = {
    [LOGIN_USERNAME] = {"username", FIELD_STRING, FIELD_REQUIRED, USERNAME_MIN, USERNAME_MAX,
			.summary = "The account's name"},
    [LOGIN_PASSWORD] = {"password", FIELD_SECRET, FIELD_REQUIRED, PASSWORD_LEN_MIN,
			PASSWORD_LEN_MAX, .summary = "Its password"},
    [LOGIN_GRANT_TYPE] = {"grant_type", FIELD_WORD,
			  .words = (const char *const[]){"password", NULL},
			  .summary = "What OAuth2 calls this way to sign in"},
};
/* Without the last field, which only the form has. */
static const struct schema login_schema = {"Login", login_fields, LOGIN_GRANT_TYPE, .open = true};
static const struct schema login_form_schema = SCHEMA("LoginForm", login_fields, .open = true);

static const struct field session_fields[] = {
    {"access_token", FIELD_STRING, FIELD_REQUIRED, TOKEN_TEXT_LEN, TOKEN_TEXT_LEN,
     .summary = "For the header Authorization: Bearer"},
    {"token_type", FIELD_STRING, FIELD_REQUIRED, 6, 6, .summary = "bearer"},
    {"expires_in", FIELD_INT, FIELD_REQUIRED, 0, INT64_MAX, .summary = "Seconds"},
};
static const struct schema session_schema = SCHEMA("Session", session_fields);

static const struct field validate_fields[] = {
    {"valid", FIELD_BOOL, FIELD_REQUIRED, .summary = "true: else the answer is 401"},
    {"username", FIELD_STRING, FIELD_REQUIRED, USERNAME_MIN, USERNAME_MAX,
     .summary = "Whose it is"},
    {"role", FIELD_WORD, FIELD_REQUIRED, .words = role_words, .summary = "What the user may do"},
    {"expires_at", FIELD_STRING, FIELD_REQUIRED | FIELD_NULL, 19, 32,
     .summary = "Until when, in UTC; null for ever"},
};
static const struct schema validate_schema = SCHEMA("TokenOwner", validate_fields);

struct session {
	const struct http_request *r;
	const struct user *user;
	const char *new_hash; /* in place of an imported one; NULL to leave it */
	uint8_t digest[TOKEN_DIGEST_LEN];
	int64_t now_us;
	int64_t expires_us;
};

/* *found says whether there is such a user; the connection is not kept while hashing. */
static enum err find_user(struct http_request *r, const char *username, struct user *user,
			  bool *found, struct errmsg *why)
{
	struct db_conn *db;
	enum err err = http_db_borrow(r, &db, why);
	if (err != ERR_OK)
		return err;
	struct errmsg message = ERRMSG_INIT;
	err = users_by_name(db, r->arena, username, user, &message);
	http_db_return(r, db);
	*found = err == ERR_OK;
	if (err == ERR_OK || err == ERR_NOT_FOUND)
		return ERR_OK;
	return err_set(why, err, "%s", message.text);
}

static void count_attempt(struct http_request *r, enum scoreboard_counter counter)
{
	scoreboard_count(r->app->scoreboard, r->slot, counter, 1);
}

static enum err wrong_credentials(struct errmsg *why)
{
	return err_set(why, ERR_UNAUTHORIZED, "Incorrect username or password");
}

/* A user who does not exist costs the same work and gets the same answer. */
static enum err check_password(struct http_request *r, const char *username, const char *password,
			       struct user *user, struct errmsg *why)
{
	bool found, matches = false;
	enum err err = find_user(r, username, user, &found, why);
	if (err != ERR_OK)
		return err;
	err = compare_password(r, found ? user->password_hash : NULL, password, &matches, why);
	if (err != ERR_OK)
		return err;
	if (!matches)
		return wrong_credentials(why);
	if (!user->is_active)
		return err_set(why, ERR_FORBIDDEN, "User account is inactive");
	return ERR_OK;
}

static enum err audit_login(const struct session *session, struct db_conn *db, struct errmsg *why)
{
	struct audit_entry entry = http_audit_origin(session->r);
	struct principal who = {.role = session->user->role, .user_id = session->user->id};
	snprintf(who.username, sizeof(who.username), "%s", session->user->username);
	entry.who = &who;
	entry.action = "login";
	entry.resource = "user";
	entry.record = &who.user_id;
	return audit_add(db, &entry, why);
}

static enum err add_session(struct db_conn *db, void *arg, struct errmsg *why)
{
	const struct session *session = arg;
	enum err err = users_note_login(db, session->user, session->now_us, why);
	if (err == ERR_NOT_FOUND)
		return wrong_credentials(why);
	if (err == ERR_OK)
		err = tokens_add(db, session->digest, &session->user->id, "login",
				 session->expires_us, why);
	if (err == ERR_OK && session->new_hash != NULL)
		err = users_rehash(db, session->user, session->new_hash, why);
	return err == ERR_OK ? audit_login(session, db, why) : err;
}

static enum err open_session(struct http_request *r, struct session *session, struct errmsg *why)
{
	struct db_conn *db;
	enum err err = http_db_borrow(r, &db, why);
	if (err != ERR_OK)
		return err;
	err = db_transaction(db, add_session, session, why);
	if (err == ERR_OK && auth_cleaning_due(r->app->auth, CLEANING_INTERVAL_MS))
		(void)tokens_remove_expired(db, CLEANING_BATCH, NULL, NULL);
	http_db_return(r, db);
	return err;
}

/* Adds a refused sign-in to the audit, with the name that was tried; returns the refusal. */
static enum err note_refusal(struct http_request *r, enum err refusal, struct errmsg *why)
{
	struct audit_entry entry = http_audit_origin(r);
	entry.username = text_of(&r->values[LOGIN_USERNAME]);
	entry.action = "login_failed";
	entry.resource = "user";
	struct db_conn *db;
	struct errmsg trouble = ERRMSG_INIT;
	count_attempt(r, COUNTER_login_failures);
	enum err err = http_db_borrow(r, &db, &trouble);
	if (err == ERR_OK) {
		err = audit_add(db, &entry, &trouble);
		http_db_return(r, db);
	}
	return err == ERR_OK ? refusal : err_set(why, err, "%s", trouble.text);
}

/* A hash of ours for a password with an imported one.  NULL when it has ours, or for another time.
 */
static const char *rehash(struct http_request *r, const struct user *user, const char *password,
			  char out[PASSWORD_HASH_SIZE])
{
	struct errmsg ignored = ERRMSG_INIT;
	if (!password_hash_foreign(user->password_hash) ||
	    hash_password(r, password, out, &ignored) != ERR_OK)
		return NULL;
	return out;
}

static enum err sign_in(struct http_request *r, struct user *user, char token[TOKEN_TEXT_SIZE],
			int64_t lifetime_ms, struct errmsg *why)
{
	const char *username = text_of(&r->values[LOGIN_USERNAME]);
	const char *password = text_of(&r->values[LOGIN_PASSWORD]);
	char hash[PASSWORD_HASH_SIZE];
	enum err err = http_limit_account(r, username, why);
	if (err == ERR_OK)
		err = check_password(r, username, password, user, why);
	if (err != ERR_OK)
		return err;
	struct session session = {.r = r,
				  .user = user,
				  .new_hash = rehash(r, user, password, hash),
				  .now_us = clock_wall_us()};
	session.expires_us = session.now_us + lifetime_ms * US_PER_MS;
	token_mint(TOKEN_SESSION, token, session.digest);
	return open_session(r, &session, why);
}

static enum err post_login(struct http_request *r, struct http_response *response,
			   struct errmsg *why)
{
	struct user user;
	char token[TOKEN_TEXT_SIZE];
	int64_t lifetime_ms = conf_number(r->app->conf, token_lifetime);
	enum err err = sign_in(r, &user, token, lifetime_ms, why);
	if (err == ERR_UNAUTHORIZED || err == ERR_FORBIDDEN)
		return note_refusal(r, err, why);
	if (err != ERR_OK)
		return err;
	count_attempt(r, COUNTER_logins);
	struct json_writer w;
	json_init(&w, &response->body);
	json_object(&w);
	json_put_string(&w, "access_token", token);
	json_put_string(&w, "token_type", "bearer");
	json_put_int(&w, "expires_in", lifetime_ms / MS_PER_S);
	json_end(&w);
	return ERR_OK;
}

static enum err get_validate(struct http_request *r, struct http_response *response,
			     struct errmsg *why)
{
	(void)why;
	struct json_writer w;
	json_init(&w, &response->body);
	json_object(&w);
	json_put_bool(&w, "valid", true);
	json_put_string(&w, "username", r->principal.username);
	json_put_string(&w, "role", role_name(r->principal.role));
	if (r->principal.expires_us == INT64_MAX)
		json_put_null(&w, "expires_at");
	else
		json_put_time_legacy(&w, "expires_at", r->principal.expires_us);
	json_end(&w);
	return ERR_OK;
}

struct ending {
	const struct http_request *r;
	const uint8_t *digest;
};

static enum err end_session(struct db_conn *db, void *arg, struct errmsg *why)
{
	const struct ending *ending = arg;
	enum err err = tokens_remove(db, ending->digest, why);
	if (err != ERR_OK)
		return err;
	return http_audit(ending->r, db,
			  (struct audit_entry){.action = "logout",
					       .resource = "user",
					       .record = &ending->r->principal.user_id},
			  why);
}

static enum err post_logout(struct http_request *r, struct http_response *response,
			    struct errmsg *why)
{
	uint8_t digest[TOKEN_DIGEST_LEN];
	http_session_digest(r, digest);
	struct ending ending = {r, digest};
	enum err err = http_db_transaction(r, end_session, &ending, why);
	/* After an error too: the token may be gone all the same. */
	auth_revoked(r->app->auth);
	if (err != ERR_OK)
		return err;
	answer_message(response, "Successfully logged out");
	return ERR_OK;
}

static const struct field ticket_fields[] = {
    {"ticket", FIELD_STRING, FIELD_REQUIRED, TOKEN_TEXT_LEN, TOKEN_TEXT_LEN,
     .summary = "Opens one WebSocket, as ?ticket="},
    {"expires_in", FIELD_INT, FIELD_REQUIRED, 0, INT64_MAX, .summary = "Seconds"},
};
static const struct schema ticket_schema = SCHEMA("WebSocketTicket", ticket_fields);

struct ticket {
	const struct http_request *r;
	uint8_t session[TOKEN_DIGEST_LEN];
	uint8_t digest[TOKEN_DIGEST_LEN];
	char text[TOKEN_TEXT_SIZE];
};

static enum err add_ticket(struct db_conn *db, void *arg, struct errmsg *why)
{
	const struct ticket *ticket = arg;
	enum err err = tickets_add(db, ticket->digest, ticket->session, clock_wall_us(), why);
	if (err != ERR_OK)
		return err;
	return http_audit(ticket->r, db,
			  (struct audit_entry){.action = "create", .resource = "ws_ticket"}, why);
}

static enum err post_ws_ticket(struct http_request *r, struct http_response *response,
			       struct errmsg *why)
{
	struct ticket ticket = {.r = r};
	struct db_conn *db;
	http_session_digest(r, ticket.session);
	token_mint(TOKEN_SESSION, ticket.text, ticket.digest);
	enum err err = http_db_borrow(r, &db, why);
	if (err != ERR_OK)
		return err;
	err = db_transaction(db, add_ticket, &ticket, why);
	if (err == ERR_OK && auth_cleaning_due(r->app->auth, CLEANING_INTERVAL_MS))
		(void)tickets_remove_expired(db, CLEANING_BATCH, NULL, NULL);
	http_db_return(r, db);
	if (err != ERR_OK)
		return err;
	struct json_writer w;
	json_init(&w, &response->body);
	json_object(&w);
	json_put_string(&w, "ticket", ticket.text);
	json_put_int(&w, "expires_in", TICKET_LIFETIME_S);
	json_end(&w);
	return ERR_OK;
}

#define SIGN_IN_FAILS (FAILS(ERR_UNAUTHORIZED) | FAILS(ERR_FORBIDDEN))

const struct route auth_routes[] = {
    ROUTE(HTTP_POST, "/api/auth/login", ACCESS_PUBLIC, OTHERS_NONE, SCOPE_NONE, RATE_LOGIN,
	  WEIGHT_LIGHT, BODY_JSON, post_login, "Sign in with a JSON body", .accepts = &login_schema,
	  .answers = &session_schema, .fails = SIGN_IN_FAILS),
    ROUTE(HTTP_POST, "/api/auth/login/form", ACCESS_PUBLIC, OTHERS_NONE, SCOPE_NONE, RATE_LOGIN,
	  WEIGHT_LIGHT, BODY_FORM, post_login, "Sign in with the OAuth2 password form",
	  .accepts = &login_form_schema, .answers = &session_schema, .fails = SIGN_IN_FAILS),
    ROUTE(HTTP_GET, "/api/auth/validate", ACCESS_READONLY, OTHERS_NONE, SCOPE_ANY, RATE_READ,
	  WEIGHT_NORMAL, BODY_NONE, get_validate, "Whose token this is, and until when",
	  .answers = &validate_schema),
    ROUTE(HTTP_POST, "/api/auth/logout", ACCESS_READONLY, OTHERS_NONE, SCOPE_NONE, RATE_READ,
	  WEIGHT_LIGHT, BODY_NONE, post_logout, "End this session", .answers = &message_schema),
    ROUTE(HTTP_POST, "/api/auth/ws-ticket", ACCESS_READONLY, OTHERS_NONE, SCOPE_NONE, RATE_READ,
	  WEIGHT_NORMAL, BODY_NONE, post_ws_ticket, "Get what opens a WebSocket, once and soon",
	  .answers = &ticket_schema),
};
const size_t auth_route_count = ARRAY_LEN(auth_routes);
