/*
 * The own account: what it holds, registering one, and another password.
 */
#include "api/api.h"
#include "api/user.h"
#include "auth/account.h"
#include "auth/auth.h"
#include "base/assert.h"
#include "base/clock.h"
#include "http/audit.h"
#include "http/authenticate.h"
#include "http/database.h"
#include "store/accounts.h"

static enum err get_me(struct http_request *r, struct http_response *response, struct errmsg *why)
{
	struct db_conn *db;
	struct user user;
	enum err err = http_db_borrow(r, &db, why);
	if (err != ERR_OK)
		return err;
	err = users_by_id(db, r->arena, &r->principal.user_id, &user, why);
	http_db_return(r, db);
	if (err == ERR_OK)
		answer_user(response, &user);
	return err;
}

struct own_change {
	struct http_request *r;
	struct account_change change;
	struct user user; /* afterwards */
};

static enum err apply(struct db_conn *db, void *arg, struct errmsg *why)
{
	struct own_change *own = arg;
	const struct audit_entry by = http_audit_origin(own->r);
	return accounts_change(db, own->r->arena, &own->r->principal.user_id, &own->change, &by,
			       &own->user, why);
}

static enum err change_own(struct own_change *own, struct errmsg *why)
{
	return http_db_transaction(own->r, apply, own, why);
}

enum { ME_EMAIL, ME_FULL_NAME };

static const struct field me_fields[] = {
    [ME_EMAIL] = {"email", FIELD_STRING, FIELD_NULL, EMAIL_MIN, EMAIL_MAX,
		  .rule = account_check_email, .summary = "An address; null takes it away"},
    [ME_FULL_NAME] = {"full_name", FIELD_STRING, FIELD_NULL, FULL_NAME_MIN, FULL_NAME_MAX,
		      .summary = "What people call you; null takes it away"},
};
static const struct schema me_schema = SCHEMA("Profile", me_fields, .open = true);

static enum err put_me(struct http_request *r, struct http_response *response, struct errmsg *why)
{
	struct own_change own = {.r = r};
	own.change.user = (struct user_change){
	    .sets_email = r->values[ME_EMAIL].given,
	    .email = text_of(&r->values[ME_EMAIL]),
	    .sets_full_name = r->values[ME_FULL_NAME].given,
	    .full_name = text_of(&r->values[ME_FULL_NAME]),
	};
	enum err err = change_own(&own, why);
	if (err == ERR_OK)
		answer_user(response, &own.user);
	return err;
}

enum { CHANGE_CURRENT, CHANGE_NEW };

static const struct field change_password_fields[] = {
    [CHANGE_CURRENT] = {"current_password", FIELD_SECRET, FIELD_REQUIRED, PASSWORD_LEN_MIN,
			PASSWORD_LEN_MAX, .summary = "The one to be replaced"},
    [CHANGE_NEW] = {"new_password", FIELD_SECRET, FIELD_REQUIRED, PASSWORD_NEW_LEN_MIN,
		    PASSWORD_LEN_MAX, .summary = "Not a common one, and not the name"},
};
static const struct schema change_password_schema =
    SCHEMA("PasswordChange", change_password_fields, .open = true);

static enum err own_hash(struct http_request *r, const char **out, struct errmsg *why)
{
	struct db_conn *db;
	struct user user;
	enum err err = http_db_borrow(r, &db, why);
	if (err != ERR_OK)
		return err;
	err = users_by_id(db, r->arena, &r->principal.user_id, &user, why);
	http_db_return(r, db);
	if (err == ERR_OK)
		*out = user.password_hash;
	return err;
}

/* A guess at the password by somebody who has a token is as bad as one at the door. */
static enum err note_wrong_password(struct http_request *r, struct errmsg *why)
{
	struct db_conn *db;
	enum err err = http_db_borrow(r, &db, why);
	if (err != ERR_OK)
		return err;
	err = http_audit(r, db,
			 (struct audit_entry){.action = "login_failed",
					      .resource = "user",
					      .record = &r->principal.user_id},
			 why);
	http_db_return(r, db);
	return err;
}

static enum err check_current(struct http_request *r, const char *hash, struct json_fields *errors,
			      struct errmsg *why)
{
	bool matches;
	enum err err =
	    compare_password(r, hash, text_of(&r->values[CHANGE_CURRENT]), &matches, why);
	if (err != ERR_OK || matches)
		return err;
	json_field_error(errors, "current_password", "is not the current password");
	return note_wrong_password(r, why);
}

static enum err post_change_password(struct http_request *r, struct http_response *response,
				     struct errmsg *why)
{
	struct json_fields errors = {.error_count = 0};
	const char *new = text_of(&r->values[CHANGE_NEW]), *hash;
	char new_hash[PASSWORD_HASH_SIZE];
	uint8_t session[TOKEN_DIGEST_LEN];
	check_new_password(&errors, "new_password", new, r->principal.username);
	if (errors.error_count > 0)
		return http_respond_fields(r, response, &errors);
	enum err err = own_hash(r, &hash, why);
	if (err == ERR_OK)
		err = check_current(r, hash, &errors, why);
	if (err == ERR_OK && errors.error_count > 0)
		return http_respond_fields(r, response, &errors);
	if (err == ERR_OK)
		err = hash_password(r, new, new_hash, why);
	if (err != ERR_OK)
		return err;
	http_session_digest(r, session);
	struct own_change own = {.r = r};
	own.change = (struct account_change){
	    .user = {.password_hash = new_hash}, .replaces = hash, .kept_session = session};
	err = change_own(&own, why);
	auth_revoked(r->app->auth);
	if (err == ERR_OK)
		answer_message(response, "Password changed successfully");
	return err;
}

enum { REGISTER_USERNAME, REGISTER_PASSWORD, REGISTER_EMAIL, REGISTER_FULL_NAME };

static const struct field register_fields[] = {
    [REGISTER_USERNAME] = {"username", FIELD_STRING, FIELD_REQUIRED, USERNAME_MIN, USERNAME_MAX,
			   .rule = account_check_username, .summary = "The name to sign in with"},
    [REGISTER_PASSWORD] = {"password", FIELD_SECRET, FIELD_REQUIRED, PASSWORD_NEW_LEN_MIN,
			   PASSWORD_LEN_MAX, .summary = "Not a common one, and not the name"},
    [REGISTER_EMAIL] = {"email", FIELD_STRING, FIELD_NULL, EMAIL_MIN, EMAIL_MAX,
			.rule = account_check_email, .summary = "An address"},
    [REGISTER_FULL_NAME] = {"full_name", FIELD_STRING, FIELD_NULL, FULL_NAME_MIN, FULL_NAME_MAX,
			    .summary = "What people call the user"},
};
static const struct schema register_schema = SCHEMA("Registration", register_fields, .open = true);

struct registration {
	struct http_request *r;
	struct user user;
};

static enum err add(struct db_conn *db, void *arg, struct errmsg *why)
{
	const struct registration *registration = arg;
	const struct audit_entry by = http_audit_origin(registration->r);
	return accounts_add(db, &registration->user, &by, why);
}

static enum err post_register(struct http_request *r, struct http_response *response,
			      struct errmsg *why)
{
	struct json_fields errors = {.error_count = 0};
	const char *password = text_of(&r->values[REGISTER_PASSWORD]);
	char hash[PASSWORD_HASH_SIZE];
	struct registration registration = {
	    .r = r,
	    .user = {.username = text_of(&r->values[REGISTER_USERNAME]),
		     .email = text_of(&r->values[REGISTER_EMAIL]),
		     .full_name = text_of(&r->values[REGISTER_FULL_NAME]),
		     .role = ROLE_USER,
		     .is_active = true,
		     .password_hash = hash,
		     .created_us = clock_wall_us()},
	};
	const struct user *user = &registration.user;
	uuid_new(&registration.user.id);
	check_new_password(&errors, "password", password, user->username);
	if (errors.error_count > 0)
		return http_respond_fields(r, response, &errors);
	enum err err = hash_password(r, password, hash, why);
	if (err == ERR_OK)
		err = http_db_transaction(r, add, &registration, why);
	if (err == ERR_OK)
		answer_user(response, user);
	return err;
}

/* Within the second in which a worker may still know the token of an account that is removed. */
#define ACCOUNT_GONE FAILS(ERR_NOT_FOUND)

const struct route account_routes[] = {
    ROUTE(HTTP_GET, "/api/auth/me", ACCESS_READONLY, OTHERS_NONE, SCOPE_ANY, RATE_READ,
	  WEIGHT_NORMAL, BODY_NONE, get_me, "The own account", .answers = &user_schema,
	  .fails = ACCOUNT_GONE),
    ROUTE(HTTP_PUT, "/api/auth/me", ACCESS_USER, OTHERS_NONE, SCOPE_NONE, RATE_READ, WEIGHT_NORMAL,
	  BODY_JSON, put_me, "Change the own address and name", .accepts = &me_schema,
	  .answers = &user_schema, .fails = ACCOUNT_GONE),
    ROUTE(HTTP_POST, "/api/auth/change-password", ACCESS_READONLY, OTHERS_NONE, SCOPE_NONE,
	  RATE_ACCOUNT, WEIGHT_LIGHT, BODY_JSON, post_change_password,
	  "Set another password and end all other sessions", .accepts = &change_password_schema,
	  .answers = &message_schema, .fails = FAILS(ERR_CONFLICT) | ACCOUNT_GONE),
    ROUTE(HTTP_POST, "/api/auth/register", ACCESS_REGISTER, OTHERS_NONE, SCOPE_NONE, RATE_ACCOUNT,
	  WEIGHT_LIGHT, BODY_JSON, post_register, "Make an account of the role user",
	  .accepts = &register_schema, .answers = &user_schema, .status = 201,
	  .fails = FAILS(ERR_CONFLICT)),
};
const size_t account_route_count = ARRAY_LEN(account_routes);
