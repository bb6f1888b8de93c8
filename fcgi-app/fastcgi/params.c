#include <string.h>

#include "base/num.h"
#include "fastcgi/wire.h"

enum { SEEN_BITS = 1024 };

/* A length takes one byte, or four when the first has its high bit set. */
static bool take_length(char **at, const char *end, size_t *out)
{
	const unsigned char *p = (const unsigned char *)*at;
	size_t left = (size_t)(end - *at);
	if (left >= 1 && p[0] < 0x80) {
		*out = p[0];
		*at += 1;
		return true;
	}
	if (left < 4)
		return false;
	*out = (size_t)(p[0] & 0x7f) << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
	*at += 4;
	return true;
}

bool wire_take_pair(char **at, char *end, struct wire_pair *out)
{
	if (!take_length(at, end, &out->name_len) || !take_length(at, end, &out->value_len) ||
	    out->name_len + out->value_len > (size_t)(end - *at))
		return false;
	out->name = *at;
	out->value = *at + out->name_len;
	*at += out->name_len + out->value_len;
	return true;
}

/* Names mostly differ in length and in their last bytes. */
static unsigned name_hash(const char *name, size_t len)
{
	uint64_t last = 0;
	if (len >= sizeof(last))
		memcpy(&last, name + len - sizeof(last), sizeof(last));
	else
		memcpy(&last, name, len);
	return (unsigned)((last + len) * UINT64_C(0x9e3779b97f4a7c15) >> 54) % SEEN_BITS;
}

/* Compares with the other names only when the filter has seen this one's hash. */
static bool is_repeated(const struct codec *c, const char *name, size_t len,
			uint64_t seen[SEEN_BITS / 64])
{
	unsigned hash = name_hash(name, len);
	uint64_t bit = UINT64_C(1) << (hash & 63);
	if ((seen[hash / 64] & bit) == 0) {
		seen[hash / 64] |= bit;
		return false;
	}
	const struct param *table = c->memory.table;
	for (size_t i = 0; i < c->request.param_count; i++) {
		if (table[i].name_len == len && memcmp(table[i].name, name, len) == 0)
			return true;
	}
	return false;
}

static void note_content_length(struct codec *c, const struct param *param)
{
	static const char name[] = "CONTENT_LENGTH";
	/* Web servers send an empty one when there is no body. */
	if (param->name_len != sizeof(name) - 1 || param->value_len == 0 ||
	    memcmp(param->name, name, sizeof(name) - 1) != 0)
		return;
	if (!num_u64(param->value, param->value_len, 0, UINT64_MAX, &c->content_length))
		codec_refuse(c, ERR_MALFORMED, "CONTENT_LENGTH is not a number");
	else if (c->content_length > c->limits->body_bytes)
		codec_refuse(c, ERR_TOO_LARGE, "the request body is too large");
	c->has_content_length = true;
}

/*
 * Each pair takes at least two bytes for its lengths, which is room for the two
 * NULs: the text moves to the front, never over what is still to be read.
 */
static struct param settle(char **out, const struct wire_pair *pair)
{
	char *name = *out;
	char *value = name + pair->name_len + 1;
	memmove(name, pair->name, pair->name_len);
	name[pair->name_len] = '\0';
	memmove(value, pair->value, pair->value_len);
	value[pair->value_len] = '\0';
	*out = value + pair->value_len + 1;
	return (struct param){
	    .name = name, .value = value, .name_len = pair->name_len, .value_len = pair->value_len};
}

void codec_unpack_params(struct codec *c)
{
	if (c->memory.params.len == 0)
		return;
	uint64_t seen[SEEN_BITS / 64] = {0};
	bool repeats = false;
	char *at = c->memory.params.data;
	char *end = at + c->memory.params.len;
	char *out = at;
	struct wire_pair pair;

	while (at < end) {
		if (!wire_take_pair(&at, end, &pair)) {
			codec_refuse(c, ERR_MALFORMED, "the parameters end inside a pair");
			break;
		}
		if (pair.name_len == 0 ||
		    memchr(pair.name, '\0', pair.name_len + pair.value_len) != NULL) {
			codec_refuse(c, ERR_MALFORMED, "a parameter has no name, or a NUL in it");
			break;
		}
		if (c->request.param_count == c->limits->params_count) {
			codec_refuse(c, ERR_TOO_LARGE, "the request has too many header fields");
			break;
		}
		bool repeated = is_repeated(c, pair.name, pair.name_len, seen);
		if (repeated && !codec_may_repeat(pair.name, pair.name_len)) {
			codec_refuse(c, ERR_MALFORMED, "a header field or parameter is repeated");
			break;
		}
		repeats |= repeated;
		if (c->request.param_count == c->memory.table_cap &&
		    !codec_table_grow(&c->memory)) {
			codec_refuse(c, ERR_NOMEM, NULL);
			break;
		}
		struct param *param = &c->memory.table[c->request.param_count++];
		*param = settle(&out, &pair);
		note_content_length(c, param);
	}
	if (repeats)
		codec_join_repeats(c);
	c->request.params = c->memory.table;
}
