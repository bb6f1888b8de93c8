#include "auth/token_cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

enum { WAYS = 8, LOCKS = 32, WORDS_MAX = 64, SPINS_MAX = 64 };

/*
 * An entry is a row of atomic words, so that a reader beside a writer is no data
 * race.  Words are stored with release and loaded with acquire (plain moves on
 * x86): a reader that sees any new word also sees the odd sequence number.
 */
enum { WORD_SEQUENCE, WORD_KEY, WORD_KEY_2, WORD_WRITTEN, WORD_VALUE };

struct token_cache {
	size_t sets;
	size_t value_size;
	size_t value_words;
	size_t stride; /* words of an entry */
	_Atomic uint64_t writes;
	_Atomic size_t used; /* entries */
	pthread_mutex_t locks[LOCKS];
	_Atomic uint64_t *words;
};

struct token_cache *token_cache_new(size_t entries, size_t value_size)
{
	struct token_cache *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	AN_INVARIANT(entries >= WAYS && value_size <= WORDS_MAX * sizeof(uint64_t));
	c->sets = entries / WAYS;
	c->value_size = value_size;
	c->value_words = (value_size + sizeof(uint64_t) - 1) / sizeof(uint64_t);
	c->stride = WORD_VALUE + c->value_words;
	c->words = calloc(c->sets * WAYS * c->stride, sizeof(*c->words));
	if (c->words == NULL) {
		free(c);
		return NULL;
	}
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_init(&c->locks[i], NULL);
	return c;
}

void token_cache_free(struct token_cache *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&c->locks[i]);
	free(c->words);
	free(c);
}

static uint64_t load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit((_Atomic uint64_t *)word, memory_order_acquire);
}

static void store(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
}

static size_t set_of(const struct token_cache *c, const struct token_key *key)
{
	/* The high half of the product: any number of sets, without a division. */
	return (size_t)(((unsigned __int128)key->halves[0] * c->sets) >> 64);
}

static _Atomic uint64_t *entry_at(struct token_cache *c, size_t set, size_t way)
{
	return c->words + (set * WAYS + way) * c->stride;
}

static pthread_mutex_t *lock_of(struct token_cache *c, size_t set)
{
	return &c->locks[set % LOCKS];
}

static bool has_key(const _Atomic uint64_t *entry, const struct token_key *key)
{
	return load(&entry[WORD_KEY]) == key->halves[0] &&
	       load(&entry[WORD_KEY_2]) == key->halves[1];
}

static void copy_value(const struct token_cache *c, const _Atomic uint64_t *entry,
		       uint64_t copy[WORDS_MAX])
{
	for (size_t i = 0; i < c->value_words; i++)
		copy[i] = load(&entry[WORD_VALUE + i]);
}

/* Where a writer was seen: with it out of the way. */
static bool read_locked(struct token_cache *c, size_t set, const _Atomic uint64_t *entry,
			const struct token_key *key, uint64_t copy[WORDS_MAX])
{
	pthread_mutex_lock(lock_of(c, set));
	bool found = has_key(entry, key);
	if (found)
		copy_value(c, entry, copy);
	pthread_mutex_unlock(lock_of(c, set));
	return found;
}

static bool read_entry(struct token_cache *c, size_t set, const _Atomic uint64_t *entry,
		       const struct token_key *key, uint64_t copy[WORDS_MAX])
{
	for (int spin = 0; spin < SPINS_MAX; spin++) {
		uint64_t before = load(&entry[WORD_SEQUENCE]);
		if (before % 2 != 0)
			continue;
		bool found = has_key(entry, key);
		if (found)
			copy_value(c, entry, copy);
		if (load(&entry[WORD_SEQUENCE]) == before)
			return found;
	}
	return read_locked(c, set, entry, key, copy);
}

bool token_cache_get(struct token_cache *c, const struct token_key *key, void *value)
{
	uint64_t copy[WORDS_MAX];
	size_t set = set_of(c, key);
	for (size_t way = 0; way < WAYS; way++) {
		_Atomic uint64_t *entry = entry_at(c, set, way);
		if (has_key(entry, key) && read_entry(c, set, entry, key, copy)) {
			memcpy(value, copy, c->value_size);
			return true;
		}
	}
	return false;
}

/* The key's entry, else the one written longest ago; an empty one was never written. */
static _Atomic uint64_t *entry_for(struct token_cache *c, size_t set, const struct token_key *key)
{
	_Atomic uint64_t *oldest = entry_at(c, set, 0);
	for (size_t way = 0; way < WAYS; way++) {
		_Atomic uint64_t *entry = entry_at(c, set, way);
		if (has_key(entry, key))
			return entry;
		if (load(&entry[WORD_WRITTEN]) < load(&oldest[WORD_WRITTEN]))
			oldest = entry;
	}
	return oldest;
}

/* With the set's lock held. */
static void write_entry(struct token_cache *c, _Atomic uint64_t *entry, const struct token_key *key,
			uint64_t written, const uint64_t value[WORDS_MAX])
{
	uint64_t sequence = load(&entry[WORD_SEQUENCE]);
	if (load(&entry[WORD_WRITTEN]) == 0 && written != 0)
		atomic_fetch_add_explicit(&c->used, 1, memory_order_relaxed);
	if (load(&entry[WORD_WRITTEN]) != 0 && written == 0)
		atomic_fetch_sub_explicit(&c->used, 1, memory_order_relaxed);
	store(&entry[WORD_SEQUENCE], sequence + 1);
	store(&entry[WORD_KEY], key->halves[0]);
	store(&entry[WORD_KEY_2], key->halves[1]);
	store(&entry[WORD_WRITTEN], written);
	for (size_t i = 0; i < c->value_words; i++)
		store(&entry[WORD_VALUE + i], value[i]);
	store(&entry[WORD_SEQUENCE], sequence + 2);
}

void token_cache_put(struct token_cache *c, const struct token_key *key, const void *value)
{
	uint64_t words[WORDS_MAX] = {0};
	memcpy(words, value, c->value_size);
	size_t set = set_of(c, key);
	uint64_t written = atomic_fetch_add_explicit(&c->writes, 1, memory_order_relaxed) + 1;
	pthread_mutex_lock(lock_of(c, set));
	write_entry(c, entry_for(c, set, key), key, written, words);
	pthread_mutex_unlock(lock_of(c, set));
}

void token_cache_remove(struct token_cache *c, const struct token_key *key)
{
	static const uint64_t nothing[WORDS_MAX];
	static const struct token_key nobody;
	size_t set = set_of(c, key);
	pthread_mutex_lock(lock_of(c, set));
	_Atomic uint64_t *entry = entry_for(c, set, key);
	if (has_key(entry, key))
		write_entry(c, entry, &nobody, 0, nothing);
	pthread_mutex_unlock(lock_of(c, set));
}

size_t token_cache_count(struct token_cache *c)
{
	return atomic_load_explicit(&c->used, memory_order_relaxed);
}
