#include "worker/calls.h"

#include "app/parts.h"
#include "base/log.h"
#include "cache/cache.h"
#include "conf/conf.h"
#include "http/serve.h"
#include "shm/scoreboard.h"

/* What a thread takes when it starts: about what the largest answers of the host routes take. */
enum {
	WARM_ARENA = 48 * 1024,
	WARM_HEAD = 512,
	WARM_BODY = 32 * 1024,
};

/* Connections over the mean that do not matter. */
enum { SHARE_SLACK = 2 };

/*
 * Takes at once what answers take sooner or later: otherwise the first request of each thread
 * waits for it, and a worker's memory grows for an hour, which looks like a leak.
 */
static void warm(const struct app_parts *w, struct http_thread *thread)
{
	arena_alloc(&thread->arena, WARM_ARENA);
	arena_reset(&thread->arena);
	strbuf_reserve(&thread->out.body, WARM_BODY);
	strbuf_reserve(&thread->out.head, WARM_HEAD);
	strbuf_reserve(&thread->headers, WARM_HEAD);
	if (conf_number(w->app.conf, log_requests))
		log_prepare_thread();
	/* Opens this thread's connection; whether memcached is there does not matter here. */
	cache_check(w->app.cache, NULL);
}

static void thread_start(void *context, struct http_thread *thread, unsigned index)
{
	const struct app_parts *w = context;
	http_thread_init(thread, index);
	warm(w, thread);
}

static void thread_stop(void *context, struct http_thread *thread)
{
	(void)context;
	http_thread_release(thread);
}

static void classify(void *context, struct http_input *in)
{
	const struct app_parts *w = context;
	http_classify(&w->app, in);
}

static void serve(void *context, struct http_thread *thread, const struct http_input *in)
{
	struct app_parts *w = context;
	http_serve(&w->app, thread, in);
}

/*
 * Clearly more than the other workers have.  What they have is as old as their last
 * accepting and a second at most, so it may be too high, but hardly too low.
 */
static bool has_its_share(void *context, uint64_t open)
{
	const struct app_parts *w = context;
	struct scoreboard *board = w->app.scoreboard;
	unsigned slot = (unsigned)conf_number(w->app.conf, threads);
	scoreboard_set_gauge(board, slot, GAUGE_connections, (int64_t)open);
	int64_t share = scoreboard_mean(board, GAUGE_connections);
	return (int64_t)open > share + share / 8 + SHARE_SLACK;
}

const struct engine_app worker_engine_calls = {
    .thread_start = thread_start,
    .thread_stop = thread_stop,
    .classify = classify,
    .serve = serve,
    .has_its_share = has_its_share,
};

void worker_publish_engine(const void *context, struct scoreboard *board, unsigned slot)
{
	const struct engine_stats *s = context;
	const struct {
		enum scoreboard_counter counter;
		uint64_t value;
	} counters[] = {
	    {COUNTER_accepted, atomic_load(&s->accepted)},
	    {COUNTER_accept_paused, atomic_load(&s->accept_pauses)},
	    {COUNTER_accept_errors, atomic_load(&s->accept_errors)},
	    {COUNTER_protocol_errors, atomic_load(&s->protocol_errors)},
	    {COUNTER_read_timeouts, atomic_load(&s->read_timeouts)},
	    {COUNTER_write_timeouts, atomic_load(&s->write_timeouts)},
	    {COUNTER_shed_queue, atomic_load(&s->shed)},
	    {COUNTER_shed_expired, atomic_load(&s->expired)},
	    {COUNTER_parked, atomic_load(&s->parked)},
	    {COUNTER_client_gone, atomic_load(&s->cancelled)},
	};
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		scoreboard_set_counter(board, slot, counters[i].counter, counters[i].value);
	scoreboard_set_gauge(board, slot, GAUGE_connections, (int64_t)atomic_load(&s->connections));
	scoreboard_set_gauge(
	    board, slot, GAUGE_queued,
	    (int64_t)(atomic_load(&s->parked_normal) + atomic_load(&s->parked_heavy)));
}
