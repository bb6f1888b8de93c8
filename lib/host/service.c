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

/* How long to wait for another thread's new sample before showing one that is too old. */
enum { STALE_PATIENCE_MS = 100 };

enum source { SOURCE_CACHED, SOURCE_COLLECTED, SOURCE_STALE, SOURCE_COUNT };

struct host_service {
	char *host_id;
	struct host_timing timing;
	struct cache *cache;
	struct scoreboard *scoreboard;
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
	s->cache = options->cache;
	s->scoreboard = options->scoreboard;
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

static bool is_sample(const struct cache_value *value, enum host_kind kind, struct host_view *view)
{
	return value != NULL && host_view_open(value->data, value->len, view) == ERR_OK &&
	       view->kind == kind;
}

/* Young enough to show without a remark. */
static bool is_young(const struct host_service *s, const struct cache_value *value,
		     enum host_kind kind)
{
	struct host_view view;
	return is_sample(value, kind, &view) &&
	       !host_sample_is_old(&s->timing, &view, clock_wall_us());
}

/* Keeps the later of two samples in *value and lets go of the other. */
static void keep_later(struct cache_value **value, struct cache_value *other, enum host_kind kind)
{
	struct host_view ours, theirs;
	if (is_sample(other, kind, &theirs) &&
	    (!is_sample(*value, kind, &ours) || theirs.taken_us > ours.taken_us)) {
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
	bool published = is_young(s, fetched, kind);
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
	if (found != CACHE_REFRESHING || deadline == NULL || is_young(s, *value, kind))
		return found;
	/* After a pause in the requests it may be very old, and the new one is near. */
	struct deadline patience = deadline_min_ms(deadline, STALE_PATIENCE_MS);
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

/* L1, then memcached; a thread at a time asks for one key.  What is missing is remembered too. */
static enum err read_cached(struct host_service *s, const struct cache_key *key,
			    const struct deadline *deadline, struct cache_value **value,
			    struct errmsg *why)
{
	enum cache_found found = cache_lookup(s->cache, key, deadline, value);
	if (found == CACHE_GAVE_UP)
		return err_set(why, ERR_TIMEOUT, "memcached's answer did not come in time");
	if (found == CACHE_ELECTED) {
		struct cache_value *fetched;
		enum err err = cache_fetch(s->cache, key, &fetched, why);
		if (err == ERR_UNAVAILABLE || err == ERR_NOMEM) {
			cache_abandon(s->cache, key);
			return *value != NULL ? ERR_OK : err;
		}
		cache_store(s->cache, key, fetched, s->timing.l1_ttl_ms);
		cache_value_unref(*value);
		*value = fetched;
	}
	return *value != NULL ? ERR_OK : ERR_NOT_FOUND;
}

/* Says when the host was last seen: in its heartbeat, or in the sample that is too old. */
static enum err not_seen(struct host_service *s, const char *host, enum host_kind kind,
			 int64_t seen_us, const struct deadline *deadline, struct errmsg *why)
{
	struct cache_key key;
	host_heartbeat_key(host, &key);
	struct cache_value *value;
	struct errmsg reason = ERRMSG_INIT;
	enum err err = read_cached(s, &key, deadline, &value, &reason);
	int64_t beat_us;
	if (err == ERR_OK && host_heartbeat_parse(value, &beat_us) && beat_us > seen_us)
		seen_us = beat_us;
	cache_value_unref(value);
	if (seen_us == 0 && err != ERR_OK && err != ERR_NOT_FOUND)
		return err_set(why, ERR_UNAVAILABLE, "host \"%s\": %s", host, reason.text);
	if (seen_us == 0)
		return err_set(why, ERR_UNAVAILABLE, "host \"%s\" has not been seen", host);
	char seen[CLOCK_TEXT_MAX];
	clock_format_utc(seen_us, seen);
	return err_set(why, ERR_UNAVAILABLE,
		       "host \"%s\" has no recent sample of %s; it was last seen %s", host,
		       host_kind_names[kind], seen);
}

static enum err read_other(struct host_service *s, const char *host, enum host_kind kind,
			   const struct deadline *deadline, struct cache_value **value,
			   struct errmsg *why)
{
	struct cache_key key;
	host_sample_key(host, kind, &key);
	enum err err = read_cached(s, &key, deadline, value, why);
	if (err == ERR_TIMEOUT || (err == ERR_OK && is_young(s, *value, kind)))
		return err;
	struct host_view view;
	int64_t seen_us = is_sample(*value, kind, &view) ? view.taken_us : 0;
	cache_value_unref(*value);
	*value = NULL;
	return not_seen(s, host, kind, seen_us, deadline, why);
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

/* Through memcached, three times within interest_ttl at most. */
static void note_other_interest(struct host_service *s, const char *host, enum host_kind kind)
{
	struct cache_key key;
	host_interest_key(host, kind, &key);
	struct cache_value *none;
	if (cache_lookup(s->cache, &key, NULL, &none) != CACHE_ELECTED)
		return;
	if (host_interest_publish(s->cache, &s->timing, host, kind, NULL) == ERR_OK)
		cache_store(s->cache, &key, NULL, s->timing.interest_ttl_ms / 3);
	else
		cache_abandon(s->cache, &key);
}

enum err host_service_read(struct host_service *s, const char *host, enum host_kind kind,
			   const struct deadline *deadline, struct host_answer *out,
			   struct errmsg *why)
{
	bool own = host == NULL || *host == '\0' || strcmp(host, s->host_id) == 0;
	if (host_kind_is_costly(kind) && own)
		note_own_interest(s, kind);
	else if (host_kind_is_costly(kind))
		note_other_interest(s, host, kind);

	*out = (struct host_answer){0};
	bool collected = false;
	enum err err = own ? read_own(s, kind, deadline, &out->value, &collected, why)
			   : read_other(s, host, kind, deadline, &out->value, why);
	if (err != ERR_OK)
		return err;
	if (!is_sample(out->value, kind, &out->view)) {
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
	if (!is_young(s, value, HOST_STATS) && take_collector(s, NULL)) {
		stored = collect(s, HOST_STATS, &value, NULL) == ERR_OK;
		leave_collector(s);
	}
	if (found == CACHE_ELECTED && !stored)
		cache_abandon(s->cache, key);
	struct host_view view;
	enum err err = is_sample(value, HOST_STATS, &view)
			   ? host_view_summary(&view, out)
			   : err_set(why, ERR_UNAVAILABLE, "no sample of this host could be taken");
	cache_value_unref(value);
	return err;
}

void host_service_stats_read(const struct host_service *s, struct host_service_stats *out)
{
	*out = (struct host_service_stats){
	    .cached = atomic_load_explicit(&s->answers[SOURCE_CACHED], memory_order_relaxed),
	    .collected = atomic_load_explicit(&s->answers[SOURCE_COLLECTED], memory_order_relaxed),
	    .stale = atomic_load_explicit(&s->answers[SOURCE_STALE], memory_order_relaxed),
	};
}
