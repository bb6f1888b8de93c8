/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "cache/cache.h"
#include "conf/conf.h"
#include "ratelimit/ratelimit.h"
#include "shm/scoreboard.h"
#include "shm/windows.h"
#include "support.h"

enum { HOSTS = 2, THREADS = 6, MEMCACHED_MS = 5000, RETRY_MS = 20 };

/* One host, or two that share a memcached. */
struct fixture {
	struct test_memcached memcached;
	struct scoreboard *boards[HOSTS];
	struct cache *caches[HOSTS];
	struct ratelimit *hosts[HOSTS];
	struct ratelimit_options options;
};

/* Tests of a boundary must not meet the end of a window. */
static void begin_minute(unsigned minutes)
{
	int64_t length = minutes * 60 * US_PER_S;
	clock_test_shift((length - clock_wall_us() % length) * NS_PER_US);
}

static void start_hosts(struct fixture *f, const char *server)
{
	for (size_t i = 0; i < HOSTS; i++) {
		const struct cache_options cache = {.servers = server,
						    .timeout_ms = MEMCACHED_MS,
						    .retry_ms = RETRY_MS,
						    .l1_size = 1 << 16};
		assert_int_equal(cache_new(&cache, &f->caches[i], NULL), ERR_OK);
		assert_int_equal(scoreboard_create(1, &f->boards[i], NULL), ERR_OK);
		f->options.scoreboard = f->boards[i];
		f->options.cache = f->caches[i];
		assert_int_equal(ratelimit_new(&f->options, &f->hosts[i], NULL), ERR_OK);
	}
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	log_set_level(LOG_ERROR);
	f->options.enabled = true;
	for (size_t i = 0; i < RATELIMIT_CLASSES; i++)
		f->options.limits[i] = 3;
	f->options.limits[RATELIMIT_TOTAL] = 5;
	begin_minute(60);
	start_hosts(f, "");
	*state = f;
	return 0;
}

static int set_up_fleet(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	log_set_level(LOG_ERROR);
	test_memcached_start(&f->memcached);
	f->options.enabled = true;
	f->options.fleet = true;
	f->options.limits[RATELIMIT_READ] = 5;
	begin_minute(60);
	start_hosts(f, f->memcached.socket);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	for (size_t i = 0; i < HOSTS; i++) {
		ratelimit_free(f->hosts[i]);
		scoreboard_free(f->boards[i]);
		cache_free(f->caches[i]);
	}
	if (f->options.fleet)
		test_memcached_stop(&f->memcached);
	free(f);
	return 0;
}

static struct ratelimit_request read_of(const char *user, const char *route)
{
	return (struct ratelimit_request){
	    .who = {RATELIMIT_USER, user}, .class = RATELIMIT_READ, .method = 1, .route = route};
}

static struct ratelimit_verdict judge(struct ratelimit *r, const struct ratelimit_request *request)
{
	struct ratelimit_verdict v;
	ratelimit_judge(r, request, &v);
	return v;
}

static bool admits(struct ratelimit *r, const struct ratelimit_request *request)
{
	return !judge(r, request).refused;
}

/* How many in a row are admitted before one is refused. */
static unsigned admitted(struct ratelimit *r, const struct ratelimit_request *request)
{
	unsigned count = 0;
	while (count < 1000 && admits(r, request))
		count++;
	return count;
}

/* ---- one host ---- */

static void test_number_n_passes_and_the_next_does_not(void **state)
{
	struct fixture *f = *state;
	const struct ratelimit_request request = read_of("u", "/a");
	for (unsigned i = 1; i <= 3; i++) {
		struct ratelimit_verdict v = judge(f->hosts[0], &request);
		assert_false(v.refused);
		assert_int_equal(v.count, 1);
		assert_int_equal(v.windows[0].class, RATELIMIT_READ);
		assert_int_equal(v.windows[0].limit, 3);
		assert_int_equal(v.windows[0].remaining, 3 - i);
	}
	struct ratelimit_verdict v = judge(f->hosts[0], &request);
	assert_true(v.refused);
	assert_int_equal(v.refused_by, 0);
	assert_int_equal(v.windows[0].remaining, 0);
	assert_false(v.uncounted || v.alone);
}

static void test_a_window_says_when_it_ends(void **state)
{
	struct fixture *f = *state;
	const struct ratelimit_request request = read_of("u", "/a");
	clock_test_shift(20 * NS_PER_S);
	struct ratelimit_verdict v = judge(f->hosts[0], &request);
	int64_t now_s = clock_wall_us() / US_PER_S;
	assert_int_equal(v.windows[0].seconds, 60);
	assert_int_equal(v.windows[0].ends_s % 60, 0);
	assert_in_range(v.windows[0].seconds_left, 38, 40);
	assert_in_range(v.windows[0].ends_s - now_s, 38, 40);
}

static void test_the_next_window_begins_anew(void **state)
{
	struct fixture *f = *state;
	const struct ratelimit_request request = read_of("u", "/a");
	assert_int_equal(admitted(f->hosts[0], &request), 3);
	clock_test_shift(50 * NS_PER_S);
	assert_false(admits(f->hosts[0], &request));
	clock_test_shift(10 * NS_PER_S);
	assert_int_equal(admitted(f->hosts[0], &request), 3);
}

static void test_accounts_are_limited_by_the_hour(void **state)
{
	struct fixture *f = *state;
	struct ratelimit_request request = read_of("u", "/a");
	request.class = RATELIMIT_ACCOUNT;
	assert_int_equal(judge(f->hosts[0], &request).windows[0].seconds, 3600);
	assert_int_equal(admitted(f->hosts[0], &request), 2);
	clock_test_shift(59 * 60 * NS_PER_S);
	assert_false(admits(f->hosts[0], &request));
	clock_test_shift(60 * NS_PER_S);
	assert_true(admits(f->hosts[0], &request));
}

static void test_everything_that_differs_has_its_own_window(void **state)
{
	struct fixture *f = *state;
	struct ratelimit_request first = read_of("u", "/a"), others[5];
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		others[i] = first;
	others[0].who.id = "v";
	others[1].who.kind = RATELIMIT_KEY;
	others[2].route = "/b";
	others[3].method = 2;
	others[4].class = RATELIMIT_SEARCH;
	assert_int_equal(admitted(f->hosts[0], &first), 3);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_int_equal(admitted(f->hosts[0], &others[i]), 3);
	/* The route's end and the id's beginning are no matter of taste. */
	struct ratelimit_request ab = read_of("bc", "/a"), abc = read_of("c", "/ab");
	assert_int_equal(admitted(f->hosts[0], &ab), 3);
	assert_int_equal(admitted(f->hosts[0], &abc), 3);
}

static void test_long_names_are_cut_and_harm_nothing(void **state)
{
	struct fixture *f = *state;
	char name[RATELIMIT_ID_MAX + 100], route[RATELIMIT_ROUTE_MAX + 100];
	memset(name, 'n', sizeof(name) - 1);
	memset(route, 'r', sizeof(route) - 1);
	name[sizeof(name) - 1] = route[sizeof(route) - 1] = '\0';
	struct ratelimit_request request = read_of(name, route);
	assert_int_equal(admitted(f->hosts[0], &request), 3);
	name[10] = 'x';
	assert_int_equal(admitted(f->hosts[0], &request), 3);
	name[sizeof(name) - 2] = 'x';
	assert_false(admits(f->hosts[0], &request));
}

static void test_the_total_limits_all_routes_together(void **state)
{
	struct fixture *f = *state;
	struct ratelimit_request a = read_of("u", "/a"), b = read_of("u", "/b"),
				 c = read_of("u", "/c"), other = read_of("v", "/c");
	a.total = b.total = c.total = other.total = true;
	assert_int_equal(judge(f->hosts[0], &a).count, 2);
	assert_int_equal(admitted(f->hosts[0], &a), 2);
	assert_int_equal(admitted(f->hosts[0], &b), 2);
	struct ratelimit_verdict v = judge(f->hosts[0], &c);
	assert_true(v.refused);
	assert_int_equal(v.windows[v.refused_by].class, RATELIMIT_TOTAL);
	assert_int_equal(v.windows[0].remaining, 3);
	assert_true(admits(f->hosts[0], &other));
	/* Nothing of a refused request was counted: without the total all three are left. */
	c.total = false;
	assert_int_equal(admitted(f->hosts[0], &c), 3);
}

static void test_what_is_refused_by_its_class_does_not_count_in_the_total(void **state)
{
	struct fixture *f = *state;
	struct ratelimit_request a = read_of("u", "/a"), b = read_of("u", "/b");
	a.total = b.total = true;
	assert_int_equal(admitted(f->hosts[0], &a), 3);
	for (int i = 0; i < 10; i++)
		assert_false(admits(f->hosts[0], &a));
	assert_int_equal(admitted(f->hosts[0], &b), 2);
}

static void test_no_limit_and_disabled_count_nothing(void **state)
{
	struct fixture *f = *state;
	struct ratelimit *r = NULL;
	struct ratelimit_request request = read_of("u", "/a");
	request.total = true;
	f->options.limits[RATELIMIT_READ] = 0;
	f->options.limits[RATELIMIT_TOTAL] = 0;
	assert_int_equal(ratelimit_new(&f->options, &r, NULL), ERR_OK);
	for (int i = 0; i < 100; i++)
		assert_int_equal(judge(r, &request).count, 0);
	ratelimit_free(r);
	f->options.limits[RATELIMIT_READ] = 1;
	f->options.enabled = false;
	assert_int_equal(ratelimit_new(&f->options, &r, NULL), ERR_OK);
	for (int i = 0; i < 100; i++)
		assert_true(admits(r, &request));
	ratelimit_free(r);
}

/* A new generation: other settings on the same scoreboard. */
static void test_a_reload_keeps_the_counts(void **state)
{
	struct fixture *f = *state;
	struct ratelimit *r = NULL;
	const struct ratelimit_request request = read_of("u", "/a");
	assert_int_equal(admitted(f->hosts[0], &request), 3);
	f->options.scoreboard = f->boards[0];
	f->options.limits[RATELIMIT_READ] = 5;
	assert_int_equal(ratelimit_new(&f->options, &r, NULL), ERR_OK);
	assert_int_equal(admitted(r, &request), 2);
	assert_false(admits(f->hosts[0], &request));
	ratelimit_free(r);
}

static void test_without_room_requests_are_admitted_uncounted(void **state)
{
	struct fixture *f = *state;
	uint32_t end = (uint32_t)(clock_wall_us() / US_PER_S / 60) + 1, used;
	for (uint64_t i = 0; i < WINDOW_PLACES; i++) {
		struct window w = {.key = {i, i << 1}, .end = end, .minutes = 1, .limit = 1};
		assert_int_equal(window_take(f->boards[0], &w, &used), WINDOW_COUNTED);
	}
	const struct ratelimit_request request = read_of("u", "/a");
	for (int i = 0; i < 10; i++) {
		struct ratelimit_verdict v = judge(f->hosts[0], &request);
		assert_false(v.refused);
		assert_true(v.uncounted);
	}
	clock_test_shift(60 * NS_PER_S);
	assert_int_equal(admitted(f->hosts[0], &request), 3);
}

static void test_the_settings_give_the_limits(void **state)
{
	(void)state;
	struct conf conf;
	assert_int_equal(conf_init(&conf, NULL), ERR_OK);
	struct ratelimit_options o = ratelimit_options_from_conf(&conf);
	static const uint32_t wanted[RATELIMIT_CLASSES] = {
	    [RATELIMIT_READ] = 60,   [RATELIMIT_READ_V1] = 300,      [RATELIMIT_WRITE] = 300,
	    [RATELIMIT_LOGS] = 30,   [RATELIMIT_CONTROL] = 10,       [RATELIMIT_LOGIN] = 10,
	    [RATELIMIT_ACCOUNT] = 5, [RATELIMIT_LOGIN_ACCOUNT] = 20, [RATELIMIT_SEARCH] = 100,
	    [RATELIMIT_INGEST] = 10, [RATELIMIT_TOTAL] = 1000,
	};
	assert_true(o.enabled && !o.fleet);
	assert_memory_equal(o.limits, wanted, sizeof(wanted));
	assert_int_equal(conf_set(&conf, CONF_ratelimit_scope, "fleet", "test", NULL), ERR_OK);
	assert_int_equal(conf_set(&conf, CONF_ratelimit_enabled, "0", "test", NULL), ERR_OK);
	o = ratelimit_options_from_conf(&conf);
	assert_true(!o.enabled && o.fleet);
	assert_int_equal(conf_set(&conf, CONF_ratelimit_scope, "all", "test", NULL), ERR_INVALID);
	conf_release(&conf);
}

/* ---- many threads ---- */

struct crowd {
	struct fixture *f;
	_Atomic unsigned next, admitted;
};

static void *ask(void *context)
{
	struct crowd *c = context;
	struct ratelimit *r = c->f->hosts[atomic_fetch_add(&c->next, 1) % HOSTS];
	struct ratelimit_request request = read_of("u", "/a");
	unsigned refused = 0;
	request.total = true;
	while (refused < 20) {
		if (admits(r, &request))
			atomic_fetch_add(&c->admitted, 1);
		else
			refused++;
	}
	return NULL;
}

static unsigned run_crowd(struct fixture *f)
{
	pthread_t threads[THREADS];
	struct crowd c = {.f = f};
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask, &c), 0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return c.admitted;
}

static void set_limits(struct fixture *f, uint32_t read, uint32_t total)
{
	f->options.limits[RATELIMIT_READ] = read;
	f->options.limits[RATELIMIT_TOTAL] = total;
	for (size_t i = 0; i < HOSTS; i++) {
		ratelimit_free(f->hosts[i]);
		f->options.scoreboard = f->boards[i];
		f->options.cache = f->caches[i];
		assert_int_equal(ratelimit_new(&f->options, &f->hosts[i], NULL), ERR_OK);
	}
}

static void test_threads_share_both_limits_exactly(void **state)
{
	struct fixture *f = *state;
	set_limits(f, 20000, 0);
	assert_int_equal(run_crowd(f), HOSTS * 20000);
	begin_minute(1);
	set_limits(f, 20000, 7000);
	assert_int_equal(run_crowd(f), HOSTS * 7000);
}

/* ---- a fleet ---- */

static void test_two_hosts_share_a_limit_exactly(void **state)
{
	struct fixture *f = *state;
	const struct ratelimit_request request = read_of("u", "/a"), other = read_of("v", "/a");
	for (unsigned i = 1; i <= 5; i++) {
		struct ratelimit_verdict v = judge(f->hosts[i % HOSTS], &request);
		assert_false(v.refused || v.alone);
		assert_int_equal(v.windows[0].remaining, 5 - i);
	}
	assert_false(admits(f->hosts[0], &request));
	assert_false(admits(f->hosts[1], &request));
	assert_int_equal(admitted(f->hosts[1], &other), 5);
	clock_test_shift(60 * NS_PER_S);
	assert_true(admits(f->hosts[0], &request));
	assert_int_equal(admitted(f->hosts[1], &request), 4);
}

static void test_threads_of_two_hosts_share_a_limit_exactly(void **state)
{
	struct fixture *f = *state;
	set_limits(f, 500, 0);
	assert_int_equal(run_crowd(f), 500);
	begin_minute(1);
	set_limits(f, 500, 300);
	assert_int_equal(run_crowd(f), 300);
}

/* What memcached knows of its items, or that its crawler has other work just then. */
static void list_items(const struct test_memcached *m, char answer[512])
{
	static const char command[] = "lru_crawler metadump all\r\n";
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = 0;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", m->socket);
	FD_CLEANUP fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(io_write_all(fd, command, strlen(command)), ERR_OK);
	memset(answer, 0, 512);
	while (strstr(answer, "END") == NULL && strstr(answer, "BUSY") == NULL) {
		ssize_t got = read(fd, answer + len, 511 - len);
		assert_true(got > 0);
		len += (size_t)got;
	}
}

/* When memcached's only item ends, in seconds since 1970. */
static int64_t end_of_the_item(const struct test_memcached *m)
{
	char answer[512];
	list_items(m, answer);
	for (int i = 0; i < 500 && strstr(answer, "BUSY") != NULL; i++) {
		test_sleep_ms(20);
		list_items(m, answer);
	}
	const char *exp = strstr(answer, " exp=");
	assert_non_null(exp);
	return strtoll(exp + 5, NULL, 10);
}

static void test_memcached_keeps_a_count_for_its_window_and_a_minute(void **state)
{
	struct fixture *f = *state;
	const struct ratelimit_request request = read_of("u", "/a");
	clock_test_shift(40 * NS_PER_S);
	assert_true(admits(f->hosts[0], &request));
	/* memcached has its own clock, which is not shifted and goes by seconds. */
	int64_t left = end_of_the_item(&f->memcached) - (int64_t)time(NULL);
	assert_in_range(left, 20 + 60 - 5, 20 + 60 + 1);
}

/* What a host was refused it does not ask for again. */
static void test_a_refusal_is_remembered_without_memcached(void **state)
{
	struct fixture *f = *state;
	const struct ratelimit_request request = read_of("u", "/a");
	assert_int_equal(admitted(f->hosts[0], &request), 5);
	assert_false(admits(f->hosts[1], &request));
	test_memcached_kill(&f->memcached);
	for (size_t i = 0; i < HOSTS; i++) {
		struct ratelimit_verdict v = judge(f->hosts[i], &request);
		assert_true(v.refused && !v.alone);
	}
}

/* The host learns of the full total only after it has counted in the route's window. */
static void test_what_the_total_refuses_is_given_back(void **state)
{
	struct fixture *f = *state;
	struct ratelimit_request a = read_of("u", "/a"), b = read_of("u", "/b");
	a.total = b.total = true;
	set_limits(f, 5, 3);
	assert_int_equal(admitted(f->hosts[0], &a), 3);
	struct ratelimit_verdict v = judge(f->hosts[1], &b);
	assert_true(v.refused);
	assert_int_equal(v.windows[v.refused_by].class, RATELIMIT_TOTAL);
	test_memcached_kill(&f->memcached);
	b.total = false;
	assert_int_equal(admitted(f->hosts[1], &b), 5);
}

static void test_without_memcached_each_host_counts_alone(void **state)
{
	struct fixture *f = *state;
	const struct ratelimit_request request = read_of("u", "/a");
	assert_true(admits(f->hosts[0], &request));
	assert_true(admits(f->hosts[0], &request));
	test_memcached_kill(&f->memcached);
	struct ratelimit_verdict v = judge(f->hosts[0], &request);
	assert_true(v.alone && !v.refused);
	assert_int_equal(v.windows[0].remaining, 2);
	assert_int_equal(admitted(f->hosts[0], &request), 2);
	assert_int_equal(admitted(f->hosts[1], &request), 5);
	test_memcached_restart(&f->memcached);
	clock_test_shift(60 * NS_PER_S);
	test_sleep_ms(2 * RETRY_MS);
	assert_false(judge(f->hosts[0], &request).alone);
	assert_int_equal(admitted(f->hosts[1], &request), 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define FLEET_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_fleet, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_number_n_passes_and_the_next_does_not),
	    TEST(test_a_window_says_when_it_ends),
	    TEST(test_the_next_window_begins_anew),
	    TEST(test_accounts_are_limited_by_the_hour),
	    TEST(test_everything_that_differs_has_its_own_window),
	    TEST(test_long_names_are_cut_and_harm_nothing),
	    TEST(test_the_total_limits_all_routes_together),
	    TEST(test_what_is_refused_by_its_class_does_not_count_in_the_total),
	    TEST(test_no_limit_and_disabled_count_nothing),
	    TEST(test_a_reload_keeps_the_counts),
	    TEST(test_without_room_requests_are_admitted_uncounted),
	    TEST(test_the_settings_give_the_limits),
	    TEST(test_threads_share_both_limits_exactly),
	    FLEET_TEST(test_two_hosts_share_a_limit_exactly),
	    FLEET_TEST(test_threads_of_two_hosts_share_a_limit_exactly),
	    FLEET_TEST(test_memcached_keeps_a_count_for_its_window_and_a_minute),
	    FLEET_TEST(test_a_refusal_is_remembered_without_memcached),
	    FLEET_TEST(test_what_the_total_refuses_is_given_back),
	    FLEET_TEST(test_without_memcached_each_host_counts_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
