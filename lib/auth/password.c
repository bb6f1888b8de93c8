#include "auth/password.h"

#include <pthread.h>
#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/bcrypt.h"
#include "auth/guessable.h"
#include "base/assert.h"
#include "base/num.h"
#include "base/utf8.h"
#include "base/wait.h"

_Static_assert(PASSWORD_HASH_SIZE > crypto_pwhash_argon2id_STRBYTES - 1, "a hash does not fit");

/* What the library makes and puts into its text. */
enum { HASH_BYTES = 32 };

static const unsigned long long hash_passes = crypto_pwhash_argon2id_OPSLIMIT_INTERACTIVE;
static const size_t hash_memory = crypto_pwhash_argon2id_MEMLIMIT_INTERACTIVE;

struct password_hasher {
	pthread_mutex_t lock;
	pthread_cond_t turn;
	unsigned free;    /* hashes that may start now */
	unsigned waiting; /* threads in the queue */
	unsigned waiting_max;
	/* The hash of random bytes that nobody kept, for users who do not exist. */
	char nobody[crypto_pwhash_argon2id_STRBYTES];
};

/* Well formed and of the same cost as a real one, without having to hash at every start. */
static void make_nobody(char out[crypto_pwhash_argon2id_STRBYTES])
{
	unsigned char salt[crypto_pwhash_argon2id_SALTBYTES], hash[HASH_BYTES];
	char salt_text[32], hash_text[64];
	randombytes_buf(salt, sizeof(salt));
	randombytes_buf(hash, sizeof(hash));
	sodium_bin2base64(salt_text, sizeof(salt_text), salt, sizeof(salt),
			  sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
	sodium_bin2base64(hash_text, sizeof(hash_text), hash, sizeof(hash),
			  sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
	snprintf(out, crypto_pwhash_argon2id_STRBYTES, "$argon2id$v=19$m=%zu,t=%llu,p=1$%s$%s",
		 hash_memory / 1024, hash_passes, salt_text, hash_text);
	/* Not by the library's own function for this: it says no as well when it has no memory. */
	AN_INVARIANT(password_hash_known(out));
}

enum err password_hasher_new(unsigned at_once, unsigned waiting, struct password_hasher **out,
			     struct errmsg *why)
{
	AN_INVARIANT(at_once > 0);
	if (sodium_init() < 0)
		return err_set(why, ERR_INTERNAL, "libsodium can't be initialised");
	struct password_hasher *h = calloc(1, sizeof(*h));
	if (h == NULL)
		return err_set(why, ERR_NOMEM, "out of memory for password hashing");
	make_nobody(h->nobody);
	h->free = at_once;
	h->waiting_max = waiting;
	pthread_mutex_init(&h->lock, NULL);
	wait_init(&h->turn);
	*out = h;
	return ERR_OK;
}

void password_hasher_free(struct password_hasher *h)
{
	if (h == NULL)
		return;
	pthread_cond_destroy(&h->turn);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static enum err take_turn(struct password_hasher *h, const struct deadline *deadline,
			  struct errmsg *why)
{
	enum err err = ERR_OK;
	pthread_mutex_lock(&h->lock);
	if (h->free == 0 && h->waiting >= h->waiting_max) {
		err = err_set(why, ERR_OVERLOADED, "too many sign-ins at once; try again");
	} else {
		h->waiting++;
		while (h->free == 0 && err == ERR_OK) {
			if (!wait_until(&h->turn, &h->lock, deadline))
				err = err_set(why, ERR_TIMEOUT, "no turn to check the password");
		}
		h->waiting--;
		if (err == ERR_OK)
			h->free--;
	}
	pthread_mutex_unlock(&h->lock);
	return err;
}

static void give_turn(struct password_hasher *h)
{
	pthread_mutex_lock(&h->lock);
	h->free++;
	pthread_cond_signal(&h->turn);
	pthread_mutex_unlock(&h->lock);
}

enum err password_hash(struct password_hasher *h, const char *password,
		       const struct deadline *deadline, char out[PASSWORD_HASH_SIZE],
		       struct errmsg *why)
{
	enum err err = take_turn(h, deadline, why);
	if (err != ERR_OK)
		return err;
	if (crypto_pwhash_argon2id_str(out, password, strlen(password), hash_passes, hash_memory) !=
	    0)
		err = err_set(why, ERR_NOMEM, "out of memory for password hashing");
	give_turn(h);
	return err;
}

/* The parts of a hash's text, "$argon2id$v=19$m=65536,t=2,p=1$SALT$HASH". */
struct parts {
	uint64_t kibibytes, passes;
	unsigned char salt[crypto_pwhash_argon2id_SALTBYTES];
	unsigned char hash[HASH_BYTES];
};

/* Decodes exactly size bytes, up to the character `end`. */
static bool decode(const char **at, char end, unsigned char *out, size_t size)
{
	size_t len;
	const char *stop;
	if (sodium_base642bin(out, size, *at, strlen(*at), NULL, &len, &stop,
			      sodium_base64_VARIANT_ORIGINAL_NO_PADDING) != 0 ||
	    len != size || *stop != end)
		return false;
	*at = stop + 1;
	return true;
}

static bool take_apart(const char *text, struct parts *out)
{
	char kibibytes[8], passes[8];
	int used = 0;
	if (sscanf(text, "$argon2id$v=19$m=%7[0-9],t=%7[0-9],p=1$%n", kibibytes, passes, &used) !=
		2 ||
	    used == 0)
		return false;
	text += used;
	return num_u64s(kibibytes, 8, UINT32_MAX, &out->kibibytes) &&
	       num_u64s(passes, 1, UINT32_MAX, &out->passes) &&
	       decode(&text, '$', out->salt, sizeof(out->salt)) &&
	       decode(&text, '\0', out->hash, sizeof(out->hash));
}

/*
 * Not by the library's own function for this, crypto_pwhash_str_verify(): when it has no
 * memory for hashing it says that the password does not match.
 */
static enum err compare(const struct parts *parts, const char *password, bool *equal)
{
	unsigned char hash[HASH_BYTES];
	if (crypto_pwhash_argon2id(hash, sizeof(hash), password, strlen(password), parts->salt,
				   parts->passes, (size_t)parts->kibibytes * 1024,
				   crypto_pwhash_argon2id_ALG_ARGON2ID13) != 0)
		return ERR_NOMEM;
	*equal = sodium_memcmp(hash, parts->hash, sizeof(hash)) == 0;
	sodium_memzero(hash, sizeof(hash));
	return ERR_OK;
}

bool password_hash_foreign(const char *hash)
{
	return bcrypt_is_hash(hash);
}

bool password_hash_known(const char *hash)
{
	struct parts parts;
	return bcrypt_is_hash(hash) || take_apart(hash, &parts);
}

enum err password_verify(struct password_hasher *h, const char *hash, const char *password,
			 const struct deadline *deadline, bool *matches, struct errmsg *why)
{
	struct parts parts;
	bool equal, foreign = hash != NULL && password_hash_foreign(hash);
	if (!foreign && !take_apart(hash != NULL ? hash : h->nobody, &parts))
		return err_set(why, ERR_INTERNAL, "a password's hash is not one that is known");
	enum err err = take_turn(h, deadline, why);
	if (err != ERR_OK)
		return err;
	err = foreign ? bcrypt_matches(hash, password, &equal) : compare(&parts, password, &equal);
	give_turn(h);
	if (err != ERR_OK)
		return err_set(why, err, "%s",
			       err == ERR_NOMEM ? "out of memory for password hashing"
						: "a password's hash can't be made again");
	*matches = equal && hash != NULL;
	return ERR_OK;
}

enum err password_acceptable(const char *password, const char *username, struct errmsg *why)
{
	size_t len = strlen(password);
	if (!utf8_valid(password, len))
		return err_set(why, ERR_INVALID, "must be valid UTF-8");
	size_t count = utf8_count(password, len);
	if (count < PASSWORD_NEW_LEN_MIN)
		return err_set(why, ERR_INVALID, "must have %d characters at least",
			       PASSWORD_NEW_LEN_MIN);
	if (count > PASSWORD_LEN_MAX)
		return err_set(why, ERR_INVALID, "must have %d characters at most",
			       PASSWORD_LEN_MAX);
	if (strcasecmp(password, username) == 0)
		return err_set(why, ERR_INVALID, "must not be the user's name");
	if (password_is_guessable(password, username))
		return err_set(why, ERR_INVALID, "is one of the first that are guessed");
	return ERR_OK;
}
