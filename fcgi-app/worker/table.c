#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "worker/connection.h"

#define GENERATION_SHIFT 32

static uint64_t generation_of(uint64_t state)
{
	return state >> GENERATION_SHIFT;
}

enum err connection_table_init(struct engine *e)
{
	unsigned count = e->config.max_connections;
	/* Pages that no connection has touched yet cost nothing. */
	e->connections = calloc(count, sizeof(*e->connections));
	e->expires_ns = calloc(count, sizeof(*e->expires_ns));
	return e->connections != NULL && e->expires_ns != NULL ? ERR_OK : ERR_NOMEM;
}

void connection_table_release(struct engine *e)
{
	for (uint32_t i = 0; e->connections != NULL && i < e->used; i++) {
		struct connection *conn = &e->connections[i];
		if (conn->fd >= 0)
			connection_close(e, conn);
	}
	free(e->connections);
	free(e->expires_ns);
}

static struct connection *take_free(struct engine *e)
{
	struct connection *conn = NULL;
	pthread_mutex_lock(&e->lock);
	if (e->free != NULL) {
		conn = e->free;
		e->free = conn->next;
	} else if (e->used < e->config.max_connections) {
		conn = &e->connections[e->used];
		conn->index = e->used;
		/* Before the sweeper sees it: a zeroed one looks like nobody's, and expired. */
		atomic_store_explicit(&conn->state, CONN_OWNED, memory_order_relaxed);
		codec_init(&conn->codec, &e->limits);
		e->used++;
	}
	if (conn != NULL)
		e->open++;
	pthread_mutex_unlock(&e->lock);
	return conn;
}

static void give_free(struct engine *e, struct connection *conn)
{
	pthread_mutex_lock(&e->lock);
	conn->next = e->free;
	e->free = conn;
	e->open--;
	if (e->acceptor_waits || e->open == 0)
		pthread_cond_broadcast(&e->changed);
	pthread_mutex_unlock(&e->lock);
}

bool connection_open(struct engine *e, int fd)
{
	struct connection *conn = take_free(e);
	AN_INVARIANT(conn != NULL);
	conn->fd = fd;
	conn->phase = PHASE_READING;
	conn->wants_write = false;
	conn->farewell = false;
	conn->leaving = false;
	conn->first_byte_ns = 0;
	STAT_ADD(e, connections, 1);
	connection_expire_at(e, conn, clock_mono_ns() + e->config.idle_timeout_ms * NS_PER_MS);
	/* From here on the sweeper, and from epoll_ctl on every thread, may own it. */
	uint64_t key = connection_key(conn);
	atomic_fetch_and_explicit(&conn->state, ~(uint64_t)CONN_FLAGS, memory_order_release);
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.u64 = key};
	if (epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0)
		return true;
	if (connection_own(conn, key, 0))
		connection_close(e, conn);
	return false;
}

void connection_close(struct engine *e, struct connection *conn)
{
	close(conn->fd);
	conn->fd = -1;
	connection_expire_at(e, conn, INT64_MAX);
	strbuf_release(&conn->unsent.head);
	strbuf_release(&conn->unsent.body);
	free(conn->held);
	conn->held = NULL;
	conn->held_len = 0;
	codec_reset(&conn->codec);
	codec_release(&conn->codec);
	/* The next generation, owned by the list of free ones. */
	uint64_t state = atomic_load_explicit(&conn->state, memory_order_relaxed);
	atomic_store_explicit(&conn->state,
			      (generation_of(state) + 1) << GENERATION_SHIFT | CONN_OWNED,
			      memory_order_release);
	STAT_SUB(e, connections, 1);
	give_free(e, conn);
}

uint64_t connection_key(const struct connection *conn)
{
	uint64_t state = atomic_load_explicit(&conn->state, memory_order_relaxed);
	return generation_of(state) << GENERATION_SHIFT | conn->index;
}

struct connection *connection_of_key(struct engine *e, uint64_t key)
{
	return &e->connections[key & UINT32_MAX];
}

bool connection_own(struct connection *conn, uint64_t key, uint64_t flags)
{
	uint64_t state = atomic_load_explicit(&conn->state, memory_order_relaxed);
	do {
		if (generation_of(state) != generation_of(key))
			return false;
	} while (
	    !atomic_compare_exchange_weak_explicit(&conn->state, &state, state | flags | CONN_OWNED,
						   memory_order_acq_rel, memory_order_relaxed));
	return (state & CONN_OWNED) == 0;
}

void connection_take_flags(struct connection *conn)
{
	if ((atomic_load_explicit(&conn->state, memory_order_relaxed) & CONN_READY) != 0)
		atomic_fetch_and_explicit(&conn->state, ~(uint64_t)CONN_READY,
					  memory_order_acquire);
}

bool connection_disown(struct connection *conn)
{
	uint64_t state = atomic_load_explicit(&conn->state, memory_order_relaxed);
	do {
		if ((state & CONN_READY) != 0)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
	    &conn->state, &state, state & ~(uint64_t)CONN_OWNED, memory_order_release,
	    memory_order_relaxed));
	return true;
}

void connection_expire_at(struct engine *e, const struct connection *conn, int64_t at_ns)
{
	atomic_store_explicit(&e->expires_ns[conn->index], at_ns, memory_order_relaxed);
}

bool connection_watch(struct engine *e, struct connection *conn, bool write)
{
	struct epoll_event event = {
	    .events = EPOLLIN | EPOLLRDHUP | EPOLLET | (write ? (uint32_t)EPOLLOUT : 0),
	    .data.u64 = connection_key(conn),
	};
	conn->wants_write = write;
	return epoll_ctl(e->epoll_fd, EPOLL_CTL_MOD, conn->fd, &event) == 0;
}

void connection_hand_back(struct engine *e, struct connection *conn, bool write)
{
	/*
	 * Changing the interest set makes a new event when there is something to do.  A
	 * thread that gets it before we disown leaves a flag, and then it takes another.
	 */
	do {
		connection_take_flags(conn);
		if (!connection_watch(e, conn, write)) {
			connection_close(e, conn);
			return;
		}
	} while (!connection_disown(conn));
}
