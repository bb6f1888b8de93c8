/*
 * All accounts, for administrators.
 */
#include "api/api.h"
#include "api/user.h"
#include "auth/account.h"
#include "auth/auth.h"
#include "base/assert.h"
#include "base/clock.h"
#include "http/audit.h"
#include "http/database.h"
#include "http/legacy_paging.h"
#include "store/accounts.h"

struct user_rows {
	struct user *users;
	size_t count;
	struct user_counts counts;
};

static enum err read_page(struct http_request *r, const struct legacy_page *page,
			  struct user_rows *out, struct errmsg *why)
{
	struct db_conn *db;
	enum err err = http_db_borrow(r, &db, why);
	if (err != ERR_OK)
		return err;
	err = users_list(db, r->arena, page->skip, page->size, &out->users, &out->count, why);
	if (err == ERR_OK)
		err = users_count(db, r->arena, &out->counts, why);
	http_db_return(r, db);
	return err;
}

static const struct field list_fields[] = {
    {"users", FIELD_LIST, FIELD_REQUIRED, 0, 200, .item = FIELD_OBJECT, .of = &user_schema,
     .summary = "By name"},
    {"total", FIELD_INT, FIELD_REQUIRED, 0, INT64_MAX, .summary = "Accounts of all pages"},
    {"meta", FIELD_OBJECT, FIELD_REQUIRED, .of = &legacy_meta_schema, .summary = "Which page"},
    {"cached", FIELD_BOOL, FIELD_REQUIRED, .summary = "Always false"},
};
static const struct schema list_schema = SCHEMA("UserList", list_fields);

static enum err get_users(struct http_request *r, struct http_response *response,
			  struct errmsg *why)
{
	struct legacy_page page;
	struct user_rows rows;
	enum err err = legacy_page_read(r, &page, why);
	if (err == ERR_OK)
		err = read_page(r, &page, &rows, why);
	if (err != ERR_OK)
		return err;
	struct json_writer w;
	json_init(&w, &response->body);
	json_object(&w);
	json_key(&w, "users");
	json_array(&w);
	for (size_t i = 0; i < rows.count; i++)
		put_user(&w, &rows.users[i]);
	json_end(&w);
	legacy_page_put(&w, &page, rows.counts.total, false);
	json_end(&w);
	return ERR_OK;
}

/* Something that is no id is not an account's. */
static enum err id_of_path(const struct http_request *r, struct uuid *out, struct errmsg *why)
{
	if (uuid_parse(http_path_arg(r, "id"), out))
		return ERR_OK;
	return err_set(why, ERR_NOT_FOUND, "there is no such user");
}

struct user_work {
	struct http_request *r;
	struct uuid id;
	struct account_change change;
	struct user user; /* afterwards */
};

static enum err run(struct user_work *work, db_work *fn, struct errmsg *why)
{
	enum err err = id_of_path(work->r, &work->id, why);
	return err == ERR_OK ? http_db_transaction(work->r, fn, work, why) : err;
}

static enum err read_user(struct db_conn *db, void *arg, struct errmsg *why)
{
	struct user_work *work = arg;
	return users_by_id(db, work->r->arena, &work->id, &work->user, why);
}

static enum err get_user(struct http_request *r, struct http_response *response, struct errmsg *why)
{
	struct user_work work = {.r = r};
	enum err err = run(&work, read_user, why);
	if (err == ERR_OK)
		answer_user(response, &work.user);
	return err;
}

static enum err change_user(struct db_conn *db, void *arg, struct errmsg *why)
{
	struct user_work *work = arg;
	const struct audit_entry by = http_audit_origin(work->r);
	return accounts_change(db, work->r->arena, &work->id, &work->change, &by, &work->user, why);
}

enum { PUT_EMAIL, PUT_FULL_NAME, PUT_ROLE, PUT_IS_ACTIVE, PUT_PASSWORD };

static const struct field put_fields[] = {
    [PUT_EMAIL] = {"email", FIELD_STRING, FIELD_NULL, EMAIL_MIN, EMAIL_MAX,
		   .rule = account_check_email, .summary = "An address; null takes it away"},
    [PUT_FULL_NAME] = {"full_name", FIELD_STRING, FIELD_NULL, FULL_NAME_MIN, FULL_NAME_MAX,
		       .summary = "What people call the user; null takes it away"},
    [PUT_ROLE] = {"role", FIELD_WORD, .words = role_words, .summary = "What the user may do"},
    [PUT_IS_ACTIVE] = {"is_active", FIELD_BOOL,
		       .summary = "false refuses the user and ends all sessions"},
    [PUT_PASSWORD] = {"password", FIELD_SECRET, 0, PASSWORD_NEW_LEN_MIN, PASSWORD_LEN_MAX,
		      .summary = "A new one; ends all sessions"},
};
static const struct schema put_schema = SCHEMA("UserChange", put_fields, .open = true);

static struct user_change change_of(const struct field_value *values)
{
	const char *role = text_of(&values[PUT_ROLE]);
	return (struct user_change){
	    .sets_email = values[PUT_EMAIL].given,
	    .email = text_of(&values[PUT_EMAIL]),
	    .sets_full_name = values[PUT_FULL_NAME].given,
	    .full_name = text_of(&values[PUT_FULL_NAME]),
	    .role = role != NULL ? role_parse(role) : ROLE_NONE,
	    .sets_active = values[PUT_IS_ACTIVE].given,
	    .active = values[PUT_IS_ACTIVE].as.boolean,
	};
}

/* The rules for a password know the name; *hash stays empty when there is none to set. */
static enum err check_password(struct user_work *work, struct json_fields *errors,
			       char hash[PASSWORD_HASH_SIZE], struct errmsg *why)
{
	const char *password = text_of(&work->r->values[PUT_PASSWORD]);
	if (password == NULL)
		return ERR_OK;
	enum err err = run(work, read_user, why);
	if (err != ERR_OK)
		return err;
	check_new_password(errors, "password", password, work->user.username);
	if (errors->error_count > 0)
		return ERR_OK;
	err = hash_password(work->r, password, hash, why);
	work->change.user.password_hash = hash;
	return err;
}

static enum err put_user_by_id(struct http_request *r, struct http_response *response,
			       struct errmsg *why)
{
	char hash[PASSWORD_HASH_SIZE];
	struct json_fields errors = {.error_count = 0};
	struct user_work work = {.r = r, .change = {.user = change_of(r->values)}};
	enum err err = check_password(&work, &errors, hash, why);
	if (err != ERR_OK)
		return err;
	if (errors.error_count > 0)
		return http_respond_fields(r, response, &errors);
	err = run(&work, change_user, why);
	/* After an error too: it may have happened all the same. */
	auth_revoked(r->app->auth);
	if (err == ERR_OK)
		answer_user(response, &work.user);
	return err;
}

static enum err remove_user(struct db_conn *db, void *arg, struct errmsg *why)
{
	struct user_work *work = arg;
	const struct audit_entry by = http_audit_origin(work->r);
	return accounts_remove(db, work->r->arena, &work->id, &by, why);
}

static enum err delete_user(struct http_request *r, struct http_response *response,
			    struct errmsg *why)
{
	struct user_work work = {.r = r};
	enum err err = run(&work, remove_user, why);
	auth_revoked(r->app->auth);
	if (err == ERR_OK)
		answer_message(response, "User deleted successfully");
	return err;
}

static const struct field role_counts_fields[] = {
    {"admin", FIELD_INT, FIELD_REQUIRED, 0, INT64_MAX, .summary = "Administrators"},
    {"user", FIELD_INT, FIELD_REQUIRED, 0, INT64_MAX, .summary = "Users"},
    {"readonly", FIELD_INT, FIELD_REQUIRED, 0, INT64_MAX, .summary = "Who only reads"},
};
static const struct schema role_counts_schema = SCHEMA("RoleCounts", role_counts_fields);
static const struct field stats_fields[] = {
    {"total_users", FIELD_INT, FIELD_REQUIRED, 0, INT64_MAX, .summary = "All accounts"},
    {"active_users", FIELD_INT, FIELD_REQUIRED, 0, INT64_MAX, .summary = "Who may sign in"},
    {"inactive_users", FIELD_INT, FIELD_REQUIRED, 0, INT64_MAX, .summary = "Who may not"},
    {"by_role", FIELD_OBJECT, FIELD_REQUIRED, .of = &role_counts_schema,
     .summary = "All accounts, by role"},
    {"timestamp", FIELD_STRING, FIELD_REQUIRED, 19, 32, .summary = "Now, in UTC"},
};
static const struct schema stats_schema = SCHEMA("UserStats", stats_fields);

static void put_stats(struct json_writer *w, const struct user_counts *counts)
{
	json_object(w);
	json_put_uint(w, "total_users", counts->total);
	json_put_uint(w, "active_users", counts->active);
	json_put_uint(w, "inactive_users", counts->total - counts->active);
	json_key(w, "by_role");
	json_object(w);
	for (enum role role = ROLE_ADMIN; role > ROLE_NONE; role--)
		json_put_uint(w, role_name(role), counts->by_role[role]);
	json_end(w);
	json_put_time_legacy(w, "timestamp", clock_wall_us());
	json_end(w);
}

static enum err get_stats(struct http_request *r, struct http_response *response,
			  struct errmsg *why)
{
	struct db_conn *db;
	struct user_counts counts;
	enum err err = http_db_borrow(r, &db, why);
	if (err != ERR_OK)
		return err;
	err = users_count(db, r->arena, &counts, why);
	http_db_return(r, db);
	if (err != ERR_OK)
		return err;
	struct json_writer w;
	json_init(&w, &response->body);
	put_stats(&w, &counts);
	return ERR_OK;
}

const struct route user_routes[] = {
    ROUTE(HTTP_GET, "/api/auth/users", ACCESS_ADMIN, OTHERS_READ, SCOPE_NONE, RATE_READ,
	  WEIGHT_LIGHT, BODY_NONE, get_users, "All accounts", .takes = &legacy_page_schema,
	  .answers = &list_schema),
    ROUTE(HTTP_GET, "/api/auth/users/{id}", ACCESS_ADMIN, OTHERS_READ, SCOPE_NONE, RATE_READ,
	  WEIGHT_LIGHT, BODY_NONE, get_user, "One account", .answers = &user_schema),
    ROUTE(HTTP_PUT, "/api/auth/users/{id}", ACCESS_ADMIN, OTHERS_KEPT, SCOPE_NONE, RATE_READ,
	  WEIGHT_LIGHT, BODY_JSON, put_user_by_id,
	  "Change an account; the last active administrator stays one", .accepts = &put_schema,
	  .answers = &user_schema, .fails = FAILS(ERR_CONFLICT)),
    ROUTE(HTTP_DELETE, "/api/auth/users/{id}", ACCESS_ADMIN, OTHERS_KEPT, SCOPE_NONE, RATE_ACCOUNT,
	  WEIGHT_LIGHT, BODY_NONE, delete_user, "Remove an account with its sessions and keys",
	  .answers = &message_schema, .fails = FAILS(ERR_CONFLICT)),
    ROUTE(HTTP_GET, "/api/auth/stats", ACCESS_ADMIN, OTHERS_READ, SCOPE_NONE, RATE_READ,
	  WEIGHT_LIGHT, BODY_NONE, get_stats, "How many accounts there are, by role",
	  .answers = &stats_schema),
};
const size_t user_route_count = ARRAY_LEN(user_routes);
