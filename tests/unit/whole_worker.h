/*
 * A whole worker inside of a test program: every route on the real engine, with a
 * MariaDB, a memcached and a fixture tree of its own, and one account.  Failures to
 * set it up fail the test.
 */
#ifndef ZIGGIE_TESTS_WHOLE_WORKER_H
#define ZIGGIE_TESTS_WHOLE_WORKER_H

#include "auth/token.h"
#include "conf/conf.h"
#include "support.h"
#include "app/parts.h"
#include "worker/engine.h"

/* The account; its password's hash costs almost nothing to check. */
#define WHOLE_USERNAME "operator"
#define WHOLE_PASSWORD "correct horse"

/* How far the clock has to go for samples and what is remembered of tokens to be old. */
enum { WHOLE_STEP_MS = 250 };

struct whole_worker {
	char dir[64];
	char socket[96];
	char log[96];
	struct test_memcached memcached;
	struct conf conf;
	char token[TOKEN_TEXT_SIZE]; /* of the account */
	int listen_fd;
	struct app_parts app;
	struct engine *engine;
};

/* MariaDB and memcached, the account, settings, a listening socket; starts no worker. */
void whole_worker_prepare(struct whole_worker *w);
/* The worker itself; ERR_OK leaves it running. */
enum err whole_worker_start(struct whole_worker *w, struct errmsg *why);
/* Does nothing when none runs. */
void whole_worker_stop(struct whole_worker *w);
void whole_worker_remove(struct whole_worker *w);

void whole_worker_set(struct whole_worker *w, enum conf_id id, const char *text);

#endif
