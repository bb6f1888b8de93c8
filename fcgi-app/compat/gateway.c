#include "compat/gateway.h"

#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "conf/conf.h"
#include "shm/scoreboard.h"

enum { SLOT = 0 }; /* in the scoreboard: one thread serves */

void gateway_init(struct gateway *g, struct app *app)
{
	*g = (struct gateway){
	    .app = app,
	    .limits =
		{
		    .params_bytes = CODEC_PARAMS_BYTES,
		    .params_count = CODEC_PARAMS_COUNT,
		    .body_bytes = (size_t)conf_number(app->conf, max_body),
		    .max_connections = 1,
		},
	};
	codec_init(&g->codec, &g->limits);
	http_thread_init(&g->thread, SLOT);
}

void gateway_release(struct gateway *g)
{
	codec_release(&g->codec);
	http_thread_release(&g->thread);
}

void gateway_begin(struct gateway *g)
{
	codec_reset(&g->codec);
	g->received_ns = clock_mono_ns();
}

void gateway_param(struct gateway *g, const char *pair)
{
	const char *equals = strchr(pair, '=');
	if (equals != NULL)
		codec_give_param(&g->codec, pair, (size_t)(equals - pair), equals + 1,
				 strlen(equals + 1));
}

bool gateway_body(struct gateway *g, const void *bytes, size_t len)
{
	return codec_give_body(&g->codec, bytes, len);
}

/* Requests wait in the socket's backlog here; nobody may be waiting for this one any more. */
static bool has_hung_up(int client_fd)
{
	struct pollfd client = {.fd = client_fd, .events = POLLRDHUP};
	return client_fd >= 0 && poll(&client, 1, 0) > 0;
}

const struct http_output *gateway_answer(struct gateway *g, int client_fd)
{
	codec_give_end(&g->codec);
	const struct codec_request *request = &g->codec.request;
	struct http_input in = {
	    .params = request->params,
	    .param_count = request->param_count,
	    .body = request->body,
	    .body_len = request->body_len,
	    .client_fd = client_fd,
	    .received_ns = g->received_ns,
	    .refused = request->refused,
	    .refusal = request->refusal,
	};
	if (has_hung_up(client_fd)) {
		in.refused = ERR_CANCELLED;
		scoreboard_count(g->app->scoreboard, SLOT, COUNTER_client_gone, 1);
	}
	http_classify(g->app, &in);
	http_serve(g->app, &g->thread, &in);
	return in.refused == ERR_CANCELLED ? NULL : &g->thread.out;
}
