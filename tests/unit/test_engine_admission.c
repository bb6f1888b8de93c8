/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "fcgi_peer.h"
#include "toy_app.h"
#include "worker/connection.h"

enum { THREADS = 8, TOTAL_CAP = 6, HEAVY_CAP = 2 };

static void start(struct toy *t)
{
	toy_init(t);
	t->config.threads = THREADS;
	toy_start(t);
}

static void send_each(const struct toy *t, int *fds, size_t count, const char *query)
{
	for (size_t i = 0; i < count; i++) {
		fds[i] = peer_connect(t->path);
		toy_send(fds[i], query);
	}
}

static void expect_each(int *fds, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++) {
		toy_expect_answer(fds[i], text);
		close(fds[i]);
	}
}

static void test_caps_leave_threads_for_light_requests(void **state)
{
	(void)state;
	struct toy t;
	int heavy[10];
	int normal[10];
	start(&t);
	const struct engine_stats *stats = engine_stats(t.engine);
	send_each(&t, heavy, ARRAY_LEN(heavy), "h wait");
	toy_wait_for_stat(&stats->parked_heavy, ARRAY_LEN(heavy) - HEAVY_CAP);
	send_each(&t, normal, ARRAY_LEN(normal), "n wait");
	toy_wait_for_stat(&stats->parked_normal, ARRAY_LEN(normal) - (TOTAL_CAP - HEAVY_CAP));
	toy_wait_for_waiting(&t, TOTAL_CAP);
	assert_int_equal(stats->threads_busy, TOTAL_CAP);

	int fd = peer_connect(t.path);
	for (int i = 0; i < 20; i++)
		toy_expect(fd, "l echo", "echo 0");
	close(fd);

	toy_open_gate(&t);
	expect_each(heavy, ARRAY_LEN(heavy), "waited");
	expect_each(normal, ARRAY_LEN(normal), "waited");
	assert_true(t.most_heavy == HEAVY_CAP);
	assert_true(t.most_capped == TOTAL_CAP);
	assert_int_equal(stats->parked_heavy, 0);
	assert_int_equal(stats->parked_normal, 0);
	assert_int_equal(stats->parked, 8 + 6);
	toy_stop(&t);
}

static void test_heavy_ones_over_their_cap_do_not_stop_normal_ones(void **state)
{
	(void)state;
	struct toy t;
	int heavy[5];
	start(&t);
	send_each(&t, heavy, ARRAY_LEN(heavy), "h wait");
	toy_wait_for_stat(&engine_stats(t.engine)->parked_heavy, 3);
	int fd = peer_connect(t.path);
	for (int i = 0; i < 20; i++)
		toy_expect(fd, "n echo", "echo 0");
	close(fd);
	toy_open_gate(&t);
	expect_each(heavy, ARRAY_LEN(heavy), "waited");
	toy_stop(&t);
}

static void test_a_parked_request_is_answered_at_its_deadline(void **state)
{
	(void)state;
	struct toy t;
	int running[TOTAL_CAP];
	start(&t);
	send_each(&t, running, ARRAY_LEN(running), "n wait");
	toy_wait_for_waiting(&t, TOTAL_CAP);
	int fd = peer_connect(t.path);
	int64_t sent = clock_mono_ns();
	/* Its turn does not come: nobody opens the gate. */
	toy_expect(fd, "n due 300", "timeout");
	assert_in_range((clock_mono_ns() - sent) / NS_PER_MS, 290, 5000);
	assert_int_equal(engine_stats(t.engine)->expired, 1);
	assert_int_equal(engine_stats(t.engine)->parked_normal, 0);
	toy_expect(fd, "l echo", "echo 0");
	close(fd);
	toy_open_gate(&t);
	expect_each(running, ARRAY_LEN(running), "waited");
	toy_stop(&t);
}

static void test_a_request_past_its_deadline_is_not_started(void **state)
{
	(void)state;
	struct toy t;
	start(&t);
	int fd = peer_connect(t.path);
	/* Nobody opens the gate, so that starting it would show. */
	toy_expect(fd, "n due 0", "timeout");
	toy_expect(fd, "l due 0", "timeout");
	assert_int_equal(engine_stats(t.engine)->expired, 2);
	close(fd);
	toy_stop(&t);
}

/* Until so many connections have the flag. */
static void wait_for_flag(const struct engine *engine, uint64_t flag, size_t count)
{
	size_t seen = 0;
	for (int ms = 0; seen < count; ms++) {
		assert_true(ms < PEER_WAIT_MS);
		usleep(1000);
		seen = 0;
		for (uint32_t i = 0; i < engine->config.max_connections; i++)
			seen += (atomic_load(&engine->connections[i].state) & flag) != 0;
	}
}

static void test_a_parked_request_whose_peer_went_is_not_started(void **state)
{
	(void)state;
	struct toy t;
	int running[TOTAL_CAP];
	int gone[4];
	start(&t);
	send_each(&t, running, ARRAY_LEN(running), "n wait");
	toy_wait_for_waiting(&t, TOTAL_CAP);
	send_each(&t, gone, ARRAY_LEN(gone), "n wait");
	toy_wait_for_stat(&engine_stats(t.engine)->parked_normal, ARRAY_LEN(gone));
	for (size_t i = 0; i < ARRAY_LEN(gone); i++)
		close(gone[i]);
	wait_for_flag(t.engine, CONN_HUNG_UP, ARRAY_LEN(gone));
	toy_open_gate(&t);
	expect_each(running, ARRAY_LEN(running), "waited");
	toy_wait_for_stat(&engine_stats(t.engine)->connections, 0);
	assert_int_equal(engine_stats(t.engine)->cancelled, ARRAY_LEN(gone));
	assert_int_equal(t.cancelled, ARRAY_LEN(gone));
	assert_int_equal(t.served, TOTAL_CAP + ARRAY_LEN(gone));
	toy_stop(&t);
}

static void test_a_hang_up_ends_an_idle_connection(void **state)
{
	(void)state;
	struct toy t;
	int fds[30];
	start(&t);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = peer_connect(t.path);
		if (i % 2 == 0)
			toy_expect(fds[i], "n echo", "echo 0");
	}
	toy_wait_for_stat(&engine_stats(t.engine)->connections, ARRAY_LEN(fds));
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	toy_wait_for_stat(&engine_stats(t.engine)->connections, 0);
	assert_int_equal(t.cancelled, 0);
	toy_stop(&t);
}

/* The answer's text is not asked for: whether it is shed is for the caller to see. */
static void ask_a_second_later(int fd, const char *query)
{
	struct peer_answer answer;
	peer_answer_init(&answer);
	clock_test_shift(NS_PER_S);
	toy_send(fd, query);
	assert_true(peer_receive(fd, &answer));
	peer_answer_release(&answer);
}

static void test_old_requests_are_shed_once_the_queue_stands(void **state)
{
	(void)state;
	enum { INTERVAL_S = 10 };
	struct toy t;
	toy_init(&t);
	t.config.queue_target_ms = 2000; /* a second between two of them counts in full */
	t.config.queue_interval_ms = INTERVAL_S * MS_PER_S;
	toy_start(&t);
	int fd = peer_connect(t.path);
	/* Within the first interval nothing is known yet. */
	toy_expect(fd, "n age 5000", "fresh");
	for (int i = 0; i < INTERVAL_S - 1; i++)
		ask_a_second_later(fd, "n age 3000");
	ask_a_second_later(fd, "n age 5000");
	assert_int_equal(engine_stats(t.engine)->shed, 1);
	toy_expect(fd, "n age 5000", "overloaded");
	/* Light ones never, heavy ones have a queue of their own, the young are served. */
	toy_expect(fd, "l age 5000", "fresh");
	toy_expect(fd, "h age 5000", "fresh");
	toy_expect(fd, "n age 3000", "fresh");
	/* One that did not wait ends it with the interval. */
	toy_expect(fd, "n age 0", "fresh");
	for (int i = 0; i < INTERVAL_S; i++)
		ask_a_second_later(fd, "n age 3000");
	toy_expect(fd, "n age 5000", "fresh");
	close(fd);
	toy_stop(&t);
}

/*
 * Who took over a place waits in no queue any more: the thread that it was given to must serve it
 * before what comes next on the connection that it was busy with, which another one can do.
 */
static void expect_no_delay_by(const char *next, bool at_once)
{
	struct toy t;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	toy_init(&t); /* four threads: one place for a heavy request, two in all */
	toy_start(&t);
	int busy = peer_connect(t.path);
	int other = peer_connect(t.path);
	peer_get(&bytes, 1, true, "h wait");
	if (at_once)
		peer_get(&bytes, 1, true, next);
	peer_send(busy, &bytes);
	toy_wait_for_waiting(&t, 1);
	toy_send(other, "h echo");
	toy_wait_for_stat(&engine_stats(t.engine)->parked_heavy, 1);
	if (!at_once) {
		toy_send(busy, next);
		wait_for_flag(t.engine, CONN_READY, 1);
	}
	toy_open_gate_for(&t, WEIGHT_HEAVY);
	toy_expect_answer(busy, "waited");
	toy_expect_answer(other, "echo 0");
	toy_wait_for_waiting(&t, 1); /* the next one, and there it stays */
	toy_open_gate(&t);
	toy_expect_answer(busy, "waited");
	close(busy);
	close(other);
	toy_stop(&t);
}

static void test_a_busy_connection_does_not_keep_its_thread_from_others(void **state)
{
	(void)state;
	expect_no_delay_by("n wait", false);
	expect_no_delay_by("n wait", true);
}

static void test_light_requests_do_not_keep_their_thread_from_others(void **state)
{
	(void)state;
	expect_no_delay_by("l wait", false);
	expect_no_delay_by("l wait", true);
}

/* Clients of all weights at once: whoever is parked must be woken. */
struct client {
	pthread_t id;
	const struct toy *toy;
	unsigned seed;
};

static void *client_main(void *argument)
{
	static const char *const queries[] = {"n echo", "h echo", "l echo", "n echo", "h echo"};
	struct client *client = argument;
	int fd = peer_connect(client->toy->path);
	for (unsigned i = 0; i < 300; i++)
		toy_expect(fd, queries[(client->seed + i * 7) % ARRAY_LEN(queries)], "echo 0");
	close(fd);
	return NULL;
}

static void test_nobody_is_forgotten_under_load(void **state)
{
	(void)state;
	struct toy t;
	struct client clients[24];
	toy_init(&t);
	t.config.threads = ENGINE_THREADS_MIN; /* one place only, for heavy and normal together */
	toy_start(&t);
	for (unsigned i = 0; i < ARRAY_LEN(clients); i++) {
		clients[i] = (struct client){.toy = &t, .seed = i};
		assert_int_equal(pthread_create(&clients[i].id, NULL, client_main, &clients[i]), 0);
	}
	for (unsigned i = 0; i < ARRAY_LEN(clients); i++)
		pthread_join(clients[i].id, NULL);
	assert_int_equal(t.served, ARRAY_LEN(clients) * 300);
	assert_int_equal(engine_stats(t.engine)->parked_normal, 0);
	assert_int_equal(engine_stats(t.engine)->parked_heavy, 0);
	assert_true(engine_stats(t.engine)->parked > 0);
	toy_stop(&t);
}

/*
 * The caps alone, without sockets in between: one place, and threads that take it and
 * give it back as fast as they can.
 */
enum { RIVALS = 3, ROUNDS = 1000000 };

struct rival {
	pthread_t id;
	struct admission *admission;
	struct connection *own;
	_Atomic bool *served; /* by index */
	bool was_forgotten;
};

static void serve_all(const struct rival *r, struct connection *conn)
{
	while (conn != NULL) {
		struct connection *done = conn;
		conn = admission_leave(r->admission, WEIGHT_NORMAL);
		atomic_store(&r->served[done->index], true);
	}
}

static void *rival_main(void *argument)
{
	struct rival *r = argument;
	_Atomic bool *served = &r->served[r->own->index];
	for (int i = 0; i < ROUNDS && !r->was_forgotten; i++) {
		atomic_store(served, false);
		serve_all(r, admission_enter(r->admission, r->own, i));
		int64_t until = clock_mono_ns() + PEER_WAIT_MS / 4 * NS_PER_MS;
		while (!atomic_load(served) && !r->was_forgotten) {
			sched_yield();
			r->was_forgotten = clock_mono_ns() > until;
		}
	}
	return NULL;
}

static void test_a_place_given_back_is_never_overlooked(void **state)
{
	(void)state;
	static struct connection connections[RIVALS];
	static _Atomic bool served[RIVALS];
	struct engine_stats stats = {0};
	struct admission admission;
	struct rival rivals[RIVALS];
	admission_init(&admission, ENGINE_THREADS_MIN, &stats);
	for (uint32_t i = 0; i < RIVALS; i++) {
		connections[i].index = i;
		connections[i].input.weight = WEIGHT_NORMAL;
		rivals[i] = (struct rival){
		    .admission = &admission, .own = &connections[i], .served = served};
	}
	for (int i = 0; i < RIVALS; i++)
		assert_int_equal(pthread_create(&rivals[i].id, NULL, rival_main, &rivals[i]), 0);
	for (int i = 0; i < RIVALS; i++)
		pthread_join(rivals[i].id, NULL);
	for (int i = 0; i < RIVALS; i++)
		assert_false(rivals[i].was_forgotten);
	assert_int_equal(stats.parked_normal, 0);
	admission_release(&admission);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_caps_leave_threads_for_light_requests),
	    cmocka_unit_test(test_heavy_ones_over_their_cap_do_not_stop_normal_ones),
	    cmocka_unit_test(test_a_parked_request_is_answered_at_its_deadline),
	    cmocka_unit_test(test_a_request_past_its_deadline_is_not_started),
	    cmocka_unit_test(test_a_parked_request_whose_peer_went_is_not_started),
	    cmocka_unit_test(test_a_hang_up_ends_an_idle_connection),
	    cmocka_unit_test(test_old_requests_are_shed_once_the_queue_stands),
	    cmocka_unit_test(test_a_busy_connection_does_not_keep_its_thread_from_others),
	    cmocka_unit_test(test_light_requests_do_not_keep_their_thread_from_others),
	    cmocka_unit_test(test_nobody_is_forgotten_under_load),
	    cmocka_unit_test(test_a_place_given_back_is_never_overlooked),
	};
	return cmocka_run_group_tests_name("engine_admission", tests, NULL, NULL);
}
