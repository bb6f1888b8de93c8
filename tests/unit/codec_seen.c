#include "codec_seen.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <stdlib.h>
#include <string.h>

const struct codec_limits seen_limits = {
    .params_bytes = 4096, .params_count = 20, .body_bytes = 1000, .max_connections = 2048};

void seen_init(struct seen *s)
{
	*s = (struct seen){0};
	strbuf_init(&s->params);
	strbuf_init(&s->body);
	strbuf_init(&s->replies);
}

void seen_release(struct seen *s)
{
	strbuf_release(&s->params);
	strbuf_release(&s->body);
	strbuf_release(&s->replies);
}

void see_request(struct seen *s, const struct codec_request *r)
{
	s->requests++;
	s->refused = r->refused;
	s->refusal = r->refusal;
	s->id = r->id;
	s->keep = r->keep;
	strbuf_clear(&s->params);
	strbuf_clear(&s->body);
	for (size_t i = 0; i < r->param_count; i++) {
		const struct param *p = &r->params[i];
		assert_int_equal(strlen(p->name), p->name_len);
		assert_int_equal(strlen(p->value), p->value_len);
		strbuf_addf(&s->params, "%s=%s;", p->name, p->value);
	}
	assert_int_equal(r->body[r->body_len], '\0');
	strbuf_add(&s->body, r->body, r->body_len);
}

void see_fragment(struct seen *s, struct codec *c, const char *bytes, size_t len)
{
	while (len > 0 && !s->broken && !s->closing) {
		/* A copy of its own, so that AddressSanitizer sees reads past it. */
		char *copy = malloc(len);
		size_t used = 0;
		assert_non_null(copy);
		memcpy(copy, bytes, len);
		enum codec_event event = codec_feed(c, copy, len, &used);
		free(copy);
		assert_true(used <= len);
		bytes += used;
		len -= used;
		switch (event) {
		case CODEC_MORE:
			assert_int_equal(len, 0);
			break;
		case CODEC_REPLY:
			strbuf_add(&s->replies, c->reply, c->reply_len);
			codec_replied(c);
			s->closing = c->closing;
			break;
		case CODEC_REQUEST:
			see_request(s, &c->request);
			assert_true(c->joined.len <= c->joined.cap);
			s->closing = !c->request.keep;
			codec_next(c);
			break;
		case CODEC_BROKEN:
			s->broken = true;
			break;
		}
	}
}

void see_all(struct seen *s, const struct strbuf *bytes, size_t fragment)
{
	struct codec c;
	assert_false(bytes->failed);
	codec_init(&c, &seen_limits);
	for (size_t at = 0; at < bytes->len; at += fragment) {
		size_t left = bytes->len - at;
		see_fragment(s, &c, bytes->data + at, left < fragment ? left : fragment);
	}
	codec_release(&c);
}
