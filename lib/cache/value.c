#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sodium.h>

#include "base/assert.h"
#include "cache/cache.h"

/*
 * A value has pages of its own, which go back when it does.  Values come and go many times a
 * second, each a little larger or smaller than the one before, and are mostly freed by another
 * thread than made them: in a heap that leaves holes which the next value just misses.
 */
static size_t pages_for(size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	return (sizeof(struct cache_value) + len + 1 + page - 1) / page * page;
}

size_t cache_value_size(const struct cache_value *value)
{
	return pages_for(value->len);
}

#ifdef __SANITIZE_ADDRESS__ /* It watches what malloc() gives, and what is never freed of that. */
static void *pages_new(size_t size)
{
	return malloc(size);
}

static void pages_free(void *pages, size_t size)
{
	(void)size;
	free(pages);
}
#else
static void *pages_new(size_t size)
{
	void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED)
		return NULL;
	return pages;
}

static void pages_free(void *pages, size_t size)
{
	munmap(pages, size);
}
#endif

struct cache_value *cache_value_new(const void *bytes, size_t len)
{
	struct cache_value *value = pages_new(pages_for(len));
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
		pages_free(value, cache_value_size(value));
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
