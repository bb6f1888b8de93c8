#include "auth/auth.h"

#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "auth/flight.h"
#include "auth/token_cache.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/io.h"
#include "conf/conf.h"
#include "shm/scoreboard.h"

/* What is remembered of a known token.  An unknown one has the first field alone. */
struct remembered {
	int64_t read_ns; /* monotonic: when the database began to be asked */
	uint64_t epoch;
	struct principal principal;
};

enum check { CHECK_REMEMBERED, CHECK_READ, CHECK_GRACE, CHECK_REFUSED, CHECK_COUNT };

enum { USED_KEYS_MAX = 256 };

struct auth {
	struct auth_config config;
	int64_t ttl_ns;
	int64_t grace_ns;
	uint8_t key[crypto_shorthash_siphashx24_KEYBYTES];
	struct token_cache *known;
	struct token_cache *unknown;
	struct flights flights;
	struct password_hasher *hasher;
	_Atomic uint64_t own_epoch;
	_Atomic int64_t outage_until_ns; /* who may use the grace does not ask before */
	_Atomic int64_t clean_at_ns;
	_Atomic uint64_t checks[CHECK_COUNT];
	pthread_mutex_t used_lock;
	size_t used_count;
	struct uuid used[USED_KEYS_MAX];
	size_t metrics_token_len; /* 0 for none */
	uint8_t metrics_token[TOKEN_DIGEST_LEN];
};

static const int64_t USE_NOTED_EVERY_US = 60 * US_PER_S;

/* While the database is silent one thread a second finds out whether it is back. */
enum { OUTAGE_PAUSE_MS = 1000, GRACE_WAIT_MS = 1000, METRICS_TOKEN_MIN = 16 };

void auth_config_load(struct auth_config *config, const struct conf *conf)
{
	config->cache_ttl_ms = conf_number(conf, token_cache_ttl);
	config->grace_ms = conf_number(conf, token_grace);
	config->cache_size = (size_t)conf_number(conf, token_cache_size);
	/* Sign-ins that hash and wait take half of the threads, and always leave one free. */
	unsigned half = (unsigned)conf_number(conf, threads) / 2;
	unsigned hashes = (unsigned)conf_number(conf, password_hashes);
	config->password_hashes = hashes < half ? hashes : half;
	config->password_waiting = half > hashes ? half - hashes : 1;
	config->metrics_token_file = conf_text(conf, metrics_token_file);
}

static enum err read_metrics_token(struct auth *a, struct errmsg *why)
{
	const char *path = a->config.metrics_token_file;
	if (path == NULL || *path == '\0')
		return ERR_OK;
	STRBUF_CLEANUP text = STRBUF_INIT;
	enum err err = io_read_file(path, 4096, &text, why);
	if (err != ERR_OK)
		return err;
	size_t len = strcspn(text.data, "\r\n");
	if (len < METRICS_TOKEN_MIN || strspn(text.data + len, "\r\n") != text.len - len)
		err = err_set(why, ERR_INVALID, "%s: needs one line of %d characters at least",
			      path, METRICS_TOKEN_MIN);
	else {
		a->metrics_token_len = len;
		token_digest(text.data, len, a->metrics_token);
	}
	sodium_memzero(text.data, text.len);
	return err;
}

enum err auth_new(const struct auth_config *config, struct auth **out, struct errmsg *why)
{
	AN_INVARIANT(config->load != NULL);
	if (sodium_init() < 0)
		return err_set(why, ERR_INTERNAL, "libsodium can't be initialised");
	struct auth *a = calloc(1, sizeof(*a));
	if (a == NULL)
		return err_set(why, ERR_NOMEM, "out of memory for the token cache");
	a->config = *config;
	a->ttl_ns = config->cache_ttl_ms * NS_PER_MS;
	a->grace_ns = config->grace_ms * NS_PER_MS;
	randombytes_buf(a->key, sizeof(a->key));
	flights_init(&a->flights);
	pthread_mutex_init(&a->used_lock, NULL);
	a->known = token_cache_new(config->cache_size, sizeof(struct remembered));
	a->unknown = token_cache_new(config->cache_size, sizeof(int64_t));
	enum err err = read_metrics_token(a, why);
	if (err == ERR_OK && (a->known == NULL || a->unknown == NULL))
		err = err_set(why, ERR_NOMEM, "out of memory for the token cache");
	if (err == ERR_OK)
		err = password_hasher_new(config->password_hashes, config->password_waiting,
					  &a->hasher, why);
	if (err == ERR_OK)
		*out = a;
	else
		auth_free(a);
	return err;
}

void auth_free(struct auth *a)
{
	if (a == NULL)
		return;
	password_hasher_free(a->hasher);
	token_cache_free(a->known);
	token_cache_free(a->unknown);
	flights_release(&a->flights);
	pthread_mutex_destroy(&a->used_lock);
	sodium_memzero(a, sizeof(*a));
	free(a);
}

static uint64_t current_epoch(struct auth *a)
{
	return a->config.board != NULL ? scoreboard_epoch(a->config.board)
				       : atomic_load_explicit(&a->own_epoch, memory_order_acquire);
}

void auth_revoked(struct auth *a)
{
	if (a->config.board != NULL)
		scoreboard_bump_epoch(a->config.board);
	else
		atomic_fetch_add_explicit(&a->own_epoch, 1, memory_order_acq_rel);
}

static struct token_key key_of(const struct auth *a, const char *token, size_t len)
{
	struct token_key key;
	_Static_assert(sizeof(key) == crypto_shorthash_siphashx24_BYTES, "a key is one hash");
	crypto_shorthash_siphashx24((unsigned char *)key.halves, (const unsigned char *)token, len,
				    a->key);
	return key;
}

static enum err not_valid(struct errmsg *why)
{
	return err_set(why, ERR_UNAUTHORIZED, "the token or key is not valid or has expired");
}

static void count(struct auth *a, enum check check)
{
	atomic_fetch_add_explicit(&a->checks[check], 1, memory_order_relaxed);
}

static enum err refuse(struct auth *a, struct errmsg *why)
{
	count(a, CHECK_REFUSED);
	return not_valid(why);
}

/* Lets the principal in, counted as found by `how`, unless the time is over. */
static enum err take(struct auth *a, const struct principal *principal, enum check how,
		     struct principal *out, struct errmsg *why)
{
	if (principal->expires_us <= clock_wall_us())
		return refuse(a, why);
	count(a, how);
	*out = *principal;
	return ERR_OK;
}

/* What a read of the database came to, for this caller. */
static enum err conclude(struct auth *a, const struct flight_result *result, struct principal *out,
			 struct errmsg *why)
{
	if (result->err == ERR_OK)
		return take(a, &result->principal, CHECK_READ, out, why);
	if (result->err == ERR_UNAUTHORIZED)
		count(a, CHECK_REFUSED);
	return err_set(why, result->err, "%s", result->why.text);
}

enum freshness { STALE, FRESH, KNOWN_UNKNOWN };

/* What memory says of the token; *found is filled when it was known once, fresh or not. */
static enum freshness look_up(struct auth *a, const struct token_key *key, uint64_t epoch,
			      struct remembered *found, bool *was_known)
{
	int64_t now = clock_mono_ns(), asked_ns;
	*was_known = token_cache_get(a->known, key, found);
	if (*was_known && found->epoch == epoch && now - found->read_ns < a->ttl_ns)
		return FRESH;
	if (token_cache_get(a->unknown, key, &asked_ns) && now - asked_ns < a->ttl_ns)
		return KNOWN_UNKNOWN;
	return STALE;
}

/*
 * A key's use is noted in the database once a minute, and by upkeep: here the key is
 * only remembered.  Where that is full, one that is still in use comes again in a second.
 */
static void note_use(struct auth *a, const struct principal *principal)
{
	if (uuid_is_nil(&principal->key_id) ||
	    clock_wall_us() - principal->key_used_us < USE_NOTED_EVERY_US)
		return;
	pthread_mutex_lock(&a->used_lock);
	size_t i = 0;
	while (i < a->used_count && !uuid_equal(&a->used[i], &principal->key_id))
		i++;
	if (i == a->used_count && i < USED_KEYS_MAX)
		a->used[a->used_count++] = principal->key_id;
	pthread_mutex_unlock(&a->used_lock);
}

size_t auth_take_used_keys(struct auth *a, struct uuid *out, size_t most)
{
	pthread_mutex_lock(&a->used_lock);
	size_t taken = a->used_count < most ? a->used_count : most;
	a->used_count -= taken;
	memcpy(out, a->used + a->used_count, taken * sizeof(*out));
	pthread_mutex_unlock(&a->used_lock);
	return taken;
}

/* Asks the database, as the one thread that does, and remembers its answer. */
static void read_token(struct auth *a, const struct token_key *key, const struct credential *given,
		       uint64_t epoch, const struct deadline *deadline,
		       struct flight_result *result)
{
	uint8_t digest[TOKEN_DIGEST_LEN];
	struct remembered fresh = {.read_ns = clock_mono_ns(), .epoch = epoch};
	token_digest(given->text, given->len, digest);
	result->err = a->config.load(a->config.load_context, given->kind, digest, deadline,
				     &fresh.principal, &result->why);
	if (result->err == ERR_OK) {
		result->principal = fresh.principal;
		token_cache_put(a->known, key, &fresh);
		note_use(a, &fresh.principal);
	} else if (result->err == ERR_UNAUTHORIZED) {
		/* Forgotten too, or the grace would bring it back. */
		token_cache_remove(a->known, key);
		token_cache_put(a->unknown, key, &fresh.read_ns);
	}
}

/* Whether the answer holds for those who waited for it as well: the leader's own deadline and
 * client are its own affair. */
static bool is_for_all(enum err err)
{
	return err == ERR_OK || err == ERR_UNAUTHORIZED || err == ERR_UNAVAILABLE ||
	       err == ERR_OVERLOADED || err == ERR_INTERNAL;
}

static void lead(struct auth *a, struct flight *flight, const struct token_key *key,
		 const struct credential *given, uint64_t epoch, const struct deadline *deadline,
		 struct flight_result *result)
{
	struct remembered found;
	bool was_known;
	/* Another flight may have landed between the caller's look and this one's start. */
	switch (look_up(a, key, epoch, &found, &was_known)) {
	case FRESH:
		result->err = ERR_OK;
		result->principal = found.principal;
		break;
	case KNOWN_UNKNOWN:
		result->err = not_valid(&result->why);
		break;
	case STALE:
		read_token(a, key, given, epoch, deadline, result);
		break;
	}
	flight_land(&a->flights, flight, result);
}

static void read_once(struct auth *a, const struct token_key *key, const struct credential *given,
		      uint64_t epoch, const struct deadline *deadline, struct flight_result *result)
{
	struct flight *flight;
	do {
		if (flight_join(&a->flights, key, epoch, deadline, &flight, result)) {
			lead(a, flight, key, given, epoch, deadline, result);
			return;
		}
	} while (!is_for_all(result->err) && result->err != ERR_NOMEM &&
		 !deadline_passed(deadline));
}

static bool is_outage(enum err err)
{
	return err == ERR_UNAVAILABLE || err == ERR_TIMEOUT || err == ERR_OVERLOADED;
}

static bool outage_known(struct auth *a)
{
	return clock_mono_ns() < atomic_load_explicit(&a->outage_until_ns, memory_order_relaxed);
}

static void note_outage(struct auth *a)
{
	atomic_store_explicit(&a->outage_until_ns, clock_mono_ns() + OUTAGE_PAUSE_MS * NS_PER_MS,
			      memory_order_relaxed);
}

static bool in_grace(struct auth *a, const struct remembered *found)
{
	return found->epoch == current_epoch(a) &&
	       clock_mono_ns() - found->read_ns < a->ttl_ns + a->grace_ns;
}

/* For a token that may go on without the database: asks it, but not for long. */
static enum err with_grace(struct auth *a, const struct token_key *key,
			   const struct credential *given, uint64_t epoch,
			   const struct deadline *deadline, struct remembered *found,
			   struct principal *out, struct errmsg *why)
{
	struct flight_result result = {.err = ERR_UNAVAILABLE};
	if (!outage_known(a)) {
		struct deadline soon = deadline_min_ms(deadline, GRACE_WAIT_MS);
		read_once(a, key, given, epoch, &soon, &result);
		if (!is_outage(result.err) || deadline_passed(deadline))
			return conclude(a, &result, out, why);
		note_outage(a);
	}
	if (in_grace(a, found))
		return take(a, &found->principal, CHECK_GRACE, out, why);
	return err_set(why, ERR_UNAVAILABLE, "the database does not answer");
}

enum err auth_check(struct auth *a, const struct credential *given, const struct deadline *deadline,
		    bool grace_allowed, struct principal *out, struct errmsg *why)
{
	if (!token_well_formed(given->kind, given->text, given->len))
		return refuse(a, why);
	struct token_key key = key_of(a, given->text, given->len);
	struct remembered found;
	bool was_known;
	/* Read before the database is: a revocation in between makes the answer stale. */
	uint64_t epoch = current_epoch(a);
	switch (look_up(a, &key, epoch, &found, &was_known)) {
	case FRESH:
		return take(a, &found.principal, CHECK_REMEMBERED, out, why);
	case KNOWN_UNKNOWN:
		return refuse(a, why);
	case STALE:
		break;
	}
	if (was_known && grace_allowed && in_grace(a, &found))
		return with_grace(a, &key, given, epoch, deadline, &found, out, why);
	struct flight_result result;
	read_once(a, &key, given, epoch, deadline, &result);
	return conclude(a, &result, out, why);
}

static uint64_t checks(struct auth *a, enum check check)
{
	return atomic_load_explicit(&a->checks[check], memory_order_relaxed);
}

void auth_stats_read(struct auth *a, struct auth_stats *out)
{
	*out = (struct auth_stats){
	    .remembered = checks(a, CHECK_REMEMBERED),
	    .read = checks(a, CHECK_READ),
	    .grace = checks(a, CHECK_GRACE),
	    .refused = checks(a, CHECK_REFUSED),
	    .entries = token_cache_count(a->known) + token_cache_count(a->unknown),
	};
}

bool auth_is_metrics_token(const struct auth *a, const char *text, size_t len)
{
	uint8_t digest[TOKEN_DIGEST_LEN];
	token_digest(text, len, digest);
	bool equal = sodium_memcmp(digest, a->metrics_token, sizeof(digest)) == 0;
	return equal && a->metrics_token_len > 0;
}

struct password_hasher *auth_hasher(struct auth *a)
{
	return a->hasher;
}

bool auth_cleaning_due(struct auth *a, int64_t interval_ms)
{
	int64_t now = clock_mono_ns();
	int64_t due = atomic_load_explicit(&a->clean_at_ns, memory_order_relaxed);
	return now >= due &&
	       atomic_compare_exchange_strong(&a->clean_at_ns, &due, now + interval_ms * NS_PER_MS);
}
