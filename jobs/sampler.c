#include "sampler.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stopper.h"
#include "host/host.h"
#include "shm/scoreboard.h"

/* How soon a costly kind's sampling starts after somebody asked on this host, … */
#define INTEREST_POLL_NS (250 * NS_PER_MS)
/* … and on another, which is looked up in memcached. */
#define OTHERS_INTEREST_POLL_NS NS_PER_S
#define PAUSE_MAX_NS (5 * NS_PER_S)

enum { COUNT_SLOT = 0 };

struct kind_state {
	int64_t due_ns;
	int64_t others_asked_ns; /* when other hosts' interest was looked up last */
	bool others_interested;
	bool failing; /* so that a failure is logged once */
};

struct sampler {
	struct sampler_options options;
	struct host_collector *collector;
	struct kind_state kinds[HOST_KIND_COUNT];
	int64_t heartbeat_due_ns;
	int64_t pause_ns;  /* 0 while memcached answers */
	int64_t resume_ns; /* nothing is done before */
	struct strbuf sample;

	pthread_t thread;
	struct stopper stopper;
};

/* memcached does not answer: wait, longer each time. */
static void pause_sampling(struct sampler *s)
{
	int64_t first = s->options.retry_ms * NS_PER_MS;
	int64_t next = s->pause_ns == 0 ? first : 2 * s->pause_ns;
	s->pause_ns = next < PAUSE_MAX_NS ? next : PAUSE_MAX_NS;
	s->resume_ns = clock_mono_ns() + s->pause_ns;
}

static void note_result(struct sampler *s, enum host_kind kind, enum err err,
			const struct errmsg *why)
{
	struct kind_state *state = &s->kinds[kind];
	scoreboard_count(s->options.scoreboard, COUNT_SLOT,
			 err == ERR_OK ? COUNTER_samples : COUNTER_sample_failures, 1);
	if (err == ERR_UNAVAILABLE) {
		pause_sampling(s); /* the cache has logged it */
		return;
	}
	if (err == ERR_OK)
		s->pause_ns = 0;
	if (state->failing == (err != ERR_OK))
		return;
	state->failing = err != ERR_OK;
	if (state->failing)
		LOG_EVENT(LOG_WARNING, "sample_failing", LOG_STR("kind", host_kind_names[kind]),
			  LOG_STR("detail", why->text));
	else
		LOG_EVENT(LOG_INFO, "sample_working", LOG_STR("kind", host_kind_names[kind]));
}

static void take_sample(struct sampler *s, enum host_kind kind)
{
	const struct sampler_options *o = &s->options;
	struct errmsg why = ERRMSG_INIT;
	strbuf_clear(&s->sample);
	enum err err = host_sample(s->collector, kind, &s->sample, &why);
	if (err == ERR_UNAVAILABLE)
		err = ERR_IO; /* of this host, not of memcached */
	if (err == ERR_OK && s->sample.failed)
		err = err_set(&why, ERR_NOMEM, "out of memory");
	if (err == ERR_OK)
		err = host_publish(o->cache, &o->timing, o->host_id, kind, s->sample.data,
				   s->sample.len, &why);
	note_result(s, kind, err, &why);
}

static bool others_are_interested(struct sampler *s, enum host_kind kind, int64_t now)
{
	struct kind_state *state = &s->kinds[kind];
	if (now - state->others_asked_ns >= OTHERS_INTEREST_POLL_NS) {
		state->others_asked_ns = now;
		state->others_interested =
		    host_interest_read(s->options.cache, s->options.host_id, kind);
	}
	return state->others_interested;
}

static bool is_wanted(struct sampler *s, enum host_kind kind, int64_t now)
{
	if (!host_kind_is_costly(kind))
		return true;
	int64_t asked = scoreboard_interest(s->options.scoreboard, (unsigned)kind);
	if (asked != 0 && now - asked < s->options.timing.interest_ttl_ms * NS_PER_MS)
		return true;
	return others_are_interested(s, kind, now);
}

/* Samples a kind when it is due; returns when to look at it again. */
static int64_t run_kind(struct sampler *s, enum host_kind kind)
{
	struct kind_state *state = &s->kinds[kind];
	int64_t now = clock_mono_ns();
	if (now < state->due_ns)
		return state->due_ns;
	if (!is_wanted(s, kind, now)) {
		state->due_ns = now + INTEREST_POLL_NS;
		return state->due_ns;
	}
	take_sample(s, kind);
	/* An even beat, but none of those missed is made up for. */
	int64_t interval_ns = s->options.timing.interval_ms[kind] * NS_PER_MS;
	state->due_ns += interval_ns;
	now = clock_mono_ns();
	if (state->due_ns < now)
		state->due_ns = now + interval_ns;
	return state->due_ns;
}

static int64_t run_heartbeat(struct sampler *s)
{
	int64_t now = clock_mono_ns();
	if (now < s->heartbeat_due_ns)
		return s->heartbeat_due_ns;
	host_heartbeat_publish(s->options.cache, s->options.host_id, NULL);
	scoreboard_set_rss(s->options.scoreboard, host_own_rss());
	s->heartbeat_due_ns = now + HOST_HEARTBEAT_MS * NS_PER_MS;
	return s->heartbeat_due_ns;
}

/* Does what is due; returns when there is something to do again. */
static int64_t run_round(struct sampler *s)
{
	int64_t next = run_heartbeat(s);
	for (int kind = 0; kind < HOST_KIND_COUNT; kind++) {
		if (s->resume_ns > clock_mono_ns())
			return s->resume_ns;
		int64_t due = run_kind(s, (enum host_kind)kind);
		if (due < next)
			next = due;
	}
	return next;
}

static void *sampler_main(void *arg)
{
	struct sampler *s = arg;
	while (stopper_sleep_until(&s->stopper, run_round(s)))
		continue;
	return NULL;
}

static void sampler_release(struct sampler *s)
{
	host_collector_free(s->collector);
	strbuf_release(&s->sample);
	stopper_release(&s->stopper);
	free(s);
}

enum err sampler_start(const struct sampler_options *options, struct sampler **out,
		       struct errmsg *why)
{
	struct sampler *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return err_set(why, ERR_NOMEM, "out of memory");
	s->options = *options;
	strbuf_init(&s->sample);
	stopper_init(&s->stopper);
	int64_t now = clock_mono_ns();
	for (int kind = 0; kind < HOST_KIND_COUNT; kind++)
		s->kinds[kind].due_ns = now;
	enum err err =
	    host_collector_new(options->proc_root, options->sys_root, &s->collector, why);
	if (err == ERR_OK && pthread_create(&s->thread, NULL, sampler_main, s) != 0)
		err = err_set(why, ERR_INTERNAL, "can't start the sampler's thread");
	if (err != ERR_OK) {
		sampler_release(s);
		return err;
	}
	*out = s;
	return ERR_OK;
}

void sampler_stop(struct sampler *s)
{
	if (s == NULL)
		return;
	stopper_ask(&s->stopper);
	pthread_join(s->thread, NULL);
	sampler_release(s);
}
