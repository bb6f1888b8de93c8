#include "toy_app.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "fcgi_peer.h"

struct order {
	enum route_weight weight;
	const char *verb;
	size_t verb_len;
	uint64_t number;
};

static const char *query_of(const struct http_input *in)
{
	for (size_t i = 0; i < in->param_count; i++) {
		if (strcmp(in->params[i].name, "QUERY_STRING") == 0)
			return in->params[i].value;
	}
	return "l echo";
}

static struct order parse(const struct http_input *in)
{
	const char *query = query_of(in);
	struct order order = {.weight = WEIGHT_LIGHT};
	if (query[0] == 'n')
		order.weight = WEIGHT_NORMAL;
	else if (query[0] == 'h')
		order.weight = WEIGHT_HEAVY;
	order.verb = query + 2;
	order.verb_len = strcspn(order.verb, " ");
	const char *number = order.verb + order.verb_len;
	if (*number == ' ')
		assert_true(num_u64s(number + 1, 0, UINT32_MAX, &order.number));
	return order;
}

static bool is_verb(const struct order *order, const char *verb)
{
	return order->verb_len == strlen(verb) && memcmp(order->verb, verb, order->verb_len) == 0;
}

static void toy_classify(void *context, struct http_input *in)
{
	(void)context;
	struct order order = parse(in);
	in->weight = order.weight;
	in->arrived_ns = in->received_ns;
	in->deadline_ns = in->received_ns + PEER_WAIT_MS * NS_PER_MS;
	if (is_verb(&order, "age"))
		in->arrived_ns -= (int64_t)order.number * NS_PER_MS;
	if (is_verb(&order, "due"))
		in->deadline_ns = in->received_ns + (int64_t)order.number * NS_PER_MS;
}

static void wait_at_gate(struct toy *t, enum route_weight weight)
{
	pthread_mutex_lock(&t->lock);
	t->waiting[weight]++;
	if (t->waiting[WEIGHT_HEAVY] > t->most_heavy)
		t->most_heavy = t->waiting[WEIGHT_HEAVY];
	if (t->waiting[WEIGHT_HEAVY] + t->waiting[WEIGHT_NORMAL] > t->most_capped)
		t->most_capped = t->waiting[WEIGHT_HEAVY] + t->waiting[WEIGHT_NORMAL];
	pthread_cond_broadcast(&t->changed);
	while (!t->gate_open[weight])
		pthread_cond_wait(&t->changed, &t->lock);
	t->waiting[weight]--;
	pthread_mutex_unlock(&t->lock);
}

static void fill(struct strbuf *body, size_t len)
{
	assert_true(strbuf_reserve(body, len));
	for (size_t i = 0; i < len; i++)
		body->data[i] = (char)('a' + i % 26);
	body->len = len;
}

static void toy_serve(void *context, struct http_thread *thread, const struct http_input *in)
{
	struct toy *t = context;
	struct order order = parse(in);
	struct strbuf *body = &thread->out.body;
	strbuf_clear(&thread->out.head);
	strbuf_clear(body);
	strbuf_adds(&thread->out.head, "X: y\r\n\r\n");
	if (in->refused != ERR_OK) {
		if (in->refused == ERR_CANCELLED)
			atomic_fetch_add(&t->cancelled, 1);
		strbuf_adds(body, err_name(in->refused));
	} else if (is_verb(&order, "big")) {
		fill(body, order.number);
	} else if (is_verb(&order, "wait") || is_verb(&order, "due")) {
		wait_at_gate(t, order.weight);
		strbuf_adds(body, "waited");
	} else if (is_verb(&order, "age")) {
		strbuf_adds(body, "fresh");
	} else {
		strbuf_addf(body, "echo %zu", in->body_len);
	}
	atomic_fetch_add(&t->served, 1);
}

static void toy_thread_start(void *context, struct http_thread *thread, unsigned index)
{
	struct toy *t = context;
	assert_true(index < t->config.threads);
	strbuf_init(&thread->out.head);
	strbuf_init(&thread->out.body);
	poll(NULL, 0, t->start_ms);
	atomic_fetch_add(&t->started, 1);
}

static void toy_thread_stop(void *context, struct http_thread *thread)
{
	(void)context;
	strbuf_release(&thread->out.head);
	strbuf_release(&thread->out.body);
}

static bool toy_has_its_share(void *context, uint64_t open)
{
	const struct toy *t = context;
	return open > t->share;
}

void toy_init(struct toy *t)
{
	*t = (struct toy){
	    .config = {.threads = 4,
		       .max_connections = 64,
		       .max_body = 100000,
		       .read_timeout_ms = PEER_WAIT_MS,
		       .write_timeout_ms = PEER_WAIT_MS,
		       .idle_timeout_ms = PEER_WAIT_MS,
		       .queue_target_ms = PEER_WAIT_MS,
		       .queue_interval_ms = PEER_WAIT_MS},
	    .directory = "/tmp/zt.XXXXXX",
	    .share = UINT64_MAX,
	};
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->changed, NULL);
	assert_non_null(mkdtemp(t->directory));
	snprintf(t->path, sizeof(t->path), "%s/s", t->directory);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	memcpy(address.sun_path, t->path, strlen(t->path));
	t->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(t->listen_fd >= 0);
	assert_int_equal(bind(t->listen_fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(t->listen_fd, 1024), 0);
	t->config.listen_fd = t->listen_fd;
}

struct engine *toy_start_another(struct toy *t)
{
	const struct engine_app app = {.context = t,
				       .thread_start = toy_thread_start,
				       .thread_stop = toy_thread_stop,
				       .classify = toy_classify,
				       .serve = toy_serve,
				       .has_its_share = toy_has_its_share};
	struct errmsg why = ERRMSG_INIT;
	struct engine *engine = NULL;
	if (engine_start(&engine, &t->config, &app, &why) != ERR_OK)
		fail_msg("%s", why.text);
	return engine;
}

void toy_start(struct toy *t)
{
	t->engine = toy_start_another(t);
}

void toy_stop(struct toy *t)
{
	toy_open_gate(t);
	if (t->engine != NULL)
		engine_stop(t->engine);
	close(t->listen_fd);
	unlink(t->path);
	rmdir(t->directory);
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->lock);
}

void toy_open_gate_for(struct toy *t, enum route_weight weight)
{
	pthread_mutex_lock(&t->lock);
	t->gate_open[weight] = true;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

void toy_open_gate(struct toy *t)
{
	toy_open_gate_for(t, WEIGHT_LIGHT);
	toy_open_gate_for(t, WEIGHT_NORMAL);
	toy_open_gate_for(t, WEIGHT_HEAVY);
}

static void pause_ms(long ms)
{
	const struct timespec pause = {.tv_nsec = ms * (long)NS_PER_MS};
	nanosleep(&pause, NULL);
}

void toy_wait_for_waiting(struct toy *t, unsigned count)
{
	for (int64_t until = clock_mono_ns() + PEER_WAIT_MS * NS_PER_MS;;) {
		pthread_mutex_lock(&t->lock);
		unsigned now =
		    t->waiting[WEIGHT_LIGHT] + t->waiting[WEIGHT_NORMAL] + t->waiting[WEIGHT_HEAVY];
		pthread_mutex_unlock(&t->lock);
		if (now == count)
			return;
		if (clock_mono_ns() > until)
			fail_msg("%u wait at the gate, not %u", now, count);
		pause_ms(1);
	}
}

void toy_wait_for_stat(const _Atomic uint64_t *stat, uint64_t value)
{
	for (int64_t until = clock_mono_ns() + PEER_WAIT_MS * NS_PER_MS;;) {
		uint64_t now = atomic_load(stat);
		if (now == value)
			return;
		if (clock_mono_ns() > until)
			fail_msg("the figure is %llu, not %llu", (unsigned long long)now,
				 (unsigned long long)value);
		pause_ms(1);
	}
}

void toy_send(int fd, const char *query)
{
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	peer_get(&bytes, 1, true, query);
	peer_send(fd, &bytes);
}

void toy_expect_answer(int fd, const char *text)
{
	static const char head[] = "X: y\r\n\r\n";
	struct peer_answer answer;
	peer_answer_init(&answer);
	if (!peer_receive(fd, &answer))
		fail_msg("the connection was closed instead of answering \"%s\"", text);
	assert_true(answer.out.len >= sizeof(head) - 1);
	assert_memory_equal(answer.out.data, head, sizeof(head) - 1);
	assert_string_equal(answer.out.data + sizeof(head) - 1, text);
	peer_answer_release(&answer);
}

void toy_expect(int fd, const char *query, const char *text)
{
	toy_send(fd, query);
	toy_expect_answer(fd, text);
}
