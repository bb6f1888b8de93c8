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
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/strbuf.h"
#include "cache/cache.h"
#include "cache/servers.h"
#include "support.h"

enum {
	TIMEOUT_MS = 50,
	SLACK_MS = 40,
	PATIENT_MS = 5000,  /* for tests of something else than time */
	RETRY_MS = 60000,   /* only a shifted clock brings it about */
	ANSWER_TRIES = 100, /* a busy machine makes a server slower than TIMEOUT_MS, not for ever */
};

static struct cache *open_cache_with(const char *servers, int64_t timeout_ms)
{
	const struct cache_options options = {
	    .servers = servers, .timeout_ms = timeout_ms, .retry_ms = RETRY_MS, .l1_size = 1 << 20};
	struct errmsg why = ERRMSG_INIT;
	struct cache *c = NULL;
	if (cache_new(&options, &c, &why) != ERR_OK)
		fail_msg("%s", why.text);
	return c;
}

/* For servers that answer. */
static struct cache *open_cache(const char *servers)
{
	return open_cache_with(servers, PATIENT_MS);
}

static struct cache_key key_of(const char *name)
{
	struct cache_key key;
	cache_key_make(&key, &name, 1);
	return key;
}

static enum err publish(struct cache *c, const char *name, const char *text)
{
	struct cache_key key = key_of(name);
	return cache_publish(c, &key, text, strlen(text), 60000, NULL);
}

static enum err fetch(struct cache *c, const char *name, char *text, size_t size)
{
	struct cache_key key = key_of(name);
	struct cache_value *value;
	enum err err = cache_fetch(c, &key, &value, NULL);
	snprintf(text, size, "%s", value != NULL ? value->data : "(none)");
	cache_value_unref(value);
	return err;
}

static struct cache_stats stats_of(struct cache *c)
{
	struct cache_stats stats;
	cache_stats_read(c, &stats);
	return stats;
}

static void let_it_retry(void)
{
	clock_test_shift(RETRY_MS * NS_PER_MS);
}

/* Once the server is in time: this value and no other. */
static void fetch_at_last(struct cache *c, const char *name, const char *expected)
{
	char text[32];
	enum err err = ERR_UNAVAILABLE;
	for (int i = 0; i < ANSWER_TRIES && err == ERR_UNAVAILABLE; i++, let_it_retry())
		err = fetch(c, name, text, sizeof(text));
	assert_int_equal(err, ERR_OK);
	assert_string_equal(text, expected);
}

/* A cache with TIMEOUT_MS and a connection to a server that has stopped since. */
static struct cache *open_stalled(struct test_memcached *m)
{
	struct cache *patient = open_cache(m->socket);
	assert_int_equal(publish(patient, "a", "one"), ERR_OK);
	assert_int_equal(publish(patient, "b", "two"), ERR_OK);
	cache_free(patient);
	struct cache *c = open_cache_with(m->socket, TIMEOUT_MS);
	fetch_at_last(c, "a", "one");
	test_memcached_stall(m);
	return c;
}

static int64_t fetch_ms(struct cache *c)
{
	char text[8];
	int64_t start = clock_mono_ns();
	assert_int_equal(fetch(c, "a", text, sizeof(text)), ERR_UNAVAILABLE);
	return (clock_mono_ns() - start) / NS_PER_MS;
}

static uint64_t count_one(struct cache *c, const char *name, enum err expected)
{
	struct cache_key key = key_of(name);
	uint64_t number = 0;
	assert_int_equal(cache_count(c, &key, 60000, &number, NULL), expected);
	return number;
}

static void test_server_lists(void **state)
{
	(void)state;
	struct cache_servers servers;
	assert_int_equal(
	    cache_servers_parse("10.0.0.1:11212, [::1]:11213,host,/run/m.sock", &servers, NULL),
	    ERR_OK);
	assert_int_equal(servers.count, 4);
	assert_string_equal(servers.list[0].address, "10.0.0.1");
	assert_int_equal(servers.list[0].port, 11212);
	assert_string_equal(servers.list[1].address, "::1");
	assert_int_equal(servers.list[1].port, 11213);
	assert_string_equal(servers.list[2].address, "host");
	assert_int_equal(servers.list[2].port, 11211);
	assert_string_equal(servers.list[3].address, "/run/m.sock");
	assert_int_equal(servers.list[3].port, 0);
	cache_servers_release(&servers);

	const char *bad[] = {"host:0", "host:65536", "host:x", ":11211", "[::1", "[::1]x", "a:1:2"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct errmsg why = ERRMSG_INIT;
		assert_int_equal(cache_servers_parse(bad[i], &servers, &why), ERR_INVALID);
		assert_non_null(strstr(why.text, bad[i]));
	}
	char path[200];
	memset(path, 'p', sizeof(path));
	path[0] = '/';
	path[108] = '\0';
	assert_int_equal(cache_servers_parse(path, &servers, NULL), ERR_INVALID);
	path[107] = '\0';
	assert_int_equal(cache_servers_parse(path, &servers, NULL), ERR_OK);
	cache_servers_release(&servers);
}

static void test_without_memcached(void **state)
{
	(void)state;
	char text[8];
	struct cache *c = open_cache("");
	assert_int_equal(publish(c, "a", "x"), ERR_UNAVAILABLE);
	assert_int_equal(fetch(c, "a", text, sizeof(text)), ERR_UNAVAILABLE);
	count_one(c, "a", ERR_UNAVAILABLE);
	assert_int_equal(cache_check(c, NULL), ERR_UNAVAILABLE);
	assert_false(cache_available(c));
	cache_free(c);
}

static void test_values_of_any_size_come_back(void **state)
{
	struct test_memcached *m = *state;
	struct cache *c = open_cache(m->socket);
	const size_t sizes[] = {0, 1, 1000, 100000, CACHE_VALUE_MAX};
	char *bytes = malloc(CACHE_VALUE_MAX + 1);
	assert_non_null(bytes);
	for (size_t i = 0; i <= CACHE_VALUE_MAX; i++)
		bytes[i] = (char)(i * 31 % 251);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct errmsg why = ERRMSG_INIT;
		struct cache_key key = key_of("sizes");
		struct cache_value *value;
		if (cache_publish(c, &key, bytes, sizes[i], 60000, &why) != ERR_OK)
			fail_msg("%zu bytes: %s", sizes[i], why.text);
		assert_int_equal(cache_fetch(c, &key, &value, NULL), ERR_OK);
		assert_int_equal(value->len, sizes[i]);
		assert_memory_equal(value->data, bytes, sizes[i]);
		assert_int_equal(value->data[value->len], '\0');
		cache_value_unref(value);
	}
	struct cache_key key = key_of("sizes");
	assert_int_equal(cache_publish(c, &key, bytes, CACHE_VALUE_MAX + 1, 60000, NULL),
			 ERR_TOO_LARGE);
	free(bytes);
	struct cache_stats stats = stats_of(c);
	assert_int_equal(stats.memcached_hits, ARRAY_LEN(sizes));
	assert_int_equal(stats.memcached_stores, ARRAY_LEN(sizes));
	assert_int_equal(stats.memcached_errors, 0);
	cache_free(c);
}

static void test_a_missing_value_is_not_a_failure(void **state)
{
	struct test_memcached *m = *state;
	struct cache *c = open_cache(m->socket);
	char text[8];
	assert_int_equal(fetch(c, "never stored", text, sizeof(text)), ERR_NOT_FOUND);
	assert_true(cache_available(c));
	struct cache_stats stats = stats_of(c);
	assert_int_equal(stats.memcached_misses, 1);
	assert_int_equal(stats.memcached_errors, 0);
	cache_free(c);
}

/* Says something to memcached past the library. */
static void say(const struct test_memcached *m, const char *command)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", m->socket);
	FD_CLEANUP fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(io_write_all(fd, command, strlen(command)), ERR_OK);
	char answer[64];
	assert_true(read(fd, answer, sizeof(answer)) > 0);
}

static void test_another_keys_value_is_refused(void **state)
{
	struct test_memcached *m = *state;
	struct cache *c = open_cache(m->socket);
	char text[32];
	struct cache_key mine = key_of("mine");
	struct cache_key other = key_of("other");
	STRBUF_CLEANUP command = STRBUF_INIT;
	strbuf_addf(&command, "set %s 0 60 %d\r\nzc1 %s %08x\nhello\r\n", mine.hex, 46 + 5,
		    other.hex, 5);
	say(m, command.data);
	assert_int_equal(fetch(c, "mine", text, sizeof(text)), ERR_NOT_FOUND);
	strbuf_clear(&command);
	strbuf_addf(&command, "set %s 0 60 5\r\nhello\r\n", mine.hex);
	say(m, command.data);
	assert_int_equal(fetch(c, "mine", text, sizeof(text)), ERR_NOT_FOUND);
	/* Cut short. */
	strbuf_clear(&command);
	strbuf_addf(&command, "set %s 0 60 %d\r\nzc1 %s %08x\nhell\r\n", mine.hex, 46 + 4, mine.hex,
		    5);
	say(m, command.data);
	assert_int_equal(fetch(c, "mine", text, sizeof(text)), ERR_NOT_FOUND);

	struct cache_stats stats = stats_of(c);
	assert_int_equal(stats.memcached_mismatches, 3);
	assert_true(cache_available(c));
	assert_int_equal(publish(c, "mine", "right"), ERR_OK);
	assert_int_equal(fetch(c, "mine", text, sizeof(text)), ERR_OK);
	assert_string_equal(text, "right");
	cache_free(c);
}

static void test_a_value_is_taken_out_alone(void **state)
{
	struct test_memcached *m = *state;
	struct cache *c = open_cache(m->socket);
	const struct cache_key key = key_of("a");
	char text[32];
	assert_int_equal(publish(c, "a", "one"), ERR_OK);
	assert_int_equal(publish(c, "b", "two"), ERR_OK);
	assert_int_equal(cache_withdraw(c, &key, NULL), ERR_OK);
	assert_int_equal(fetch(c, "a", text, sizeof(text)), ERR_NOT_FOUND);
	assert_int_equal(fetch(c, "b", text, sizeof(text)), ERR_OK);
	assert_int_equal(cache_withdraw(c, &key, NULL), ERR_OK); /* what is not there, too */
	test_memcached_kill(m);
	assert_int_equal(cache_withdraw(c, &key, NULL), ERR_UNAVAILABLE);
	cache_free(c);
}

static void test_a_dead_server_is_left_alone_and_found_again(void **state)
{
	struct test_memcached *m = *state;
	struct cache *c = open_cache(m->socket);
	char text[32];
	assert_int_equal(publish(c, "a", "one"), ERR_OK);
	test_memcached_kill(m);
	assert_int_equal(fetch(c, "a", text, sizeof(text)), ERR_UNAVAILABLE);
	assert_false(cache_available(c));
	struct cache_stats before = stats_of(c);
	assert_int_equal(before.servers_down, 1);
	for (int i = 0; i < 100; i++)
		assert_int_equal(fetch(c, "a", text, sizeof(text)), ERR_UNAVAILABLE);
	struct cache_stats after = stats_of(c);
	assert_int_equal(after.memcached_errors, before.memcached_errors);
	assert_int_equal(after.memcached_skipped, before.memcached_skipped + 100);

	test_memcached_restart(m);
	let_it_retry();
	assert_int_equal(fetch(c, "a", text, sizeof(text)), ERR_NOT_FOUND);
	assert_true(cache_available(c));
	assert_int_equal(publish(c, "a", "two"), ERR_OK);
	assert_int_equal(fetch(c, "a", text, sizeof(text)), ERR_OK);
	assert_string_equal(text, "two");
	cache_free(c);
}

static void test_a_restart_between_two_requests_goes_unnoticed(void **state)
{
	struct test_memcached *m = *state;
	struct cache *c = open_cache(m->socket);
	char text[32];
	assert_int_equal(publish(c, "a", "one"), ERR_OK);
	test_memcached_kill(m);
	test_memcached_restart(m);
	assert_int_equal(fetch(c, "a", text, sizeof(text)), ERR_NOT_FOUND);
	struct cache_stats stats = stats_of(c);
	assert_int_equal(stats.memcached_errors, 0);
	cache_free(c);
}

static int64_t stalled_fetch_ms(void *context)
{
	struct test_memcached *m = context;
	struct cache *c = open_stalled(m);
	int64_t ms = fetch_ms(c);
	test_memcached_resume(m);
	cache_free(c);
	return ms;
}

/* With a new connection, which the kernel accepts for the stopped process. */
static int64_t stalled_again_ms(void *context)
{
	struct test_memcached *m = context;
	struct cache *c = open_stalled(m);
	fetch_ms(c);
	let_it_retry();
	int64_t ms = fetch_ms(c);
	test_memcached_resume(m);
	cache_free(c);
	return ms;
}

static void test_a_stalled_server_costs_one_time_limit(void **state)
{
	enum { LIMIT_MS = TIMEOUT_MS + SLACK_MS };
	assert_in_range(test_best_ms(stalled_fetch_ms, *state, LIMIT_MS), TIMEOUT_MS - 5, LIMIT_MS);
	assert_in_range(test_best_ms(stalled_again_ms, *state, LIMIT_MS), TIMEOUT_MS - 5, LIMIT_MS);
}

static void test_a_stalled_server_is_asked_once_a_retry(void **state)
{
	struct test_memcached *m = *state;
	struct cache *c = open_stalled(m);
	for (int retry = 0; retry < 2; retry++) {
		struct cache_stats before = stats_of(c);
		int64_t quickest = INT64_MAX;
		fetch_ms(c);
		for (int i = 0; i < 20; i++) {
			int64_t ms = fetch_ms(c);
			quickest = ms < quickest ? ms : quickest;
		}
		assert_true(quickest <= 5);
		struct cache_stats after = stats_of(c);
		assert_int_equal(after.memcached_errors, before.memcached_errors + 1);
		assert_int_equal(after.memcached_skipped, before.memcached_skipped + 20);
		let_it_retry();
	}
	test_memcached_resume(m);
	fetch_at_last(c, "a", "one");
	cache_free(c);
}

/* It does not fit into the socket's buffer. */
static int64_t stalled_publish_ms(void *context)
{
	static const char bytes[CACHE_VALUE_MAX];
	struct test_memcached *m = context;
	struct cache *c = open_stalled(m);
	struct cache_key key = key_of("big");
	int64_t start = clock_mono_ns();
	assert_int_equal(cache_publish(c, &key, bytes, sizeof(bytes), 60000, NULL),
			 ERR_UNAVAILABLE);
	int64_t ms = (clock_mono_ns() - start) / NS_PER_MS;
	test_memcached_resume(m);
	cache_free(c);
	return ms;
}

static void test_publishing_to_a_stalled_server_is_bounded(void **state)
{
	enum { LIMIT_MS = 2 * TIMEOUT_MS + SLACK_MS };
	assert_in_range(test_best_ms(stalled_publish_ms, *state, LIMIT_MS), 0, LIMIT_MS);
}

struct prober {
	struct cache *cache;
	pthread_barrier_t *start;
};

static void *probe(void *arg)
{
	struct prober *p = arg;
	char text[8];
	pthread_barrier_wait(p->start);
	fetch(p->cache, "a", text, sizeof(text));
	return NULL;
}

static void test_one_thread_probes_a_stalled_server(void **state)
{
	enum { THREADS = 8 };
	struct test_memcached *m = *state;
	struct cache *c = open_stalled(m);
	fetch_ms(c);
	let_it_retry();
	struct cache_stats before = stats_of(c);
	pthread_t threads[THREADS];
	pthread_barrier_t start;
	pthread_barrier_init(&start, NULL, THREADS);
	struct prober prober = {.cache = c, .start = &start};
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, probe, &prober), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&start);
	struct cache_stats after = stats_of(c);
	assert_int_equal(after.memcached_errors, before.memcached_errors + 1);
	assert_int_equal(after.memcached_skipped, before.memcached_skipped + THREADS - 1);
	test_memcached_resume(m);
	cache_free(c);
}

/* A value that came late must not be taken for the next key's. */
static void test_a_late_answer_is_nobodys(void **state)
{
	struct test_memcached *m = *state;
	struct cache *c = open_stalled(m);
	fetch_ms(c);
	test_memcached_resume(m);
	let_it_retry();
	fetch_at_last(c, "b", "two");
	assert_int_equal(stats_of(c).memcached_mismatches, 0);
	cache_free(c);
}

static void *worker_thread(void *arg)
{
	struct cache *c = arg;
	char name[32], text[32];
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "key %d", i % 20);
		publish(c, name, name);
		if (fetch(c, name, text, sizeof(text)) == ERR_OK && strcmp(text, name) != 0)
			return (void *)1;
	}
	return NULL;
}

static void test_threads_have_their_own_connections(void **state)
{
	enum { THREADS = 8 };
	struct test_memcached *m = *state;
	struct cache *c = open_cache(m->socket);
	pthread_t threads[THREADS];
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < THREADS; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, worker_thread, c), 0);
		for (int i = 0; i < THREADS; i++) {
			void *wrong;
			pthread_join(threads[i], &wrong);
			assert_null(wrong);
		}
	}
	struct cache_stats stats = stats_of(c);
	assert_int_equal(stats.memcached_stores, 2 * THREADS * 200);
	assert_int_equal(stats.memcached_hits, 2 * THREADS * 200);
	cache_free(c);
}

static void test_several_servers_share_the_keys(void **state)
{
	struct test_memcached *m = *state;
	struct test_memcached second;
	test_memcached_start(&second);
	char servers[256], name[32], text[32];
	snprintf(servers, sizeof(servers), "%s,%s", m->socket, second.socket);
	struct cache *c = open_cache(servers);
	assert_int_equal(cache_check(c, NULL), ERR_OK);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "key %d", i);
		assert_int_equal(publish(c, name, name), ERR_OK);
	}
	test_memcached_kill(&second);
	int lost = 0;
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "key %d", i);
		enum err err = fetch(c, name, text, sizeof(text));
		if (err == ERR_OK)
			assert_string_equal(text, name);
		lost += err == ERR_UNAVAILABLE;
	}
	assert_in_range(lost, 15, 85);
	struct cache_stats stats = stats_of(c);
	assert_int_equal(stats.servers_down, 1);
	assert_int_equal(stats.memcached_hits, 100 - lost);
	assert_int_equal(cache_check(c, NULL), ERR_UNAVAILABLE);
	cache_free(c);
	test_memcached_stop(&second);
}

static void test_all_count_with_one_counter(void **state)
{
	struct test_memcached *m = *state;
	struct cache *c = open_cache_with(m->socket, PATIENT_MS);
	struct cache *other = open_cache_with(m->socket, PATIENT_MS);
	for (uint64_t i = 1; i < 20; i += 2) {
		assert_int_equal(count_one(c, "a", ERR_OK), i);
		assert_int_equal(count_one(other, "a", ERR_OK), i + 1);
	}
	assert_int_equal(count_one(c, "b", ERR_OK), 1);
	test_memcached_kill(m);
	count_one(c, "a", ERR_UNAVAILABLE);
	assert_false(cache_available(c));
	test_memcached_restart(m);
	clock_test_shift(RETRY_MS * NS_PER_MS);
	assert_int_equal(count_one(c, "a", ERR_OK), 1);
	cache_free(c);
	cache_free(other);
}

static void test_a_counter_ends_with_its_time(void **state)
{
	struct test_memcached *m = *state;
	struct cache *c = open_cache_with(m->socket, PATIENT_MS);
	struct cache_key key = key_of("brief");
	uint64_t number = 0;
	assert_int_equal(cache_count(c, &key, 1000, &number, NULL), ERR_OK);
	/* memcached's clock ticks once a second, and a count does not lengthen the time. */
	for (int i = 0; i < 50 && (number > 1 || i == 0); i++) {
		test_sleep_ms(100);
		assert_int_equal(cache_count(c, &key, 1000, &number, NULL), ERR_OK);
	}
	assert_int_equal(number, 1);
	cache_free(c);
}

struct counting {
	struct cache *cache;
	_Atomic unsigned given[1600];
};

static void *counting_thread(void *context)
{
	struct counting *c = context;
	struct cache_key key = key_of("many");
	for (int i = 0; i < 200; i++) {
		uint64_t number = 0;
		if (cache_count(c->cache, &key, 60000, &number, NULL) == ERR_OK && number >= 1 &&
		    number <= ARRAY_LEN(c->given))
			atomic_fetch_add(&c->given[number - 1], 1);
	}
	return NULL;
}

/* The first of them begins the counter; nobody's count is lost then. */
static void test_threads_count_each_number_once(void **state)
{
	enum { THREADS = 8 };
	struct test_memcached *m = *state;
	struct counting c = {.cache = open_cache_with(m->socket, PATIENT_MS)};
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, counting_thread, &c), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < ARRAY_LEN(c.given); i++)
		assert_int_equal(c.given[i], 1);
	cache_free(c.cache);
}

static int start_server(void **state)
{
	static struct test_memcached m;
	test_memcached_start(&m);
	*state = &m;
	return 0;
}

static int stop_server(void **state)
{
	test_memcached_stop(*state);
	return 0;
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, start_server, stop_server)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_server_lists),
	    cmocka_unit_test(test_without_memcached),
	    WITH_SERVER(test_values_of_any_size_come_back),
	    WITH_SERVER(test_a_missing_value_is_not_a_failure),
	    WITH_SERVER(test_another_keys_value_is_refused),
	    WITH_SERVER(test_a_value_is_taken_out_alone),
	    WITH_SERVER(test_a_dead_server_is_left_alone_and_found_again),
	    WITH_SERVER(test_a_restart_between_two_requests_goes_unnoticed),
	    WITH_SERVER(test_a_stalled_server_costs_one_time_limit),
	    WITH_SERVER(test_a_stalled_server_is_asked_once_a_retry),
	    WITH_SERVER(test_publishing_to_a_stalled_server_is_bounded),
	    WITH_SERVER(test_one_thread_probes_a_stalled_server),
	    WITH_SERVER(test_a_late_answer_is_nobodys),
	    WITH_SERVER(test_threads_have_their_own_connections),
	    WITH_SERVER(test_several_servers_share_the_keys),
	    WITH_SERVER(test_all_count_with_one_counter),
	    WITH_SERVER(test_a_counter_ends_with_its_time),
	    WITH_SERVER(test_threads_count_each_number_once),
	};
	return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
