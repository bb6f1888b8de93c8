/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "fcgi_peer.h"
#include "toy_app.h"
#include "worker/connection.h"

/* So that no request meets a cold one, and what they take at their start is known. */
static void test_all_threads_have_started_before_it_serves(void **state)
{
	(void)state;
	struct toy t;
	toy_init(&t);
	t.start_ms = 50;
	toy_start(&t);
	assert_int_equal(t.started, t.config.threads);
	toy_stop(&t);
}

static void test_a_kept_connection_serves_many_requests(void **state)
{
	(void)state;
	struct toy t;
	toy_init(&t);
	toy_start(&t);
	int fd = peer_connect(t.path);
	for (int i = 0; i < 200; i++)
		toy_expect(fd, "n echo", "echo 0");
	assert_int_equal(engine_stats(t.engine)->accepted, 1);
	assert_int_equal(t.served, 200);
	close(fd);
	toy_wait_for_stat(&engine_stats(t.engine)->connections, 0);
	toy_stop(&t);
}

/* So many kept connections cost little, and the next request finds warm memory. */
static void test_a_connection_between_requests_has_no_memory(void **state)
{
	(void)state;
	struct toy t;
	int fds[20];
	toy_init(&t);
	toy_start(&t);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = peer_connect(t.path);
		toy_expect(fds[i], "n echo", "echo 0");
	}
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		struct connection *conn = &t.engine->connections[i];
		toy_wait_for_stat(&conn->state, 0); /* nobody owns it any more */
		assert_true(connection_own(conn, connection_key(conn), 0));
		assert_null(conn->codec.memory.params.data);
		assert_null(conn->codec.memory.body.data);
		assert_null(conn->codec.memory.table);
		assert_true(connection_disown(conn));
	}
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	toy_stop(&t);
}

static void test_without_keep_conn_the_engine_closes(void **state)
{
	(void)state;
	struct toy t;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	toy_init(&t);
	toy_start(&t);
	int fd = peer_connect(t.path);
	peer_get(&bytes, 1, false, "l echo");
	peer_send(fd, &bytes);
	toy_expect_answer(fd, "echo 0");
	assert_true(peer_sees_close(fd, PEER_WAIT_MS));
	close(fd);
	toy_stop(&t);
}

static void test_requests_sent_at_once_are_answered_in_order(void **state)
{
	(void)state;
	struct toy t;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	const char *const none[] = {"QUERY_STRING", "n echo", NULL};
	char body[300] = {0};
	toy_init(&t);
	toy_start(&t);
	for (uint16_t i = 0; i < 300; i++)
		peer_request(&bytes, (uint16_t)(i + 1), true, none, body, i);
	int fd = peer_connect(t.path);
	peer_send(fd, &bytes);
	for (unsigned i = 0; i < 300; i++) {
		struct peer_answer answer;
		STRBUF_CLEANUP expected = STRBUF_INIT;
		strbuf_addf(&expected, "X: y\r\n\r\necho %u", i);
		peer_answer_init(&answer);
		assert_true(peer_receive(fd, &answer));
		assert_int_equal(answer.id, i + 1);
		assert_string_equal(answer.out.data, expected.data);
		peer_answer_release(&answer);
	}
	close(fd);
	toy_stop(&t);
}

/* What comes while the engine still has bytes in hand is seen when these are used up. */
static void test_a_request_that_comes_during_pipelined_ones_is_answered(void **state)
{
	(void)state;
	struct toy t;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	toy_init(&t);
	toy_start(&t);
	int fd = peer_connect(t.path);
	int other = peer_connect(t.path);
	peer_get(&bytes, 1, true, "n wait");
	peer_get(&bytes, 1, true, "n echo");
	peer_send(fd, &bytes);
	toy_wait_for_waiting(&t, 1);
	toy_send(fd, "n echo");
	/* Once another connection has been served, the event of the first was taken too. */
	toy_expect(other, "n echo", "echo 0");
	toy_open_gate(&t);
	toy_expect_answer(fd, "waited");
	toy_expect_answer(fd, "echo 0");
	toy_expect_answer(fd, "echo 0");
	close(other);
	close(fd);
	toy_stop(&t);
}

static void test_half_requests_hold_no_thread(void **state)
{
	(void)state;
	struct toy t;
	int slow[20];
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	STRBUF_CLEANUP one = STRBUF_INIT;
	toy_init(&t);
	toy_start(&t);
	const char *const params[] = {"QUERY_STRING", "n echo", NULL};
	peer_request(&bytes, 1, true, params, "body", 4);
	for (size_t i = 0; i < ARRAY_LEN(slow); i++)
		slow[i] = peer_connect(t.path);
	/* A byte at a time on each of five times as many connections as threads. */
	for (size_t at = 0; at < bytes.len; at++) {
		for (size_t i = 0; i < ARRAY_LEN(slow); i++) {
			strbuf_clear(&one);
			strbuf_addc(&one, bytes.data[at]);
			peer_send(slow[i], &one);
		}
		if (at % 32 == 0) {
			int fd = peer_connect(t.path);
			toy_expect(fd, "n echo", "echo 0");
			close(fd);
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(slow); i++) {
		toy_expect_answer(slow[i], "echo 4");
		close(slow[i]);
	}
	toy_stop(&t);
}

/* Reads an answer to "big" and checks every byte. */
static void expect_big(int fd, size_t len)
{
	struct peer_answer answer;
	peer_answer_init(&answer);
	assert_true(peer_receive(fd, &answer));
	assert_int_equal(answer.out.len, 8 + len);
	for (size_t i = 0; i < len; i++) {
		if (answer.out.data[8 + i] != (char)('a' + i % 26))
			fail_msg("byte %zu is wrong", i);
	}
	peer_answer_release(&answer);
}

static void test_slow_readers_hold_no_thread(void **state)
{
	(void)state;
	enum { BIG = 3000000 };
	struct toy t;
	int slow[12];
	toy_init(&t);
	toy_start(&t);
	for (size_t i = 0; i < ARRAY_LEN(slow); i++) {
		slow[i] = peer_connect(t.path);
		toy_send(slow[i], "n big 3000000");
		toy_send(slow[i], "n echo");
	}
	int fd = peer_connect(t.path);
	for (int i = 0; i < 50; i++)
		toy_expect(fd, "n echo", "echo 0");
	for (size_t i = 0; i < ARRAY_LEN(slow); i++) {
		expect_big(slow[i], BIG);
		toy_expect_answer(slow[i], "echo 0");
		toy_expect(slow[i], "n echo", "echo 0");
		close(slow[i]);
	}
	close(fd);
	toy_stop(&t);
}

static void test_replies_that_nobody_reads_hold_no_thread(void **state)
{
	(void)state;
	enum { RECORDS = 100000 };
	struct toy t;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	toy_init(&t);
	toy_start(&t);
	for (int i = 0; i < RECORDS; i++)
		peer_record(&bytes, 200, 0, "", 0, 0);
	int fds[6];
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = peer_connect(t.path);
		/* As much as the sockets take. */
		while (send(fds[i], bytes.data, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
			;
	}
	int fd = peer_connect(t.path);
	toy_expect(fd, "n echo", "echo 0");
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	toy_wait_for_stat(&engine_stats(t.engine)->connections, 1);
	close(fd);
	toy_stop(&t);
}

static void test_refused_requests_are_answered_and_the_connection_kept(void **state)
{
	(void)state;
	struct toy t;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	const char *const params[] = {"QUERY_STRING", "n echo", "A", "1", NULL};
	toy_init(&t);
	toy_start(&t);
	int fd = peer_connect(t.path);

	peer_begin(&bytes, 1, FCGI_RESPONDER, true);
	peer_stream(&bytes, FCGI_PARAMS, 1, "\1\1ab\1\1ac", 8);
	peer_stream(&bytes, FCGI_STDIN, 1, "", 0);
	peer_send(fd, &bytes);
	toy_expect_answer(fd, "malformed_request");

	strbuf_clear(&bytes);
	peer_begin(&bytes, 1, FCGI_RESPONDER, true);
	peer_stream(&bytes, FCGI_PARAMS, 1, "", 0);
	peer_stream(&bytes, FCGI_STDIN, 1, "no length", 9);
	peer_send(fd, &bytes);
	toy_expect_answer(fd, "malformed_request");

	char *body = calloc(1, 100001);
	assert_non_null(body);
	for (size_t len = 100000; len <= 100001; len++) {
		strbuf_clear(&bytes);
		peer_request(&bytes, 1, true, params, body, len);
		peer_send(fd, &bytes);
		toy_expect_answer(fd, len == 100000 ? "echo 100000" : "too_large");
	}
	free(body);
	toy_expect(fd, "n echo", "echo 0");
	close(fd);
	toy_stop(&t);
}

static void test_a_broken_stream_is_closed(void **state)
{
	(void)state;
	struct toy t;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	toy_init(&t);
	toy_start(&t);
	int fd = peer_connect(t.path);
	strbuf_adds(&bytes, "GET / HTTP/1.1\r\n\r\n");
	peer_send(fd, &bytes);
	assert_true(peer_sees_close(fd, PEER_WAIT_MS));
	toy_wait_for_stat(&engine_stats(t.engine)->protocol_errors, 1);
	close(fd);
	toy_stop(&t);
}

static void test_a_request_that_does_not_end_is_timed_out(void **state)
{
	(void)state;
	struct toy t;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	toy_init(&t);
	t.config.read_timeout_ms = 200;
	toy_start(&t);
	int half = peer_connect(t.path);
	int idle = peer_connect(t.path);
	toy_expect(idle, "n echo", "echo 0");
	int64_t start = clock_mono_ns();
	peer_begin(&bytes, 1, FCGI_RESPONDER, true);
	peer_send(half, &bytes);
	/* More bytes don't buy more time. */
	strbuf_clear(&bytes);
	peer_record(&bytes, FCGI_PARAMS, 1, "\1\1ab", 4, 0);
	assert_false(peer_sees_close(half, 100));
	peer_send(half, &bytes);
	assert_true(peer_sees_close(half, PEER_WAIT_MS));
	assert_in_range((clock_mono_ns() - start) / NS_PER_MS, 150, 5000);
	assert_int_equal(engine_stats(t.engine)->read_timeouts, 1);
	toy_expect(idle, "n echo", "echo 0");
	close(half);
	close(idle);
	toy_stop(&t);
}

static void test_management_records_do_not_start_the_clock(void **state)
{
	(void)state;
	struct toy t;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	toy_init(&t);
	t.config.read_timeout_ms = 100;
	toy_start(&t);
	int fd = peer_connect(t.path);
	peer_record(&bytes, 99, 0, "", 0, 0);
	peer_send(fd, &bytes);
	char reply[16];
	assert_int_equal(recv(fd, reply, sizeof(reply), MSG_WAITALL), sizeof(reply));
	assert_false(peer_sees_close(fd, 300));
	toy_expect(fd, "n echo", "echo 0");
	close(fd);
	toy_stop(&t);
}

static void test_idle_connections_end_after_their_time(void **state)
{
	(void)state;
	struct toy t;
	toy_init(&t);
	t.config.idle_timeout_ms = 200;
	toy_start(&t);
	int fresh = peer_connect(t.path);
	int used = peer_connect(t.path);
	toy_expect(used, "n echo", "echo 0");
	assert_true(peer_sees_close(fresh, PEER_WAIT_MS));
	assert_true(peer_sees_close(used, PEER_WAIT_MS));
	assert_int_equal(engine_stats(t.engine)->read_timeouts, 0);
	close(fresh);
	close(used);
	toy_stop(&t);
}

static void test_an_answer_that_is_not_taken_is_timed_out(void **state)
{
	(void)state;
	struct toy t;
	toy_init(&t);
	t.config.write_timeout_ms = 200;
	toy_start(&t);
	int fd = peer_connect(t.path);
	toy_send(fd, "n big 20000000");
	toy_wait_for_stat(&engine_stats(t.engine)->write_timeouts, 1);
	toy_wait_for_stat(&engine_stats(t.engine)->connections, 0);
	close(fd);
	toy_stop(&t);
}

/* Time for others to accept what waits; when they don't, it takes all by itself. */
static void test_who_has_its_share_gives_way(void **state)
{
	(void)state;
	enum { SHARE = 10 };
	struct toy t;
	int fds[40];
	toy_init(&t);
	t.share = SHARE;
	toy_start(&t);
	int64_t began_ns = clock_mono_ns();
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = peer_connect(t.path);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		toy_expect(fds[i], "n echo", "echo 0");
	int64_t least_ms = (int64_t)ARRAY_LEN(fds) - SHARE - 1;
	assert_true(clock_mono_ns() - began_ns >= least_ms * NS_PER_MS);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	toy_stop(&t);
}

static void test_accepting_pauses_at_max_connections(void **state)
{
	(void)state;
	struct toy t;
	int fds[5];
	toy_init(&t);
	t.config.max_connections = ARRAY_LEN(fds) - 1;
	toy_start(&t);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = peer_connect(t.path);
		if (i + 1 < ARRAY_LEN(fds))
			toy_expect(fds[i], "n echo", "echo 0");
	}
	toy_send(fds[4], "n echo");
	toy_wait_for_stat(&engine_stats(t.engine)->accept_pauses, 1);
	assert_false(peer_sees_close(fds[4], 100));
	assert_int_equal(engine_stats(t.engine)->connections, 4);
	close(fds[0]);
	toy_expect_answer(fds[4], "echo 0");
	for (size_t i = 1; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	toy_stop(&t);
}

static int unconnected(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	return fd;
}

static void test_running_out_of_descriptors_only_delays(void **state)
{
	(void)state;
	struct toy t;
	struct rlimit before;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fds[3] = {unconnected(), unconnected(), unconnected()};
	toy_init(&t);
	toy_start(&t);
	memcpy(address.sun_path, t.path, strlen(t.path));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	const struct rlimit none = {.rlim_cur = 3, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		assert_int_equal(
		    connect(fds[i], (const struct sockaddr *)&address, sizeof(address)), 0);
	for (int i = 0; i < PEER_WAIT_MS && engine_stats(t.engine)->accept_errors < 2; i++)
		usleep(1000);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(engine_stats(t.engine)->accept_errors >= 2);
	assert_true(engine_stats(t.engine)->accept_errors < 20);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		toy_expect(fds[i], "n echo", "echo 0");
		close(fds[i]);
	}
	toy_stop(&t);
}

/* A login shell allows 1024 files, and both ends of the connections are ours. */
static void allow_files(rlim_t count)
{
	struct rlimit files;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	if (files.rlim_cur < count)
		files.rlim_cur = count;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
}

static void test_a_thousand_connections(void **state)
{
	(void)state;
	enum { COUNT = 1000 };
	static int fds[COUNT];
	struct toy t;
	allow_files(2 * COUNT + 200);
	toy_init(&t);
	t.config.max_connections = COUNT;
	toy_start(&t);
	for (int i = 0; i < COUNT; i++)
		fds[i] = peer_connect(t.path);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < COUNT; i++)
			toy_send(fds[i], "n echo");
		for (int i = 0; i < COUNT; i++)
			toy_expect_answer(fds[i], "echo 0");
	}
	assert_int_equal(engine_stats(t.engine)->connections, COUNT);
	assert_int_equal(t.served, 3 * COUNT);
	for (int i = 0; i < COUNT; i++)
		close(fds[i]);
	toy_wait_for_stat(&engine_stats(t.engine)->connections, 0);
	toy_stop(&t);
}

static void test_bad_limits_are_refused(void **state)
{
	(void)state;
	struct toy t;
	toy_init(&t);
	const struct engine_app app = {0};
	struct engine *engine = NULL;
	struct errmsg why = ERRMSG_INIT;
	struct engine_config config = t.config;
	config.threads = ENGINE_THREADS_MIN - 1;
	assert_int_equal(engine_start(&engine, &config, &app, &why), ERR_INVALID);
	config = t.config;
	config.idle_timeout_ms = 0;
	assert_int_equal(engine_start(&engine, &config, &app, &why), ERR_INVALID);
	config = t.config;
	struct rlimit files;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	config.max_connections = (unsigned)files.rlim_max;
	assert_int_equal(engine_start(&engine, &config, &app, &why), ERR_INVALID);
	assert_non_null(strstr(why.text, "max_connections"));
	toy_stop(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_all_threads_have_started_before_it_serves),
	    cmocka_unit_test(test_a_kept_connection_serves_many_requests),
	    cmocka_unit_test(test_a_connection_between_requests_has_no_memory),
	    cmocka_unit_test(test_without_keep_conn_the_engine_closes),
	    cmocka_unit_test(test_requests_sent_at_once_are_answered_in_order),
	    cmocka_unit_test(test_a_request_that_comes_during_pipelined_ones_is_answered),
	    cmocka_unit_test(test_half_requests_hold_no_thread),
	    cmocka_unit_test(test_slow_readers_hold_no_thread),
	    cmocka_unit_test(test_replies_that_nobody_reads_hold_no_thread),
	    cmocka_unit_test(test_refused_requests_are_answered_and_the_connection_kept),
	    cmocka_unit_test(test_a_broken_stream_is_closed),
	    cmocka_unit_test(test_a_request_that_does_not_end_is_timed_out),
	    cmocka_unit_test(test_management_records_do_not_start_the_clock),
	    cmocka_unit_test(test_idle_connections_end_after_their_time),
	    cmocka_unit_test(test_an_answer_that_is_not_taken_is_timed_out),
	    cmocka_unit_test(test_who_has_its_share_gives_way),
	    cmocka_unit_test(test_accepting_pauses_at_max_connections),
	    cmocka_unit_test(test_running_out_of_descriptors_only_delays),
	    cmocka_unit_test(test_a_thousand_connections),
	    cmocka_unit_test(test_bad_limits_are_refused),
	};
	return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
