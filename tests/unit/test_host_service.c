/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "host/service.h"
#include "shm/scoreboard.h"
#include "support.h"

/* Long, so that only a shifted clock ends them, however slow the machine is. */
enum {
	INTERVAL_MS = 60000,
	L1_TTL_MS = 20000,
	RETRY_MS = 12000,
	TIMEOUT_MS = 5000,
	PATIENCE_MS = 3000,
};
enum {
	FEW_MS = 50,
	REMEMBERED_MS = 1000,   /* what the database said of a host */
	FIRST_SAMPLE_MS = 2000, /* how long another host's first sample is waited for */
	QUICK_TRIES = 50,
};

struct fixture {
	struct test_memcached memcached;
	struct cache *cache;
	struct cache *elsewhere; /* another process's way to the same memcached */
	struct scoreboard *board;
	struct host_service *service;
	struct host_timing timing;

	/* What the database says of host "there", and how often it was asked. */
	enum err found;
	struct host_sighting sighting;
	_Atomic int asked;
};

static enum err find(void *context, const char *host, const struct deadline *deadline,
		     struct host_sighting *out, struct errmsg *why)
{
	struct fixture *f = context;
	f->asked++;
	if (deadline_left_ms(deadline) > 1000)
		return err_set(why, ERR_INTERNAL, "more time than the database shall get");
	if (f->found == ERR_OK && strcmp(host, "there") != 0)
		return err_set(why, ERR_NOT_FOUND, "there is no host \"%s\"", host);
	if (f->found != ERR_OK)
		return err_set(why, f->found, "the database is away");
	*out = f->sighting;
	return ERR_OK;
}

static struct cache *open_cache(const char *servers, int64_t timeout_ms)
{
	const struct cache_options options = {
	    .servers = servers, .timeout_ms = timeout_ms, .retry_ms = RETRY_MS, .l1_size = 4 << 20};
	struct cache *c = NULL;
	assert_int_equal(cache_new(&options, &c, NULL), ERR_OK);
	return c;
}

static int set_up_with(void **state, int64_t timeout_ms, int64_t patience_ms)
{
	static struct fixture f;
	f = (struct fixture){
	    .timing = {.sample_ttl_ms = 60000, .l1_ttl_ms = L1_TTL_MS, .interest_ttl_ms = 30000}};
	for (int kind = 0; kind < HOST_KIND_COUNT; kind++)
		f.timing.interval_ms[kind] = INTERVAL_MS;
	test_memcached_start(&f.memcached);
	f.cache = open_cache(f.memcached.socket, timeout_ms);
	f.elsewhere = open_cache(f.memcached.socket, TIMEOUT_MS);
	assert_int_equal(scoreboard_create(4, &f.board, NULL), ERR_OK);
	const struct host_service_options options = {.host_id = "here",
						     .proc_root = "/proc",
						     .sys_root = "/sys",
						     .timing = f.timing,
						     .patience_ms = patience_ms,
						     .cache = f.cache,
						     .scoreboard = f.board,
						     .find = find,
						     .find_context = &f};
	struct errmsg why = ERRMSG_INIT;
	if (host_service_new(&options, &f.service, &why) != ERR_OK)
		fail_msg("%s", why.text);
	*state = &f;
	return 0;
}

static int set_up(void **state)
{
	return set_up_with(state, TIMEOUT_MS, PATIENCE_MS);
}

/* Where the other thread does not come. */
static int set_up_impatient(void **state)
{
	return set_up_with(state, TIMEOUT_MS, FEW_MS);
}

/* Where memcached does not answer. */
static int set_up_hasty(void **state)
{
	return set_up_with(state, FEW_MS, PATIENCE_MS);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	host_service_free(f->service);
	scoreboard_free(f->board);
	cache_free(f->cache);
	cache_free(f->elsewhere);
	test_memcached_stop(&f->memcached);
	return 0;
}

static int64_t now_us(void)
{
	return clock_wall_us();
}

/* What ziggie-jobs on that host would have published age_ms ago. */
static void publish(struct fixture *f, const char *host, enum host_kind kind, const char *json,
		    int64_t age_ms)
{
	char sample[512];
	int len = snprintf(sample, sizeof(sample), "ziggie-sample 1 %s %lld %zu 0\n%s",
			   host_kind_names[kind], (long long)(now_us() - age_ms * US_PER_MS),
			   strlen(json), json);
	assert_int_equal(
	    host_publish(f->elsewhere, &f->timing, host, kind, sample, (size_t)len, NULL), ERR_OK);
}

/* The answer in text; "" and the error's message in text when there is none. */
static enum err read_json(struct fixture *f, const char *host, enum host_kind kind, char *text,
			  size_t size, bool *stale)
{
	struct deadline deadline = deadline_in_ms(5000);
	struct host_answer answer;
	struct errmsg why = ERRMSG_INIT;
	enum err err = host_service_read(f->service, host, kind, &deadline, &answer, &why);
	if (err != ERR_OK) {
		snprintf(text, size, "%s", why.text);
		return err;
	}
	STRBUF_CLEANUP json = STRBUF_INIT;
	host_answer_json(&answer, &json);
	snprintf(text, size, "%s", json.data);
	*stale = answer.stale;
	host_answer_release(&answer);
	return ERR_OK;
}

static struct host_service_stats stats_of(const struct fixture *f)
{
	struct host_service_stats stats;
	host_service_stats_read(f->service, &stats);
	return stats;
}

static struct cache_stats cache_stats_of(const struct fixture *f)
{
	struct cache_stats stats;
	cache_stats_read(f->cache, &stats);
	return stats;
}

static void test_a_published_sample_is_the_answer(void **state)
{
	struct fixture *f = *state;
	char text[256];
	bool stale;
	publish(f, "here", HOST_PROCESSES, "{\"n\":1}", 0);
	assert_int_equal(read_json(f, NULL, HOST_PROCESSES, text, sizeof(text), &stale), ERR_OK);
	assert_string_equal(text, "{\"n\":1}");
	assert_false(stale);

	/* For l1_ttl memcached is not asked again. */
	publish(f, "here", HOST_PROCESSES, "{\"n\":2}", 0);
	assert_int_equal(read_json(f, "here", HOST_PROCESSES, text, sizeof(text), &stale), ERR_OK);
	assert_string_equal(text, "{\"n\":1}");
	assert_int_equal(cache_stats_of(f).memcached_hits, 1);
	clock_test_shift((L1_TTL_MS + 1) * NS_PER_MS);
	assert_int_equal(read_json(f, "", HOST_PROCESSES, text, sizeof(text), &stale), ERR_OK);
	assert_string_equal(text, "{\"n\":2}");
	assert_int_equal(stats_of(f).cached, 3);
	assert_int_equal(stats_of(f).collected, 0);
}

static void test_an_old_sample_makes_the_worker_collect(void **state)
{
	struct fixture *f = *state;
	char text[256];
	bool stale;
	publish(f, "here", HOST_NETWORK, "{\"published\":true}", 3 * INTERVAL_MS + 100);
	assert_int_equal(read_json(f, NULL, HOST_NETWORK, text, sizeof(text), &stale), ERR_OK);
	assert_null(strstr(text, "published"));
	assert_non_null(strstr(text, "\"success\""));
	assert_false(stale);
	assert_int_equal(stats_of(f).collected, 1);
}

static void test_without_memcached_the_worker_collects_once_an_interval(void **state)
{
	struct fixture *f = *state;
	char text[256];
	bool stale;
	test_memcached_kill(&f->memcached);
	for (int i = 0; i < 20; i++)
		assert_int_equal(read_json(f, NULL, HOST_DISK, text, sizeof(text), &stale), ERR_OK);
	assert_int_equal(stats_of(f).collected, 1);
	clock_test_shift((INTERVAL_MS + 1) * NS_PER_MS);
	assert_int_equal(read_json(f, NULL, HOST_DISK, text, sizeof(text), &stale), ERR_OK);
	assert_false(stale);
	assert_int_equal(stats_of(f).collected, 2);
	assert_int_equal(stats_of(f).stale, 0);
}

struct reader {
	struct fixture *f;
	pthread_barrier_t start;
	_Atomic int failed, old;
};

static void *read_one(void *arg)
{
	struct reader *r = arg;
	char text[256];
	bool stale = false;
	pthread_barrier_wait(&r->start);
	if (read_json(r->f, NULL, HOST_PORTS, text, sizeof(text), &stale) != ERR_OK)
		r->failed++;
	else if (stale != (strncmp(text, "{\"stale\":true,", 14) == 0))
		r->failed++;
	else
		r->old += stale;
	return NULL;
}

enum { THREADS = 16 };

static void read_at_once(struct reader *r)
{
	pthread_t threads[THREADS];
	pthread_barrier_init(&r->start, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_one, r), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&r->start);
}

static void test_one_thread_collects_for_all(void **state)
{
	struct fixture *f = *state;
	test_memcached_kill(&f->memcached);
	struct reader r = {.f = f};
	read_at_once(&r);
	assert_int_equal(r.failed, 0);
	assert_int_equal(r.old, 0);
	assert_int_equal(stats_of(f).collected, 1);
	assert_int_equal(stats_of(f).cached, THREADS - 1);
}

static void test_one_thread_asks_memcached_for_all(void **state)
{
	struct fixture *f = *state;
	publish(f, "here", HOST_PORTS, "{\"n\":1}", 0);
	struct reader r = {.f = f};
	read_at_once(&r);
	assert_int_equal(r.failed, 0);
	assert_int_equal(cache_stats_of(f).memcached_hits, 1);
}

/* While one thread holds the collector, the others get the last value, marked. */
static void test_the_others_get_the_last_value_marked_stale(void **state)
{
	struct fixture *f = *state;
	char text[256];
	bool stale;
	publish(f, "here", HOST_STATS, "{\"n\":1}", 0);
	clock_test_shift((INTERVAL_MS + 1) * NS_PER_MS);
	assert_int_equal(read_json(f, NULL, HOST_STATS, text, sizeof(text), &stale), ERR_OK);
	assert_string_equal(text, "{\"n\":1}");
	test_memcached_kill(&f->memcached);
	clock_test_shift(10 * INTERVAL_MS * NS_PER_MS);

	struct cache_key key;
	struct cache_value *value;
	host_sample_key("here", HOST_STATS, &key);
	assert_int_equal(cache_lookup(f->cache, &key, NULL, &value), CACHE_ELECTED);
	cache_value_unref(value);
	assert_int_equal(read_json(f, NULL, HOST_STATS, text, sizeof(text), &stale), ERR_OK);
	assert_true(stale);
	assert_string_equal(text, "{\"stale\":true,\"n\":1}");
	assert_int_equal(stats_of(f).stale, 1);

	cache_abandon(f->cache, &key);
	assert_int_equal(read_json(f, NULL, HOST_STATS, text, sizeof(text), &stale), ERR_OK);
	assert_false(stale);
	assert_null(strstr(text, "\"n\":1"));
}

static void *read_kinds(void *arg)
{
	struct reader *r = arg;
	char text[256];
	bool stale = false;
	pthread_barrier_wait(&r->start);
	for (int kind = 0; kind < HOST_KIND_COUNT; kind++)
		if (read_json(r->f, NULL, (enum host_kind)kind, text, sizeof(text), &stale) !=
		    ERR_OK)
			r->failed++;
	return NULL;
}

/* Who has nothing to show waits for the collector, whatever it is collecting. */
static void test_kinds_take_turns_with_the_collector(void **state)
{
	struct fixture *f = *state;
	test_memcached_kill(&f->memcached);
	struct reader r = {.f = f};
	pthread_t ports, kinds;
	pthread_barrier_init(&r.start, NULL, 2);
	assert_int_equal(pthread_create(&ports, NULL, read_one, &r), 0);
	assert_int_equal(pthread_create(&kinds, NULL, read_kinds, &r), 0);
	pthread_join(ports, NULL);
	pthread_join(kinds, NULL);
	pthread_barrier_destroy(&r.start);
	assert_int_equal(r.failed, 0);
	/* All but HOST_STATS, which was there from the start. */
	assert_int_equal(stats_of(f).collected, HOST_KIND_COUNT - 1);
}

/* After a pause the old value is there, but the new one is near. */
static void test_nobody_gets_an_old_value_when_a_new_one_is_near(void **state)
{
	struct fixture *f = *state;
	publish(f, "here", HOST_PORTS, "{\"n\":1}", 0);
	struct reader r = {.f = f};
	read_at_once(&r);
	clock_test_shift(20 * INTERVAL_MS * NS_PER_MS);
	publish(f, "here", HOST_PORTS, "{\"n\":2}", 0);
	read_at_once(&r);
	assert_int_equal(r.failed, 0);
	assert_int_equal(r.old, 0);
	assert_int_equal(stats_of(f).collected, 0);
}

static void test_the_mark_goes_into_any_object(void **state)
{
	(void)state;
	STRBUF_CLEANUP out = STRBUF_INIT;
	host_json_mark("{}", 2, true, &out);
	assert_string_equal(out.data, "{\"stale\":true}");
	strbuf_clear(&out);
	host_json_mark("{\"a\":1}", 7, false, &out);
	assert_string_equal(out.data, "{\"a\":1}");
}

/* To the second; what is looked for in a message. */
static void seen_text(int64_t seen_us, char text[CLOCK_TEXT_MAX])
{
	clock_format_utc(seen_us, text);
	text[19] = '\0';
}

static void test_another_host_comes_from_memcached_alone(void **state)
{
	struct fixture *f = *state;
	char text[512];
	bool stale;
	publish(f, "there", HOST_STATS, "{\"n\":7}", 0);
	assert_int_equal(read_json(f, "there", HOST_STATS, text, sizeof(text), &stale), ERR_OK);
	assert_string_equal(text, "{\"n\":7}");
	assert_false(stale);
	assert_int_equal(f->asked, 0);
	assert_int_equal(stats_of(f).collected, 0);
}

static void test_withdrawn_samples_of_this_host_are_read_anew(void **state)
{
	struct fixture *f = *state;
	char text[256];
	bool stale;
	for (int kind = 0; kind < HOST_KIND_COUNT; kind++) {
		publish(f, "here", (enum host_kind)kind, "{\"published\":true}", 0);
		publish(f, "there", (enum host_kind)kind, "{\"published\":true}", 0);
	}
	assert_int_equal(host_service_withdraw(f->service, NULL), ERR_OK);
	for (int k = 0; k < HOST_KIND_COUNT; k++) {
		enum host_kind kind = (enum host_kind)k;
		assert_int_equal(read_json(f, NULL, kind, text, sizeof(text), &stale), ERR_OK);
		assert_null(strstr(text, "published"));
		assert_int_equal(read_json(f, "there", kind, text, sizeof(text), &stale), ERR_OK);
		assert_non_null(strstr(text, "published"));
	}
	test_memcached_kill(&f->memcached);
	assert_int_equal(host_service_withdraw(f->service, NULL), ERR_UNAVAILABLE);
}

/* Reads that fail, all within the time for which the database's answer is remembered. */
static void read_thrice(struct fixture *f, const char *host, enum host_kind kind, enum err expected,
			char *text, size_t size)
{
	bool stale;
	for (int try = 0; try < QUICK_TRIES; try++) {
		clock_test_shift((REMEMBERED_MS + 1) * NS_PER_MS);
		f->asked = 0;
		int64_t start = clock_mono_ns();
		for (int i = 0; i < 3; i++)
			assert_int_equal(read_json(f, host, kind, text, size, &stale), expected);
		if (clock_mono_ns() - start < REMEMBERED_MS * NS_PER_MS)
			return;
	}
	fail_msg("three reads take more than a second");
}

static void test_an_unknown_host_is_not_found(void **state)
{
	struct fixture *f = *state;
	char text[512];
	bool stale;
	read_thrice(f, "nowhere", HOST_PROCESSES, ERR_NOT_FOUND, text, sizeof(text));
	assert_string_equal(text, "host: there is no host \"nowhere\"");
	/* Once a second is enough, and nobody is told to sample. */
	assert_int_equal(f->asked, 1);
	clock_test_shift((REMEMBERED_MS + 1) * NS_PER_MS);
	read_json(f, "nowhere", HOST_PROCESSES, text, sizeof(text), &stale);
	assert_int_equal(f->asked, 2);
	assert_false(host_interest_read(f->elsewhere, "nowhere", HOST_PROCESSES));
}

static void test_a_silent_host_was_seen_when_the_database_says(void **state)
{
	struct fixture *f = *state;
	char text[512], seen[CLOCK_TEXT_MAX];
	bool stale;
	f->sighting.seen_us = now_us() - 3600 * US_PER_S;
	seen_text(f->sighting.seen_us, seen);
	publish(f, "there", HOST_STATS, "{}", 3 * INTERVAL_MS + 500);
	assert_int_equal(host_heartbeat_publish(f->elsewhere, "there", NULL), ERR_OK);
	read_thrice(f, "there", HOST_STATS, ERR_UNAVAILABLE, text, sizeof(text));
	assert_non_null(strstr(text, seen));
	assert_int_equal(f->asked, 1);
	/* A costly kind of a silent host is waited for by nobody. */
	int64_t start = clock_mono_ns();
	assert_int_equal(read_json(f, "there", HOST_PORTS, text, sizeof(text), &stale),
			 ERR_UNAVAILABLE);
	assert_true((clock_mono_ns() - start) / NS_PER_MS < FIRST_SAMPLE_MS);

	test_memcached_kill(&f->memcached);
	assert_int_equal(read_json(f, "there", HOST_DISK, text, sizeof(text), &stale),
			 ERR_UNAVAILABLE);
	assert_non_null(strstr(text, "memcached"));
	assert_non_null(strstr(text, seen));
}

static void test_without_the_database_the_heartbeat_tells(void **state)
{
	struct fixture *f = *state;
	char text[512], seen[CLOCK_TEXT_MAX];
	bool stale;
	f->found = ERR_UNAVAILABLE;
	assert_int_equal(read_json(f, "there", HOST_STATS, text, sizeof(text), &stale),
			 ERR_UNAVAILABLE);
	assert_non_null(strstr(text, "\"there\" has not been seen"));

	int64_t from_us = now_us();
	assert_int_equal(host_heartbeat_publish(f->elsewhere, "there", NULL), ERR_OK);
	int64_t to_us = now_us();
	clock_test_shift((L1_TTL_MS + 1) * NS_PER_MS);
	assert_int_equal(read_json(f, "there", HOST_STATS, text, sizeof(text), &stale),
			 ERR_UNAVAILABLE);
	seen_text(to_us, seen);
	bool told = strstr(text, seen) != NULL;
	for (int64_t us = from_us; us < to_us && !told; us += US_PER_S) {
		seen_text(us, seen);
		told = strstr(text, seen) != NULL;
	}
	assert_true(told);
}

/* What the other host's ziggie-jobs does: it looks whether anybody asks, and then samples. */
static void *answer_interest(void *arg)
{
	struct fixture *f = arg;
	for (int i = 0; i < 500; i++, test_sleep_ms(10))
		if (host_interest_read(f->elsewhere, "there", HOST_PORTS)) {
			publish(f, "there", HOST_PORTS, "{\"n\":1}", 0);
			return NULL;
		}
	return NULL;
}

static void test_the_first_to_ask_waits_for_a_costly_sample(void **state)
{
	struct fixture *f = *state;
	char text[512];
	bool stale;
	pthread_t jobs;
	f->sighting = (struct host_sighting){.seen_us = now_us(), .is_up = true};
	assert_int_equal(pthread_create(&jobs, NULL, answer_interest, f), 0);
	enum err err = read_json(f, "there", HOST_PORTS, text, sizeof(text), &stale);
	pthread_join(jobs, NULL);
	assert_int_equal(err, ERR_OK);
	assert_string_equal(text, "{\"n\":1}");
}

static void test_only_the_first_to_ask_waits_and_not_for_ever(void **state)
{
	struct fixture *f = *state;
	char text[512];
	bool stale;
	f->sighting = (struct host_sighting){.seen_us = now_us(), .is_up = true};
	int64_t start = clock_mono_ns();
	assert_int_equal(read_json(f, "there", HOST_PORTS, text, sizeof(text), &stale),
			 ERR_UNAVAILABLE);
	assert_in_range((clock_mono_ns() - start) / NS_PER_MS, FIRST_SAMPLE_MS - 100, 3500);
	start = clock_mono_ns();
	for (int i = 0; i < 10; i++)
		assert_int_equal(read_json(f, "there", HOST_PORTS, text, sizeof(text), &stale),
				 ERR_UNAVAILABLE);
	assert_true((clock_mono_ns() - start) / NS_PER_MS < FIRST_SAMPLE_MS);
}

static void test_an_unusable_value_is_passed_over(void **state)
{
	struct fixture *f = *state;
	char text[256];
	bool stale;
	assert_int_equal(
	    host_publish(f->elsewhere, &f->timing, "here", HOST_DISK, "rubbish", 7, NULL), ERR_OK);
	assert_int_equal(read_json(f, NULL, HOST_DISK, text, sizeof(text), &stale), ERR_OK);
	assert_non_null(strstr(text, "\"success\""));
	assert_int_equal(stats_of(f).collected, 1);
	/* Another kind's sample under this key. */
	clock_test_shift((INTERVAL_MS + 1) * NS_PER_MS);
	struct cache_key key;
	const char *sample = "ziggie-sample 1 disk 1 2 0\n{}";
	host_sample_key("there", HOST_STATS, &key);
	assert_int_equal(cache_publish(f->elsewhere, &key, sample, strlen(sample), 60000, NULL),
			 ERR_OK);
	assert_int_equal(read_json(f, "there", HOST_STATS, text, sizeof(text), &stale),
			 ERR_UNAVAILABLE);
}

static void test_costly_kinds_note_interest(void **state)
{
	struct fixture *f = *state;
	char text[256];
	bool stale;
	read_json(f, NULL, HOST_STATS, text, sizeof(text), &stale);
	assert_int_equal(scoreboard_interest(f->board, HOST_STATS), 0);
	publish(f, "here", HOST_PROCESSES, "{}", 0); /* so that reading takes no time */
	int64_t before = clock_mono_ns();
	read_json(f, NULL, HOST_PROCESSES, text, sizeof(text), &stale);
	int64_t first = scoreboard_interest(f->board, HOST_PROCESSES);
	assert_true(first >= before);
	read_json(f, NULL, HOST_PROCESSES, text, sizeof(text), &stale);
	assert_int_equal(scoreboard_interest(f->board, HOST_PROCESSES), first);
	clock_test_shift(NS_PER_S);
	read_json(f, NULL, HOST_PROCESSES, text, sizeof(text), &stale);
	assert_true(scoreboard_interest(f->board, HOST_PROCESSES) > first);

	assert_false(host_interest_read(f->elsewhere, "there", HOST_PORTS));
	read_json(f, "there", HOST_PORTS, text, sizeof(text), &stale);
	assert_true(host_interest_read(f->elsewhere, "there", HOST_PORTS));
	assert_false(host_interest_read(f->elsewhere, "there", HOST_PROCESSES));
	assert_int_equal(scoreboard_interest(f->board, HOST_PORTS), 0);
}

static void test_the_summary_waits_for_nobody(void **state)
{
	struct fixture *f = *state;
	struct host_summary summary;
	/* The first sample was taken at the start. */
	assert_int_equal(host_service_summary(f->service, &summary, NULL), ERR_OK);
	assert_true(summary.memory_total > 0 && summary.cpu_count > 0);
	assert_true(summary.disk_total >= summary.disk_used);

	test_memcached_stall(&f->memcached);
	clock_test_shift(20 * INTERVAL_MS * NS_PER_MS);
	memset(&summary, 0, sizeof(summary));
	struct cache_stats before = cache_stats_of(f);
	assert_int_equal(host_service_summary(f->service, &summary, NULL), ERR_OK);
	struct cache_stats after = cache_stats_of(f);
	assert_int_equal(after.memcached_errors, before.memcached_errors);
	assert_int_equal(after.memcached_skipped, before.memcached_skipped);
	assert_true(summary.memory_total > 0);
	/* That was a new sample: it is there for the route too. */
	char text[256];
	bool stale = true;
	assert_int_equal(read_json(f, NULL, HOST_STATS, text, sizeof(text), &stale), ERR_OK);
	assert_false(stale);
	test_memcached_resume(&f->memcached);
}

/* Each time that it is tried again; whoever else wants something then goes without. */
static void test_a_stalled_memcached_costs_one_time_limit(void **state)
{
	enum { RETRIES = 3 };
	struct fixture *f = *state;
	char text[256];
	bool stale;
	test_memcached_stall(&f->memcached);
	struct cache_stats before = cache_stats_of(f);
	for (int retry = 0; retry < RETRIES; retry++) {
		clock_test_shift((INTERVAL_MS + 1) * NS_PER_MS);
		for (int kind = 0; kind < HOST_KIND_COUNT; kind++)
			assert_int_equal(
			    read_json(f, NULL, (enum host_kind)kind, text, sizeof(text), &stale),
			    ERR_OK);
	}
	struct cache_stats after = cache_stats_of(f);
	assert_int_equal(after.memcached_errors - before.memcached_errors, RETRIES);
	assert_int_equal(after.memcached_skipped - before.memcached_skipped,
			 RETRIES * (HOST_KIND_COUNT - 1));
	test_memcached_resume(&f->memcached);
}

#define WITH_SERVICE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define IMPATIENT(test) cmocka_unit_test_setup_teardown(test, set_up_impatient, tear_down)
#define HASTY(test) cmocka_unit_test_setup_teardown(test, set_up_hasty, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_mark_goes_into_any_object),
	    WITH_SERVICE(test_a_published_sample_is_the_answer),
	    WITH_SERVICE(test_an_old_sample_makes_the_worker_collect),
	    WITH_SERVICE(test_without_memcached_the_worker_collects_once_an_interval),
	    WITH_SERVICE(test_one_thread_collects_for_all),
	    WITH_SERVICE(test_one_thread_asks_memcached_for_all),
	    IMPATIENT(test_the_others_get_the_last_value_marked_stale),
	    WITH_SERVICE(test_kinds_take_turns_with_the_collector),
	    WITH_SERVICE(test_nobody_gets_an_old_value_when_a_new_one_is_near),
	    WITH_SERVICE(test_another_host_comes_from_memcached_alone),
	    WITH_SERVICE(test_withdrawn_samples_of_this_host_are_read_anew),
	    WITH_SERVICE(test_an_unknown_host_is_not_found),
	    WITH_SERVICE(test_a_silent_host_was_seen_when_the_database_says),
	    WITH_SERVICE(test_without_the_database_the_heartbeat_tells),
	    WITH_SERVICE(test_the_first_to_ask_waits_for_a_costly_sample),
	    WITH_SERVICE(test_only_the_first_to_ask_waits_and_not_for_ever),
	    WITH_SERVICE(test_an_unusable_value_is_passed_over),
	    WITH_SERVICE(test_costly_kinds_note_interest),
	    WITH_SERVICE(test_the_summary_waits_for_nobody),
	    HASTY(test_a_stalled_memcached_costs_one_time_limit),
	};
	return cmocka_run_group_tests_name("host_service", tests, NULL, NULL);
}
