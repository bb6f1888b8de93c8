/*
 * Everything between a complete request and a complete answer, whatever carried
 * them: the worker's threads, ziggie-fcgi and the tests call this.
 *
 *	struct http_input in = {.params = …, .client_fd = fd, .received_ns = …};
 *	http_classify(app, &in);			which weight, since when
 *	… perhaps wait for the weight class's turn …
 *	http_serve(app, &thread, &in, &out);		never fails: errors are answers too
 *
 * http_classify and http_serve may run on any thread; a struct http_thread belongs
 * to one thread.
 */
#ifndef ZIGGIE_HTTP_SERVE_H
#define ZIGGIE_HTTP_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/param.h"
#include "base/strbuf.h"
#include "http/app.h"
#include "http/route.h"

struct http_input {
	const struct param *params;
	size_t param_count;
	const char *body;
	size_t body_len;
	int client_fd;       /* watched for a hang-up while waiting; -1 for none */
	int64_t received_ns; /* monotonic: when its first byte was read */
	enum err refused;    /* not ERR_OK: answer this at once, without routing or handling */
	const char *refusal; /* the detail of such an answer; NULL takes the error's text */

	/* Filled by http_classify. */
	const struct route *route; /* for a refused request too; NULL when there is none */
	enum route_weight weight;
	int64_t arrived_ns;  /* when it came to the web server, or received_ns when unknown */
	int64_t deadline_ns; /* monotonic; work past it has no reader */
};

struct http_output {
	struct strbuf head; /* "Status: 200 OK\r\n…\r\n\r\n" */
	struct strbuf body; /* empty for HEAD, whatever Content-Length says */
};

struct http_thread {
	struct arena arena;
	unsigned slot;         /* the thread's slot in the scoreboard */
	struct strbuf headers; /* of the answer that is being made */
	struct http_output out;
};

void http_thread_init(struct http_thread *thread, unsigned slot);
void http_thread_release(struct http_thread *thread);

void http_classify(const struct app *app, struct http_input *in);
/* Fills thread->out, which stays valid until the thread's next call. */
void http_serve(struct app *app, struct http_thread *thread, const struct http_input *in);

#endif
