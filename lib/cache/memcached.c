#include "cache/memcached.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libmemcached/memcached.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "cache/breaker.h"
#include "cache/servers.h"

enum {
	/* What stands before each value: "zc1 KEY LENGTH\n", the length in eight hex digits. */
	FRAME_LEN = 4 + CACHE_KEY_HEX + 1 + 8 + 1,
	CHECK_KEYS_TRIED = 4096,
	HANDLE_MAGIC = 0x6d634831,
};

struct handle {
	unsigned magic;
	struct memcached *owner;
	memcached_st *mc; /* NULL after a failure; opened again at the next use */
	bool used;        /* has answered, so its connection may have gone stale */
	uint64_t generation;
	struct handle *next, *prev; /* all threads' handles, under the owner's lock */
};

struct memcached {
	struct cache_servers servers;
	struct breaker *breakers;     /* one a server */
	struct cache_key *check_keys; /* one that leads to each server */
	int64_t timeout_ms;
	int64_t pause_ns;
	pthread_key_t handle_key;
	pthread_mutex_t lock;
	struct handle *handles;
	/* Grows when a connection fails: every thread then opens new ones. */
	_Atomic uint64_t generation;
	_Atomic uint64_t hits, misses, stores, errors, mismatches, skipped;
};

static void handle_close(struct handle *h)
{
	if (h->mc != NULL)
		memcached_free(h->mc);
	h->mc = NULL;
	h->used = false;
}

static void handle_free(void *pointer)
{
	struct handle *h = pointer;
	CHECK_MAGIC(h, HANDLE_MAGIC);
	pthread_mutex_lock(&h->owner->lock);
	*(h->prev != NULL ? &h->prev->next : &h->owner->handles) = h->next;
	if (h->next != NULL)
		h->next->prev = h->prev;
	pthread_mutex_unlock(&h->owner->lock);
	handle_close(h);
	h->magic = 0;
	free(h);
}

static bool set_behaviors(memcached_st *mc, int64_t timeout_ms, size_t servers)
{
	const struct {
		memcached_behavior_t which;
		uint64_t value;
	} wanted[] = {
	    {MEMCACHED_BEHAVIOR_NO_BLOCK, 1},
	    {MEMCACHED_BEHAVIOR_TCP_NODELAY, 1},
	    {MEMCACHED_BEHAVIOR_CONNECT_TIMEOUT, (uint64_t)timeout_ms},
	    {MEMCACHED_BEHAVIOR_POLL_TIMEOUT, (uint64_t)timeout_ms},
	    {MEMCACHED_BEHAVIOR_SND_TIMEOUT, (uint64_t)(timeout_ms * 1000)},
	    {MEMCACHED_BEHAVIOR_RCV_TIMEOUT, (uint64_t)(timeout_ms * 1000)},
	};
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		if (memcached_behavior_set(mc, wanted[i].which, wanted[i].value) !=
		    MEMCACHED_SUCCESS)
			return false;
	return servers == 1 ||
	       memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_KETAMA, 1) == MEMCACHED_SUCCESS;
}

static memcached_st *open_connections(const struct memcached *m)
{
	memcached_st *mc = memcached_create(NULL);
	if (mc == NULL)
		return NULL;
	bool good = set_behaviors(mc, m->timeout_ms, m->servers.count);
	for (size_t i = 0; i < m->servers.count && good; i++) {
		const struct cache_server *server = &m->servers.list[i];
		good =
		    (server->port == 0 ? memcached_server_add_unix_socket(mc, server->address)
				       : memcached_server_add(mc, server->address, server->port)) ==
		    MEMCACHED_SUCCESS;
	}
	if (!good) {
		memcached_free(mc);
		return NULL;
	}
	return mc;
}

static struct handle *handle_new(struct memcached *m)
{
	struct handle *h = calloc(1, sizeof(*h));
	if (h == NULL)
		return NULL;
	*h = (struct handle){.magic = HANDLE_MAGIC, .owner = m};
	if (pthread_setspecific(m->handle_key, h) != 0) {
		free(h);
		return NULL;
	}
	pthread_mutex_lock(&m->lock);
	h->next = m->handles;
	if (h->next != NULL)
		h->next->prev = h;
	m->handles = h;
	pthread_mutex_unlock(&m->lock);
	return h;
}

/* This thread's, with connections no older than the last failure; NULL without memory. */
static struct handle *handle_get(struct memcached *m)
{
	struct handle *h = pthread_getspecific(m->handle_key);
	if (h == NULL && (h = handle_new(m)) == NULL)
		return NULL;
	uint64_t generation = atomic_load_explicit(&m->generation, memory_order_relaxed);
	if (h->generation != generation)
		handle_close(h);
	h->generation = generation;
	if (h->mc == NULL)
		h->mc = open_connections(m);
	return h->mc != NULL ? h : NULL;
}

/* A key for each server, so that each can be asked for something. */
static bool find_check_keys(struct memcached *m)
{
	struct handle *h = handle_get(m);
	size_t found = 0;
	for (int n = 0; h != NULL && n < CHECK_KEYS_TRIED && found < m->servers.count; n++) {
		char number[16];
		snprintf(number, sizeof(number), "%d", n);
		const char *parts[] = {"check", number};
		struct cache_key key;
		cache_key_make(&key, parts, ARRAY_LEN(parts));
		uint32_t server = memcached_generate_hash(h->mc, key.hex, CACHE_KEY_HEX);
		if (server < m->servers.count && m->check_keys[server].hex[0] == '\0') {
			m->check_keys[server] = key;
			found++;
		}
	}
	return found == m->servers.count;
}

enum err memcached_new(const struct cache_options *options, struct memcached **out,
		       struct errmsg *why)
{
	struct memcached *m = calloc(1, sizeof(*m));
	if (m == NULL)
		return err_set(why, ERR_NOMEM, "out of memory");
	if (pthread_key_create(&m->handle_key, handle_free) != 0) {
		free(m);
		return err_set(why, ERR_NOMEM, "no key for thread-specific data is left");
	}
	pthread_mutex_init(&m->lock, NULL);
	m->timeout_ms = options->timeout_ms;
	m->pause_ns = options->retry_ms * NS_PER_MS;
	enum err err = cache_servers_parse(options->servers, &m->servers, why);
	if (err == ERR_OK && m->servers.count == 0) {
		err = err_set(why, ERR_INVALID, "memcached: \"%s\" names no server",
			      options->servers);
	} else if (err == ERR_OK) {
		m->breakers = calloc(m->servers.count, sizeof(*m->breakers));
		m->check_keys = calloc(m->servers.count, sizeof(*m->check_keys));
		if (m->breakers == NULL || m->check_keys == NULL || !find_check_keys(m))
			err = err_set(why, ERR_NOMEM, "memcached: can't set up a client");
	}
	if (err != ERR_OK) {
		memcached_close(m);
		return err;
	}
	*out = m;
	return ERR_OK;
}

void memcached_close(struct memcached *m)
{
	if (m == NULL)
		return;
	pthread_key_delete(m->handle_key);
	for (struct handle *h = m->handles, *next; h != NULL; h = next) {
		next = h->next;
		handle_free(h);
	}
	pthread_mutex_destroy(&m->lock);
	cache_servers_release(&m->servers);
	free(m->breakers);
	free(m->check_keys);
	free(m);
}

struct exchange {
	const struct cache_key *key;
	struct cache_value **value; /* of a get */
	const char *frame;          /* of a set: the framed value */
	size_t frame_len;
	time_t expires_s;
	uint64_t number;        /* of a count: what it has come to */
	struct cache_size size; /* of a look at the sizes */
	bool mismatched;        /* the value was another key's, or not ours */
};

typedef memcached_return_t exchange_function(memcached_st *mc, struct exchange *x);

static void frame_write(char frame[FRAME_LEN + 1], const struct cache_key *key, size_t len)
{
	int written = snprintf(frame, FRAME_LEN + 1, "zc1 %s %08zx\n", key->hex, len);
	AN_INVARIANT(written == FRAME_LEN);
}

static memcached_return_t exchange_get(memcached_st *mc, struct exchange *x)
{
	memcached_return_t rc;
	size_t len = 0;
	uint32_t flags;
	char *text = memcached_get(mc, x->key->hex, CACHE_KEY_HEX, &len, &flags, &rc);
	if (rc == MEMCACHED_SUCCESS) {
		char frame[FRAME_LEN + 1] = "";
		if (len >= FRAME_LEN)
			frame_write(frame, x->key, len - FRAME_LEN);
		if (text == NULL || len < FRAME_LEN || memcmp(text, frame, FRAME_LEN) != 0)
			x->mismatched = true;
		else
			*x->value = cache_value_new(text + FRAME_LEN, len - FRAME_LEN);
	}
	free(text);
	return rc;
}

static memcached_return_t exchange_set(memcached_st *mc, struct exchange *x)
{
	return memcached_set(mc, x->key->hex, CACHE_KEY_HEX, x->frame, x->frame_len, x->expires_s,
			     0);
}

/* memcached begins no counter by itself; of those who find none one adds it, as 1. */
static memcached_return_t exchange_count(memcached_st *mc, struct exchange *x)
{
	static const char first[] = "1";
	memcached_return_t rc = memcached_increment(mc, x->key->hex, CACHE_KEY_HEX, 1, &x->number);
	if (rc != MEMCACHED_NOTFOUND)
		return rc;
	rc = memcached_add(mc, x->key->hex, CACHE_KEY_HEX, first, sizeof(first) - 1, x->expires_s,
			   0);
	x->number = 1;
	if (rc != MEMCACHED_NOTSTORED)
		return rc;
	return memcached_increment(mc, x->key->hex, CACHE_KEY_HEX, 1, &x->number);
}

static memcached_return_t exchange_delete(memcached_st *mc, struct exchange *x)
{
	return memcached_delete(mc, x->key->hex, CACHE_KEY_HEX, 0);
}

/* Asks all servers, whichever the key leads to. */
static memcached_return_t exchange_size(memcached_st *mc, struct exchange *x)
{
	memcached_return_t rc;
	memcached_stat_st *stats = memcached_stat(mc, NULL, &rc);
	x->size = (struct cache_size){0};
	for (uint32_t i = 0; stats != NULL && i < memcached_server_count(mc); i++) {
		x->size.items += stats[i].curr_items;
		x->size.bytes += stats[i].bytes;
	}
	memcached_stat_free(mc, stats);
	return rc;
}

enum outcome { ANSWERED, REFUSED, FAILED };

/* REFUSED: the server is there but would not do it. */
static enum outcome outcome_of(memcached_return_t rc)
{
	switch (rc) {
	case MEMCACHED_SUCCESS:
	case MEMCACHED_STORED:
	case MEMCACHED_NOTFOUND:
		return ANSWERED;
	case MEMCACHED_SERVER_ERROR:
	case MEMCACHED_SERVER_MEMORY_ALLOCATION_FAILURE:
	case MEMCACHED_E2BIG:
	case MEMCACHED_NOTSTORED:
		return REFUSED;
	default:
		return FAILED;
	}
}

static time_t expiry_s(int64_t ttl_ms)
{
	return (time_t)((ttl_ms + MS_PER_S - 1) / MS_PER_S);
}

static enum outcome try_exchange(struct memcached *m, struct handle *h, exchange_function *function,
				 struct exchange *x, memcached_return_t *rc)
{
	*rc = function(h->mc, x);
	enum outcome outcome = outcome_of(*rc);
	/* A server that was restarted: the old connection says so at once, a new one works. */
	if (outcome == FAILED && h->used && *rc != MEMCACHED_TIMEOUT) {
		handle_close(h);
		h->mc = open_connections(m);
		if (h->mc == NULL)
			return FAILED;
		*rc = function(h->mc, x);
		outcome = outcome_of(*rc);
	}
	h->used = true;
	return outcome;
}

static void note_failure(struct memcached *m, size_t server, const char *reason)
{
	atomic_fetch_add(&m->generation, 1);
	atomic_fetch_add(&m->errors, 1);
	if (breaker_failed(&m->breakers[server], clock_mono_ns(), m->pause_ns))
		LOG_EVENT(LOG_WARNING, "memcached_down",
			  LOG_STR("server", m->servers.list[server].name),
			  LOG_STR("reason", reason));
}

static void note_answer(struct memcached *m, size_t server)
{
	if (breaker_worked(&m->breakers[server]))
		LOG_EVENT(LOG_INFO, "memcached_up",
			  LOG_STR("server", m->servers.list[server].name));
}

static enum err exchange(struct memcached *m, exchange_function *function, struct exchange *x,
			 memcached_return_t *rc, struct errmsg *why)
{
	struct handle *h = handle_get(m);
	if (h == NULL)
		return err_set(why, ERR_NOMEM, "out of memory");
	size_t server = memcached_generate_hash(h->mc, x->key->hex, CACHE_KEY_HEX);
	AN_INVARIANT(server < m->servers.count);
	const char *name = m->servers.list[server].name;
	if (!breaker_allows(&m->breakers[server], clock_mono_ns(), m->pause_ns)) {
		atomic_fetch_add_explicit(&m->skipped, 1, memory_order_relaxed);
		return err_set(why, ERR_UNAVAILABLE, "memcached at %s failed a moment ago", name);
	}
	enum outcome outcome = try_exchange(m, h, function, x, rc);
	if (outcome == ANSWERED) {
		note_answer(m, server);
		if (!x->mismatched)
			return ERR_OK;
		/* Whatever else comes on this connection is not to be trusted either. */
		handle_close(h);
		atomic_fetch_add(&m->errors, 1);
		atomic_fetch_add(&m->mismatches, 1);
		return err_set(why, ERR_NOT_FOUND, "memcached at %s has something else", name);
	}
	/* Copied: the text may belong to the handle. */
	char reason[128];
	snprintf(reason, sizeof(reason), "%s", memcached_strerror(h->mc, *rc));
	handle_close(h);
	if (outcome == REFUSED) {
		atomic_fetch_add(&m->errors, 1);
		note_answer(m, server);
	} else {
		note_failure(m, server, reason);
	}
	return err_set(why, ERR_UNAVAILABLE, "memcached at %s: %s", name, reason);
}

enum err memcached_fetch_value(struct memcached *m, const struct cache_key *key,
			       struct cache_value **value, struct errmsg *why)
{
	*value = NULL;
	struct exchange x = {.key = key, .value = value};
	memcached_return_t rc = MEMCACHED_FAILURE;
	enum err err = exchange(m, exchange_get, &x, &rc, why);
	if (err != ERR_OK)
		return err;
	if (rc == MEMCACHED_NOTFOUND) {
		atomic_fetch_add_explicit(&m->misses, 1, memory_order_relaxed);
		return err_set(why, ERR_NOT_FOUND, "memcached does not have it");
	}
	if (*value == NULL)
		return err_set(why, ERR_NOMEM, "out of memory");
	atomic_fetch_add_explicit(&m->hits, 1, memory_order_relaxed);
	return ERR_OK;
}

enum err memcached_publish(struct memcached *m, const struct cache_key *key, const void *bytes,
			   size_t len, int64_t ttl_ms, struct errmsg *why)
{
	char *frame = malloc(FRAME_LEN + 1 + len);
	if (frame == NULL)
		return err_set(why, ERR_NOMEM, "out of memory");
	frame_write(frame, key, len);
	memcpy(frame + FRAME_LEN, bytes, len);
	struct exchange x = {.key = key,
			     .frame = frame,
			     .frame_len = FRAME_LEN + len,
			     .expires_s = expiry_s(ttl_ms)};
	memcached_return_t rc = MEMCACHED_FAILURE;
	enum err err = exchange(m, exchange_set, &x, &rc, why);
	free(frame);
	if (err == ERR_OK)
		atomic_fetch_add_explicit(&m->stores, 1, memory_order_relaxed);
	return err;
}

enum err memcached_add_one(struct memcached *m, const struct cache_key *key, int64_t ttl_ms,
			   uint64_t *number, struct errmsg *why)
{
	struct exchange x = {.key = key, .expires_s = expiry_s(ttl_ms)};
	memcached_return_t rc = MEMCACHED_FAILURE;
	enum err err = exchange(m, exchange_count, &x, &rc, why);
	if (err == ERR_OK && rc == MEMCACHED_NOTFOUND)
		return err_set(why, ERR_UNAVAILABLE, "memcached loses its counters at once");
	*number = x.number;
	return err;
}

enum err memcached_withdraw(struct memcached *m, const struct cache_key *key, struct errmsg *why)
{
	struct exchange x = {.key = key};
	memcached_return_t rc = MEMCACHED_FAILURE;
	return exchange(m, exchange_delete, &x, &rc, why);
}

enum err memcached_held(struct memcached *m, struct cache_size *out, struct errmsg *why)
{
	struct exchange x = {.key = &m->check_keys[0]};
	memcached_return_t rc = MEMCACHED_FAILURE;
	enum err err = exchange(m, exchange_size, &x, &rc, why);
	*out = x.size;
	return err;
}

enum err memcached_check_all(struct memcached *m, struct errmsg *why)
{
	for (size_t i = 0; i < m->servers.count; i++) {
		struct cache_value *value = NULL;
		struct exchange x = {.key = &m->check_keys[i], .value = &value};
		memcached_return_t rc = MEMCACHED_FAILURE;
		enum err err = exchange(m, exchange_get, &x, &rc, why);
		cache_value_unref(value);
		if (err != ERR_OK)
			return err;
	}
	return ERR_OK;
}

bool memcached_is_available(const struct memcached *m)
{
	for (size_t i = 0; i < m->servers.count; i++)
		if (breaker_is_open(&m->breakers[i]))
			return false;
	return true;
}

void memcached_count(const struct memcached *m, struct cache_stats *out)
{
	out->memcached_hits += atomic_load_explicit(&m->hits, memory_order_relaxed);
	out->memcached_misses += atomic_load_explicit(&m->misses, memory_order_relaxed);
	out->memcached_stores += atomic_load_explicit(&m->stores, memory_order_relaxed);
	out->memcached_errors += atomic_load_explicit(&m->errors, memory_order_relaxed);
	out->memcached_mismatches += atomic_load_explicit(&m->mismatches, memory_order_relaxed);
	out->memcached_skipped += atomic_load_explicit(&m->skipped, memory_order_relaxed);
	for (size_t i = 0; i < m->servers.count; i++)
		out->servers_down += breaker_is_open(&m->breakers[i]);
}
