#include "auth/token.h"

#include <sodium.h>
#include <string.h>

#include "base/assert.h"

_Static_assert(sizeof(TOKEN_PREFIX) - 1 + 43 == TOKEN_TEXT_LEN,
	       "a token's text has another length");
_Static_assert(TOKEN_DIGEST_LEN == crypto_hash_sha256_BYTES, "a digest is a SHA-256");

void token_mint(char text[TOKEN_TEXT_SIZE], uint8_t digest[TOKEN_DIGEST_LEN])
{
	uint8_t random[32];
	AN_INVARIANT(sodium_init() >= 0);
	randombytes_buf(random, sizeof(random));
	size_t prefix = sizeof(TOKEN_PREFIX) - 1;
	memcpy(text, TOKEN_PREFIX, prefix);
	sodium_bin2base64(text + prefix, TOKEN_TEXT_SIZE - prefix, random, sizeof(random),
			  sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(random, sizeof(random));
	token_digest(text, TOKEN_TEXT_LEN, digest);
}

static bool is_base64url(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

bool token_well_formed(const char *text, size_t len)
{
	size_t prefix = sizeof(TOKEN_PREFIX) - 1;
	if (len != TOKEN_TEXT_LEN || memcmp(text, TOKEN_PREFIX, prefix) != 0)
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
