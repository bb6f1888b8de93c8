/*
 * http_serve() with the real routes and nothing behind them: the answers that need
 * neither database nor cache, and what is refused before a handler is called.
 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "conf/conf.h"
#include "http/request.h"
#include "http/router.h"
#include "http/serve.h"
#include "shm/scoreboard.h"

struct fixture {
	struct conf conf;
	struct router *router;
	unsigned *route_ids;
	struct app app;
	struct http_thread thread;
	const char *head; /* of the last answer */
	const char *body;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	log_set_level(LOG_ERROR);
	assert_int_equal(conf_init(&f->conf, NULL), ERR_OK);
	assert_int_equal(router_new(route_tables, route_table_count, &f->router, NULL), ERR_OK);
	f->app = (struct app){.conf = &f->conf, .router = f->router};
	assert_int_equal(scoreboard_create(1, &f->app.scoreboard, NULL), ERR_OK);
	const struct scoreboard_claim claim = {.program = PROGRAM_WORKER, .threads = 1};
	assert_int_equal(scoreboard_claim(f->app.scoreboard, &claim, NULL), ERR_OK);
	f->route_ids = calloc(router_count(f->router), sizeof(*f->route_ids));
	for (size_t i = 0; i < router_count(f->router); i++) {
		char name[SCOREBOARD_ROUTE_NAME];
		const struct route *row = router_row(f->router, i);
		snprintf(name, sizeof(name), "%s %s", http_method_name(row->method), row->path);
		f->route_ids[i] = scoreboard_route(f->app.scoreboard, name);
	}
	f->app.route_ids = f->route_ids;
	http_thread_init(&f->thread, 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	http_thread_release(&f->thread);
	scoreboard_free(f->app.scoreboard);
	router_free(f->router);
	free(f->route_ids);
	conf_release(&f->conf);
	free(f);
	return 0;
}

static struct param param(const char *name, const char *value)
{
	return (struct param){name, value, strlen(name), strlen(value)};
}

/* What a web server sends for a request without headers and body. */
static void ask(struct fixture *f, const char *method, const char *uri, enum err refused)
{
	const struct param params[] = {param("REQUEST_METHOD", method), param("REQUEST_URI", uri)};
	struct http_input in = {
	    .params = params,
	    .param_count = sizeof(params) / sizeof(params[0]),
	    .client_fd = -1,
	    .received_ns = clock_mono_ns(),
	    .refused = ERR_OK,
	};
	http_classify(&f->app, &in);
	in.refused = refused; /* as the engine does with one that waited too long */
	http_serve(&f->app, &f->thread, &in);
	f->head = f->thread.out.head.data;
	f->body = f->thread.out.body.data;
}

static void assert_says(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("no \"%s\" in: %s", part, text);
}

/* How often the route was answered with that status, by the scoreboard. */
static uint64_t recorded(const struct fixture *f, const char *route, int status)
{
	struct scoreboard_totals *totals = calloc(1, sizeof(*totals));
	uint64_t count = 0;
	assert_int_equal(scoreboard_totals(f->app.scoreboard, totals, NULL), ERR_OK);
	for (unsigned i = 0; i < totals->route_count; i++)
		for (size_t s = 0; s < SCOREBOARD_STATUSES; s++)
			if (strcmp(totals->routes[i].name, route) == 0 &&
			    scoreboard_statuses[s] == status)
				count += totals->routes[i].by_status[s];
	free(totals);
	return count;
}

static void test_a_start_that_is_not_complete_says_when_to_come_again(void **state)
{
	struct fixture *f = *state;
	ask(f, "GET", "/health/startup", ERR_OK);
	assert_says(f->head, "Status: 503 Service Unavailable\r\n");
	assert_says(f->head, "\r\nRetry-After: 1\r\n");
	assert_says(f->body, "\"startup_complete\":false");
	atomic_store(&f->app.ready, true);
	ask(f, "GET", "/health/startup", ERR_OK);
	assert_says(f->head, "Status: 200 OK\r\n");
	assert_null(strstr(f->head, "Retry-After"));
	assert_says(f->body, "\"startup_complete\":true");
}

static void test_a_refused_request_is_counted_by_its_route(void **state)
{
	struct fixture *f = *state;
	ask(f, "GET", "/api/system/ports?host=x", ERR_OVERLOADED);
	assert_says(f->head, "Status: 503 ");
	assert_says(f->head, "\r\nRetry-After: 1\r\n");
	assert_says(f->body, "\"instance\":\"/api/system/ports\"");
	assert_int_equal(recorded(f, "GET /api/system/ports", 503), 1);
	assert_int_equal(recorded(f, "", 503), 0);
	ask(f, "GET", "/api/system/disk", ERR_TIMEOUT);
	assert_says(f->head, "Status: 504 ");
	assert_int_equal(recorded(f, "GET /api/system/disk", 504), 1);
}

static void test_a_refused_head_has_no_body(void **state)
{
	struct fixture *f = *state;
	ask(f, "HEAD", "/api/system/disk", ERR_OVERLOADED);
	assert_says(f->head, "Status: 503 ");
	assert_string_equal(f->body, "");
}

static void test_the_instance_is_a_uri_reference(void **state)
{
	static const char *const paths[][2] = {
	    {"/no/such/path", "/no/such/path"},
	    {"/a%20b;c=d,e:@f~", "/a%20b;c=d,e:@f~"},
	    {"/a b\"c\\<>^`{|}", "/a%20b%22c%5C%3C%3E%5E%60%7B%7C%7D"},
	    {"/caf\xc3\xa9\x01\x7f", "/caf%C3%A9%01%7F"},
	    {"/%", "/%25"},
	    {"/%zz", "/%25zz"},
	    {"/%4", "/%254"},
	    {"", ""},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		char wanted[128];
		snprintf(wanted, sizeof(wanted), "\"instance\":\"%s\"", paths[i][1]);
		ask(f, "GET", paths[i][0], ERR_OK);
		assert_says(f->body, wanted);
	}
}

static void test_methods_are_answered_by_what_the_path_has(void **state)
{
	struct fixture *f = *state;
	ask(f, "DELETE", "/livez", ERR_OK);
	assert_says(f->head, "Status: 405 Method Not Allowed\r\n");
	assert_says(f->head, "\r\nAllow: GET, HEAD, OPTIONS\r\n");
	ask(f, "BREW", "/api/auth/me", ERR_OK);
	assert_says(f->head, "Status: 405 ");
	assert_says(f->head, "\r\nAllow: GET, HEAD, PUT, OPTIONS\r\n");
	ask(f, "OPTIONS", "/livez", ERR_OK);
	assert_says(f->head, "Status: 204 No Content\r\n");
	assert_says(f->head, "\r\nAllow: GET, HEAD, OPTIONS\r\n");
	assert_null(strstr(f->head, "Content-Length"));
	ask(f, "OPTIONS", "/nowhere", ERR_OK);
	assert_says(f->head, "Status: 404 ");
	ask(f, "HEAD", "/livez", ERR_OK);
	assert_says(f->head, "Status: 200 OK\r\n");
	assert_null(strstr(f->head, "Content-Length: 0\r\n"));
	assert_string_equal(f->body, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_a_start_that_is_not_complete_says_when_to_come_again),
	    TEST(test_a_refused_request_is_counted_by_its_route),
	    TEST(test_a_refused_head_has_no_body),
	    TEST(test_the_instance_is_a_uri_reference),
	    TEST(test_methods_are_answered_by_what_the_path_has),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
