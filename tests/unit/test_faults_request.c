/*
 * Every call that one request makes to the allocator and to the kernel fails once:
 * the first, then the second, and so on; alone, and with all calls of its kind behind
 * it.  Whatever fails, the client gets the right answer, a problem document with a
 * 5xx status, or a closed connection, and the next request is answered right.
 *
 * With "long" as argument all kinds of faults meet all requests; without, those that
 * a request meets before it is routed are tried on one of them.
 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "faults.h"
#include "fcgi_peer.h"
#include "support.h"
#include "whole_worker.h"

enum {
	/* How long a fault is held against a request; a first sample takes 100 ms. */
	PATIENCE_MS = 250,
	RECOVERY_TRIES = 150,
	RECOVERY_PAUSE_MS = 20,
	CALLS_MAX = 5000, /* more than that in one request, and something spins */
	BIG_BODY = 150000,
	RACE_TRIES = 500,   /* until another thread's call comes while the fault is armed */
	USERS_KEPT_S = 301, /* names of accounts are asked for again after that */
};

struct request {
	const char *name;
	const char *method, *uri, *type, *body;
	bool signed_in;
	bool asks_database; /* the pool may need a moment after a fault */
	bool tells_state;   /* of the database and the cache, which a fault may change */
	bool varies;        /* the body is another one each time */
	bool has_no_id;     /* the web server gave none, but a trace */
	bool reads_host;    /* files of /proc and /sys */
	size_t padding;     /* blanks behind the body */
};

#define GET(path) .name = "GET " path, .method = "GET", .uri = path
#define JSON "application/json"
#define FORM "application/x-www-form-urlencoded"
#define SAMPLE(path)                                                                               \
	{                                                                                          \
		GET(path), .signed_in = true, .asks_database = true, .reads_host = true            \
	}
#define POST(path, kind, text)                                                                     \
	.name = "POST " path " " text, .method = "POST", .uri = path, .type = kind, .body = text

static const struct request requests[] = {
    {GET("/api/health"), .tells_state = true},
    {GET("/livez"), .has_no_id = true},
    {GET("/l%69vez")},
    {GET("/nowhere")},
    {GET("/%c3%a4%zz")},
    {.name = "DELETE", .method = "DELETE", .uri = "/api/health"},
    {.name = "OPTIONS", .method = "OPTIONS", .uri = "/api/health"},
    {GET("/readyz"), .tells_state = true},
    {GET("/readyz?verb%6fse=1"), .tells_state = true},
    {GET("/health/detailed"), .reads_host = true},
    {GET("/api/health/memory")},
    {GET("/api/v1/info")},
    {GET("/metrics"), .varies = true},
    {GET("/api/system/stats")}, /* not signed in */
    SAMPLE("/api/system/stats"),
    SAMPLE("/api/system/info"),
    SAMPLE("/api/system/processes"),
    {GET("/api/system/processes?limit=2&so%72t=name&search=e"), .signed_in = true,
     .asks_database = true},
    {GET("/api/system/processes?limit=0"), .signed_in = true, .asks_database = true},
    SAMPLE("/api/system/ports"),
    SAMPLE("/api/system/network"),
    SAMPLE("/api/system/disk"),
    SAMPLE("/api/system/resources"),
    {GET("/api/system/stats?host=elsewhere"), .signed_in = true, .asks_database = true},
    {POST("/api/auth/login", JSON, "{\"username\": [")},
    {POST("/api/auth/login", JSON, "{\"username\": \"ab\", \"other\": {\"a\": [1, 2.5, null]}}")},
    {POST("/api/auth/login", "text/plain", "{}")},
    {POST("/api/auth/login", JSON,
	  "{\"username\": \"" WHOLE_USERNAME "\", \"password\": \"" WHOLE_PASSWORD "\"}"),
     .asks_database = true},
    {POST("/api/auth/login/form", FORM,
	  "us%65rname=" WHOLE_USERNAME "&password=correct+horse&grant_type=password"),
     .asks_database = true},
    {POST("/api/auth/login/form", FORM, "username=" WHOLE_USERNAME "&password=no+horse"),
     .asks_database = true},
    {POST("/api/auth/login", JSON, "{\"username\": \"nobody\", \"password\": \"no\"}"),
     .padding = BIG_BODY},
    {GET("/api/auth/me"), .signed_in = true, .asks_database = true},
    {.name = "PUT me",
     .method = "PUT",
     .uri = "/api/auth/me",
     .type = JSON,
     .body = "{\"full_name\": \"An Operator\"}",
     .signed_in = true,
     .asks_database = true},
    {GET("/api/auth/validate"), .signed_in = true, .asks_database = true},
};

/* Which requests meet it. */
enum reach {
	ALL,
	HOST,  /* those that read the host */
	FIRST, /* one of them: it strikes before or after the request is looked at */
};

struct fault_row {
	enum fault_call call;
	int error;
	bool lasts; /* tried from the k-th call on, too */
	enum reach reach;
	unsigned age_s; /* how much older what a worker remembers must be than one step */
};

#define ROW(call, error, lasts, reach)                                                             \
	{                                                                                          \
		call, error, lasts, reach, 0                                                       \
	}

struct fixture {
	struct whole_worker worker;
	struct strbuf right[ARRAY_LEN(requests)];
	bool is_long;
	int64_t age_ns;
	unsigned struck, right_count, refused, closed; /* what came of the faults */
};

static struct fixture fixture;

/* ---- asking ---- */

static void build(const struct fixture *f, const struct request *r, struct strbuf *out)
{
	char authorization[TOKEN_TEXT_SIZE + 8];
	STRBUF_CLEANUP body = STRBUF_INIT;
	snprintf(authorization, sizeof(authorization), "Bearer %s", f->worker.token);
	const char *query = strchr(r->uri, '?');
	const char *params[] = {"REQUEST_METHOD",
				r->method,
				"REQUEST_URI",
				r->uri,
				"QUERY_STRING",
				query != NULL ? query + 1 : "",
				"REQUEST_ID",
				"one-id-for-all",
				"REMOTE_ADDR",
				"127.0.0.1",
				"HTTP_COOKIE",
				"a=1",
				"HTTP_COOKIE",
				"b=2",
				"CONTENT_TYPE",
				r->type != NULL ? r->type : "",
				"HTTP_AUTHORIZATION",
				authorization,
				NULL};
	if (!r->signed_in)
		params[ARRAY_LEN(params) - 3] = NULL;
	if (r->has_no_id) {
		params[6] = "HTTP_TRACEPARENT";
		params[7] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
	}
	if (r->body != NULL)
		strbuf_adds(&body, r->body);
	for (size_t i = 0; i < r->padding; i++)
		strbuf_addc(&body, ' ');
	peer_request(out, 1, false, params, body.data, body.len);
}

static bool is_readable(int fd, int ms)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	return poll(&ready, 1, ms) == 1;
}

/* On a connection of its own; true when an answer came that says that it is whole. */
static bool ask(struct fixture *f, const struct request *r, const struct fault *fault,
		struct peer_answer *answer, unsigned *calls)
{
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	build(f, r, &bytes);
	peer_answer_init(answer);
	clock_test_shift(WHOLE_STEP_MS * NS_PER_MS);
	fault_arm(fault);
	int fd = peer_connect(f->worker.socket);
	peer_send(fd, &bytes);
	is_readable(fd, PATIENCE_MS);
	*calls = fault_lift();
	bool whole = peer_receive(fd, answer);
	close(fd);
	return whole;
}

/* ---- judging ---- */

static bool starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* Numbers become 0, and a token's text goes: what is left must not change. */
static void add_shape(struct strbuf *out, const char *text, size_t len)
{
	static const char token[] = "\"access_token\":\"";
	for (size_t i = 0; i < len;) {
		if (isdigit((unsigned char)text[i])) {
			while (i < len && (isdigit((unsigned char)text[i]) || text[i] == '.'))
				i++;
			strbuf_addc(out, '0');
		} else if (starts(text + i, token)) {
			i += strlen(token);
			i += strcspn(text + i, "\"");
		} else {
			strbuf_addc(out, text[i++]);
		}
	}
}

struct judged {
	uint64_t status;
	const char *body;
	size_t body_len;
	struct strbuf shape;
};

/* Takes an answer apart; false when it is not one that a web server would take. */
static bool take_apart(const struct request *r, const struct strbuf *out, struct judged *j)
{
	static const char *const told[] = {"Content-Type:", "Allow:", "WWW-Authenticate:"};
	*j = (struct judged){0};
	strbuf_init(&j->shape);
	const char *end = strstr(out->data, "\r\n\r\n");
	if (end == NULL || !starts(out->data, "Status: ") ||
	    !num_u64(out->data + strlen("Status: "), 3, 100, 599, &j->status))
		return false;
	j->body = end + 4;
	j->body_len = out->len - (size_t)(j->body - out->data);
	strbuf_addf(&j->shape, "%d\n", (int)j->status);
	uint64_t length = j->status == 204 ? 0 : UINT64_MAX;
	for (const char *line = out->data; line < end; line = strstr(line, "\r\n") + 2) {
		size_t len = (size_t)(strstr(line, "\r\n") - line);
		for (size_t i = 0; i < ARRAY_LEN(told); i++)
			if (starts(line, told[i]))
				strbuf_addf(&j->shape, "%.*s\n", (int)len, line);
		if (starts(line, "Content-Length: "))
			num_u64(line + 16, len - 16, 0, UINT32_MAX, &length);
	}
	if (!r->varies)
		add_shape(&j->shape, j->body, j->body_len);
	return length == j->body_len;
}

static bool is_problem(const struct judged *j)
{
	char status[32];
	snprintf(status, sizeof(status), "\"status\":%d,", (int)j->status);
	return (j->status == 500 || j->status == 503 || j->status == 504) &&
	       strstr(j->shape.data, "application/problem+json") != NULL &&
	       starts(j->body, "{\"type\":\"urn:ziggie:problem:") &&
	       strstr(j->body, status) != NULL && j->body[j->body_len - 1] == '}';
}

/* A sample that could not be renewed may be shown again, when it says so. */
static void drop_mark(struct strbuf *shape)
{
	static const char mark[] = "\"stale\":true,";
	char *at = strstr(shape->data, mark);
	if (at == NULL)
		return;
	memmove(at, at + strlen(mark), strlen(at + strlen(mark)) + 1);
	shape->len -= strlen(mark);
}

static void blame(const struct request *r, const struct fault *fault, const char *what,
		  const char *got)
{
	fail_msg("%s, %s number %u failing%s with \"%s\": %s:\n%.600s", r->name,
		 fault_names[fault->call], fault->at,
		 fault->mode == FAULT_ONCE ? "" : " and all behind it",
		 fault->error == FAULT_SHORT ? "one byte" : strerror(fault->error), what, got);
}

static void judge_faulted(struct fixture *f, size_t number, const struct fault *fault, bool whole,
			  const struct peer_answer *answer)
{
	const struct request *r = &requests[number];
	struct judged j;
	f->struck++;
	if (!whole) {
		f->closed++;
		return;
	}
	if (!take_apart(r, &answer->out, &j))
		blame(r, fault, "not an answer", answer->out.data);
	drop_mark(&j.shape);
	if (strcmp(j.shape.data, f->right[number].data) == 0)
		f->right_count++;
	else if (is_problem(&j) || r->tells_state)
		f->refused++;
	else
		blame(r, fault, "a wrong answer", answer->out.data);
	strbuf_release(&j.shape);
}

/* The request once more, with nothing failing. */
static void expect_right(struct fixture *f, size_t number, const struct fault *before)
{
	const struct request *r = &requests[number];
	const struct fault none = {.call = FAULT_NONE};
	for (unsigned try = 0;; try++) {
		struct peer_answer answer;
		struct judged j = {0};
		unsigned calls;
		bool whole = ask(f, r, &none, &answer, &calls);
		bool right = whole && take_apart(r, &answer.out, &j) &&
			     strcmp(j.shape.data, f->right[number].data) == 0;
		bool may_wait = whole && (r->tells_state || (r->asks_database && j.status == 503));
		if (!right && (!may_wait || try == RECOVERY_TRIES))
			blame(r, before, whole ? "then a wrong answer" : "then none",
			      answer.out.data);
		strbuf_release(&j.shape);
		peer_answer_release(&answer);
		if (right)
			return;
		test_sleep_ms(RECOVERY_PAUSE_MS);
	}
}

/* ---- all calls in turn ---- */

/* Time passes; a connection to the database that was being opened just then is tried again. */
static void grow_old(struct fixture *f)
{
	if (f->age_ns == 0)
		return;
	clock_test_shift(f->age_ns);
	expect_right(f, ARRAY_LEN(requests) - 1, &(struct fault){.call = FAULT_NONE});
}

/* False when there was no such call in the request. */
static bool try_fault(struct fixture *f, size_t number, const struct fault *fault)
{
	struct peer_answer answer;
	unsigned calls;
	grow_old(f);
	bool whole = ask(f, &requests[number], fault, &answer, &calls);
	if (calls > CALLS_MAX)
		blame(&requests[number], fault, "something spins", "");
	if (calls >= fault->at) {
		judge_faulted(f, number, fault, whole, &answer);
		expect_right(f, number, fault);
	}
	peer_answer_release(&answer);
	return calls >= fault->at;
}

static unsigned count_calls(struct fixture *f, size_t number, enum fault_call call)
{
	const struct fault never = {.call = call, .at = UINT32_MAX};
	struct peer_answer answer;
	unsigned calls;
	expect_right(f, number, &never);
	grow_old(f);
	ask(f, &requests[number], &never, &answer, &calls);
	peer_answer_release(&answer);
	return calls;
}

static void try_row(struct fixture *f, size_t number, const struct fault_row *row)
{
	/* Other threads' calls come and go, so one more is tried than were counted. */
	unsigned most = count_calls(f, number, row->call) + 1;
	struct fault fault = {.call = row->call, .error = row->error};
	for (int mode = FAULT_ONCE; mode <= (row->lasts ? FAULT_FROM_THEN_ON : FAULT_ONCE);
	     mode++) {
		fault.mode = (enum fault_mode)mode;
		fault.at = 1;
		for (unsigned try = 0; try < RACE_TRIES && row->reach == FIRST; try++)
			if (try_fault(f, number, &fault))
				break;
		for (; fault.at <= most; fault.at++)
			if (!try_fault(f, number, &fault))
				break;
	}
}

static bool meets(const struct fixture *f, size_t number, enum reach reach)
{
	return f->is_long || reach == ALL || (reach == HOST && requests[number].reads_host) ||
	       (reach == FIRST && number == 0);
}

static void try_rows(struct fixture *f, const struct fault_row *rows, size_t count)
{
	f->struck = f->right_count = f->refused = f->closed = 0;
	for (size_t row = 0; row < count; row++) {
		unsigned before = f->struck;
		f->age_ns = rows[row].age_s * NS_PER_S;
		for (size_t i = 0; i < ARRAY_LEN(requests); i++)
			if (meets(f, i, rows[row].reach))
				try_row(f, i, &rows[row]);
		if (f->struck == before)
			fail_msg("no request calls %s: is it wrapped?",
				 fault_names[rows[row].call]);
	}
	print_message("# %u faults: %u right, %u refused, %u closed\n", f->struck, f->right_count,
		      f->refused, f->closed);
}

#define TRY(f, rows) try_rows(f, rows, ARRAY_LEN(rows))

static void test_out_of_memory(void **state)
{
	static const struct fault_row rows[] = {ROW(FAULT_MEMORY, ENOMEM, true, ALL)};
	TRY(*state, rows);
}

static void test_sockets(void **state)
{
	static const struct fault_row rows[] = {
	    ROW(FAULT_RECV, ECONNRESET, true, FIRST),
	    ROW(FAULT_RECV, ENOMEM, true, FIRST),
	    ROW(FAULT_RECV, EINTR, false, FIRST),
	    ROW(FAULT_SEND, EPIPE, true, FIRST),
	    ROW(FAULT_SEND, ENOBUFS, true, FIRST),
	    ROW(FAULT_SEND, EINTR, false, FIRST),
	    ROW(FAULT_SEND, EAGAIN, false, FIRST),
	    ROW(FAULT_SEND, FAULT_SHORT, true, FIRST),
	    ROW(FAULT_EPOLL_CTL, ENOMEM, true, FIRST),
	    ROW(FAULT_EPOLL_CTL, ENOSPC, true, FIRST),
	    ROW(FAULT_EPOLL_WAIT, EINTR, false, FIRST),
	    ROW(FAULT_EPOLL_WAIT, ENOMEM, true, FIRST),
	    ROW(FAULT_ACCEPT, EMFILE, true, FIRST),
	    ROW(FAULT_ACCEPT, ENFILE, true, FIRST),
	    ROW(FAULT_ACCEPT, ENOMEM, true, FIRST),
	    ROW(FAULT_ACCEPT, EPROTO, true, FIRST),
	    ROW(FAULT_ACCEPT, ECONNABORTED, false, FIRST),
	    ROW(FAULT_ACCEPT, EINTR, false, FIRST),
	    ROW(FAULT_CLOSE, EIO, true, FIRST),
	};
	TRY(*state, rows);
}

/* After a while without descriptors the acceptor pauses for up to a second at a time. */
static int64_t let_in_after_ms(void *context)
{
	enum { LONG_MS = 1400 };
	struct fixture *f = context;
	struct peer_answer answer;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	build(f, &requests[0], &bytes);
	int other = peer_connect(f->worker.socket);
	test_sleep_ms(PATIENCE_MS); /* accept4 waits again */
	fault_arm(&(struct fault){FAULT_ACCEPT, EMFILE, 1, FAULT_FROM_THEN_ON});
	int first = peer_connect(f->worker.socket);
	test_sleep_ms(LONG_MS);
	fault_lift();
	int next = peer_connect(f->worker.socket);
	peer_send(next, &bytes);
	close(first);
	int64_t began = clock_mono_ns();
	assert_true(is_readable(next, PEER_WAIT_MS));
	int64_t took_ms = (clock_mono_ns() - began) / NS_PER_MS;
	peer_answer_init(&answer);
	assert_true(peer_receive(next, &answer));
	peer_answer_release(&answer);
	close(next);
	close(other);
	return took_ms;
}

static void test_a_closed_connection_lets_the_next_one_in(void **state)
{
	enum { SOON_MS = 300 };
	assert_in_range(test_best_ms(let_in_after_ms, *state, SOON_MS), 0, SOON_MS);
}

/* What a sample is read from.  EINTR alone must never be seen. */
static void test_files_of_the_host(void **state)
{
	static const struct fault_row rows[] = {
	    ROW(FAULT_OPEN, EMFILE, true, HOST),
	    ROW(FAULT_OPEN, ENOMEM, true, HOST),
	    ROW(FAULT_READ, ENOMEM, true, HOST),
	    ROW(FAULT_READ, EINTR, false, HOST),
	    ROW(FAULT_READDIR, ENOMEM, true, HOST),
	    ROW(FAULT_FDOPENDIR, ENOMEM, true, HOST),
	    ROW(FAULT_FSTATAT, ENOMEM, true, HOST),
	    ROW(FAULT_STATVFS, ENOMEM, true, HOST),
	    {FAULT_GETPWUID, EMFILE, true, HOST, USERS_KEPT_S},
	};
	TRY(*state, rows);
}

static void test_waiting_for_the_database(void **state)
{
	static const struct fault_row rows[] = {
	    ROW(FAULT_POLL, ENOMEM, true, ALL),
	    ROW(FAULT_POLL, EINTR, false, ALL),
	};
	TRY(*state, rows);
}

static void test_chance(void **state)
{
	static const struct fault_row rows[] = {
	    ROW(FAULT_GETRANDOM, EAGAIN, true, ALL),
	    ROW(FAULT_GETRANDOM, ENOSYS, true, ALL),
	};
	TRY(*state, rows);
}

/* ---- nothing is left behind ---- */

/* No connection is forgotten, a client's or one to the database. */
static void wait_for_rest(struct fixture *f)
{
	struct db_pool_stats pool;
	for (unsigned try = 0;; try++) {
		uint64_t open = atomic_load(&engine_stats(f->worker.engine)->connections);
		db_pool_stats(f->worker.app.app.pool, &pool);
		if (open == 0 && pool.in_use == 0)
			return;
		if (try == RECOVERY_TRIES)
			fail_msg("%u connections of clients are open, %u to the database in use",
				 (unsigned)open, (unsigned)pool.in_use);
		test_sleep_ms(RECOVERY_PAUSE_MS);
	}
}

static void start_another_worker(struct fixture *f)
{
	const struct fault none = {.call = FAULT_NONE};
	struct errmsg why = ERRMSG_INIT;
	if (whole_worker_start(&f->worker, &why) != ERR_OK)
		fail_msg("%s", why.text);
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		struct peer_answer answer;
		unsigned calls;
		ask(f, &requests[i], &none, &answer, &calls); /* a first sample has no rates */
		peer_answer_release(&answer);
		expect_right(f, i, &none);
	}
}

/*
 * A worker that has met the faults and ended leaves exactly as much as one before it: what
 * is taken at first use only, the first one took.
 */
static void test_nothing_leaks(void **state)
{
	static const struct fault_row rows[] = {ROW(FAULT_MEMORY, ENOMEM, true, ALL),
						ROW(FAULT_OPEN, EMFILE, true, ALL)};
	struct fixture *f = *state;
	whole_worker_stop(&f->worker);
	unsigned files = test_open_files();
	size_t heap = fault_heap_bytes();
	start_another_worker(f);
	TRY(f, rows);
	wait_for_rest(f);
	whole_worker_stop(&f->worker);
	assert_int_equal(test_open_files(), files);
	assert_in_range(fault_heap_bytes(), 0, heap);
}

/* ---- */

/* The database and memcached may still be on their way. */
static void wait_until_whole(struct fixture *f)
{
	const struct fault none = {.call = FAULT_NONE};
	bool whole = false;
	for (unsigned try = 0; !whole; try++) {
		struct peer_answer answer;
		unsigned calls;
		ask(f, &requests[0], &none, &answer, &calls);
		whole = strstr(answer.out.data, "\"connected\"") != NULL &&
			strstr(answer.out.data, "\"enabled\"") != NULL;
		if (!whole && try == RECOVERY_TRIES)
			fail_msg("%s", answer.out.data);
		peer_answer_release(&answer);
		if (!whole)
			test_sleep_ms(RECOVERY_PAUSE_MS);
	}
}

static void learn_right_answers(struct fixture *f)
{
	const struct fault none = {.call = FAULT_NONE};
	/* Twice: a first sign-in changes the account, a first sample has no rates. */
	for (size_t i = 0; i < 2 * ARRAY_LEN(requests); i++) {
		const struct request *r = &requests[i % ARRAY_LEN(requests)];
		struct peer_answer answer;
		struct judged j;
		unsigned calls;
		assert_true(ask(f, r, &none, &answer, &calls));
		assert_true(take_apart(r, &answer.out, &j));
		if (j.status >= 500 && strstr(r->uri, "host=") == NULL)
			fail_msg("%s: %s", r->name, answer.out.data);
		strbuf_release(&f->right[i % ARRAY_LEN(requests)]);
		f->right[i % ARRAY_LEN(requests)] = j.shape;
		peer_answer_release(&answer);
	}
}

static int set_up(void **state)
{
	struct fixture *f = &fixture;
	struct errmsg why = ERRMSG_INIT;
	fault_spare_this_thread();
	for (size_t i = 0; i < ARRAY_LEN(requests); i++)
		strbuf_init(&f->right[i]);
	whole_worker_prepare(&f->worker);
	if (log_open("test", f->worker.log, LOG_INFO, &why) != ERR_OK)
		fail_msg("%s", why.text);
	assert_int_equal(log_start_flusher(&why), ERR_OK);
	if (whole_worker_start(&f->worker, &why) != ERR_OK)
		fail_msg("%s", why.text);
	wait_until_whole(f);
	learn_right_answers(f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	whole_worker_stop(&f->worker);
	log_close();
	whole_worker_remove(&f->worker);
	for (size_t i = 0; i < ARRAY_LEN(requests); i++)
		strbuf_release(&f->right[i]);
	return 0;
}

int main(int argc, char **argv)
{
	fixture.is_long = argc > 1 && strcmp(argv[1], "long") == 0;
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_out_of_memory),
	    cmocka_unit_test(test_sockets),
	    cmocka_unit_test(test_a_closed_connection_lets_the_next_one_in),
	    cmocka_unit_test(test_files_of_the_host),
	    cmocka_unit_test(test_waiting_for_the_database),
	    cmocka_unit_test(test_chance),
	    cmocka_unit_test(test_nothing_leaks),
	};
	return cmocka_run_group_tests_name("faults_request", tests, set_up, tear_down);
}
