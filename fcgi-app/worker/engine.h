/*
 * A worker's connections and threads.
 *
 * One acceptor thread blocks in accept4 on the shared listening socket and adds
 * each connection to an epoll set.  A connection has no thread of its own: when
 * bytes come, one of `threads` threads feeds them to its codec, and when a request
 * is complete the same thread lets the application answer it, writes the answer
 * with one writev, and leaves the connection to the set again.  What a slow reader
 * has not taken waits with its connection, not with a thread.
 *
 * Admission.  classify() says a request's weight.  At most a quarter of the
 * threads (at least one) run heavy requests, and at most all but two run heavy
 * and normal ones together; a request over its class's cap waits in first-in
 * first-out order without a thread, and the thread that finishes one takes the
 * next.  Time in the queue (since arrived_ns) is watched per class: when the
 * shortest of queue_interval was over queue_target, those older than twice
 * queue_target are refused with ERR_OVERLOADED.  Light ones neither wait nor are
 * refused.  A request past its deadline is answered ERR_TIMEOUT instead of being
 * started; one whose peer has gone is served with ERR_CANCELLED, so that it is
 * logged, and its answer is thrown away.
 *
 *	struct engine *engine;
 *	if (engine_start(&engine, &config, &app, &why) != ERR_OK) …
 *	… wait for SIGTERM …
 *	engine_drain(engine, drain_timeout_ms);
 *	engine_stop(engine);
 *
 * Call engine_start, engine_drain and engine_stop from one thread.  The engine's
 * threads block every signal; the acceptor alone takes ENGINE_WAKE_SIGNAL, whose
 * handler (which does nothing) engine_start installs.
 */
#ifndef ZIGGIE_WORKER_ENGINE_H
#define ZIGGIE_WORKER_ENGINE_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "http/serve.h"

#define ENGINE_WAKE_SIGNAL SIGRTMIN
enum { ENGINE_THREADS_MIN = 3, ENGINE_THREADS_MAX = 64 };

/* What the engine asks of the application; context comes back with every call. */
struct engine_app {
	void *context;
	/* First and last call on each thread: makes and releases *thread.  index < threads. */
	void (*thread_start)(void *context, struct http_thread *thread, unsigned index);
	void (*thread_stop)(void *context, struct http_thread *thread);
	/* Fills in's weight, arrived_ns and deadline_ns; must not wait. */
	void (*classify)(void *context, struct http_input *in);
	/*
	 * Fills thread->out, whatever comes.  The engine may take the memory of both
	 * buffers away afterwards and leave them as strbuf_init() does.
	 */
	void (*serve)(void *context, struct http_thread *thread, const struct http_input *in);
	/*
	 * After a connection was accepted, with the number that are open now: whether other
	 * workers should have the next ones.  NULL: never.
	 */
	bool (*has_its_share)(void *context, uint64_t open);
};

/* Written by the engine's threads, relaxed; read them whenever you like. */
struct engine_stats {
	_Atomic uint64_t connections;     /* open now */
	_Atomic uint64_t accepted;        /* connections, ever */
	_Atomic uint64_t accept_errors;   /* of accept4, such as EMFILE */
	_Atomic uint64_t accept_pauses;   /* times that max_connections stopped accepting */
	_Atomic uint64_t threads_busy;    /* serving now */
	_Atomic uint64_t parked_normal;   /* waiting for their class's turn now */
	_Atomic uint64_t parked_heavy;    /* the same */
	_Atomic uint64_t parked;          /* requests that had to wait so, ever */
	_Atomic uint64_t shed;            /* refused for their time in the queue */
	_Atomic uint64_t expired;         /* past their deadline before they were started */
	_Atomic uint64_t cancelled;       /* dropped before they were started: the peer had gone */
	_Atomic uint64_t read_timeouts;   /* connections closed inside an unfinished request */
	_Atomic uint64_t write_timeouts;  /* connections closed with an answer not taken */
	_Atomic uint64_t protocol_errors; /* connections closed for breaking the protocol */
};

struct engine_config {
	int listen_fd;            /* stays the caller's; made blocking */
	unsigned threads;         /* ENGINE_THREADS_MIN to ENGINE_THREADS_MAX */
	unsigned max_connections; /* with 128 more it must fit RLIMIT_NOFILE */
	size_t max_body;
	int64_t read_timeout_ms;  /* from a request's first byte to its last */
	int64_t write_timeout_ms; /* without progress */
	int64_t idle_timeout_ms;  /* between requests; longer than the web server's */
	int64_t queue_target_ms;
	int64_t queue_interval_ms;
	struct engine_stats *stats; /* zeroed; NULL: the engine's own */
};

struct engine;

/*
 * Returns when all threads have started, so that no request finds a cold one.
 * Raises the soft limit of open files when it must.  ERR_INVALID when a value is
 * out of bounds or the limit is too low, ERR_IO when a system call failed; nothing runs then.
 */
enum err engine_start(struct engine **out, const struct engine_config *config,
		      const struct engine_app *app, struct errmsg *why);

/*
 * Stops accepting; each connection is closed after its next answer, those between
 * two requests are left to their peer.  True when none remain, false when the time
 * was over first.  Connections not yet accepted stay with the listening socket.
 */
bool engine_drain(struct engine *engine, int64_t timeout_ms);

/* Waits for what is being served, closes everything and frees the engine. */
void engine_stop(struct engine *engine);

const struct engine_stats *engine_stats(const struct engine *engine);

#endif
