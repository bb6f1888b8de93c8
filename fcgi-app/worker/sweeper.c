#include "base/stack.h"
#include "worker/connection.h"

enum { TICK_LEAST_MS = 5, TICK_MOST_MS = 100 };

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* A tenth of the shortest limit, so that none is missed by much more than that. */
static int64_t tick_ms(const struct engine_config *config)
{
	int64_t shortest = least(config->idle_timeout_ms,
				 least(config->read_timeout_ms, config->write_timeout_ms));
	int64_t tick = least(shortest / 10, TICK_MOST_MS);
	return tick > TICK_LEAST_MS ? tick : TICK_LEAST_MS;
}

static bool has_expired(const struct engine *e, uint32_t index, int64_t now_ns)
{
	return atomic_load_explicit(&e->expires_ns[index], memory_order_relaxed) <= now_ns;
}

static void count_timeout(struct engine *e, const struct connection *conn)
{
	if (conn->phase != PHASE_READING)
		STAT_ADD(e, write_timeouts, 1);
	else if (conn->first_byte_ns != 0)
		STAT_ADD(e, read_timeouts, 1);
}

/* Somebody may have owned it, and set another time, between the look and the grasp. */
static void expire(struct engine *e, struct connection *conn, int64_t now_ns)
{
	if (!connection_own(conn, connection_key(conn), 0))
		return;
	if (has_expired(e, conn->index, now_ns)) {
		count_timeout(e, conn);
		connection_close(e, conn);
	} else if (!connection_disown(conn)) {
		connection_hand_back(e, conn, conn->wants_write);
	}
}

static void sweep(struct engine *e, uint32_t used)
{
	int64_t now_ns = clock_mono_ns();
	for (uint32_t i = 0; i < used; i++) {
		if (has_expired(e, i, now_ns))
			expire(e, &e->connections[i], now_ns);
	}
	struct connection *due;
	while ((due = admission_expired(&e->admission, now_ns)) != NULL) {
		due->phase = PHASE_DUE;
		connection_hand_back(e, due, true);
	}
}

void *sweeper_main(void *engine)
{
	struct engine *e = engine;
	int64_t tick = tick_ms(&e->config);
	stack_touch();
	pthread_mutex_lock(&e->lock);
	while (!atomic_load(&e->stopping)) {
		engine_wait_changed(e, tick);
		uint32_t used = e->used;
		pthread_mutex_unlock(&e->lock);
		sweep(e, used);
		pthread_mutex_lock(&e->lock);
	}
	pthread_mutex_unlock(&e->lock);
	return NULL;
}
