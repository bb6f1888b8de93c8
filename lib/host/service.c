#include "host/service.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/wait.h"
#include "conf/conf.h"
#include "shm/scoreboard.h"

/* A stamp that is younger need not be renewed, so that readers don't fight over its line. */
#define STAMP_AGAIN_NS (500 * NS_PER_MS)

enum { PATIENCE_MS = 100 };

enum source { SOURCE_CACHED, SOURCE_COLLECTED, SOURCE_STALE, SOURCE_COUNT };

struct host_service {
	char *host_id;
	struct host_timing timing;
	int64_t patience_ms;
	struct cache *cache;
	struct scoreboard *scoreboard;
	struct host_others others;
	struct cache_key keys[HOST_KIND_COUNT]; /* of this host */
	pthread_mutex_t lock;
	pthread_cond_t collected;
	bool collecting;                  /* under lock: a thread has the collector */
	struct host_collector *collector; /* that thread's */
	_Atomic uint64_t answers[SOURCE_COUNT];
};

struct host_service_options host_service_options_from_conf(const struct conf *conf)
{
	return (struct host_service_options){
	    .host_id = conf_host_id(conf),
	    .proc_root = conf_text(conf, proc_root),
	    .sys_root = conf_text(conf, sys_root),
	    .timing = host_timing_from_conf(conf),
	    .patience_ms = PATIENCE_MS,
	};
}

void host_service_free(struct host_service *s)
{
	if (s == NULL)
		return;
	host_collector_free(s->collector);
	pthread_cond_destroy(&s->collected);
	pthread_mutex_destroy(&s->lock);
	free(s->host_id);
	free(s);
}

/* Takes a sample of this host and ends the election for it; the collector is this thread's. */
static enum err collect(struct host_service *s, enum host_kind kind, struct cache_value **value,
			struct errmsg *why)
{
	STRBUF_CLEANUP sample = STRBUF_INIT;
	enum err err = host_sample(s->collector, kind, &sample, why);
	if (err != ERR_OK)
		return err;
	struct cache_value *fresh = sample.failed ? NULL : cache_value_new(sample.data, sample.len);
	if (fresh == NULL)
		return err_set(why, ERR_NOMEM, "out of memory");
	/* As fresh as ziggie-jobs would keep it; no need to collect more often than that. */
	int64_t ttl_ms = s->timing.interval_ms[kind];
	cache_store(s->cache, &s->keys[kind], fresh,
		    ttl_ms > s->timing.l1_ttl_ms ? ttl_ms : s->timing.l1_ttl_ms);
	cache_value_unref(*value);
	*value = fresh;
	return ERR_OK;
}

enum err host_service_new(const struct host_service_options *options, struct host_service **out,
			  struct errmsg *why)
{
	struct host_service *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return err_set(why, ERR_NOMEM, "out of memory");
	pthread_mutex_init(&s->lock, NULL);
	wait_init(&s->collected);
	s->timing = options->timing;
	s->patience_ms = options->patience_ms;
	s->cache = options->cache;
	s->scoreboard = options->scoreboard;
	s->others = (struct host_others){.cache = options->cache,
					 .timing = options->timing,
					 .find = options->find,
					 .find_context = options->find_context};
	s->host_id = strdup(options->host_id);
	if (s->host_id == NULL) {
		host_service_free(s);
		return err_set(why, ERR_NOMEM, "out of memory");
	}
	for (int kind = 0; kind < HOST_KIND_COUNT; kind++)
		host_sample_key(s->host_id, (enum host_kind)kind, &s->keys[kind]);
	enum err err =
	    host_collector_new(options->proc_root, options->sys_root, &s->collector, why);
	if (err != ERR_OK) {
		host_service_free(s);
		return err;
	}
	/* Worth a warning, but no reason not to serve. */
	struct cache_value *first = NULL;
	struct errmsg reason = ERRMSG_INIT;
	if (collect(s, HOST_STATS, &first, &reason) != ERR_OK)
		LOG_EVENT(LOG_WARNING, "sample_failing",
			  LOG_STR("kind", host_kind_names[HOST_STATS]),
			  LOG_STR("detail", reason.text));
	cache_value_unref(first);
	*out = s;
	return ERR_OK;
}

/* Keeps the later of two samples in *value and lets go of the other. */
static void keep_later(struct cache_value **value, struct cache_value *other, enum host_kind kind)
{
	struct host_view ours, theirs;
	if (host_sample_open(other, kind, &theirs) &&
	    (!host_sample_open(*value, kind, &ours) || theirs.taken_us > ours.taken_us)) {
		cache_value_unref(*value);
		*value = other;
	} else {
		cache_value_unref(other);
	}
}

/* A NULL deadline does not wait for another thread to be done with it. */
static bool take_collector(struct host_service *s, const struct deadline *deadline)
{
	pthread_mutex_lock(&s->lock);
	while (s->collecting && deadline != NULL && wait_until(&s->collected, &s->lock, deadline))
		continue;
	bool taken = !s->collecting;
	s->collecting = true;
	pthread_mutex_unlock(&s->lock);
	return taken;
}

static void leave_collector(struct host_service *s)
{
	pthread_mutex_lock(&s->lock);
	s->collecting = false;
	pthread_cond_signal(&s->collected);
	pthread_mutex_unlock(&s->lock);
}

/*
 * This thread was elected to get this host's sample when memcached had none that is
 * young.  *value is the last one known, or NULL.
 */
static enum err collect_own(struct host_service *s, enum host_kind kind,
			    const struct deadline *deadline, struct cache_value **value,
			    bool *collected, struct errmsg *why)
{
	/* Who has something to show does not wait for another collecting thread. */
	struct errmsg reason = ERRMSG_INIT;
	enum err err = ERR_TIMEOUT;
	if (take_collector(s, *value != NULL ? NULL : deadline)) {
		err = collect(s, kind, value, &reason);
		leave_collector(s);
	}
	*collected = err == ERR_OK;
	if (*collected)
		return ERR_OK;
	if (*value != NULL) {
		cache_store(s->cache, &s->keys[kind], *value, s->timing.l1_ttl_ms);
		return ERR_OK;
	}
	cache_abandon(s->cache, &s->keys[kind]);
	if (err == ERR_TIMEOUT)
		return err_set(why, ERR_TIMEOUT, "no sample of %s could be taken in time",
			       host_kind_names[kind]);
	return err_set(why, ERR_UNAVAILABLE, "%s", reason.text);
}

static enum err refresh_own(struct host_service *s, enum host_kind kind,
			    const struct deadline *deadline, struct cache_value **value,
			    bool *collected, struct errmsg *why)
{
	struct cache_value *fetched = NULL;
	cache_fetch(s->cache, &s->keys[kind], &fetched, NULL);
	bool published = host_sample_is_young(&s->timing, fetched, kind);
	keep_later(value, fetched, kind);
	if (!published)
		return collect_own(s, kind, deadline, value, collected, why);
	cache_store(s->cache, &s->keys[kind], *value, s->timing.l1_ttl_ms);
	return ERR_OK;
}

static enum cache_found lookup_own(struct host_service *s, enum host_kind kind,
				   const struct deadline *deadline, struct cache_value **value)
{
	const struct cache_key *key = &s->keys[kind];
	enum cache_found found = cache_lookup(s->cache, key, deadline, value);
	if (found != CACHE_REFRESHING || deadline == NULL ||
	    host_sample_is_young(&s->timing, *value, kind))
		return found;
	/* After a pause in the requests it may be very old, and the new one is near. */
	struct deadline patience = deadline_min_ms(deadline, s->patience_ms);
	cache_wait(s->cache, key, &patience);
	cache_value_unref(*value);
	return cache_lookup(s->cache, key, deadline, value);
}

static enum err read_own(struct host_service *s, enum host_kind kind,
			 const struct deadline *deadline, struct cache_value **value,
			 bool *collected, struct errmsg *why)
{
	switch (lookup_own(s, kind, deadline, value)) {
	case CACHE_HIT:
	case CACHE_REFRESHING:
		break;
	case CACHE_ELECTED:
		return refresh_own(s, kind, deadline, value, collected, why);
	case CACHE_GAVE_UP:
		return err_set(why, ERR_TIMEOUT, "no sample of %s came in time",
			       host_kind_names[kind]);
	}
	return ERR_OK;
}

static void note_own_interest(const struct host_service *s, enum host_kind kind)
{
	if (s->scoreboard == NULL)
		return;
	int64_t now = clock_mono_ns();
	int64_t stamped = scoreboard_interest(s->scoreboard, (unsigned)kind);
	if (stamped == 0 || now - stamped > STAMP_AGAIN_NS)
		scoreboard_stamp_interest(s->scoreboard, (unsigned)kind, now);
}

enum err host_service_read(struct host_service *s, const char *host, enum host_kind kind,
			   const struct deadline *deadline, struct host_answer *out,
			   struct errmsg *why)
{
	bool own = host == NULL || *host == '\0' || strcmp(host, s->host_id) == 0;
	if (host_kind_is_costly(kind) && own)
		note_own_interest(s, kind);

	*out = (struct host_answer){0};
	bool collected = false;
	enum err err = own ? read_own(s, kind, deadline, &out->value, &collected, why)
			   : host_others_read(&s->others, host, kind, deadline, &out->value, why);
	if (err != ERR_OK)
		return err;
	if (!host_sample_open(out->value, kind, &out->view)) {
		host_answer_release(out);
		return err_set(why, ERR_UNAVAILABLE, "no sample of %s can be read",
			       host_kind_names[kind]);
	}
	out->stale = host_sample_is_old(&s->timing, &out->view, clock_wall_us());
	enum source source = out->stale  ? SOURCE_STALE
			     : collected ? SOURCE_COLLECTED
					 : SOURCE_CACHED;
	atomic_fetch_add_explicit(&s->answers[source], 1, memory_order_relaxed);
	return ERR_OK;
}

void host_answer_release(struct host_answer *answer)
{
	cache_value_unref(answer->value);
	*answer = (struct host_answer){0};
}

void host_json_mark(const char *json, size_t len, bool stale, struct strbuf *out)
{
	static const char mark[] = "{\"stale\":true";
	strbuf_reserve(out, len + sizeof(mark));
	if (stale && len >= 2 && json[0] == '{') {
		strbuf_add(out, mark, sizeof(mark) - 1);
		json++;
		len--;
		if (*json != '}')
			strbuf_addc(out, ',');
	}
	strbuf_add(out, json, len);
}

void host_answer_json(const struct host_answer *answer, struct strbuf *out)
{
	host_json_mark(answer->view.json, answer->view.json_len, answer->stale, out);
}

enum err host_service_summary(struct host_service *s, struct host_summary *out, struct errmsg *why)
{
	struct cache_value *value;
	const struct cache_key *key = &s->keys[HOST_STATS];
	enum cache_found found = cache_lookup(s->cache, key, NULL, &value);
	bool stored = false;
	if (!host_sample_is_young(&s->timing, value, HOST_STATS) && take_collector(s, NULL)) {
		stored = collect(s, HOST_STATS, &value, NULL) == ERR_OK;
		leave_collector(s);
	}
	if (found == CACHE_ELECTED && !stored)
		cache_abandon(s->cache, key);
	struct host_view view;
	enum err err = host_sample_open(value, HOST_STATS, &view)
			   ? host_view_summary(&view, out)
			   : err_set(why, ERR_UNAVAILABLE, "no sample of this host could be taken");
	cache_value_unref(value);
	return err;
}

enum err host_service_withdraw(struct host_service *s, struct errmsg *why)
{
	enum err worst = ERR_OK;
	for (int kind = 0; kind < HOST_KIND_COUNT; kind++) {
		enum err err = cache_withdraw(s->cache, &s->keys[kind], why);
		worst = err != ERR_OK ? err : worst;
	}
	return worst;
}

void host_service_stats_read(const struct host_service *s, struct host_service_stats *out)
{
	*out = (struct host_service_stats){
	    .cached = atomic_load_explicit(&s->answers[SOURCE_CACHED], memory_order_relaxed),
	    .collected = atomic_load_explicit(&s->answers[SOURCE_COLLECTED], memory_order_relaxed),
	    .stale = atomic_load_explicit(&s->answers[SOURCE_STALE], memory_order_relaxed),
	};
}
