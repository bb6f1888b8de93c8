#include <string.h>

#include "api/api.h"
#include "auth/auth.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "conf/conf.h"
#include "http/authenticate.h"
#include "http/database.h"
#include "http/request.h"
#include "json/writer.h"
#include "shm/scoreboard.h"
#include "store/tokens.h"
#include "store/users.h"

enum {
	USERNAME_MIN = 3,
	USERNAME_MAX = 100,
	EMAIL_MAX = 254,
	FULL_NAME_MAX = 200,
	/* Expired tokens go a few at a time, behind a sign-in. */
	CLEANING_INTERVAL_MS = 10000,
	CLEANING_BATCH = 500,
};

struct session {
	const struct user *user;
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
	http_phase_enter(r, PHASE_AUTH);
	err = password_verify(auth_hasher(r->app->auth), found ? user->password_hash : NULL,
			      password, &r->deadline, &matches, why);
	http_phase_enter(r, PHASE_HANDLER);
	if (err != ERR_OK)
		return err;
	if (!matches)
		return wrong_credentials(why);
	if (!user->is_active)
		return err_set(why, ERR_FORBIDDEN, "User account is inactive");
	return ERR_OK;
}

static enum err add_session(struct db_conn *db, void *arg, struct errmsg *why)
{
	const struct session *session = arg;
	enum err err = users_note_login(db, session->user, session->now_us, why);
	if (err == ERR_NOT_FOUND)
		return wrong_credentials(why);
	if (err != ERR_OK)
		return err;
	return tokens_add(db, session->digest, &session->user->id, "login", session->expires_us,
			  why);
}

static enum err open_session(struct http_request *r, struct session *session, struct errmsg *why)
{
	struct db_conn *db;
	enum err err = http_db_borrow(r, &db, why);
	if (err != ERR_OK)
		return err;
	err = db_transaction(db, add_session, session, why);
	if (err == ERR_OK && auth_cleaning_due(r->app->auth, CLEANING_INTERVAL_MS))
		(void)tokens_remove_expired(db, CLEANING_BATCH, NULL);
	http_db_return(r, db);
	return err;
}

static enum err sign_in(struct http_request *r, struct http_response *response,
			const char *username, const char *password, struct errmsg *why)
{
	struct user user;
	enum err err = check_password(r, username, password, &user, why);
	if (err == ERR_UNAUTHORIZED || err == ERR_FORBIDDEN)
		count_attempt(r, COUNTER_login_failures);
	if (err != ERR_OK)
		return err;
	int64_t lifetime_ms = conf_number(r->app->conf, token_lifetime);
	char token[TOKEN_TEXT_SIZE];
	struct session session = {.user = &user, .now_us = clock_wall_us()};
	session.expires_us = session.now_us + lifetime_ms * US_PER_MS;
	token_mint(token, session.digest);
	err = open_session(r, &session, why);
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

static enum err post_login(struct http_request *r, struct http_response *response,
			   struct errmsg *why)
{
	struct json_doc *doc;
	enum err err = http_body_json(r, &doc, why);
	if (err != ERR_OK)
		return err;
	struct json_fields f;
	json_fields_init(&f, json_root(doc));
	const char *username = json_need_string(&f, "username", USERNAME_MIN, USERNAME_MAX);
	const char *password = json_need_string(&f, "password", PASSWORD_LEN_MIN, PASSWORD_LEN_MAX);
	if (f.error_count > 0)
		return http_respond_fields(r, response, &f);
	return sign_in(r, response, username, password, why);
}

/* A field of the form, with the same words as for a field of a JSON body. */
static enum err need_form_field(const struct http_request *r, struct json_fields *f,
				const char *name, size_t min, size_t max, const char **out,
				struct errmsg *why)
{
	enum err err = http_form(r, name, out, why);
	if (err != ERR_OK)
		return err;
	if (*out == NULL)
		json_field_error(f, name, "is missing");
	else
		json_check_length(f, name, *out, strlen(*out), min, max);
	return ERR_OK;
}

static enum err post_login_form(struct http_request *r, struct http_response *response,
				struct errmsg *why)
{
	struct json_fields f = {.error_count = 0};
	const char *grant, *username, *password;
	enum err err = http_form(r, "grant_type", &grant, why);
	if (err == ERR_OK)
		err =
		    need_form_field(r, &f, "username", USERNAME_MIN, USERNAME_MAX, &username, why);
	if (err == ERR_OK)
		err = need_form_field(r, &f, "password", PASSWORD_LEN_MIN, PASSWORD_LEN_MAX,
				      &password, why);
	if (err != ERR_OK)
		return err;
	if (grant != NULL && *grant != '\0' && strcmp(grant, "password") != 0)
		json_field_error(&f, "grant_type", "must be \"password\"");
	if (f.error_count > 0)
		return http_respond_fields(r, response, &f);
	return sign_in(r, response, username, password, why);
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
	json_put_time_legacy(&w, "expires_at", r->principal.expires_us);
	json_end(&w);
	return ERR_OK;
}

static void put_user(struct http_response *response, const struct user *user)
{
	struct json_writer w;
	char id[UUID_TEXT_MAX];
	uuid_format(&user->id, id);
	json_init(&w, &response->body);
	json_object(&w);
	json_put_string(&w, "id", id);
	json_put_string(&w, "username", user->username);
	json_put_string(&w, "email", user->email);
	json_put_string(&w, "full_name", user->full_name);
	json_put_string(&w, "role", role_name(user->role));
	json_put_bool(&w, "is_active", user->is_active);
	json_put_time_legacy(&w, "created_at", user->created_us);
	if (user->last_login_us == 0)
		json_put_null(&w, "last_login");
	else
		json_put_time_legacy(&w, "last_login", user->last_login_us);
	json_end(&w);
}

/* Changes the own record when there is a profile, and answers with it. */
static enum err answer_me(struct http_request *r, struct http_response *response,
			  const struct user_profile *profile, struct errmsg *why)
{
	struct db_conn *db;
	struct user user;
	const struct uuid *id = &r->principal.user_id;
	enum err err = http_db_borrow(r, &db, why);
	if (err != ERR_OK)
		return err;
	if (profile != NULL)
		err = users_set_profile(db, id, profile, why);
	if (err == ERR_OK)
		err = users_by_id(db, r->arena, id, &user, why);
	http_db_return(r, db);
	if (err == ERR_OK)
		put_user(response, &user);
	return err;
}

static enum err get_me(struct http_request *r, struct http_response *response, struct errmsg *why)
{
	return answer_me(r, response, NULL, why);
}

/* One @ with something on both sides and no blanks; whether mail arrives is another question. */
static bool looks_like_email(const char *text)
{
	const char *at = strchr(text, '@');
	if (at == NULL || at == text || at[1] == '\0' || strchr(at + 1, '@') != NULL)
		return false;
	return strchr(text, ' ') == NULL && !utf8_has_control(text);
}

static enum err put_me(struct http_request *r, struct http_response *response, struct errmsg *why)
{
	struct json_doc *doc;
	enum err err = http_body_json(r, &doc, why);
	if (err != ERR_OK)
		return err;
	struct json_fields f;
	struct user_profile profile;
	json_fields_init(&f, json_root(doc));
	profile.email = json_want_string(&f, "email", 3, EMAIL_MAX, &profile.sets_email);
	profile.full_name =
	    json_want_string(&f, "full_name", 1, FULL_NAME_MAX, &profile.sets_full_name);
	if (profile.email != NULL && !looks_like_email(profile.email))
		json_field_error(&f, "email", "must be an e-mail address");
	if (profile.full_name != NULL && utf8_has_control(profile.full_name))
		json_field_error(&f, "full_name", "must not hold control characters");
	if (f.error_count > 0)
		return http_respond_fields(r, response, &f);
	return answer_me(r, response, &profile, why);
}

static enum err post_logout(struct http_request *r, struct http_response *response,
			    struct errmsg *why)
{
	size_t len;
	uint8_t digest[TOKEN_DIGEST_LEN];
	const char *token = http_bearer(r, &len);
	AN_INVARIANT(token != NULL);
	token_digest(token, len, digest);
	struct db_conn *db;
	enum err err = http_db_borrow(r, &db, why);
	if (err != ERR_OK)
		return err;
	err = tokens_remove(db, digest, why);
	http_db_return(r, db);
	/* After an error too: the token may be gone all the same. */
	auth_revoked(r->app->auth);
	if (err != ERR_OK)
		return err;
	struct json_writer w;
	json_init(&w, &response->body);
	json_object(&w);
	json_put_string(&w, "message", "Successfully logged out");
	json_end(&w);
	return ERR_OK;
}

const struct route auth_routes[] = {
    ROUTE(HTTP_POST, "/api/auth/login", ACCESS_PUBLIC, OTHERS_NONE, SCOPE_NONE, RATE_LOGIN,
	  WEIGHT_LIGHT, BODY_JSON, post_login, "Sign in with a JSON body"),
    ROUTE(HTTP_POST, "/api/auth/login/form", ACCESS_PUBLIC, OTHERS_NONE, SCOPE_NONE, RATE_LOGIN,
	  WEIGHT_LIGHT, BODY_FORM, post_login_form, "Sign in with the OAuth2 password form"),
    ROUTE(HTTP_GET, "/api/auth/validate", ACCESS_READONLY, OTHERS_NONE, SCOPE_ANY, RATE_READ,
	  WEIGHT_NORMAL, BODY_NONE, get_validate, "Whose token this is, and until when"),
    ROUTE(HTTP_GET, "/api/auth/me", ACCESS_READONLY, OTHERS_NONE, SCOPE_ANY, RATE_READ,
	  WEIGHT_NORMAL, BODY_NONE, get_me, "The own account"),
    ROUTE(HTTP_PUT, "/api/auth/me", ACCESS_USER, OTHERS_NONE, SCOPE_NONE, RATE_READ, WEIGHT_NORMAL,
	  BODY_JSON, put_me, "Change the own address and name"),
    ROUTE(HTTP_POST, "/api/auth/logout", ACCESS_READONLY, OTHERS_NONE, SCOPE_NONE, RATE_READ,
	  WEIGHT_LIGHT, BODY_NONE, post_logout, "End this session"),
};
const size_t auth_route_count = ARRAY_LEN(auth_routes);
