#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/assert.h"
#include "cache/cache.h"

struct cache_value *cache_value_new(const void *bytes, size_t len)
{
	struct cache_value *value = malloc(sizeof(*value) + len + 1);
	if (value == NULL)
		return NULL;
	atomic_init(&value->refs, 1);
	value->len = len;
	if (bytes != NULL && len > 0)
		memcpy(value->data, bytes, len);
	value->data[len] = '\0';
	return value;
}

struct cache_value *cache_value_ref(struct cache_value *value)
{
	if (value != NULL) {
		uint32_t before = atomic_fetch_add_explicit(&value->refs, 1, memory_order_relaxed);
		AN_INVARIANT(before > 0);
	}
	return value;
}

void cache_value_unref(struct cache_value *value)
{
	if (value == NULL)
		return;
	/* Whoever frees must see what the others did before they let go. */
	uint32_t before = atomic_fetch_sub_explicit(&value->refs, 1, memory_order_acq_rel);
	AN_INVARIANT(before > 0);
	if (before == 1)
		free(value);
}

void cache_key_make(struct cache_key *key, const char *const *parts, size_t count)
{
	crypto_generichash_state state;
	unsigned char digest[CACHE_KEY_HEX / 2];
	crypto_generichash_init(&state, NULL, 0, sizeof(digest));
	for (size_t i = 0; i < count; i++) {
		/* With its NUL, so that "ab","c" is not "a","bc". */
		crypto_generichash_update(&state, (const unsigned char *)parts[i],
					  strlen(parts[i]) + 1);
	}
	crypto_generichash_final(&state, digest, sizeof(digest));
	_Static_assert(sizeof(digest) == sizeof(key->words), "a key's words hold its digest");
	memcpy(key->words, digest, sizeof(digest));
	sodium_bin2hex(key->hex, sizeof(key->hex), digest, sizeof(digest));
}
