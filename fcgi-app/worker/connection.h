/*
 * Inside of the engine: a connection, its owner, and the table of all of them.
 *
 * Connections live in one table and are never freed before the engine, so a late
 * event can't touch freed memory: it carries the generation of the connection that
 * it was meant for, and one whose generation has passed is ignored.
 *
 * At any time at most one thread owns a connection.  The state word holds the
 * generation and the flags below; whoever sets CONN_OWNED owns.  An event for an
 * owned connection is left in the word, and connection_disown() fails until the
 * owner has seen it; so the epoll set can be edge-triggered and needs no re-arming.
 * A parked connection stays owned, by the queue.
 */
#ifndef ZIGGIE_WORKER_CONNECTION_H
#define ZIGGIE_WORKER_CONNECTION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/clock.h"
#include "fastcgi/codec.h"
#include "http/serve.h"
#include "worker/admission.h"
#include "worker/codel.h"
#include "worker/engine.h"
#include "worker/watch.h"

enum {
	CONN_OWNED = 1,
	CONN_READY = 2,   /* an event came since the owner last looked */
	CONN_HUNG_UP = 4, /* the peer has closed its end */
	CONN_FLAGS = 7,
};

enum connection_phase {
	PHASE_READING,  /* until a request is complete */
	PHASE_DUE,      /* complete and past its deadline: answer it, without a place */
	PHASE_REPLYING, /* a reply of the codec is partly sent */
	PHASE_SENDING,  /* an answer is partly sent */
};

struct connection {
	_Atomic uint64_t state; /* generation in the high half, CONN_* in the low */
	int fd;
	uint32_t index;
	enum connection_phase phase;
	bool wants_write;        /* EPOLLOUT is in its interest set */
	bool farewell;           /* the answer being sent says that it is the last */
	bool leaving;            /* draining, and its last answer is sent */
	int64_t first_byte_ns;   /* of the request being read; 0 between requests */
	struct http_input input; /* of the complete request */

	char *held; /* bytes read behind a complete request or a reply; NULL for none */
	size_t held_len;
	size_t held_at;

	struct connection *next; /* in a queue */
	int64_t parked_ns;

	/* Has no memory of its own but while a request is read, waits or is answered. */
	struct codec codec;

	/* What most requests never touch. */
	size_t reply_sent;
	struct codec_answer answer; /* PHASE_SENDING */
	struct http_output unsent;  /* the memory that answer points to */
};

/* One of the threads that serve. */
struct engine_thread {
	struct engine *engine;
	pthread_t id;
	unsigned index;
	struct connection *heir; /* has a place, and is served before anything else is begun */
	struct http_thread http;
	struct codec_memory memory; /* lent to the connection whose request is being read */
	char buffer[64 * 1024];
};

struct engine {
	struct engine_config config;
	struct engine_app app;
	struct engine_stats own_stats;
	struct engine_stats *stats;
	struct codec_limits limits;
	struct admission admission;
	struct codel codel[CLASS_COUNT];
	struct watch watch;
	int epoll_fd;
	int stop_fd; /* eventfd in the set; readable once the threads shall end */
	_Atomic bool draining;
	_Atomic bool stopping;

	struct connection *connections;
	_Atomic int64_t *expires_ns; /* per connection: when its owner-less wait is over */

	pthread_mutex_t lock;   /* of what follows, and of opening and closing */
	pthread_cond_t changed; /* of what follows, and of draining and stopping */
	struct connection *free;
	uint32_t open;
	uint32_t used; /* connections[used…] were never opened */
	unsigned warm; /* threads that have taken what they need */
	bool acceptor_waits;
	bool acceptor_done;

	/* The starter's. */
	struct engine_thread *threads;
	unsigned thread_count;
	pthread_t acceptor;
	pthread_t sweeper;
	bool has_acceptor;
	bool has_sweeper;
};

/* Waits for `changed`, with the lock held. */
void engine_wait_changed(struct engine *e, int64_t ms);

/* Adds to a counter or gauge of struct engine_stats. */
#define STAT_ADD(engine, name, n)                                                                  \
	atomic_fetch_add_explicit(&(engine)->stats->name, (n), memory_order_relaxed)
#define STAT_SUB(engine, name, n)                                                                  \
	atomic_fetch_sub_explicit(&(engine)->stats->name, (n), memory_order_relaxed)

/* The table. */
enum err connection_table_init(struct engine *e);
void connection_table_release(struct engine *e);
/* Takes a free connection for fd and adds it to the epoll set; false (fd closed) when that fails.
 */
bool connection_open(struct engine *e, int fd);
/* By its owner.  Nothing of conn may be touched afterwards. */
void connection_close(struct engine *e, struct connection *conn);

/* What an event of the epoll set carries, and whose it is: NULL when that one is gone. */
uint64_t connection_key(const struct connection *conn);
struct connection *connection_of_key(struct engine *e, uint64_t key);

/* Owns conn unless somebody does; then the flags stay for the owner to see. */
bool connection_own(struct connection *conn, uint64_t key, uint64_t flags);
/* False when events came that the owner has not taken: it must look again. */
bool connection_disown(struct connection *conn);
/* The owner is about to look: events until now are taken, CONN_HUNG_UP stays. */
void connection_take_flags(struct connection *conn);

/* Sets when the connection times out while nobody owns it. */
void connection_expire_at(struct engine *e, const struct connection *conn, int64_t at_ns);
/* Chooses whether EPOLLOUT wakes it; also makes a fresh event when it is ready already. */
bool connection_watch(struct engine *e, struct connection *conn, bool write);

/* Lets go of it in a way that some thread of the set runs it; write wakes it at once. */
void connection_hand_back(struct engine *e, struct connection *conn, bool write);

/*
 * Goes on with an owned connection until it waits, is parked, is closed or is left to
 * others; then with those that came out of the queues meanwhile.
 */
void connection_run(struct engine_thread *t, struct connection *conn);

/* The two other threads. */
void *acceptor_main(void *engine);
void *sweeper_main(void *engine);

#endif
