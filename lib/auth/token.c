#include "auth/token.h"

#include <sodium.h>
#include <string.h>

#include "base/assert.h"

static const char *const prefixes[] = {[TOKEN_SESSION] = "zgt_", [TOKEN_KEY] = "zk_"};
static const size_t lengths[] = {[TOKEN_SESSION] = TOKEN_TEXT_LEN, [TOKEN_KEY] = KEY_TEXT_LEN};

_Static_assert(TOKEN_DIGEST_LEN == crypto_hash_sha256_BYTES, "a digest is a SHA-256");

void token_mint(enum token_kind kind, char text[TOKEN_TEXT_SIZE], uint8_t digest[TOKEN_DIGEST_LEN])
{
	uint8_t random[32];
	AN_INVARIANT(sodium_init() >= 0);
	randombytes_buf(random, sizeof(random));
	size_t prefix = strlen(prefixes[kind]);
	memcpy(text, prefixes[kind], prefix);
	sodium_bin2base64(text + prefix, TOKEN_TEXT_SIZE - prefix, random, sizeof(random),
			  sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(random, sizeof(random));
	AN_INVARIANT(strlen(text) == lengths[kind]);
	token_digest(text, lengths[kind], digest);
}

static bool is_base64url(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

bool token_well_formed(enum token_kind kind, const char *text, size_t len)
{
	size_t prefix = strlen(prefixes[kind]);
	if (len != lengths[kind] || memcmp(text, prefixes[kind], prefix) != 0)
		return false;
	for (size_t i = prefix; i < len; i++) {
		if (!is_base64url(text[i]))
			return false;
	}
	return true;
}

void token_digest(const char *text, size_t len, uint8_t digest[TOKEN_DIGEST_LEN])
{
	crypto_hash_sha256(digest, (const unsigned char *)text, len);
}
