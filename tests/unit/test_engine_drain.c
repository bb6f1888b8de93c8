/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "fcgi_peer.h"
#include "toy_app.h"
#include "worker/connection.h"

/* engine_drain() on a thread of its own. */
struct drain {
	pthread_t id;
	struct engine *engine;
	int64_t timeout_ms;
	bool is_empty;
};

static void *drain_main(void *argument)
{
	struct drain *drain = argument;
	drain->is_empty = engine_drain(drain->engine, drain->timeout_ms);
	return NULL;
}

static bool accepts(struct engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	bool accepts = !engine->acceptor_done;
	pthread_mutex_unlock(&engine->lock);
	return accepts;
}

/* Returns once the engine drains. */
static void drain_start(struct drain *drain, struct engine *engine, int64_t timeout_ms)
{
	*drain = (struct drain){.engine = engine, .timeout_ms = timeout_ms};
	assert_int_equal(pthread_create(&drain->id, NULL, drain_main, drain), 0);
	for (int ms = 0; accepts(engine); ms++) {
		assert_true(ms < PEER_WAIT_MS);
		usleep(1000);
	}
}

static void test_each_connection_ends_with_its_next_answer(void **state)
{
	(void)state;
	struct toy t;
	struct drain drain;
	toy_init(&t);
	toy_start(&t);
	int idle = peer_connect(t.path);
	int running = peer_connect(t.path);
	int fresh = peer_connect(t.path);
	toy_expect(idle, "n echo", "echo 0");
	toy_send(running, "n wait");
	toy_wait_for_waiting(&t, 1);
	toy_wait_for_stat(&engine_stats(t.engine)->connections, 3);
	drain_start(&drain, t.engine, PEER_WAIT_MS);

	assert_false(peer_sees_close(idle, 200));
	assert_false(peer_sees_close(fresh, 0));
	toy_expect(idle, "n echo", "echo 0");
	assert_true(peer_sees_farewell(idle));
	toy_open_gate(&t);
	toy_expect_answer(running, "waited");
	assert_true(peer_sees_farewell(running));
	/* The last one is left to its peer. */
	toy_wait_for_stat(&engine_stats(t.engine)->connections, 1);
	close(fresh);
	pthread_join(drain.id, NULL);
	assert_true(drain.is_empty);
	close(idle);
	close(running);
	toy_stop(&t);
}

static void test_draining_ends_at_its_timeout(void **state)
{
	(void)state;
	struct toy t;
	toy_init(&t);
	toy_start(&t);
	int fd = peer_connect(t.path);
	toy_wait_for_stat(&engine_stats(t.engine)->connections, 1);
	int64_t start = clock_mono_ns();
	assert_false(engine_drain(t.engine, 200));
	assert_in_range((clock_mono_ns() - start) / NS_PER_MS, 190, 5000);
	toy_stop(&t);
	close(fd);
}

static void test_draining_accepts_nothing_more(void **state)
{
	(void)state;
	struct toy t;
	toy_init(&t);
	toy_start(&t);
	assert_true(engine_drain(t.engine, PEER_WAIT_MS));
	int fd = peer_connect(t.path);
	toy_send(fd, "n echo");
	assert_false(peer_sees_close(fd, 200));
	assert_int_equal(engine_stats(t.engine)->accepted, 0);
	/* It waits in the socket for another worker. */
	struct engine *another = toy_start_another(&t);
	toy_expect_answer(fd, "echo 0");
	close(fd);
	engine_stop(another);
	toy_stop(&t);
}

static void test_draining_while_accepting_pauses(void **state)
{
	(void)state;
	struct toy t;
	toy_init(&t);
	t.config.max_connections = 1;
	toy_start(&t);
	int fd = peer_connect(t.path);
	int waiting = peer_connect(t.path);
	toy_wait_for_stat(&engine_stats(t.engine)->accept_pauses, 1);
	assert_false(engine_drain(t.engine, 50));
	close(fd);
	toy_stop(&t);
	close(waiting);
}

static void test_what_was_sent_before_the_end_is_answered(void **state)
{
	(void)state;
	struct toy t;
	struct drain drain;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	toy_init(&t);
	toy_start(&t);
	int fd = peer_connect(t.path);
	toy_send(fd, "n wait");
	toy_wait_for_waiting(&t, 1);
	drain_start(&drain, t.engine, PEER_WAIT_MS);
	for (uint16_t i = 0; i < 20; i++)
		peer_get(&bytes, 1, true, "n echo");
	peer_send(fd, &bytes);
	toy_open_gate(&t);
	toy_expect_answer(fd, "waited");
	for (int i = 0; i < 20; i++)
		toy_expect_answer(fd, "echo 0");
	assert_true(peer_sees_farewell(fd));
	pthread_join(drain.id, NULL);
	assert_true(drain.is_empty);
	close(fd);
	toy_stop(&t);
}

/*
 * A web server's view of a reload: requests on kept connections, one after another.
 * A send that fails may be tried elsewhere; a request that was taken must be answered.
 * The careful one looks behind an answer, as nginx does, and has no send that fails.
 */
struct client {
	pthread_t id;
	const struct toy *toy;
	_Atomic bool *over;
	bool careful;
	unsigned answered;
	unsigned lost;
	unsigned refused; /* sends that failed */
};

static bool send_all(int fd, const struct strbuf *bytes)
{
	ssize_t n = send(fd, bytes->data, bytes->len, MSG_NOSIGNAL);
	return n == (ssize_t)bytes->len;
}

static bool has_more(int fd)
{
	char byte;
	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

static void *client_main(void *argument)
{
	struct client *client = argument;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	peer_get(&bytes, 1, true, "n echo");
	int fd = -1;
	while (!atomic_load(client->over)) {
		if (fd < 0)
			fd = peer_connect(client->toy->path);
		struct peer_answer answer;
		peer_answer_init(&answer);
		bool was_sent = send_all(fd, &bytes);
		bool was_answered = was_sent && peer_receive(fd, &answer);
		client->answered += was_answered;
		client->lost += was_sent && !was_answered;
		client->refused += !was_sent;
		if (!was_answered || (client->careful && has_more(fd))) {
			close(fd);
			fd = -1;
		}
		peer_answer_release(&answer);
	}
	if (fd >= 0)
		close(fd);
	return NULL;
}

static void test_no_request_is_lost_from_one_generation_to_the_next(void **state)
{
	(void)state;
	enum { GENERATIONS = 25 };
	struct toy t;
	struct client clients[8];
	_Atomic bool over = false;
	toy_init(&t);
	t.config.threads = 6;
	toy_start(&t);
	for (unsigned i = 0; i < ARRAY_LEN(clients); i++) {
		clients[i] = (struct client){.toy = &t, .over = &over, .careful = i % 2 == 0};
		assert_int_equal(pthread_create(&clients[i].id, NULL, client_main, &clients[i]), 0);
	}
	for (int i = 0; i < GENERATIONS; i++) {
		struct engine *next = toy_start_another(&t);
		usleep(10000);
		assert_true(engine_drain(t.engine, PEER_WAIT_MS));
		engine_stop(t.engine);
		t.engine = next;
	}
	atomic_store(&over, true);
	unsigned answered = 0;
	for (unsigned i = 0; i < ARRAY_LEN(clients); i++) {
		pthread_join(clients[i].id, NULL);
		assert_int_equal(clients[i].lost, 0);
		assert_true(clients[i].refused == 0 || !clients[i].careful);
		answered += clients[i].answered;
	}
	assert_true(answered > GENERATIONS);
	assert_int_equal(t.served, answered);
	toy_stop(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_each_connection_ends_with_its_next_answer),
	    cmocka_unit_test(test_draining_ends_at_its_timeout),
	    cmocka_unit_test(test_draining_accepts_nothing_more),
	    cmocka_unit_test(test_draining_while_accepting_pauses),
	    cmocka_unit_test(test_what_was_sent_before_the_end_is_answered),
	    cmocka_unit_test(test_no_request_is_lost_from_one_generation_to_the_next),
	};
	return cmocka_run_group_tests_name("engine_drain", tests, NULL, NULL);
}
