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
#include "ratelimit/ratelimit.h"
#include "shm/scoreboard.h"

enum { HEADERS = 3 };

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
	ratelimit_free(f->app.limits);
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

/* What a web server sends for a request without a body, and with these headers. */
static void ask_with(struct fixture *f, const char *method, const char *uri, enum err refused,
		     const struct param headers[HEADERS])
{
	struct param params[2 + HEADERS] = {param("REQUEST_METHOD", method),
					    param("REQUEST_URI", uri)};
	size_t count = 2;
	for (size_t i = 0; i < HEADERS && headers[i].name != NULL; i++)
		params[count++] = headers[i];
	struct http_input in = {
	    .params = params,
	    .param_count = count,
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

static void ask(struct fixture *f, const char *method, const char *uri, enum err refused)
{
	static const struct param none[HEADERS];
	ask_with(f, method, uri, refused, none);
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

/* ---- rate limits ---- */

static void limit_reads(struct fixture *f, uint32_t limit)
{
	struct ratelimit_options options = {.enabled = true, .scoreboard = f->app.scoreboard};
	options.limits[RATELIMIT_READ_V1] = limit;
	assert_int_equal(ratelimit_new(&options, &f->app.limits, NULL), ERR_OK);
	/* So that no window ends in the middle of a test. */
	clock_test_shift((60 * US_PER_S - clock_wall_us() % (60 * US_PER_S)) * NS_PER_US);
}

static void ask_from(struct fixture *f, const char *address)
{
	ask_with(f, "GET", "/api/v1/info", ERR_OK,
		 (struct param[HEADERS]){param("REMOTE_ADDR", address)});
}

static void test_a_refusal_is_a_problem_with_all_headers(void **state)
{
	struct fixture *f = *state;
	limit_reads(f, 2);
	ask_from(f, "192.0.2.1");
	assert_says(f->head, "Status: 200 OK\r\n");
	assert_null(strstr(f->head, "\r\nRateLimit"));
	assert_says(f->head, "\r\nX-RateLimit-Limit: 2\r\nX-RateLimit-Remaining: 1\r\n");
	assert_null(strstr(f->head, "Retry-After"));
	ask_from(f, "192.0.2.1");
	ask_from(f, "192.0.2.1");
	assert_says(f->head, "Status: 429 Too Many Requests\r\n");
	assert_says(f->head, "\r\nContent-Type: application/problem+json\r\n");
	assert_says(f->head, "\r\nRateLimit-Policy: \"read-v1\";q=2;w=60\r\n");
	assert_says(f->head, "\r\nRateLimit: \"read-v1\";r=0;t=60\r\n");
	assert_says(f->head, "\r\nX-RateLimit-Remaining: 0\r\n");
	assert_says(f->head, "\r\nRetry-After: 60\r\n");
	assert_says(f->body, "\"type\":\"urn:ziggie:problem:rate_limited\"");
	assert_says(f->body, "the limit of 2 requests in 60 s (read-v1) is reached");
	assert_int_equal(recorded(f, "GET /api/v1/info", 429), 1);
}

static void test_whose_address_it_is(void **state)
{
	/* Rows of one number are one principal, each number another. */
	static const struct {
		const char *address;
		int who;
	} rows[] = {
	    {"192.0.2.1", 0},
	    {"192.0.2.2", 1},
	    {"::ffff:192.0.2.1", 0},
	    {"2001:db8:1:2::1", 2},
	    {"2001:db8:1:2:3:4:5:6", 2},
	    {"2001:DB8:1:2::9", 2},
	    {"2001:db8:1:3::1", 3},
	    {"unix:", 4},
	    {"", 5},
	    {"a:very:odd:address", 6},
	    {"192.0.2.1:80", 7},
	};
	struct fixture *f = *state;
	limit_reads(f, 1000);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char wanted[64];
		int earlier = 1;
		for (size_t k = 0; k < i; k++)
			earlier += rows[k].who == rows[i].who;
		snprintf(wanted, sizeof(wanted), "\r\nX-RateLimit-Remaining: %d\r\n",
			 1000 - earlier);
		ask_from(f, rows[i].address);
		assert_says(f->head, wanted);
	}
}

static void test_what_is_not_limited_says_nothing(void **state)
{
	static const char *const paths[] = {"/livez", "/nowhere", "/health/startup"};
	struct fixture *f = *state;
	limit_reads(f, 1);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		for (int k = 0; k < 3; k++) {
			ask(f, "GET", paths[i], ERR_OK);
			assert_null(strstr(f->head, "RateLimit"));
			assert_null(strstr(f->head, "Status: 429"));
		}
	for (int k = 0; k < 3; k++) {
		ask(f, "OPTIONS", "/api/v1/info", ERR_OK);
		assert_says(f->head, "Status: 204 ");
	}
	ask_from(f, "192.0.2.1");
	assert_says(f->head, "Status: 200 ");
}

static void test_head_counts_as_get(void **state)
{
	struct fixture *f = *state;
	limit_reads(f, 2);
	ask(f, "HEAD", "/api/v1/info", ERR_OK);
	assert_says(f->head, "\r\nX-RateLimit-Remaining: 1\r\n");
	ask(f, "GET", "/api/v1/info", ERR_OK);
	assert_says(f->head, "\r\nX-RateLimit-Remaining: 0\r\n");
}

/* ---- pages of other sites ---- */

#define OURS "https://dash.example.org"

static void allow_origins(struct fixture *f, const char *origins)
{
	assert_int_equal(conf_set(&f->conf, CONF_cors_origins, origins, "test", NULL), ERR_OK);
}

static void ask_as_page(struct fixture *f, const char *method, const char *uri, const char *origin,
			const char *wants)
{
	ask_with(f, method, uri, ERR_OK,
		 (struct param[HEADERS]){param("HTTP_ORIGIN", origin),
					 wants != NULL
					     ? param("HTTP_ACCESS_CONTROL_REQUEST_METHOD", wants)
					     : (struct param){0}});
}

static void test_without_origins_nothing_is_said(void **state)
{
	struct fixture *f = *state;
	ask_as_page(f, "GET", "/livez", OURS, NULL);
	assert_null(strstr(f->head, "Access-Control"));
	assert_null(strstr(f->head, "Vary"));
	ask_as_page(f, "OPTIONS", "/livez", OURS, "GET");
	assert_says(f->head, "Status: 204 ");
	assert_null(strstr(f->head, "Access-Control"));
}

static void test_only_whole_origins_match(void **state)
{
	static const struct {
		const char *origin;
		bool allowed;
	} rows[] = {
	    {OURS, true},
	    {"http://localhost:3000", true},
	    {"http://dash.example.org", false},
	    {"https://dash.example.org:443", false},
	    {"https://dash.example.org.evil.example", false},
	    {"https://evil-dash.example.org", false},
	    {"https://dash.example.or", false},
	    {"https://DASH.example.org", false},
	    {"http://localhost:300", false},
	    {"http://localhost:30000", false},
	    {OURS ",http://localhost:3000", false},
	    {OURS ", http://localhost:3000", false},
	    {"null", false},
	    {"*", false},
	    {"", false},
	};
	struct fixture *f = *state;
	allow_origins(f, OURS ", http://localhost:3000");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char wanted[128];
		snprintf(wanted, sizeof(wanted), "\r\nAccess-Control-Allow-Origin: %s\r\n",
			 rows[i].origin);
		ask_as_page(f, "GET", "/livez", rows[i].origin, NULL);
		assert_says(f->head, "\r\nVary: Origin\r\n");
		assert_null(strstr(f->head, "Access-Control-Allow-Origin: *"));
		if (rows[i].allowed)
			assert_says(f->head, wanted);
		else
			assert_null(strstr(f->head, "Access-Control"));
	}
	ask(f, "GET", "/livez", ERR_OK);
	assert_says(f->head, "\r\nVary: Origin\r\n");
	assert_null(strstr(f->head, "Access-Control"));
}

static void test_errors_can_be_read_by_the_page_too(void **state)
{
	struct fixture *f = *state;
	allow_origins(f, OURS);
	ask_as_page(f, "GET", "/nowhere", OURS, NULL);
	assert_says(f->head, "Status: 404 ");
	assert_says(f->head, "\r\nAccess-Control-Allow-Origin: " OURS "\r\n");
	ask_with(f, "GET", "/api/system/ports", ERR_OVERLOADED,
		 (struct param[HEADERS]){param("HTTP_ORIGIN", OURS)});
	assert_says(f->head, "Status: 503 ");
	assert_says(f->head, "\r\nAccess-Control-Allow-Origin: " OURS "\r\n");
	assert_says(f->head, "RateLimit-Policy, Retry-After");
}

/* There is no database in this program. */
static void test_a_preflight_is_answered_by_the_path(void **state)
{
	struct fixture *f = *state;
	allow_origins(f, OURS);
	ask_as_page(f, "OPTIONS", "/api/auth/me", OURS, "PUT");
	assert_says(f->head, "Status: 204 No Content\r\n");
	assert_says(f->head, "\r\nAccess-Control-Allow-Origin: " OURS "\r\n");
	assert_says(f->head, "\r\nAccess-Control-Allow-Credentials: true\r\n");
	assert_says(f->head, "\r\nAccess-Control-Allow-Methods: GET, HEAD, PUT, OPTIONS\r\n");
	assert_says(f->head, "\r\nAccess-Control-Allow-Headers: Authorization, ");
	assert_says(f->head, "\r\nAccess-Control-Max-Age: 7200\r\n");
	assert_null(strstr(f->head, "Expose"));
	ask_as_page(f, "OPTIONS", "/api/auth/me", "https://evil.example", "PUT");
	assert_says(f->head, "Status: 204 No Content\r\n");
	assert_null(strstr(f->head, "Access-Control"));
	ask_as_page(f, "OPTIONS", "/nowhere", OURS, "GET");
	assert_says(f->head, "Status: 404 ");
	/* Without the question it is no preflight. */
	ask_as_page(f, "OPTIONS", "/api/auth/me", OURS, NULL);
	assert_null(strstr(f->head, "Access-Control-Allow-Methods"));
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
	    TEST(test_a_refusal_is_a_problem_with_all_headers),
	    TEST(test_whose_address_it_is),
	    TEST(test_what_is_not_limited_says_nothing),
	    TEST(test_head_counts_as_get),
	    TEST(test_without_origins_nothing_is_said),
	    TEST(test_only_whole_origins_match),
	    TEST(test_errors_can_be_read_by_the_page_too),
	    TEST(test_a_preflight_is_answered_by_the_path),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
