/*
 * The FastCGI codec.  The input begins with the sizes of the pieces in which the
 * rest, what a web server sends, comes: a byte whose lowest three bits say how many
 * sizes follow, less one, and a byte for each, less one, taken in turn.
 *
 * Whatever comes, the codec takes every byte or says why not, and says what a plain
 * reading of the whole stream says: in pieces, and again as a whole when it has served
 * one connection already.  Requests keep the promises of codec.h; an answer to one is
 * records that bring its bytes back.
 */
#include "fastcgi/codec.h"
#include "fuzz.h"
#include "reference_codec.h"

enum { SIZES_MAX = 8 };

static const struct codec_limits limits = {
    .params_bytes = 2000, .params_count = 30, .body_bytes = 500, .max_connections = 12345};

struct sizes {
	size_t list[SIZES_MAX];
	size_t count;
	size_t next;
};

static size_t next_size(struct sizes *s, size_t left)
{
	size_t size = s->list[s->next++ % s->count];
	return size < left ? size : left;
}

static void check_params(const struct codec_request *r)
{
	for (size_t i = 0; i < r->param_count; i++) {
		const struct param *param = &r->params[i];
		AN_INVARIANT(param->name_len > 0 && strlen(param->name) == param->name_len);
		AN_INVARIANT(strlen(param->value) == param->value_len);
		for (size_t k = 0; k < i; k++)
			AN_INVARIANT(strcmp(param->name, r->params[k].name) != 0);
	}
}

static const char *param_value(const struct codec_request *r, const char *name)
{
	for (size_t i = 0; i < r->param_count; i++)
		if (strcmp(r->params[i].name, name) == 0)
			return r->params[i].value;
	return "";
}

/* A request that may be handled has the body that CONTENT_LENGTH says. */
static void check_request(const struct codec_request *r)
{
	AN_INVARIANT(r->id != 0);
	AN_INVARIANT(r->param_count <= limits.params_count && r->body_len <= limits.body_bytes);
	AN_INVARIANT(r->body[r->body_len] == '\0');
	check_params(r);
	if (r->refused == ERR_OK)
		AN_INVARIANT(r->refusal == NULL &&
			     strtoull(param_value(r, "CONTENT_LENGTH"), NULL, 10) == r->body_len);
	else
		AN_INVARIANT(r->body_len == 0);
}

static void note_whole_request(const struct codec_request *r, struct strbuf *said)
{
	note_request(said, r->id, r->keep, r->refused);
	for (size_t i = 0; i < r->param_count; i++) {
		note_text(said, "name", r->params[i].name, r->params[i].name_len);
		note_text(said, "value", r->params[i].value, r->params[i].value_len);
	}
	note_text(said, "body", r->body, r->body_len);
}

/* A reply is one record. */
static void note_whole_reply(const unsigned char *h, size_t len, struct strbuf *said)
{
	size_t content = (size_t)(h[4] << 8 | h[5]);
	AN_INVARIANT(len % 8 == 0 && len == FCGI_HEADER_LEN + content + h[6] && h[6] < 8);
	AN_INVARIANT(h[0] == FCGI_VERSION_1);
	note_reply(said, h[1], (unsigned)(h[2] << 8 | h[3]), h + FCGI_HEADER_LEN, content);
}

/* Writes the answer as far as a socket takes it each time. */
static void send_answer(struct codec_answer *a, struct sizes *sizes, struct strbuf *sent)
{
	struct iovec iov[CODEC_ANSWER_IOV];
	while (codec_answer_left(a) > 0) {
		size_t count = (size_t)codec_answer_iov(a, iov);
		size_t room = next_size(sizes, codec_answer_left(a)), taken = 0;
		AN_INVARIANT(count > 0 && count <= CODEC_ANSWER_IOV);
		for (size_t i = 0; i < count && taken < room; i++) {
			size_t part = iov[i].iov_len < room - taken ? iov[i].iov_len : room - taken;
			strbuf_add(sent, iov[i].iov_base, part);
			taken += part;
		}
		AN_INVARIANT(taken == room);
		codec_answer_advance(a, taken);
	}
}

/* Takes records apart: the content of STDOUT is collected; the last one ends the request. */
static void read_records(const struct strbuf *sent, uint16_t id, struct strbuf *content)
{
	AN_INVARIANT(sent->len > 0);
	for (size_t at = 0; at < sent->len;) {
		const unsigned char *h = (const unsigned char *)sent->data + at;
		size_t len = (size_t)h[4] << 8 | h[5];
		AN_INVARIANT(h[0] == FCGI_VERSION_1);
		AN_INVARIANT((h[2] << 8 | h[3]) == id);
		uint8_t type = h[1];
		at += FCGI_HEADER_LEN + len + h[6];
		AN_INVARIANT(type == (at == sent->len ? FCGI_END_REQUEST : FCGI_STDOUT));
		AN_INVARIANT(at <= sent->len && at % 8 == 0);
		if (type == FCGI_STDOUT)
			strbuf_add(content, h + FCGI_HEADER_LEN, len);
	}
}

/* The request's body comes back, behind a head. */
static void check_answer(const struct codec_request *r, struct sizes sizes)
{
	static const char head[] = "Status: 200 OK\r\n\r\n";
	STRBUF_CLEANUP sent = STRBUF_INIT, content = STRBUF_INIT, wanted = STRBUF_INIT;
	struct codec_answer answer;
	codec_answer_init(&answer, r->id, head, sizeof(head) - 1, r->body, r->body_len);
	send_answer(&answer, &sizes, &sent);
	read_records(&sent, r->id, &content);
	strbuf_adds(&wanted, head);
	strbuf_add(&wanted, r->body, r->body_len);
	must_equal(&content, &wanted);
}

/* False when the connection ends. */
static bool take_event(struct codec *c, enum codec_event event, const struct sizes *sizes,
		       struct strbuf *said)
{
	bool goes_on = true;
	switch (event) {
	case CODEC_MORE:
		break;
	case CODEC_REPLY:
		note_whole_reply(c->reply, c->reply_len, said);
		goes_on = !c->closing;
		codec_replied(c);
		break;
	case CODEC_REQUEST:
		check_request(&c->request);
		check_answer(&c->request, *sizes);
		note_whole_request(&c->request, said);
		goes_on = c->request.keep;
		codec_next(c);
		break;
	case CODEC_BROKEN:
		note_broken(said);
		goes_on = false;
		break;
	}
	return goes_on;
}

static bool feed(struct codec *c, const uint8_t *data, size_t size, const struct sizes *sizes,
		 struct strbuf *said)
{
	uint8_t *piece = exact_copy(data, size);
	size_t at = 0;
	bool goes_on = true;
	while (at < size && goes_on) {
		size_t used;
		enum codec_event event = codec_feed(c, piece + at, size - at, &used);
		AN_INVARIANT(used <= size - at && used > 0);
		AN_INVARIANT(event != CODEC_MORE || used == size - at);
		at += used;
		goes_on = take_event(c, event, sizes, said);
	}
	free(piece);
	return goes_on;
}

static void run(struct codec *c, const struct input *in, struct sizes sizes, bool whole,
		struct strbuf *said)
{
	for (size_t at = 0; at < in->left;) {
		size_t size = whole ? in->left : next_size(&sizes, in->left - at);
		if (!feed(c, in->at + at, size, &sizes, said))
			break;
		at += size;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {.at = data, .left = size};
	struct sizes sizes = {.count = (size_t)(input_byte(&in) & (SIZES_MAX - 1)) + 1};
	for (size_t i = 0; i < sizes.count; i++)
		sizes.list[i] = (size_t)input_byte(&in) + 1;

	STRBUF_CLEANUP wanted = STRBUF_INIT, parts = STRBUF_INIT, again = STRBUF_INIT;
	reference_codec(&limits, in.at, in.left, &wanted);
	struct codec c;
	codec_init(&c, &limits);
	run(&c, &in, sizes, false, &parts);
	must_equal(&parts, &wanted);
	codec_reset(&c);
	AN_INVARIANT(codec_between(&c));
	run(&c, &in, sizes, true, &again);
	must_equal(&again, &wanted);
	codec_release(&c);
	return 0;
}
