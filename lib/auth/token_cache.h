/*
 * A bounded table from tokens to small plain values, for many readers.
 *
 * The table has sets of eight entries; a key belongs to one set and pushes out the
 * entry there that was written longest ago.  A read takes no lock: every entry
 * has a sequence number, odd while a writer is in it, and a reader that saw it
 * change reads again.  Writers take one of a few locks.
 *
 * The key is a keyed 128-bit hash of the token, under a secret of this process:
 * equal keys mean equal tokens, and nobody can aim at a set.  Thread-safe, except
 * new and free.
 */
#ifndef ZIGGIE_AUTH_TOKEN_CACHE_H
#define ZIGGIE_AUTH_TOKEN_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct token_key {
	uint64_t halves[2];
};

struct token_cache;

/* entries is rounded down to whole sets; value_size to at most 512 bytes. NULL without memory. */
struct token_cache *token_cache_new(size_t entries, size_t value_size);
void token_cache_free(struct token_cache *c);

bool token_cache_get(struct token_cache *c, const struct token_key *key, void *value);
void token_cache_put(struct token_cache *c, const struct token_key *key, const void *value);
void token_cache_remove(struct token_cache *c, const struct token_key *key);
/* Entries in use. */
size_t token_cache_count(struct token_cache *c);

#endif
