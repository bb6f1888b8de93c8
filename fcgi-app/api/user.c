/*
 * What the files about accounts share: how a user is shown, and the rules for fields.
 */
#include <string.h>

#include "api/user.h"
#include "auth/account.h"
#include "auth/auth.h"
#include "base/assert.h"

const char *const role_words[] = {"admin", "user", "readonly", NULL};

static const struct field user_fields[] = {
    {"id", FIELD_ID, FIELD_REQUIRED, .summary = "The account's id"},
    {"username", FIELD_STRING, FIELD_REQUIRED, USERNAME_MIN, USERNAME_MAX,
     .summary = "The name to sign in with"},
    {"email", FIELD_STRING, FIELD_REQUIRED | FIELD_NULL, EMAIL_MIN, EMAIL_MAX,
     .summary = "An address"},
    {"full_name", FIELD_STRING, FIELD_REQUIRED | FIELD_NULL, FULL_NAME_MIN, FULL_NAME_MAX,
     .summary = "What people call the user"},
    {"role", FIELD_WORD, FIELD_REQUIRED, .words = role_words, .summary = "What the user may do"},
    {"is_active", FIELD_BOOL, FIELD_REQUIRED, .summary = "Whether the user may sign in"},
    {"created_at", FIELD_STRING, FIELD_REQUIRED, 19, 32,
     .summary = "When the account was made, in UTC"},
    {"last_login", FIELD_STRING, FIELD_REQUIRED | FIELD_NULL, 19, 32,
     .summary = "When the user signed in last, in UTC"},
};
const struct schema user_schema = SCHEMA("User", user_fields);

static const struct field message_fields[] = {
    {"message", FIELD_STRING, FIELD_REQUIRED, 1, 200, .summary = "What was done"},
};
const struct schema message_schema = SCHEMA("Message", message_fields);

void put_user(struct json_writer *w, const struct user *user)
{
	char id[UUID_TEXT_MAX];
	uuid_format(&user->id, id);
	json_object(w);
	json_put_string(w, "id", id);
	json_put_string(w, "username", user->username);
	json_put_string(w, "email", user->email);
	json_put_string(w, "full_name", user->full_name);
	json_put_string(w, "role", role_name(user->role));
	json_put_bool(w, "is_active", user->is_active);
	json_put_time_legacy(w, "created_at", user->created_us);
	if (user->last_login_us == 0)
		json_put_null(w, "last_login");
	else
		json_put_time_legacy(w, "last_login", user->last_login_us);
	json_end(w);
}

void answer_user(struct http_response *response, const struct user *user)
{
	struct json_writer w;
	json_init(&w, &response->body);
	put_user(&w, user);
}

void answer_message(struct http_response *response, const char *text)
{
	struct json_writer w;
	json_init(&w, &response->body);
	json_object(&w);
	json_put_string(&w, "message", text);
	json_end(&w);
}

const char *text_of(const struct field_value *value)
{
	return value->given && !value->null ? value->as.text.data : NULL;
}

void check_new_password(struct json_fields *errors, const char *field, const char *password,
			const char *username)
{
	struct errmsg fault = ERRMSG_INIT;
	if (password_acceptable(password, username, &fault) != ERR_OK)
		json_field_error(errors, field, "%s", fault.text);
}

enum err hash_password(struct http_request *r, const char *password, char out[PASSWORD_HASH_SIZE],
		       struct errmsg *why)
{
	http_phase_enter(r, PHASE_AUTH);
	enum err err = password_hash(auth_hasher(r->app->auth), password, &r->deadline, out, why);
	http_phase_enter(r, PHASE_HANDLER);
	return err;
}

enum err compare_password(struct http_request *r, const char *hash, const char *password,
			  bool *matches, struct errmsg *why)
{
	http_phase_enter(r, PHASE_AUTH);
	struct deadline turn = deadline_min_ms(&r->deadline, deadline_left_ms(&r->deadline) / 2);
	enum err err =
	    password_verify(auth_hasher(r->app->auth), hash, password, &turn, matches, why);
	http_phase_enter(r, PHASE_HANDLER);
	if (err == ERR_TIMEOUT && !deadline_passed(&r->deadline))
		return err_set(why, ERR_OVERLOADED, "too many sign-ins at once; try again");
	return err;
}
