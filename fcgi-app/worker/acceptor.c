#include <errno.h>
#include <sched.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/log.h"
#include "base/stack.h"
#include "worker/connection.h"

enum { BACK_OFF_FIRST_MS = 10, BACK_OFF_MAX_MS = 1000, WARN_EVERY_S = 10, GIVE_WAY_MS = 1 };

struct back_off {
	int ms;
	int64_t warned_ns;
};

static bool is_over(struct engine *e)
{
	return atomic_load(&e->draining) || atomic_load(&e->stopping);
}

static bool is_full(const struct engine *e)
{
	return e->free == NULL && e->used == e->config.max_connections;
}

/* Pauses at max_connections; the kernel's backlog holds the others. */
static void wait_for_room(struct engine *e)
{
	pthread_mutex_lock(&e->lock);
	if (is_full(e) && !is_over(e))
		STAT_ADD(e, accept_pauses, 1);
	e->acceptor_waits = true;
	while (is_full(e) && !is_over(e))
		pthread_cond_wait(&e->changed, &e->lock);
	e->acceptor_waits = false;
	pthread_mutex_unlock(&e->lock);
}

/*
 * Out of descriptors or memory: only time helps, or a connection that closes; spinning on
 * accept4 would not.
 */
static void back_off(struct engine *e, struct back_off *b, int error)
{
	STAT_ADD(e, accept_errors, 1);
	int64_t now = clock_mono_ns();
	if (b->warned_ns == 0 || now - b->warned_ns > WARN_EVERY_S * NS_PER_S) {
		b->warned_ns = now;
		LOG_EVENT(LOG_WARNING, "accept_failed", LOG_STR("error", strerrordesc_np(error)),
			  LOG_INT("pause_ms", b->ms));
	}
	pthread_mutex_lock(&e->lock);
	e->acceptor_waits = true;
	if (!is_over(e))
		engine_wait_changed(e, b->ms);
	e->acceptor_waits = false;
	pthread_mutex_unlock(&e->lock);
	b->ms = b->ms * 2 < BACK_OFF_MAX_MS ? b->ms * 2 : BACK_OFF_MAX_MS;
}

/*
 * In a burst the kernel wakes an acceptor for each connection, but the one that runs first
 * would take them all before the others get a processor.
 */
static void give_way(struct engine *e)
{
	uint64_t open = atomic_load_explicit(&e->stats->connections, memory_order_relaxed);
	if (e->app.has_its_share != NULL && e->app.has_its_share(e->app.context, open))
		nanosleep(&(struct timespec){.tv_nsec = GIVE_WAY_MS * NS_PER_MS}, NULL);
}

static void set_no_delay(int fd)
{
	/* Fails harmlessly on Unix sockets. */
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static bool is_tcp(int listen_fd)
{
	int domain = 0;
	socklen_t len = sizeof(domain);
	return getsockopt(listen_fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	       (domain == AF_INET || domain == AF_INET6);
}

static void accept_one(struct engine *e, bool tcp, struct back_off *b)
{
	int fd = accept4(e->config.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		b->ms = BACK_OFF_FIRST_MS;
		STAT_ADD(e, accepted, 1);
		if (tcp)
			set_no_delay(fd);
		if (!connection_open(e, fd))
			back_off(e, b, ENOSPC);
		give_way(e);
		return;
	}
	switch (errno) {
	case EINTR:
	case ECONNABORTED:
		return;
	case EAGAIN: {
		/* Somebody who shares the socket made it non-blocking. */
		struct pollfd readable = {.fd = e->config.listen_fd, .events = POLLIN};
		(void)poll(&readable, 1, BACK_OFF_MAX_MS);
		return;
	}
	default:
		back_off(e, b, errno);
	}
}

/*
 * The other threads may let others finish (SCHED_BATCH).  If acceptors did, the one that runs
 * first would find the connections that were meant for others.
 */
static void wake_at_once(void)
{
	const struct sched_param param = {0};
	if (sched_getscheduler(0) == SCHED_BATCH)
		(void)sched_setscheduler(0, SCHED_OTHER, &param); /* what one may always have */
}

void *acceptor_main(void *engine)
{
	struct engine *e = engine;
	struct back_off b = {.ms = BACK_OFF_FIRST_MS};
	bool tcp = is_tcp(e->config.listen_fd);
	sigset_t wake;
	stack_touch();
	wake_at_once();
	sigemptyset(&wake);
	sigaddset(&wake, ENGINE_WAKE_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &wake, NULL);

	for (;;) {
		wait_for_room(e);
		if (is_over(e))
			break;
		accept_one(e, tcp, &b);
	}
	pthread_mutex_lock(&e->lock);
	e->acceptor_done = true;
	pthread_cond_broadcast(&e->changed);
	pthread_mutex_unlock(&e->lock);
	return NULL;
}
