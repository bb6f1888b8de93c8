#include "fcgi_streams.h"

#include <stdbool.h>
#include <string.h>

#include "fcgi_peer.h"

uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

size_t random_below(uint64_t *state, size_t bound)
{
	return (size_t)(random_next(state) % bound);
}

/* A stream that is being made. */
struct maker {
	struct fcgi_stream *s;
	uint64_t random;
	uint16_t id;
	struct strbuf pairs;
	size_t last; /* where the last record starts */
};

static size_t below(struct maker *m, size_t bound)
{
	return random_below(&m->random, bound);
}

static bool one_in(struct maker *m, size_t n)
{
	return below(m, n) == 0;
}

static bool is_odd(const struct maker *m, unsigned oddity)
{
	return (m->s->odd & oddity) != 0;
}

static uint8_t padding(struct maker *m)
{
	return one_in(m, 2) ? 0 : (uint8_t)below(m, 256);
}

static void record(struct maker *m, uint8_t type, const void *content, size_t len)
{
	peer_record(&m->s->bytes, type, m->id, content, len, padding(m));
}

/* Pairs */

static void add_length(struct maker *m, size_t len)
{
	if (len < 0x80 && !one_in(m, 4)) {
		strbuf_addc(&m->pairs, (char)len);
		return;
	}
	const unsigned char bytes[] = {(unsigned char)(0x80 | len >> 24),
				       (unsigned char)(len >> 16), (unsigned char)(len >> 8),
				       (unsigned char)len};
	strbuf_add(&m->pairs, bytes, sizeof(bytes));
}

static void add_pair(struct maker *m, const char *name, size_t name_len, const char *value,
		     size_t value_len)
{
	add_length(m, name_len);
	add_length(m, value_len);
	strbuf_add(&m->pairs, name, name_len);
	strbuf_add(&m->pairs, value, value_len);
	strbuf_add(&m->s->params, name, name_len);
	strbuf_addc(&m->s->params, '=');
	strbuf_add(&m->s->params, value, value_len);
	strbuf_addc(&m->s->params, '\0');
}

static void add_text(struct maker *m, const char *name, const char *value)
{
	add_pair(m, name, strlen(name), value, strlen(value));
}

static size_t value_length(struct maker *m)
{
	static const size_t edges[] = {0, 1, 127, 128, 129, 255, 256, 8191, 8192, 8193};
	switch (below(m, 8)) {
	case 0:
		return edges[below(m, sizeof(edges) / sizeof(edges[0]))];
	case 1:
		return below(m, 2000);
	default:
		return below(m, 60);
	}
}

/* Any bytes but NUL. */
static void add_random_text(struct maker *m, struct strbuf *out, size_t len)
{
	for (size_t i = 0; i < len; i++)
		strbuf_addc(out, (char)(1 + below(m, 255)));
}

static void add_random_pair(struct maker *m, unsigned number, size_t value_len)
{
	STRBUF_CLEANUP name = STRBUF_INIT;
	STRBUF_CLEANUP value = STRBUF_INIT;
	strbuf_addf(&name, "NAME_%u_", number);
	for (size_t more = one_in(m, 10) ? below(m, 300) : below(m, 20); more > 0; more--)
		strbuf_addc(&name, (char)('A' + below(m, 26)));
	add_random_text(m, &value, value_len);
	add_pair(m, name.data, name.len, value.data, value.len);
}

static void add_content_length(struct maker *m)
{
	size_t len = m->s->body.len;
	STRBUF_CLEANUP text = STRBUF_INIT;
	if (is_odd(m, ODD_NO_LENGTH))
		return;
	if (is_odd(m, ODD_NO_NUMBER)) {
		static const char *const wrong[] = {"-1", "+1", "1 ", "0x1", "many", "1.0"};
		add_text(m, "CONTENT_LENGTH", wrong[below(m, 6)]);
		return;
	}
	if (is_odd(m, ODD_FALSE_LENGTH))
		len += len == 0 || one_in(m, 2) ? 1 + below(m, 100) : (size_t)-1;
	if (len == 0 && one_in(m, 2))
		return;
	if (len > 0 || one_in(m, 2))
		strbuf_addu(&text, len);
	add_text(m, "CONTENT_LENGTH", text.data);
}

/* Fields that are lists: both readers may see them more than once. */
static void add_lists(struct maker *m)
{
	if (!one_in(m, 4))
		return;
	add_text(m, "HTTP_X_FORWARDED_FOR", "10.0.0.1");
	add_text(m, "HTTP_COOKIE", "a=1");
	add_text(m, "HTTP_COOKIE", "b=2");
	add_text(m, "HTTP_X_FORWARDED_FOR", "");
	add_text(m, "HTTP_X_FORWARDED_FOR", "10.0.0.2");
}

static void add_odd_pairs(struct maker *m)
{
	if (is_odd(m, ODD_NUL)) {
		if (one_in(m, 2))
			add_pair(m, "WITH\0NUL", 8, "value", 5);
		else
			add_pair(m, "WITH_NUL", 8, "val\0ue", 6);
	}
	if (is_odd(m, ODD_NO_NAME))
		add_text(m, "", one_in(m, 2) ? "value" : "");
	if (is_odd(m, ODD_REPEATED)) {
		static const char *const names[] = {"REQUEST_URI", "HTTP_HOST", "HTTP_X_API_KEY"};
		const char *name = names[below(m, 3)];
		add_text(m, name, "one");
		add_text(m, name, one_in(m, 2) ? "one" : "other");
	}
	if (is_odd(m, ODD_MANY_PARAMS))
		for (unsigned i = 0; i < STREAM_PARAMS + 1; i++)
			add_random_pair(m, 1000 + i, 1);
	if (is_odd(m, ODD_LARGE_PARAMS))
		for (unsigned i = 0; i < 4; i++)
			add_random_pair(m, 2000 + i, 50 * 1024);
}

/* Pairs that the stream of parameters does not hold to the end. */
static void add_broken_pair(struct maker *m)
{
	if (is_odd(m, ODD_HUGE_LENGTH)) {
		static const unsigned char lengths[][8] = {
		    {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		    {0x81, 0, 0, 0, 0x81, 0, 0, 0},
		    {0xff, 0xff, 0xff, 0xff, 0x80, 0, 0, 1},
		    {0xff, 0xff, 0xff, 0xfe, 0x80, 0, 0, 1},
		};
		strbuf_add(&m->pairs, lengths[below(m, 4)], 8);
		strbuf_adds(&m->pairs, "NAMEvalue");
	} else if (is_odd(m, ODD_CUT_PAIR)) {
		static const char *const cut[] = {"\5\1A", "\x80", "\1\x80\1", "\1\3Ab", "\4"};
		strbuf_adds(&m->pairs, cut[below(m, 5)]);
	}
}

static void make_pairs(struct maker *m)
{
	size_t count = one_in(m, 10) ? 0 : below(m, one_in(m, 10) ? 150 : 30);
	size_t before = count > 0 ? below(m, count) : 0;
	for (size_t i = 0; i < count; i++) {
		if (i == before)
			add_content_length(m);
		add_random_pair(m, (unsigned)i, value_length(m));
	}
	if (count == 0)
		add_content_length(m);
	if (one_in(m, 8))
		add_random_pair(m, 500, 1 + below(m, 65536));
	add_lists(m);
	add_odd_pairs(m);
	add_broken_pair(m);
}

/* Records */

/* What may stand between any two records: other requests, and management. */
static void add_extra(struct maker *m)
{
	/* Neither 0 nor the id of ours. */
	uint16_t other = (uint16_t)((m->id + below(m, 1000)) % UINT16_MAX + 1);
	struct strbuf *out = &m->s->bytes;
	STRBUF_CLEANUP names = STRBUF_INIT;
	switch (below(m, 4)) {
	case 0:
		peer_record(out, FCGI_PARAMS, other, "not ours", 1 + below(m, 8), padding(m));
		break;
	case 1:
		peer_record(out, FCGI_STDIN, other, "not ours", 1 + below(m, 8), padding(m));
		break;
	case 2:
		peer_record(out, 77, 0, "", 0, padding(m));
		break;
	case 3:
		peer_pair(&names, FCGI_MAX_CONNS, strlen(FCGI_MAX_CONNS), "", 0);
		peer_pair(&names, "OTHER", 5, "", 0);
		peer_record(out, FCGI_GET_VALUES, 0, names.data, names.len, padding(m));
		break;
	}
}

static void add_odd_record(struct maker *m)
{
	struct strbuf *out = &m->s->bytes;
	STRBUF_CLEANUP names = STRBUF_INIT;
	if (is_odd(m, ODD_EMPTY_FOREIGN))
		peer_record(out, FCGI_STDIN, m->id == 7 ? 8 : 7, "", 0, padding(m));
	if (is_odd(m, ODD_UNKNOWN_MANAGEMENT))
		peer_record(out, 77, 0, "\1\1AB\1\1CD", 8, padding(m));
	if (is_odd(m, ODD_OTHER_STREAM))
		record(m, one_in(m, 2) ? FCGI_DATA : 99, "data", 4);
	if (is_odd(m, ODD_ABORT))
		record(m, FCGI_ABORT_REQUEST, "", 0);
	if (is_odd(m, ODD_BEGIN_AGAIN))
		peer_begin(out, m->id, FCGI_RESPONDER, true);
	if (is_odd(m, ODD_MANY_VALUES)) {
		for (int i = 0; i < 5; i++)
			peer_pair(&names, FCGI_MPXS_CONNS, strlen(FCGI_MPXS_CONNS), "", 0);
		peer_record(out, FCGI_GET_VALUES, 0, names.data, names.len, 0);
	}
}

/* A stream's content in records of any size, others between them; not its end. */
static void add_records(struct maker *m, uint8_t type, const struct strbuf *content, bool odd)
{
	size_t largest = one_in(m, 8) ? 16 : one_in(m, 2) ? FCGI_MAX_LENGTH : 9000;
	size_t at = 0;
	bool done = !odd;
	while (at < content->len) {
		size_t part = 1 + below(m, largest);
		if (part > content->len - at)
			part = content->len - at;
		if (content->len > 64 * largest)
			largest = FCGI_MAX_LENGTH;
		record(m, type, content->data + at, part);
		at += part;
		if (one_in(m, 10))
			add_extra(m);
		if (!done && (at == content->len || one_in(m, 3))) {
			add_odd_record(m);
			done = true;
		}
	}
	if (!done)
		add_odd_record(m);
}

static void add_begin(struct maker *m)
{
	static const uint8_t roles[] = {FCGI_AUTHORIZER, FCGI_FILTER, 0, 9};
	unsigned char body[9] = {0, FCGI_RESPONDER, (unsigned char)below(m, 2)};
	if (is_odd(m, ODD_ROLE))
		body[1] = roles[below(m, 4)];
	size_t len = is_odd(m, ODD_BEGIN_LENGTH) ? (one_in(m, 2) ? 7 : 9) : 8;
	uint8_t pad = is_odd(m, ODD_BEGIN_PADDED) ? (uint8_t)(1 + below(m, 255)) : 0;
	peer_record(&m->s->bytes, FCGI_BEGIN_REQUEST, m->id, body, len, pad);
}

/* Damage to the finished bytes. */
static void damage(struct maker *m)
{
	struct strbuf *out = &m->s->bytes;
	if (is_odd(m, ODD_VERSION))
		out->data[0] = (char)(one_in(m, 2) ? 0 : 2 + below(m, 250));
	if (is_odd(m, ODD_CUT))
		strbuf_truncate(out, below(m, m->last + FCGI_HEADER_LEN));
}

static void make_body(struct maker *m)
{
	size_t len = one_in(m, 2) ? 0 : 1 + below(m, one_in(m, 10) ? STREAM_BODY_BYTES : 3000);
	if (is_odd(m, ODD_LARGE_BODY))
		len = STREAM_BODY_BYTES + 1 + below(m, 10000);
	if (is_odd(m, ODD_NO_LENGTH) && len == 0)
		len = 1;
	for (size_t i = 0; i < len; i++)
		strbuf_addc(&m->s->body, (char)below(m, 256));
}

static void add_request(struct maker *m)
{
	struct fcgi_stream *s = m->s;
	uint8_t end_padding = is_odd(m, ODD_END_PADDED) ? (uint8_t)(1 + below(m, 255)) : 0;
	if (one_in(m, 10))
		add_extra(m);
	add_begin(m);
	add_records(m, FCGI_PARAMS, &m->pairs, true);
	if (is_odd(m, ODD_EARLY_BODY))
		add_records(m, FCGI_STDIN, &s->body, false);
	peer_record(&s->bytes, FCGI_PARAMS, m->id, "", 0, end_padding);
	if (is_odd(m, ODD_PARAMS_AGAIN))
		record(m, FCGI_PARAMS, "\1\1AB", 4);
	if (!is_odd(m, ODD_EARLY_BODY))
		add_records(m, FCGI_STDIN, &s->body, false);
	m->last = s->bytes.len;
	record(m, FCGI_STDIN, "", 0);
}

void fcgi_stream_init(struct fcgi_stream *s)
{
	*s = (struct fcgi_stream){0};
	strbuf_init(&s->bytes);
	strbuf_init(&s->params);
	strbuf_init(&s->body);
}

void fcgi_stream_release(struct fcgi_stream *s)
{
	strbuf_release(&s->bytes);
	strbuf_release(&s->params);
	strbuf_release(&s->body);
}

void fcgi_stream_make(struct fcgi_stream *s, uint64_t seed, unsigned odd)
{
	struct maker m = {.s = s, .random = seed};
	strbuf_clear(&s->bytes);
	strbuf_clear(&s->params);
	strbuf_clear(&s->body);
	strbuf_init(&m.pairs);
	s->seed = seed;
	s->odd = odd;
	m.id = is_odd(&m, ODD_ID_ZERO) ? 0 : (uint16_t)(1 + below(&m, 65535));
	make_body(&m);
	make_pairs(&m);
	add_request(&m);
	damage(&m);
	strbuf_release(&m.pairs);
}
