/*
 * A request that a gateway hands over in pieces, and its answer.  The codec judges
 * it and the application serves it as they do in a worker, so answers, limits and
 * log lines are the same.
 *
 *	gateway_begin(&g);
 *	gateway_param(&g, "REQUEST_METHOD=GET");	each in turn
 *	while (… more of the body …)
 *		if (!gateway_body(&g, bytes, len))
 *			break;				the rest is not wanted
 *	const struct http_output *out = gateway_answer(&g, client_fd);
 *
 * One request at a time, one thread.
 */
#ifndef ZIGGIE_COMPAT_GATEWAY_H
#define ZIGGIE_COMPAT_GATEWAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fastcgi/codec.h"
#include "http/serve.h"

struct gateway {
	struct app *app;
	struct codec_limits limits;
	struct codec codec;
	struct http_thread thread;
	int64_t received_ns;
};

void gateway_init(struct gateway *g, struct app *app);
void gateway_release(struct gateway *g);

/* Whatever a request before it left behind is forgotten. */
void gateway_begin(struct gateway *g);
/* "NAME=VALUE", as in an environment; one without "=" is left out. */
void gateway_param(struct gateway *g, const char *pair);
bool gateway_body(struct gateway *g, const void *bytes, size_t len);
/*
 * Serves the request; never fails.  client_fd is watched for a hang-up, -1 for none.  NULL
 * when the client had gone by then; the answer stays valid until the next gateway_begin().
 */
const struct http_output *gateway_answer(struct gateway *g, int client_fd);

#endif
