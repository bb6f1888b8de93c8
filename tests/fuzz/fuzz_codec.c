/*
 * Fuzz target of the FastCGI codec.  The first byte chooses the size of the
 * fragments, the rest is what a web server sends.  Whatever comes, the codec must
 * take every byte or say why not, and fragments must not change what it says.
 *
 * With libFuzzer:
 *
 *	clang -fsanitize=fuzzer,address,undefined … tests/fuzz/fuzz_codec.c …
 *
 * `make check` builds it with replay.c, which runs the corpus through it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "fastcgi/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct codec_limits limits = {
    .params_bytes = 2000, .params_count = 30, .body_bytes = 500, .max_connections = 12345};

/* Everything that a run said, folded into one number. */
struct said {
	uint64_t hash;
	unsigned events;
};

static void say(struct said *s, const void *bytes, size_t len)
{
	const unsigned char *at = bytes;
	for (size_t i = 0; i < len; i++)
		s->hash = (s->hash ^ at[i]) * UINT64_C(0x100000001b3);
	s->events++;
}

static void say_request(struct said *s, const struct codec_request *r)
{
	AN_INVARIANT(r->param_count <= limits.params_count);
	AN_INVARIANT(r->body_len <= limits.body_bytes);
	AN_INVARIANT(r->body[r->body_len] == '\0');
	AN_INVARIANT((r->refused != ERR_OK) || r->refusal == NULL);
	say(s, &r->id, sizeof(r->id));
	say(s, &r->keep, sizeof(r->keep));
	say(s, &r->refused, sizeof(r->refused));
	for (size_t i = 0; i < r->param_count; i++) {
		AN_INVARIANT(strlen(r->params[i].name) == r->params[i].name_len);
		AN_INVARIANT(strlen(r->params[i].value) == r->params[i].value_len);
		say(s, r->params[i].name, r->params[i].name_len);
		say(s, r->params[i].value, r->params[i].value_len);
	}
	say(s, r->body, r->body_len);
}

/* False when the connection ends. */
static bool take_event(struct codec *c, enum codec_event event, struct said *s)
{
	bool goes_on = true;
	switch (event) {
	case CODEC_MORE:
		break;
	case CODEC_REPLY:
		AN_INVARIANT(c->reply_len >= FCGI_HEADER_LEN && c->reply_len % 8 == 0);
		say(s, c->reply, c->reply_len);
		goes_on = !c->closing;
		codec_replied(c);
		break;
	case CODEC_REQUEST:
		say_request(s, &c->request);
		goes_on = c->request.keep;
		codec_next(c);
		break;
	case CODEC_BROKEN:
		say(s, "broken", 6);
		goes_on = false;
		break;
	}
	return goes_on;
}

/* A fragment gets memory of its own, so that reads past its end are seen. */
static bool feed(struct codec *c, const uint8_t *data, size_t size, struct said *s)
{
	uint8_t *copy = malloc(size);
	AN_INVARIANT(copy != NULL);
	memcpy(copy, data, size);
	size_t at = 0;
	bool goes_on = true;
	while (at < size && goes_on) {
		size_t used;
		enum codec_event event = codec_feed(c, copy + at, size - at, &used);
		AN_INVARIANT(used <= size - at && used > 0);
		AN_INVARIANT(event != CODEC_MORE || used == size - at);
		at += used;
		goes_on = take_event(c, event, s);
	}
	free(copy);
	return goes_on;
}

static struct said run(const uint8_t *data, size_t size, size_t fragment)
{
	struct said s = {0};
	struct codec c;
	codec_init(&c, &limits);
	for (size_t at = 0; at < size; at += fragment) {
		size_t left = size - at;
		if (!feed(&c, data + at, left < fragment ? left : fragment, &s))
			break;
	}
	codec_release(&c);
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	size_t fragment = (size_t)data[0] + 1;
	struct said whole = run(data + 1, size - 1, size);
	struct said parts = run(data + 1, size - 1, fragment);
	AN_INVARIANT(whole.hash == parts.hash && whole.events == parts.events);
	return 0;
}
