/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <unistd.h>

#include "auth/auth.h"
#include "base/clock.h"
#include "base/io.h"
#include "conf/conf.h"
#include "http/authenticate.h"

static const char metrics_token[] = "metrics-token-of-the-tests";

/* Three tokens, one for each role; and whether the database is there. */
struct fixture {
	struct app app;
	struct conf conf;
	char tokens[ROLE_ADMIN + 1][TOKEN_TEXT_SIZE];
	uint8_t digests[ROLE_ADMIN + 1][TOKEN_DIGEST_LEN];
	char key[TOKEN_TEXT_SIZE]; /* of a user, to read agents and write tasks */
	uint8_t key_digest[TOKEN_DIGEST_LEN];
	bool database_gone;
	int64_t asked_for_ms; /* the time left when the database was asked last */
};

static enum err load(void *context, enum token_kind kind, const uint8_t digest[TOKEN_DIGEST_LEN],
		     const struct deadline *deadline, struct principal *out, struct errmsg *why)
{
	struct fixture *f = context;
	f->asked_for_ms = deadline_left_ms(deadline);
	if (f->database_gone)
		return err_set(why, ERR_UNAVAILABLE, "the database is gone");
	for (int role = ROLE_READONLY; role <= ROLE_ADMIN; role++) {
		if (memcmp(digest, f->digests[role], TOKEN_DIGEST_LEN) != 0)
			continue;
		*out = (struct principal){.role = (enum role)role,
					  .expires_us = clock_wall_us() + 3600 * US_PER_S};
		return ERR_OK;
	}
	if (kind != TOKEN_KEY || memcmp(digest, f->key_digest, TOKEN_DIGEST_LEN) != 0)
		return err_set(why, ERR_UNAUTHORIZED, "unknown");
	*out = (struct principal){.role = ROLE_USER,
				  .key_id = {{1}},
				  .agent_id = {{2}},
				  .scopes = scopes_parse("agents:read tasks:write"),
				  .expires_us = INT64_MAX};
	return ERR_OK;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char path[] = "/tmp/ziggie-metrics-token-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, metrics_token, strlen(metrics_token)), ERR_OK);
	close(fd);
	const struct auth_config config = {.load = load,
					   .load_context = f,
					   .cache_ttl_ms = 1000,
					   .grace_ms = 60000,
					   .cache_size = 64,
					   .password_hashes = 1,
					   .metrics_token_file = path};
	assert_int_equal(auth_new(&config, &f->app.auth, NULL), ERR_OK);
	unlink(path);
	assert_int_equal(conf_init(&f->conf, NULL), ERR_OK);
	f->app.conf = &f->conf;
	for (int role = ROLE_READONLY; role <= ROLE_ADMIN; role++)
		token_mint(TOKEN_SESSION, f->tokens[role], f->digests[role]);
	token_mint(TOKEN_KEY, f->key, f->key_digest);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	auth_free(f->app.auth);
	conf_release(&f->conf);
	free(f);
	return 0;
}

struct call {
	enum route_access access;
	const char *authorization;
	const char *remote_addr;
	const char *api_key;
	enum http_method method;    /* 0 for GET */
	const char *scope;          /* NULL for SCOPE_ANY */
	struct principal principal; /* afterwards */
};

static enum err call(struct fixture *f, struct call *c)
{
	struct param params[3];
	size_t count = 0;
	if (c->authorization != NULL)
		params[count++] = (struct param){"HTTP_AUTHORIZATION", c->authorization, 18,
						 strlen(c->authorization)};
	if (c->api_key != NULL)
		params[count++] =
		    (struct param){"HTTP_X_API_KEY", c->api_key, 14, strlen(c->api_key)};
	params[count++] = (struct param){"HTTP_X_FORWARDED_FOR", "127.0.0.1", 20, 9};
	const struct route route = {.path = "/test",
				    .method = c->method != 0 ? c->method : HTTP_GET,
				    .scope = c->scope != NULL ? c->scope : SCOPE_ANY,
				    .access = c->access};
	struct http_request r = {
	    .app = &f->app,
	    .params = params,
	    .param_count = count,
	    .route = &route,
	    .remote_addr = c->remote_addr != NULL ? c->remote_addr : "192.0.2.7",
	    .deadline = deadline_in_ms(9000),
	};
	enum err err = http_authenticate(&r, NULL);
	c->principal = r.principal;
	return err;
}

static enum err call_as(struct fixture *f, enum route_access access, enum role role)
{
	char authorization[128];
	snprintf(authorization, sizeof(authorization), "Bearer %s", f->tokens[role]);
	return call(f, &(struct call){.access = access, .authorization = authorization});
}

static void test_each_access_level_lets_its_roles_in(void **state)
{
	struct fixture *f = *state;
	static const struct {
		enum route_access access;
		enum err readonly, user, admin;
	} rows[] = {
	    {ACCESS_PUBLIC, ERR_OK, ERR_OK, ERR_OK},
	    {ACCESS_OPTIONAL, ERR_OK, ERR_OK, ERR_OK},
	    {ACCESS_HOST, ERR_OK, ERR_OK, ERR_OK},
	    {ACCESS_READONLY, ERR_OK, ERR_OK, ERR_OK},
	    {ACCESS_USER, ERR_FORBIDDEN, ERR_OK, ERR_OK},
	    {ACCESS_ADMIN, ERR_FORBIDDEN, ERR_FORBIDDEN, ERR_OK},
	    {ACCESS_REGISTER, ERR_FORBIDDEN, ERR_FORBIDDEN, ERR_OK},
	    {ACCESS_LOCAL, ERR_FORBIDDEN, ERR_FORBIDDEN, ERR_OK},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(call_as(f, rows[i].access, ROLE_READONLY), rows[i].readonly);
		assert_int_equal(call_as(f, rows[i].access, ROLE_USER), rows[i].user);
		assert_int_equal(call_as(f, rows[i].access, ROLE_ADMIN), rows[i].admin);
	}
}

static void test_without_credentials_only_open_routes_answer(void **state)
{
	struct fixture *f = *state;
	for (int access = ACCESS_PUBLIC; access <= ACCESS_LOCAL; access++) {
		bool open = access == ACCESS_PUBLIC || access == ACCESS_OPTIONAL;
		assert_int_equal(call(f, &(struct call){.access = (enum route_access)access}),
				 open ? ERR_OK : ERR_UNAUTHORIZED);
		assert_int_equal(call(f, &(struct call){.access = (enum route_access)access,
							.api_key = "zgk_x"}),
				 open ? ERR_OK : ERR_UNAUTHORIZED);
	}
}

static enum err call_with_key(struct fixture *f, enum http_method method, const char *scope,
			      enum route_access access)
{
	return call(f, &(struct call){
			   .access = access, .api_key = f->key, .method = method, .scope = scope});
}

static void test_a_key_does_what_its_scopes_and_its_owners_role_agree_on(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(call_with_key(f, HTTP_GET, "agents", ACCESS_READONLY), ERR_OK);
	assert_int_equal(call_with_key(f, HTTP_POST, "agents", ACCESS_USER), ERR_FORBIDDEN);
	assert_int_equal(call_with_key(f, HTTP_GET, "tasks", ACCESS_READONLY), ERR_FORBIDDEN);
	static const enum http_method writes[] = {HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE};
	for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++)
		assert_int_equal(call_with_key(f, writes[i], "tasks", ACCESS_USER), ERR_OK);
	assert_int_equal(call_with_key(f, HTTP_POST, "tasks", ACCESS_ADMIN), ERR_FORBIDDEN);
	assert_int_equal(call_with_key(f, HTTP_GET, SCOPE_ANY, ACCESS_HOST), ERR_OK);
	assert_int_equal(call_with_key(f, HTTP_GET, SCOPE_NONE, ACCESS_READONLY), ERR_FORBIDDEN);
}

static void test_a_token_knows_no_scopes(void **state)
{
	struct fixture *f = *state;
	char authorization[128];
	snprintf(authorization, sizeof(authorization), "Bearer %s", f->tokens[ROLE_USER]);
	struct call both = {.access = ACCESS_USER,
			    .authorization = authorization,
			    .api_key = f->key,
			    .method = HTTP_POST,
			    .scope = SCOPE_NONE};
	assert_int_equal(call(f, &both), ERR_OK);
	assert_true(uuid_is_nil(&both.principal.key_id));
	/* A key is none where a token belongs, nor the other way round. */
	snprintf(authorization, sizeof(authorization), "Bearer %s", f->key);
	assert_int_equal(call(f, &both), ERR_UNAUTHORIZED);
	assert_int_equal(
	    call(f, &(struct call){.access = ACCESS_READONLY, .api_key = f->tokens[ROLE_ADMIN]}),
	    ERR_UNAUTHORIZED);
}

/* A key is remembered for upkeep when its use was not noted for a minute, and once. */
static void test_used_keys_are_taken_once(void **state)
{
	struct fixture *f = *state;
	struct uuid used[2];
	assert_int_equal(auth_take_used_keys(f->app.auth, used, 2), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(call_with_key(f, HTTP_GET, "agents", ACCESS_READONLY), ERR_OK);
		auth_revoked(f->app.auth); /* so that it is read again */
	}
	assert_int_equal(auth_take_used_keys(f->app.auth, used, 2), 1);
	assert_int_equal(used[0].bytes[0], 1);
	assert_int_equal(auth_take_used_keys(f->app.auth, used, 2), 0);
}

static void test_open_registration_lets_anybody_in_and_notes_who(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(conf_set(&f->conf, CONF_open_registration, "yes", "the test", NULL),
			 ERR_OK);
	assert_int_equal(call(f, &(struct call){.access = ACCESS_REGISTER}), ERR_OK);
	char authorization[128];
	snprintf(authorization, sizeof(authorization), "Bearer %s", f->tokens[ROLE_USER]);
	struct call known = {.access = ACCESS_REGISTER, .authorization = authorization};
	assert_int_equal(call(f, &known), ERR_OK);
	assert_int_equal(known.principal.role, ROLE_USER);
}

static void test_an_optional_principal_is_noted_when_the_token_is_good(void **state)
{
	struct fixture *f = *state;
	char authorization[128];
	snprintf(authorization, sizeof(authorization), "Bearer %s", f->tokens[ROLE_USER]);
	struct call good = {.access = ACCESS_OPTIONAL, .authorization = authorization};
	assert_int_equal(call(f, &good), ERR_OK);
	assert_int_equal(good.principal.role, ROLE_USER);
	/* A health check does not wait out the whole request's time. */
	assert_true(f->asked_for_ms <= 1000);
	struct call bad = {.access = ACCESS_OPTIONAL, .authorization = "Bearer nonsense"};
	assert_int_equal(call(f, &bad), ERR_OK);
	assert_int_equal(bad.principal.role, ROLE_NONE);
	struct call open = {.access = ACCESS_PUBLIC, .authorization = authorization};
	assert_int_equal(call(f, &open), ERR_OK);
	assert_int_equal(open.principal.role, ROLE_NONE);
}

static void test_only_loopback_addresses_are_local(void **state)
{
	struct fixture *f = *state;
	static const char *const local[] = {"127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"};
	static const char *const remote[] = {
	    "",      "192.0.2.1", "128.0.0.1",          "::2",  "::ffff:128.0.0.1",
	    "unix:", "localhost", "127.0.0.1.evil.net", "127.1"};
	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
		assert_int_equal(
		    call(f, &(struct call){.access = ACCESS_LOCAL, .remote_addr = local[i]}),
		    ERR_OK);
	for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++)
		assert_int_equal(
		    call(f, &(struct call){.access = ACCESS_LOCAL, .remote_addr = remote[i]}),
		    ERR_UNAUTHORIZED);
}

static void test_the_metrics_token_opens_local_routes_alone(void **state)
{
	struct fixture *f = *state;
	char authorization[128];
	snprintf(authorization, sizeof(authorization), "Bearer %s", metrics_token);
	assert_int_equal(
	    call(f, &(struct call){.access = ACCESS_LOCAL, .authorization = authorization}),
	    ERR_OK);
	assert_int_equal(
	    call(f, &(struct call){.access = ACCESS_READONLY, .authorization = authorization}),
	    ERR_UNAUTHORIZED);
	authorization[strlen(authorization) - 1] = '\0';
	assert_int_equal(
	    call(f, &(struct call){.access = ACCESS_LOCAL, .authorization = authorization}),
	    ERR_UNAUTHORIZED);
}

static void test_host_routes_alone_outlive_the_database(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(call_as(f, ACCESS_READONLY, ROLE_USER), ERR_OK);
	f->database_gone = true;
	clock_test_shift(2 * NS_PER_S);
	assert_int_equal(call_as(f, ACCESS_READONLY, ROLE_USER), ERR_UNAVAILABLE);
	assert_int_equal(call_as(f, ACCESS_USER, ROLE_USER), ERR_UNAVAILABLE);
	assert_int_equal(call_as(f, ACCESS_HOST, ROLE_USER), ERR_OK);
	assert_int_equal(call_as(f, ACCESS_HOST, ROLE_ADMIN), ERR_UNAVAILABLE);
	clock_test_shift(-2 * NS_PER_S);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_each_access_level_lets_its_roles_in),
	    TEST(test_without_credentials_only_open_routes_answer),
	    TEST(test_a_key_does_what_its_scopes_and_its_owners_role_agree_on),
	    TEST(test_a_token_knows_no_scopes),
	    TEST(test_used_keys_are_taken_once),
	    TEST(test_open_registration_lets_anybody_in_and_notes_who),
	    TEST(test_an_optional_principal_is_noted_when_the_token_is_good),
	    TEST(test_only_loopback_addresses_are_local),
	    TEST(test_the_metrics_token_opens_local_routes_alone),
	    TEST(test_host_routes_alone_outlive_the_database),
	};
	return cmocka_run_group_tests_name("auth_http", tests, NULL, NULL);
}
