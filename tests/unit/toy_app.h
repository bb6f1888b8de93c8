/*
 * The connection engine with an application for tests: the query string says what
 * to do.
 *
 *	"l echo"      light; answers "echo <length of the body>"
 *	"n big 5000"  normal; answers that many bytes, byte i being 'a' + i % 26
 *	"h wait"      heavy; answers "waited" once the gate is open
 *	"n age 300"   normal; came to the web server 300 ms ago; answers "fresh"
 *	"n due 300"   like wait, with a deadline in 300 ms
 *
 * A request that is refused answers the error's name.
 */
#ifndef ZIGGIE_TESTS_TOY_APP_H
#define ZIGGIE_TESTS_TOY_APP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "worker/engine.h"

struct toy {
	struct engine *engine;
	struct engine_config config;
	char directory[32];
	char path[64];
	int listen_fd;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool gate_open[4];   /* by weight */
	unsigned waiting[4]; /* at the gate, by weight */
	unsigned most_heavy;
	unsigned most_capped; /* heavy and normal ones */

	uint64_t share; /* open connections beyond which it has its share; set before toy_start() */
	int start_ms;   /* that each thread takes to start */
	_Atomic unsigned started;
	_Atomic unsigned served;
	_Atomic unsigned cancelled;
};

/* Defaults that no test runs into; change t->config before toy_start(). */
void toy_init(struct toy *t);
void toy_start(struct toy *t);
/* A second engine on the same listening socket; stop it with engine_stop(). */
struct engine *toy_start_another(struct toy *t);
void toy_stop(struct toy *t);

void toy_open_gate(struct toy *t);
/* For those of one weight only. */
void toy_open_gate_for(struct toy *t, enum route_weight weight);
/* Until so many wait at the gate, of every weight together. */
void toy_wait_for_waiting(struct toy *t, unsigned count);
/* Until a figure of the engine's statistics is value; fails the test when it does not become so. */
void toy_wait_for_stat(const _Atomic uint64_t *stat, uint64_t value);

/* One request on fd, answered with the expected text. */
void toy_expect(int fd, const char *query, const char *text);
/* The answer to one that was sent. */
void toy_expect_answer(int fd, const char *text);
void toy_send(int fd, const char *query);

#endif
