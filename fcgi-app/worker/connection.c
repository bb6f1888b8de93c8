#include "worker/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"

/* What a step leaves behind. */
enum next {
	NEXT_STEP, /* there is more to do at once */
	NEXT_WAIT, /* nothing to do before an event or a timeout */
	NEXT_GONE, /* closed, or parked: not ours any more */
};

static enum next close_now(struct engine *e, struct connection *conn)
{
	connection_close(e, conn);
	return NEXT_GONE;
}

/* Our own shutdown() looks like a hang-up too. */
static bool has_hung_up(struct connection *conn)
{
	return !conn->leaving &&
	       (atomic_load_explicit(&conn->state, memory_order_relaxed) & CONN_HUNG_UP) != 0;
}

/* Keeps bytes that the codec has not taken; false without memory. */
static bool hold(struct connection *conn, const char *bytes, size_t len)
{
	conn->held = malloc(len);
	if (conn->held == NULL)
		return false;
	memcpy(conn->held, bytes, len);
	conn->held_len = len;
	conn->held_at = 0;
	return true;
}

static void drop_held(struct connection *conn)
{
	free(conn->held);
	conn->held = NULL;
	conn->held_len = 0;
}

/*
 * The connection goes on reading: until the rest of a request, or, without any memory for
 * one, until the next one comes.
 */
static void expire_reading(struct engine_thread *t, struct connection *conn)
{
	const struct engine_config *config = &t->engine->config;
	int64_t at_ns;
	if (codec_between(&conn->codec)) {
		conn->first_byte_ns = 0;
		codec_give_back(&conn->codec, &t->memory);
		at_ns = clock_mono_ns() + config->idle_timeout_ms * NS_PER_MS;
	} else {
		at_ns = conn->first_byte_ns + config->read_timeout_ms * NS_PER_MS;
	}
	connection_expire_at(t->engine, conn, at_ns);
}

/* After a whole answer or reply. */
static enum next read_on(struct engine_thread *t, struct connection *conn)
{
	conn->phase = PHASE_READING;
	if (conn->wants_write && !connection_watch(t->engine, conn, false))
		return close_now(t->engine, conn);
	expire_reading(t, conn);
	return conn->held != NULL || has_hung_up(conn) ? NEXT_STEP : NEXT_WAIT;
}

/* Lets the connection wait until its peer takes more; the thread goes on with others. */
static enum next wait_writable(struct engine *e, struct connection *conn)
{
	connection_expire_at(e, conn, clock_mono_ns() + e->config.write_timeout_ms * NS_PER_MS);
	if (!conn->wants_write && !connection_watch(e, conn, true))
		return close_now(e, conn);
	return NEXT_WAIT;
}

static enum next send_reply(struct engine_thread *t, struct connection *conn)
{
	struct engine *e = t->engine;
	struct codec *codec = &conn->codec;
	while (conn->reply_sent < codec->reply_len) {
		ssize_t n = send(conn->fd, codec->reply + conn->reply_sent,
				 codec->reply_len - conn->reply_sent, MSG_NOSIGNAL);
		if (n >= 0) {
			conn->reply_sent += (size_t)n;
		} else if (errno == EAGAIN) {
			conn->phase = PHASE_REPLYING;
			return wait_writable(e, conn);
		} else if (errno != EINTR) {
			return close_now(e, conn);
		}
	}
	codec_replied(codec);
	return codec->closing ? close_now(e, conn) : read_on(t, conn);
}

enum sent { SENT_ALL, SENT_PART, SENT_FAILED };

static enum sent send_answer(int fd, struct codec_answer *answer)
{
	while (codec_answer_left(answer) > 0) {
		struct iovec iov[CODEC_ANSWER_IOV];
		struct msghdr message = {.msg_iov = iov};
		message.msg_iovlen = (size_t)codec_answer_iov(answer, iov);
		ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
		if (n >= 0)
			codec_answer_advance(answer, (size_t)n);
		else if (errno == EAGAIN)
			return SENT_PART;
		else if (errno != EINTR)
			return SENT_FAILED;
	}
	return SENT_ALL;
}

/*
 * While draining, a connection ends with its next answer, and the answer says so.  A peer
 * that does not heed that may send another request in the same moment: once we have shut
 * down reading, either its send has failed, or the request is here already and is served;
 * then we read the end.
 */
static enum next leave(struct engine_thread *t, struct connection *conn)
{
	conn->leaving = true;
	if (shutdown(conn->fd, SHUT_RD) != 0)
		return close_now(t->engine, conn);
	enum next next = read_on(t, conn);
	return next == NEXT_WAIT ? NEXT_STEP : next;
}

static enum next answer_sent(struct engine_thread *t, struct connection *conn)
{
	bool keep = conn->codec.request.keep;
	codec_next(&conn->codec);
	codec_give_back(&conn->codec, &t->memory);
	if (!keep)
		return close_now(t->engine, conn);
	conn->first_byte_ns = 0;
	return conn->farewell ? leave(t, conn) : read_on(t, conn);
}

/* The answer's memory moves to the connection when the peer does not take all of it at once. */
static enum next send_output(struct engine_thread *t, struct connection *conn)
{
	struct engine *e = t->engine;
	struct http_output *out = &t->http.out;
	struct codec_answer answer;
	codec_answer_init(&answer, conn->codec.request.id, out->head.data, out->head.len,
			  out->body.data, out->body.len);
	conn->farewell = atomic_load_explicit(&e->draining, memory_order_relaxed);
	if (conn->farewell)
		codec_answer_add_farewell(&answer);
	switch (send_answer(conn->fd, &answer)) {
	case SENT_ALL:
		return answer_sent(t, conn);
	case SENT_PART:
		conn->answer = answer;
		conn->unsent = *out;
		strbuf_init(&out->head);
		strbuf_init(&out->body);
		conn->phase = PHASE_SENDING;
		return wait_writable(e, conn);
	case SENT_FAILED:
		break;
	}
	return close_now(e, conn);
}

static enum next send_more(struct engine_thread *t, struct connection *conn)
{
	struct engine *e = t->engine;
	switch (send_answer(conn->fd, &conn->answer)) {
	case SENT_ALL:
		strbuf_release(&conn->unsent.head);
		strbuf_release(&conn->unsent.body);
		return answer_sent(t, conn);
	case SENT_PART:
		return wait_writable(e, conn);
	case SENT_FAILED:
		break;
	}
	return close_now(e, conn);
}

/* The last moment at which a request can be refused instead of being started. */
static void check_before_start(struct engine *e, struct connection *conn)
{
	struct http_input *in = &conn->input;
	if (has_hung_up(conn)) {
		in->refused = ERR_CANCELLED;
		STAT_ADD(e, cancelled, 1);
		return;
	}
	if (in->refused != ERR_OK)
		return;
	int64_t now = clock_mono_ns();
	if (now >= in->deadline_ns) {
		in->refused = ERR_TIMEOUT;
		STAT_ADD(e, expired, 1);
		return;
	}
	if (in->weight == WEIGHT_LIGHT)
		return;
	struct codel *codel = &e->codel[in->weight == WEIGHT_HEAVY ? CLASS_HEAVY : CLASS_NORMAL];
	if (codel_refuses(codel, now - in->arrived_ns, now)) {
		in->refused = ERR_OVERLOADED;
		STAT_ADD(e, shed, 1);
	}
}

static enum next serve(struct engine_thread *t, struct connection *conn)
{
	struct engine *e = t->engine;
	check_before_start(e, conn);
	STAT_ADD(e, threads_busy, 1);
	e->app.serve(e->app.context, &t->http, &conn->input);
	STAT_SUB(e, threads_busy, 1);
	if (conn->input.refused == ERR_CANCELLED)
		return close_now(e, conn);
	return send_output(t, conn);
}

/* Serves one that has a place, and keeps who takes the place over. */
static enum next serve_admitted(struct engine_thread *t, struct connection *conn)
{
	enum route_weight weight = conn->input.weight;
	enum next next = serve(t, conn);
	t->heir = admission_leave(&t->engine->admission, weight);
	return next;
}

static void fill_input(struct connection *conn)
{
	const struct codec_request *request = &conn->codec.request;
	conn->input = (struct http_input){
	    .params = request->params,
	    .param_count = request->param_count,
	    .body = request->body,
	    .body_len = request->body_len,
	    .client_fd = conn->leaving ? -1 : conn->fd,
	    .received_ns = conn->first_byte_ns,
	    .refused = request->refused,
	    .refusal = request->refusal,
	};
}

static enum next handle_request(struct engine_thread *t, struct connection *conn)
{
	struct engine *e = t->engine;
	fill_input(conn);
	e->app.classify(e->app.context, &conn->input);
	if (conn->input.refused != ERR_OK || conn->input.weight == WEIGHT_LIGHT)
		return serve(t, conn);
	struct connection *admitted = admission_enter(&e->admission, conn, conn->first_byte_ns);
	if (admitted == conn)
		return serve_admitted(t, conn);
	t->heir = admitted;
	return NEXT_GONE;
}

/* Feeds until something happens; *used says how far it came. */
static enum codec_event feed(struct engine_thread *t, struct connection *conn, const char *bytes,
			     size_t len, size_t *used)
{
	if (conn->first_byte_ns == 0)
		conn->first_byte_ns = clock_mono_ns();
	codec_lend(&conn->codec, &t->memory);
	return codec_feed(&conn->codec, bytes, len, used);
}

static enum next take_event(struct engine_thread *t, struct connection *conn,
			    enum codec_event event)
{
	switch (event) {
	case CODEC_MORE:
		expire_reading(t, conn);
		return NEXT_STEP;
	case CODEC_REPLY:
		conn->reply_sent = 0;
		return send_reply(t, conn);
	case CODEC_REQUEST:
		return handle_request(t, conn);
	case CODEC_BROKEN:
		break;
	}
	STAT_ADD(t->engine, protocol_errors, 1);
	return close_now(t->engine, conn);
}

static enum next read_held(struct engine_thread *t, struct connection *conn)
{
	size_t used;
	enum codec_event event =
	    feed(t, conn, conn->held + conn->held_at, conn->held_len - conn->held_at, &used);
	conn->held_at += used;
	if (conn->held_at == conn->held_len)
		drop_held(conn);
	return take_event(t, conn, event);
}

static enum next read_socket(struct engine_thread *t, struct connection *conn)
{
	ssize_t n = recv(conn->fd, t->buffer, sizeof(t->buffer), 0);
	if (n < 0 && errno == EINTR)
		return NEXT_STEP;
	if (n < 0 && errno == EAGAIN)
		return NEXT_WAIT;
	if (n <= 0)
		return close_now(t->engine, conn);

	size_t len = (size_t)n;
	size_t used;
	enum codec_event event = feed(t, conn, t->buffer, len, &used);
	if (used < len && event != CODEC_BROKEN && !hold(conn, t->buffer + used, len - used))
		return close_now(t->engine, conn);
	enum next next = take_event(t, conn, event);
	/* A short read emptied the socket; bytes that came later are an event of their own. */
	if (event == CODEC_MORE && len < sizeof(t->buffer) && !has_hung_up(conn))
		next = NEXT_WAIT;
	return next;
}

static enum next step(struct engine_thread *t, struct connection *conn)
{
	AN_INVARIANT(t->heir == NULL);
	/* Here the socket is not looked at: what an event says of it stays to be seen. */
	if (conn->phase == PHASE_READING && conn->held != NULL)
		return read_held(t, conn);
	connection_take_flags(conn);
	switch (conn->phase) {
	case PHASE_READING:
		break;
	case PHASE_DUE:
		conn->phase = PHASE_READING;
		return serve(t, conn);
	case PHASE_REPLYING:
		return send_reply(t, conn);
	case PHASE_SENDING:
		return send_more(t, conn);
	}
	return read_socket(t, conn);
}

/*
 * Until the connection waits for an event, or is not ours any more.  The heir waits in no queue:
 * it goes before whatever comes next here, which another thread may do.
 */
static void go_on(struct engine_thread *t, struct connection *conn, enum next next)
{
	while (next != NEXT_GONE) {
		if (next == NEXT_WAIT && connection_disown(conn))
			return;
		if (t->heir != NULL) {
			connection_hand_back(t->engine, conn,
					     conn->wants_write || conn->held != NULL);
			return;
		}
		next = step(t, conn);
	}
}

void connection_run(struct engine_thread *t, struct connection *conn)
{
	go_on(t, conn, NEXT_STEP);
	while (t->heir != NULL) {
		struct connection *heir = t->heir;
		t->heir = NULL;
		go_on(t, heir, serve_admitted(t, heir));
	}
}
