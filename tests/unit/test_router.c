/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <string.h>

#include "http/form.h"
#include "http/router.h"
#include "toy_route.h"

static const struct route rows[] = {
    TOY_ROUTE(HTTP_GET, "/"),
    TOY_ROUTE(HTTP_GET, "/api/agents"),
    TOY_ROUTE(HTTP_POST, "/api/agents"),
    TOY_ROUTE(HTTP_GET, "/api/agents/stats"),
    TOY_ROUTE(HTTP_GET, "/api/agents/{id}"),
    TOY_ROUTE(HTTP_GET, "/api/agents/{id}/knowledge"),
    TOY_ROUTE(HTTP_DELETE, "/api/{kind}/stats/{id}"),
};
static const size_t row_count = sizeof(rows) / sizeof(rows[0]);
static const struct route_table table = {rows, &row_count, "toys", "Routes that do nothing."};

static struct router *router;
static struct arena arena;

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena, 4096, 65536);
	return (int)router_new(&table, 1, &router, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	arena_release(&arena);
	router_free(router);
	return 0;
}

static struct route_match find(enum http_method method, const char *path)
{
	struct route_match match;
	arena_reset(&arena);
	assert_int_equal(router_find(router, &arena, method, path, strlen(path), &match, NULL),
			 ERR_OK);
	return match;
}

static void test_literals_win_over_arguments(void **state)
{
	(void)state;
	assert_ptr_equal(find(HTTP_GET, "/").route, &rows[0]);
	assert_ptr_equal(find(HTTP_GET, "/api/agents").route, &rows[1]);
	assert_ptr_equal(find(HTTP_GET, "/api/agents/").route, &rows[1]);
	assert_ptr_equal(find(HTTP_POST, "/api/agents").route, &rows[2]);
	assert_ptr_equal(find(HTTP_GET, "/api/agents/stats").route, &rows[3]);
	struct route_match match = find(HTTP_GET, "/api/agents/x1");
	assert_ptr_equal(match.route, &rows[4]);
	assert_int_equal(match.arg_count, 1);
	assert_string_equal(match.args[0].value, "x1");
}

static void test_a_dead_end_is_walked_back(void **state)
{
	(void)state;
	struct route_match match = find(HTTP_DELETE, "/api/agents/stats/7");
	assert_ptr_equal(match.route, &rows[6]);
	assert_int_equal(match.arg_count, 2);
	assert_string_equal(match.args[0].value, "agents");
	assert_string_equal(match.args[1].value, "7");
}

static void test_methods_that_the_path_has(void **state)
{
	(void)state;
	struct route_match match = find(HTTP_PUT, "/api/agents");
	assert_null(match.route);
	assert_int_equal(match.allowed, HTTP_GET | HTTP_HEAD | HTTP_POST);
	assert_ptr_equal(find(HTTP_HEAD, "/api/agents").route, &rows[1]);
	assert_null(find(0, "/api/agents").route);
	assert_int_equal(find(HTTP_GET, "/api/nothing/here/at/all").allowed, 0);
	assert_int_equal(find(HTTP_GET, "//api/agents").allowed, 0);
	assert_int_equal(find(HTTP_GET, "/api/agents//knowledge").allowed, 0);
	assert_int_equal(find(HTTP_GET, "api/agents").allowed, 0);
	assert_int_equal(find(HTTP_GET, "/1/2/3/4/5/6/7/8/9/10/11/12/13/14").allowed, 0);
}

static void test_segments_are_decoded_after_the_split(void **state)
{
	(void)state;
	assert_string_equal(find(HTTP_GET, "/api/agents/a%2Fb%20c").args[0].value, "a/b c");
	assert_ptr_equal(find(HTTP_GET, "/api/%61gents").route, &rows[1]);
	const char *bad[] = {"/api/agents/%",   "/api/agents/%2",  "/api/agents/%zz",
			     "/api/agents/%00", "/api/agents/%ff", "/api/agents/\xff"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct route_match match;
		struct errmsg why = ERRMSG_INIT;
		assert_int_equal(
		    router_find(router, &arena, HTTP_GET, bad[i], strlen(bad[i]), &match, &why),
		    ERR_MALFORMED);
		assert_null(router_peek(router, HTTP_GET, bad[i], strlen(bad[i])));
	}
	assert_ptr_equal(router_peek(router, HTTP_GET, "/api/agents/x", 13), &rows[4]);
}

static void test_a_raw_nul_is_malformed(void **state)
{
	(void)state;
	static const char path[] = "/api/agents/x\0y";
	struct route_match match;
	assert_int_equal(
	    router_find(router, &arena, HTTP_GET, path, sizeof(path) - 1, &match, NULL),
	    ERR_MALFORMED);
}

static void test_no_message_without_an_error(void **state)
{
	(void)state;
	static const char path[] = "/1/2/3/4/5/6/7/8/9/10/11/12/13/14";
	struct route_match match;
	struct errmsg why = ERRMSG_INIT;
	assert_int_equal(
	    router_find(router, &arena, HTTP_GET, path, sizeof(path) - 1, &match, &why), ERR_OK);
	assert_string_equal(why.text, "");
}

static void test_rows_without_policy_are_refused(void **state)
{
	(void)state;
	static const struct route broken[][2] = {
	    {{.method = HTTP_GET, .path = "/x", .handler = nothing, .summary = "s"}},
	    {TOY_ROUTE(HTTP_GET, "x")},
	    {TOY_ROUTE(HTTP_HEAD, "/x")},
	    {TOY_ROUTE(HTTP_GET, "/x"), TOY_ROUTE(HTTP_GET, "/x")},
	    {ROUTE(HTTP_POST, "/api/v1/x", ACCESS_USER, OTHERS_KEPT, SCOPE_ANY, RATE_READ,
		   WEIGHT_NORMAL, BODY_NONE, nothing, "Writes as a read")},
	};
	static const size_t counts[] = {1, 1, 1, 2, 1};
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct route_table one = {broken[i], &counts[i], "broken", "One with a fault."};
		struct router *none;
		struct errmsg why = ERRMSG_INIT;
		assert_int_equal(router_new(&one, 1, &none, &why), ERR_INTERNAL);
		assert_non_null(strstr(why.text, "x"));
	}
}

static void expect_form(const char *text, const char *name, enum err wanted, const char *value)
{
	const char *out = "untouched";
	struct errmsg why = ERRMSG_INIT;
	arena_reset(&arena);
	assert_int_equal(form_get(&arena, text, strlen(text), name, &out, &why), wanted);
	if (wanted != ERR_OK)
		assert_int_equal(strncmp(why.text, name, strlen(name)), 0);
	else if (value == NULL)
		assert_null(out);
	else
		assert_string_equal(out, value);
}

static void test_forms(void **state)
{
	(void)state;
	expect_form("a=1&b=2", "b", ERR_OK, "2");
	expect_form("a=1&b=2", "c", ERR_OK, NULL);
	expect_form("a", "a", ERR_OK, "");
	expect_form("a=x+y%2Bz=&b", "a", ERR_OK, "x y+z=");
	expect_form("%61=1", "a", ERR_OK, "1");
	expect_form("&&a=1&", "a", ERR_OK, "1");
	expect_form("&&=1", "", ERR_OK, "1");
	expect_form("a=1&a=2", "a", ERR_INVALID, NULL);
	expect_form("a=%2", "a", ERR_INVALID, NULL);
	expect_form("a=%00", "a", ERR_INVALID, NULL);
	expect_form("a=%c3", "a", ERR_INVALID, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_literals_win_over_arguments),
	    cmocka_unit_test(test_a_dead_end_is_walked_back),
	    cmocka_unit_test(test_methods_that_the_path_has),
	    cmocka_unit_test(test_segments_are_decoded_after_the_split),
	    cmocka_unit_test(test_a_raw_nul_is_malformed),
	    cmocka_unit_test(test_no_message_without_an_error),
	    cmocka_unit_test(test_rows_without_policy_are_refused),
	    cmocka_unit_test(test_forms),
	};
	return cmocka_run_group_tests_name("router", tests, set_up, tear_down);
}
