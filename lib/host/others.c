#include "host/others.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"

enum {
	/* Another host notices within a second that its costly samples are wanted. */
	FIRST_SAMPLE_PATIENCE_MS = 2000,
	FIRST_SAMPLE_PAUSE_MS = 50,
	/* Asking the database about another host, and how long its answer serves. */
	DATABASE_PATIENCE_MS = 1000,
	SIGHTING_TTL_MS = 1000,
};

/*
 * L1, then memcached; a thread at a time asks for one key.  What is missing is remembered
 * too.  After an error *value may be an old one.
 */
static enum err read_cached(const struct host_others *o, const struct cache_key *key,
			    const struct deadline *deadline, struct cache_value **value,
			    struct errmsg *why)
{
	enum cache_found found = cache_lookup(o->cache, key, deadline, value);
	if (found == CACHE_GAVE_UP)
		return err_set(why, ERR_TIMEOUT, "memcached's answer did not come in time");
	if (found == CACHE_ELECTED) {
		struct cache_value *fetched;
		enum err err = cache_fetch(o->cache, key, &fetched, why);
		if (err == ERR_UNAVAILABLE || err == ERR_NOMEM) {
			cache_abandon(o->cache, key);
			return err;
		}
		cache_store(o->cache, key, fetched, o->timing.l1_ttl_ms);
		cache_value_unref(*value);
		*value = fetched;
	}
	return *value != NULL ? ERR_OK : ERR_NOT_FOUND;
}

/* This thread was elected to ask. */
static enum err ask_database(const struct host_others *o, const char *host,
			     const struct cache_key *key, const struct deadline *deadline,
			     struct host_sighting *out, struct errmsg *why)
{
	enum err err = o->find(o->find_context, host, deadline, out, why);
	struct cache_value *value = err == ERR_OK ? cache_value_new(out, sizeof(*out)) : NULL;
	if (err == ERR_NOT_FOUND || value != NULL)
		cache_store(o->cache, key, value, SIGHTING_TTL_MS);
	else
		cache_abandon(o->cache, key);
	cache_value_unref(value);
	return err;
}

/* What the database says of a host; remembered for a moment, also that there is none. */
static enum err find_host(const struct host_others *o, const char *host,
			  const struct deadline *deadline, struct host_sighting *out,
			  struct errmsg *why)
{
	const char *parts[] = {"sighting", host};
	struct cache_key key;
	cache_key_make(&key, parts, ARRAY_LEN(parts));
	struct cache_value *value;
	enum err err = ERR_OK;
	switch (cache_lookup(o->cache, &key, deadline, &value)) {
	case CACHE_HIT:
	case CACHE_REFRESHING:
		if (value == NULL)
			err = err_set(why, ERR_NOT_FOUND, "there is no host \"%s\"", host);
		else
			memcpy(out, value->data, sizeof(*out));
		break;
	case CACHE_ELECTED:
		err = ask_database(o, host, &key, deadline, out, why);
		break;
	case CACHE_GAVE_UP:
		err = ERR_TIMEOUT;
	}
	cache_value_unref(value);
	return err;
}

static void read_heartbeat(const struct host_others *o, const char *host,
			   const struct deadline *deadline, struct host_sighting *out)
{
	struct cache_key key;
	host_heartbeat_key(host, &key);
	struct cache_value *value;
	read_cached(o, &key, deadline, &value, NULL);
	int64_t age_us = 0;
	if (value != NULL && host_heartbeat_parse(value, &out->seen_us))
		age_us = clock_wall_us() - out->seen_us;
	out->is_up = out->seen_us != 0 && age_us < INT64_C(3) * HOST_HEARTBEAT_MS * US_PER_MS;
	cache_value_unref(value);
}

/* ERR_NOT_FOUND only when the database says so; *out is empty when nobody knows anything. */
static enum err look_up(const struct host_others *o, const char *host,
			const struct deadline *deadline, struct host_sighting *out,
			struct errmsg *why)
{
	*out = (struct host_sighting){0};
	struct errmsg reason = ERRMSG_INIT;
	enum err err = ERR_UNAVAILABLE;
	if (o->find != NULL && deadline != NULL) {
		/* The database may hang; there is something left to say without it. */
		struct deadline limit = deadline_min_ms(deadline, DATABASE_PATIENCE_MS);
		err = find_host(o, host, &limit, out, &reason);
	}
	if (err == ERR_NOT_FOUND)
		return err_set(why, err, "host: %s", reason.text);
	if (err != ERR_OK)
		read_heartbeat(o, host, deadline, out);
	return ERR_OK;
}

static enum err not_shown(const char *host, const struct host_sighting *sighting,
			  const char *reason, struct errmsg *why)
{
	if (sighting->seen_us == 0)
		return err_set(why, ERR_UNAVAILABLE,
			       "host \"%s\" has not been seen, and the database can not be asked "
			       "about it: %s",
			       host, reason);
	char seen[CLOCK_TEXT_MAX];
	clock_format_utc(sighting->seen_us, seen);
	return err_set(why, ERR_UNAVAILABLE, "host \"%s\" was last seen %s: %s", host, seen,
		       reason);
}

/* Through memcached, three times within interest_ttl at most; false when it was known already. */
static bool note_other_interest(const struct host_others *o, const char *host, enum host_kind kind)
{
	struct cache_key key;
	host_interest_key(host, kind, &key);
	struct cache_value *none;
	if (cache_lookup(o->cache, &key, NULL, &none) != CACHE_ELECTED)
		return false;
	if (host_interest_publish(o->cache, &o->timing, host, kind, NULL) != ERR_OK) {
		cache_abandon(o->cache, &key);
		return false;
	}
	cache_store(o->cache, &key, NULL, o->timing.interest_ttl_ms / 3);
	return true;
}

/* A pause that the end of the client ends. */
static bool client_stays(const struct deadline *deadline, int pause_ms)
{
	struct pollfd client = {.fd = deadline->client_fd, .events = POLLRDHUP};
	return poll(&client, 1, pause_ms) <= 0;
}

/*
 * The other host looks every second whether anybody asks, and then takes a sample.  One
 * thread waits for that; the others, which find it noted that somebody asked, don't.
 */
static bool await_first(const struct host_others *o, const struct cache_key *key,
			enum host_kind kind, const struct deadline *deadline,
			struct cache_value **value)
{
	struct deadline patience = deadline_min_ms(deadline, FIRST_SAMPLE_PATIENCE_MS);
	enum err err = ERR_NOT_FOUND;
	while (err != ERR_UNAVAILABLE && !deadline_passed(&patience) &&
	       client_stays(&patience, FIRST_SAMPLE_PAUSE_MS)) {
		err = cache_fetch(o->cache, key, value, NULL);
		if (host_sample_is_young(&o->timing, *value, kind)) {
			cache_store(o->cache, key, *value, o->timing.l1_ttl_ms);
			return true;
		}
		cache_value_unref(*value);
		*value = NULL;
	}
	return false;
}

enum err host_others_read(const struct host_others *o, const char *host, enum host_kind kind,
			  const struct deadline *deadline, struct cache_value **value,
			  struct errmsg *why)
{
	struct cache_key key;
	host_sample_key(host, kind, &key);
	struct errmsg reason = ERRMSG_INIT;
	enum err err = read_cached(o, &key, deadline, value, &reason);
	if (host_sample_is_young(&o->timing, *value, kind)) {
		if (host_kind_is_costly(kind))
			note_other_interest(o, host, kind);
		return ERR_OK;
	}
	cache_value_unref(*value);
	*value = NULL;
	if (err == ERR_TIMEOUT)
		return err_set(why, err, "%s", reason.text);
	if (err == ERR_OK || err == ERR_NOT_FOUND)
		snprintf(reason.text, sizeof(reason.text), "there is no recent sample of its %s",
			 host_kind_names[kind]);
	struct host_sighting sighting;
	err = look_up(o, host, deadline, &sighting, why);
	if (err != ERR_OK)
		return err;
	if (host_kind_is_costly(kind) && note_other_interest(o, host, kind) && sighting.is_up &&
	    deadline != NULL && await_first(o, &key, kind, deadline, value))
		return ERR_OK;
	return not_shown(host, &sighting, reason.text, why);
}
