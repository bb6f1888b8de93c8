/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "fastcgi/codec.h"
#include "fcgi_peer.h"

static const struct codec_limits limits = {
    .params_bytes = 4096, .params_count = 20, .body_bytes = 1000, .max_connections = 2048};

/* What came out of a codec, and everything that it replied. */
struct seen {
	unsigned requests;
	enum err refused;
	const char *refusal;
	uint16_t id;
	bool keep;
	bool broken;
	bool closing;
	struct strbuf params; /* "NAME=value;" each */
	struct strbuf body;
	struct strbuf replies;
};

static void seen_init(struct seen *s)
{
	*s = (struct seen){0};
	strbuf_init(&s->params);
	strbuf_init(&s->body);
	strbuf_init(&s->replies);
}

static void seen_release(struct seen *s)
{
	strbuf_release(&s->params);
	strbuf_release(&s->body);
	strbuf_release(&s->replies);
}

static void see_request(struct seen *s, const struct codec_request *r)
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

/* Feeds one fragment, dealing with all that comes of it. */
static void feed(struct codec *c, struct seen *s, const char *bytes, size_t len)
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
			s->closing = !c->request.keep;
			codec_next(c);
			break;
		case CODEC_BROKEN:
			s->broken = true;
			break;
		}
	}
}

/* All of it through a new codec, in fragments of the given size. */
static void run(struct seen *s, const struct strbuf *bytes, size_t fragment)
{
	struct codec c;
	assert_false(bytes->failed);
	codec_init(&c, &limits);
	for (size_t at = 0; at < bytes->len; at += fragment) {
		size_t left = bytes->len - at;
		feed(&c, s, bytes->data + at, left < fragment ? left : fragment);
	}
	codec_release(&c);
}

static const char *const plain[] = {
    "REQUEST_METHOD", "GET", "QUERY_STRING", "a=1", "EMPTY", "", NULL};
static const char plain_text[] = "REQUEST_METHOD=GET;QUERY_STRING=a=1;EMPTY=;";

static void test_a_request_in_any_fragments(void **state)
{
	(void)state;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	peer_request(&bytes, 0x1234, true, plain, "hello", 5);
	for (size_t fragment = 1; fragment <= bytes.len; fragment++) {
		struct seen s;
		seen_init(&s);
		run(&s, &bytes, fragment);
		assert_int_equal(s.requests, 1);
		assert_int_equal(s.refused, ERR_OK);
		assert_int_equal(s.id, 0x1234);
		assert_true(s.keep);
		assert_string_equal(s.params.data,
				    "REQUEST_METHOD=GET;QUERY_STRING=a=1;EMPTY=;CONTENT_LENGTH=5;");
		assert_string_equal(s.body.data, "hello");
		assert_int_equal(s.replies.len, 0);
		seen_release(&s);
	}
}

static void test_a_request_split_at_every_byte(void **state)
{
	(void)state;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	peer_request(&bytes, 1, true, plain, "hello", 5);
	peer_request(&bytes, 2, true, plain, "", 0);
	for (size_t split = 1; split < bytes.len; split++) {
		struct codec c;
		struct seen s;
		codec_init(&c, &limits);
		seen_init(&s);
		feed(&c, &s, bytes.data, split);
		feed(&c, &s, bytes.data + split, bytes.len - split);
		assert_int_equal(s.requests, 2);
		assert_int_equal(s.id, 2);
		assert_string_equal(s.params.data, plain_text);
		assert_true(codec_between(&c));
		seen_release(&s);
		codec_release(&c);
	}
}

static void test_padding_on_every_record(void **state)
{
	(void)state;
	const unsigned char begin[8] = {0, FCGI_RESPONDER, FCGI_KEEP_CONN};
	STRBUF_CLEANUP pairs = STRBUF_INIT;
	peer_pairs(&pairs, plain);
	peer_pair(&pairs, "CONTENT_LENGTH", 14, "3", 1);
	for (unsigned padding = 1; padding <= UINT8_MAX; padding += 127) {
		uint8_t p = (uint8_t)padding;
		STRBUF_CLEANUP bytes = STRBUF_INIT;
		peer_record(&bytes, FCGI_GET_VALUES, 0, "", 0, p);
		peer_record(&bytes, FCGI_BEGIN_REQUEST, 1, begin, sizeof(begin), p);
		peer_record(&bytes, FCGI_PARAMS, 1, pairs.data, 10, p);
		peer_record(&bytes, FCGI_PARAMS, 1, pairs.data + 10, pairs.len - 10, p);
		peer_record(&bytes, FCGI_PARAMS, 1, "", 0, p);
		peer_record(&bytes, FCGI_STDIN, 1, "abc", 3, p);
		peer_record(&bytes, FCGI_STDIN, 1, "", 0, p);
		peer_record(&bytes, 99, 0, "", 0, p);
		peer_get(&bytes, 1, true, "last");
		for (size_t fragment = 1; fragment <= bytes.len; fragment += 13) {
			struct seen s;
			seen_init(&s);
			run(&s, &bytes, fragment);
			assert_int_equal(s.requests, 2);
			assert_string_equal(s.params.data, "QUERY_STRING=last;");
			assert_int_equal(s.replies.len, 8 + 16);
			seen_release(&s);
		}
	}
}

static void test_padding_behind_a_request_is_taken_with_it(void **state)
{
	(void)state;
	struct codec c;
	size_t used;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	peer_begin(&bytes, 1, FCGI_RESPONDER, true);
	peer_record(&bytes, FCGI_PARAMS, 1, "", 0, 0);
	peer_record(&bytes, FCGI_STDIN, 1, "", 0, 7);
	codec_init(&c, &limits);
	assert_int_equal(codec_feed(&c, bytes.data, bytes.len, &used), CODEC_REQUEST);
	assert_int_equal(used, bytes.len);
	codec_next(&c);
	assert_true(codec_between(&c));
	codec_release(&c);
}

static void test_streams_may_interleave(void **state)
{
	(void)state;
	struct seen s;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	STRBUF_CLEANUP pairs = STRBUF_INIT;
	peer_pair(&pairs, "CONTENT_LENGTH", 14, "4", 1);
	peer_begin(&bytes, 1, FCGI_RESPONDER, true);
	peer_record(&bytes, FCGI_STDIN, 1, "ab", 2, 0);
	peer_record(&bytes, FCGI_PARAMS, 1, pairs.data, pairs.len, 0);
	peer_record(&bytes, FCGI_DATA, 1, "for filters", 11, 5);
	peer_stream(&bytes, FCGI_STDIN, 1, "cd", 2);
	peer_record(&bytes, FCGI_PARAMS, 1, "", 0, 0);
	seen_init(&s);
	run(&s, &bytes, bytes.len);
	assert_int_equal(s.requests, 1);
	assert_int_equal(s.refused, ERR_OK);
	assert_string_equal(s.body.data, "abcd");
	seen_release(&s);
}

static void test_without_keep_conn_the_connection_is_not_kept(void **state)
{
	(void)state;
	struct seen s;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	peer_get(&bytes, 1, false, "x");
	seen_init(&s);
	run(&s, &bytes, bytes.len);
	assert_int_equal(s.requests, 1);
	assert_false(s.keep);
	seen_release(&s);
}

/* The replies, as text: "TYPE/id:content" with the pairs of a GET_VALUES_RESULT spelled out. */
static void assert_replies(const struct seen *s, const void *expected, size_t len)
{
	assert_int_equal(s->replies.len, len);
	assert_memory_equal(s->replies.data, expected, len);
}

static void test_get_values_answers_each_known_name_once(void **state)
{
	(void)state;
	struct seen s;
	STRBUF_CLEANUP asked = STRBUF_INIT;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	const char *const names[] = {
	    FCGI_MPXS_CONNS, "", "FCGI_MAX", "", "FCGI_MAX_CONNSX", "", FCGI_MAX_CONNS, "",
	    FCGI_MPXS_CONNS, "", NULL};
	peer_pairs(&asked, names);
	peer_record(&bytes, FCGI_GET_VALUES, 0, asked.data, asked.len, 3);
	seen_init(&s);
	run(&s, &bytes, bytes.len);
	STRBUF_CLEANUP pairs = STRBUF_INIT;
	STRBUF_CLEANUP expected = STRBUF_INIT;
	peer_pair(&pairs, FCGI_MPXS_CONNS, 15, "0", 1);
	peer_pair(&pairs, FCGI_MAX_CONNS, 14, "2048", 4);
	uint8_t padding = (uint8_t)(-pairs.len & 7);
	peer_record(&expected, FCGI_GET_VALUES_RESULT, 0, pairs.data, pairs.len, 0);
	expected.data[6] = (char)padding;
	strbuf_add(&expected, "\0\0\0\0\0\0\0", padding);
	assert_replies(&s, expected.data, expected.len);
	seen_release(&s);
}

static void test_get_values_is_bounded(void **state)
{
	(void)state;
	struct seen s;
	STRBUF_CLEANUP asked = STRBUF_INIT;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	for (int i = 0; i < 3000; i++)
		peer_pair(&asked, FCGI_MAX_REQS, 13, "value", 5);
	peer_record(&bytes, FCGI_GET_VALUES, 0, asked.data, asked.len, 0);
	/* Lengths that promise more than there is. */
	peer_record(&bytes, FCGI_GET_VALUES, 0,
		    "\xff\xff\xff\xff\xff\xff\xff\xff"
		    "x",
		    9, 0);
	peer_record(&bytes, FCGI_GET_VALUES, 0, "\x7f", 1, 0);
	peer_get(&bytes, 1, true, "after");
	seen_init(&s);
	run(&s, &bytes, 1000);
	assert_int_equal(s.requests, 1);
	/* One name with its value, padded, and two empty results. */
	assert_int_equal(s.replies.len, 8 + 24 + 8 + 8);
	seen_release(&s);
}

static void test_other_management_records_are_unknown(void **state)
{
	(void)state;
	const uint8_t types[] = {FCGI_BEGIN_REQUEST, FCGI_PARAMS, FCGI_STDIN,
				 FCGI_ABORT_REQUEST, 12,          255};
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct seen s;
		STRBUF_CLEANUP bytes = STRBUF_INIT;
		STRBUF_CLEANUP expected = STRBUF_INIT;
		const char body[8] = {(char)types[i]};
		peer_begin(&bytes, 5, FCGI_RESPONDER, true);
		peer_record(&bytes, types[i], 0, "12345678", 8, 2);
		peer_stream(&bytes, FCGI_PARAMS, 5, "", 0);
		peer_stream(&bytes, FCGI_STDIN, 5, "", 0);
		peer_record(&expected, FCGI_UNKNOWN_TYPE, 0, body, sizeof(body), 0);
		seen_init(&s);
		run(&s, &bytes, bytes.len);
		assert_replies(&s, expected.data, expected.len);
		assert_int_equal(s.requests, 1);
		seen_release(&s);
	}
}

static void expect_end(struct strbuf *expected, uint16_t id, uint8_t protocol_status)
{
	const char body[8] = {0, 0, 0, 0, (char)protocol_status};
	peer_record(expected, FCGI_END_REQUEST, id, body, sizeof(body), 0);
}

static void test_abort_ends_the_request(void **state)
{
	(void)state;
	for (int keep = 0; keep <= 1; keep++) {
		struct seen s;
		STRBUF_CLEANUP bytes = STRBUF_INIT;
		STRBUF_CLEANUP expected = STRBUF_INIT;
		peer_record(&bytes, FCGI_ABORT_REQUEST, 3, "", 0, 0); /* not active: ignored */
		peer_begin(&bytes, 3, FCGI_RESPONDER, keep);
		peer_record(&bytes, FCGI_PARAMS, 3, "\1\1ab", 4, 0);
		peer_record(&bytes, FCGI_ABORT_REQUEST, 4, "", 0, 0); /* another's: ignored */
		peer_record(&bytes, FCGI_ABORT_REQUEST, 3, "", 0, 0);
		peer_get(&bytes, 3, true, "next");
		expect_end(&expected, 3, FCGI_REQUEST_COMPLETE);
		seen_init(&s);
		run(&s, &bytes, bytes.len);
		assert_replies(&s, expected.data, expected.len);
		assert_int_equal(s.closing, !keep);
		assert_int_equal(s.requests, keep);
		if (keep)
			assert_string_equal(s.params.data, "QUERY_STRING=next;");
		seen_release(&s);
	}
}

static void test_other_roles_are_refused(void **state)
{
	(void)state;
	const uint16_t roles[] = {0, FCGI_AUTHORIZER, FCGI_FILTER, 4, 0x0101};
	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		struct seen s;
		STRBUF_CLEANUP bytes = STRBUF_INIT;
		STRBUF_CLEANUP expected = STRBUF_INIT;
		peer_begin(&bytes, 9, roles[i], true);
		peer_stream(&bytes, FCGI_PARAMS, 9, "\1\1ab", 4);
		peer_stream(&bytes, FCGI_STDIN, 9, "", 0);
		peer_get(&bytes, 9, true, "next");
		expect_end(&expected, 9, FCGI_UNKNOWN_ROLE);
		seen_init(&s);
		run(&s, &bytes, bytes.len);
		assert_replies(&s, expected.data, expected.len);
		assert_int_equal(s.requests, 1);
		seen_release(&s);
	}
	struct seen s;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	peer_begin(&bytes, 9, FCGI_FILTER, false);
	seen_init(&s);
	run(&s, &bytes, bytes.len);
	assert_true(s.closing);
	seen_release(&s);
}

static void test_a_begin_inside_a_request_is_refused(void **state)
{
	(void)state;
	struct seen s;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	STRBUF_CLEANUP expected = STRBUF_INIT;
	peer_begin(&bytes, 1, FCGI_RESPONDER, true);
	peer_record(&bytes, FCGI_PARAMS, 1, "\1\1ab", 4, 0);
	peer_get(&bytes, 2, false, "second");
	peer_stream(&bytes, FCGI_PARAMS, 1, "\1\1cd", 4);
	peer_stream(&bytes, FCGI_STDIN, 1, "", 0);
	expect_end(&expected, 2, FCGI_CANT_MPX_CONN);
	seen_init(&s);
	run(&s, &bytes, bytes.len);
	assert_replies(&s, expected.data, expected.len);
	assert_int_equal(s.requests, 1);
	assert_int_equal(s.id, 1);
	assert_string_equal(s.params.data, "a=b;c=d;");
	seen_release(&s);
}

static void test_streams_out_of_step_break_the_connection(void **state)
{
	(void)state;
	for (int which = 0; which < 5; which++) {
		struct seen s;
		STRBUF_CLEANUP bytes = STRBUF_INIT;
		peer_begin(&bytes, 1, FCGI_RESPONDER, true);
		switch (which) {
		case 0: /* nobody could tell two requests of one id apart */
			peer_begin(&bytes, 1, FCGI_RESPONDER, true);
			break;
		case 1: /* version 2 */
			strbuf_add(&bytes, "\2\5\0\1\0\0\0\0", 8);
			break;
		case 2: /* parameters behind their end */
			peer_stream(&bytes, FCGI_PARAMS, 1, "\1\1ab", 4);
			peer_record(&bytes, FCGI_PARAMS, 1, "\1\1cd", 4, 0);
			break;
		case 3: /* a body behind its end */
			peer_stream(&bytes, FCGI_STDIN, 1, "", 0);
			peer_record(&bytes, FCGI_STDIN, 1, "x", 1, 0);
			break;
		case 4: /* a begin of the wrong length */
			peer_record(&bytes, FCGI_BEGIN_REQUEST, 2, "\0\1\1", 3, 0);
			break;
		}
		seen_init(&s);
		run(&s, &bytes, bytes.len);
		assert_true(s.broken);
		assert_int_equal(s.requests, 0);
		seen_release(&s);
	}
}

static void test_records_of_other_requests_are_ignored(void **state)
{
	(void)state;
	struct seen s;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	peer_stream(&bytes, FCGI_PARAMS, 7, "\1\1xy", 4);
	peer_stream(&bytes, FCGI_STDIN, 7, "stray", 5);
	peer_begin(&bytes, 1, FCGI_RESPONDER, true);
	peer_stream(&bytes, FCGI_PARAMS, 7, "\1\1xy", 4);
	peer_record(&bytes, 77, 1, "unknown", 7, 1);
	peer_record(&bytes, FCGI_END_REQUEST, 1, "12345678", 8, 0);
	peer_stream(&bytes, FCGI_PARAMS, 1, "\1\1ab", 4);
	peer_stream(&bytes, FCGI_STDIN, 7, "stray", 5);
	peer_stream(&bytes, FCGI_STDIN, 1, "", 0);
	seen_init(&s);
	run(&s, &bytes, bytes.len);
	assert_int_equal(s.requests, 1);
	assert_int_equal(s.refused, ERR_OK);
	assert_string_equal(s.params.data, "a=b;");
	assert_int_equal(s.replies.len, 0);
	seen_release(&s);
}

struct refusal_case {
	const char *params; /* encoded */
	size_t params_len;
	const char *body;
	enum err refused;
	const char *kept; /* parameters that can still be seen */
};

#define PAIRS(text) (text), sizeof(text) - 1

static const struct refusal_case refusals[] = {
    {PAIRS("\1\1ab\1\1ac"), "", ERR_MALFORMED, "a=b;"},
    {PAIRS("\16\1CONTENT_LENGTH4\16\1CONTENT_LENGTH4"), "abcd", ERR_MALFORMED, "CONTENT_LENGTH=4;"},
    {PAIRS("\1\3ab\0c"), "", ERR_MALFORMED, ""},
    {PAIRS("\1\1xy\3\1a\0bc"), "", ERR_MALFORMED, "x=y;"},
    {PAIRS("\0\1b"), "", ERR_MALFORMED, ""},
    {PAIRS("\1\1ab\5"), "", ERR_MALFORMED, "a=b;"},
    {PAIRS("\1\1ab\1\1a"), "", ERR_MALFORMED, "a=b;"},
    {PAIRS("\1\x80\0\0"), "", ERR_MALFORMED, ""},
    {PAIRS("\xff\xff\xff\xff\xff\xff\xff\xff"
	   "ab"),
     "", ERR_MALFORMED, ""},
    {PAIRS("\16\1CONTENT_LENGTH3"), "abcd", ERR_MALFORMED, "CONTENT_LENGTH=3;"},
    {PAIRS("\16\1CONTENT_LENGTH5"), "abcd", ERR_MALFORMED, "CONTENT_LENGTH=5;"},
    {PAIRS("\16\1CONTENT_LENGTH5"), "", ERR_MALFORMED, "CONTENT_LENGTH=5;"},
    {PAIRS("\16\2CONTENT_LENGTH+4"), "abcd", ERR_MALFORMED, "CONTENT_LENGTH=+4;"},
    {PAIRS("\16\2CONTENT_LENGTH-1"), "", ERR_MALFORMED, "CONTENT_LENGTH=-1;"},
    {PAIRS("\16\25CONTENT_LENGTH184467440737095516160"), "", ERR_MALFORMED, NULL},
    {PAIRS("\16\0CONTENT_LENGTH"), "abcd", ERR_MALFORMED, "CONTENT_LENGTH=;"},
    {PAIRS("\1\1ab"), "abcd", ERR_MALFORMED, "a=b;"},
    {PAIRS("\16\4CONTENT_LENGTH1001"), "", ERR_TOO_LARGE, "CONTENT_LENGTH=1001;"},
    {PAIRS("\16\0CONTENT_LENGTH"), "", ERR_OK, "CONTENT_LENGTH=;"},
    {PAIRS("\16\1CONTENT_LENGTH0"), "", ERR_OK, "CONTENT_LENGTH=0;"},
    {PAIRS("\16\1CONTENT_LENGTH4"), "abcd", ERR_OK, "CONTENT_LENGTH=4;"},
    {PAIRS("\x80\0\0\1\x80\0\0\1ab"), "", ERR_OK, "a=b;"},
    {PAIRS(""), "", ERR_OK, ""},
};

static void test_refusals_keep_the_stream_in_step(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		const struct refusal_case *r = &refusals[i];
		struct codec c;
		struct seen s;
		STRBUF_CLEANUP bytes = STRBUF_INIT;
		STRBUF_CLEANUP next = STRBUF_INIT;
		peer_begin(&bytes, 1, FCGI_RESPONDER, true);
		peer_stream(&bytes, FCGI_PARAMS, 1, r->params, r->params_len);
		peer_stream(&bytes, FCGI_STDIN, 1, r->body, strlen(r->body));
		peer_get(&next, 2, true, "next");
		codec_init(&c, &limits);
		seen_init(&s);
		feed(&c, &s, bytes.data, bytes.len);
		assert_int_equal(s.requests, 1);
		assert_int_equal(s.refused, r->refused);
		assert_int_equal(s.refusal != NULL, r->refused != ERR_OK);
		if (r->kept != NULL)
			assert_string_equal(s.params.data, r->kept);
		assert_true(s.keep);
		feed(&c, &s, next.data, next.len);
		assert_int_equal(s.requests, 2);
		assert_int_equal(s.refused, ERR_OK);
		assert_string_equal(s.params.data, "QUERY_STRING=next;");
		seen_release(&s);
		codec_release(&c);
	}
}

/* A request whose parameter stream has len bytes; count of them when each takes size. */
static void run_params(struct seen *s, size_t count, size_t value_len)
{
	STRBUF_CLEANUP pairs = STRBUF_INIT;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	STRBUF_CLEANUP value = STRBUF_INIT;
	for (size_t i = 0; i < value_len; i++)
		strbuf_addc(&value, 'v');
	for (size_t i = 0; i < count; i++) {
		char name[3] = {'n', (char)('A' + i / 26), (char)('A' + i % 26)};
		peer_pair(&pairs, name, sizeof(name), value.data, value.len);
	}
	peer_begin(&bytes, 1, FCGI_RESPONDER, true);
	peer_stream(&bytes, FCGI_PARAMS, 1, pairs.data, pairs.len);
	peer_stream(&bytes, FCGI_STDIN, 1, "", 0);
	peer_get(&bytes, 1, true, "next");
	struct codec c;
	codec_init(&c, &limits);
	size_t used;
	assert_int_equal(codec_feed(&c, bytes.data, bytes.len, &used), CODEC_REQUEST);
	see_request(s, &c.request);
	codec_next(&c);
	assert_int_equal(codec_feed(&c, bytes.data + used, bytes.len - used, &used), CODEC_REQUEST);
	assert_int_equal(c.request.refused, ERR_OK);
	codec_release(&c);
}

static void test_parameters_are_bounded(void **state)
{
	(void)state;
	const struct {
		size_t count;
		size_t value_len;
		enum err refused;
	} cases[] = {
	    {20, 10, ERR_OK},         {21, 10, ERR_TOO_LARGE},  {1, 4096 - 8, ERR_OK},
	    {1, 4097, ERR_TOO_LARGE}, {2, 3000, ERR_TOO_LARGE}, {40, 60000, ERR_TOO_LARGE},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct seen s;
		seen_init(&s);
		run_params(&s, cases[i].count, cases[i].value_len);
		assert_int_equal(s.refused, cases[i].refused);
		seen_release(&s);
	}
}

static void test_many_names_of_one_length_are_no_repetition(void **state)
{
	(void)state;
	const struct codec_limits wide = {.params_bytes = 65536, .params_count = 256};
	STRBUF_CLEANUP pairs = STRBUF_INIT;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	for (unsigned i = 0; i < 256; i++) {
		char name[] = {'N',
			       (char)('0' + i / 100),
			       (char)('0' + i / 10 % 10),
			       (char)('0' + i % 10),
			       'S',
			       'A',
			       'M',
			       'E',
			       'T',
			       'A',
			       'I',
			       'L'};
		peer_pair(&pairs, name, sizeof(name), "v", 1);
	}
	for (int repeated = 0; repeated <= 1; repeated++) {
		struct codec c;
		size_t used;
		strbuf_clear(&bytes);
		peer_begin(&bytes, 1, FCGI_RESPONDER, true);
		if (repeated)
			memcpy(pairs.data + pairs.len - 13, pairs.data + 2, 12);
		peer_stream(&bytes, FCGI_PARAMS, 1, pairs.data, pairs.len);
		peer_stream(&bytes, FCGI_STDIN, 1, "", 0);
		codec_init(&c, &wide);
		assert_int_equal(codec_feed(&c, bytes.data, bytes.len, &used), CODEC_REQUEST);
		assert_int_equal(c.request.refused, repeated ? ERR_MALFORMED : ERR_OK);
		assert_int_equal(c.request.param_count, repeated ? 255 : 256);
		codec_release(&c);
	}
}

static void test_a_large_body_is_discarded_without_being_kept(void **state)
{
	(void)state;
	const char *const lying[] = {"CONTENT_LENGTH", "10", NULL};
	char *body = calloc(1, 200000);
	assert_non_null(body);
	for (int lies = 0; lies <= 1; lies++) {
		struct codec c;
		struct seen s;
		STRBUF_CLEANUP bytes = STRBUF_INIT;
		if (lies) {
			STRBUF_CLEANUP pairs = STRBUF_INIT;
			peer_pairs(&pairs, lying);
			peer_begin(&bytes, 1, FCGI_RESPONDER, true);
			peer_stream(&bytes, FCGI_PARAMS, 1, pairs.data, pairs.len);
			peer_stream(&bytes, FCGI_STDIN, 1, body, 200000);
		} else {
			peer_request(&bytes, 1, true, plain, body, 200000);
		}
		codec_init(&c, &limits);
		seen_init(&s);
		feed(&c, &s, bytes.data, bytes.len - 8);
		assert_int_equal(s.requests, 0);
		assert_true(c.body.cap <= 2048);
		feed(&c, &s, bytes.data + bytes.len - 8, 8);
		assert_int_equal(s.requests, 1);
		assert_int_equal(s.refused, ERR_TOO_LARGE);
		assert_true(s.keep);
		assert_true(codec_between(&c));
		seen_release(&s);
		codec_release(&c);
	}
	free(body);
}

static void test_endless_input_is_cut_off(void **state)
{
	(void)state;
	struct codec c;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	STRBUF_CLEANUP block = STRBUF_INIT;
	char *filling = calloc(1, FCGI_MAX_LENGTH);
	assert_non_null(filling);
	peer_begin(&bytes, 1, FCGI_RESPONDER, true);
	peer_stream(&bytes, FCGI_PARAMS, 1, "", 0);
	peer_record(&block, FCGI_STDIN, 1, filling, FCGI_MAX_LENGTH, 0);
	codec_init(&c, &limits);
	size_t used;
	assert_int_equal(codec_feed(&c, bytes.data, bytes.len, &used), CODEC_MORE);
	size_t fed = 0;
	enum codec_event event = CODEC_MORE;
	while (event == CODEC_MORE && fed < 2 * (size_t)CODEC_DISCARD_MAX) {
		event = codec_feed(&c, block.data, block.len, &used);
		fed += used;
	}
	assert_int_equal(event, CODEC_REQUEST);
	assert_int_equal(c.request.refused, ERR_TOO_LARGE);
	assert_false(c.request.keep);
	codec_release(&c);
	free(filling);
}

static void test_memory_is_kept_small_between_requests(void **state)
{
	(void)state;
	const struct codec_limits wide = {
	    .params_bytes = 65536, .params_count = 256, .body_bytes = 1 << 20};
	struct codec c;
	size_t used;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	char *body = calloc(1, 1 << 20);
	assert_non_null(body);
	peer_request(&bytes, 1, true, plain, body, 1 << 20);
	codec_init(&c, &wide);
	assert_null(c.params.data);
	assert_int_equal(codec_feed(&c, bytes.data, bytes.len, &used), CODEC_REQUEST);
	assert_int_equal(c.request.body_len, 1 << 20);
	codec_next(&c);
	assert_true(c.body.cap <= CODEC_KEEP_BYTES);
	assert_true(c.params.cap > 0 && c.params.cap <= CODEC_KEEP_BYTES);
	codec_release(&c);
	free(body);
}

/* A small generator of its own, so that a seed means the same everywhere. */
static unsigned random_below(uint64_t *seed, unsigned bound)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)((*seed >> 33) % bound);
}

static void add_random_record(struct strbuf *out, uint64_t *seed)
{
	static const char text[300] = "\1\1ab\16\1CONTENT_LENGTH3\1\1cd\3\0xyz";
	uint16_t id = (uint16_t)random_below(seed, 3);
	uint8_t padding = (uint8_t)random_below(seed, 9);
	switch (random_below(seed, 8)) {
	case 0:
	case 1:
		peer_request(out, id, true, plain, text, random_below(seed, 40));
		break;
	case 2:
		peer_begin(out, id, (uint16_t)random_below(seed, 3), random_below(seed, 8) > 0);
		break;
	case 3:
	case 4:
		peer_record(out, FCGI_PARAMS, id, text, random_below(seed, 36), padding);
		break;
	case 5:
		peer_stream(out, FCGI_STDIN, id, text, random_below(seed, 5));
		break;
	default:
		peer_record(out, (uint8_t)random_below(seed, 14), id, text,
			    random_below(seed, sizeof(text)), padding);
	}
}

/* What a codec says does not depend on how the bytes were cut. */
static void test_random_streams_in_random_fragments(void **state)
{
	(void)state;
	for (uint64_t round = 1; round <= 3000; round++) {
		uint64_t seed = round;
		STRBUF_CLEANUP bytes = STRBUF_INIT;
		for (unsigned i = random_below(&seed, 12) + 1; i > 0; i--)
			add_random_record(&bytes, &seed);
		for (unsigned i = random_below(&seed, 4); i > 0; i--)
			bytes.data[random_below(&seed, (unsigned)bytes.len)] =
			    (char)random_below(&seed, 256);
		struct seen whole;
		struct seen parts;
		seen_init(&whole);
		seen_init(&parts);
		run(&whole, &bytes, bytes.len);
		run(&parts, &bytes, random_below(&seed, 50) + 1);
		assert_int_equal(whole.requests, parts.requests);
		assert_int_equal(whole.refused, parts.refused);
		assert_int_equal(whole.broken, parts.broken);
		assert_int_equal(whole.closing, parts.closing);
		assert_string_equal(whole.params.data, parts.params.data);
		assert_int_equal(whole.body.len, parts.body.len);
		assert_int_equal(whole.replies.len, parts.replies.len);
		assert_memory_equal(whole.replies.data, parts.replies.data, whole.replies.len);
		seen_release(&whole);
		seen_release(&parts);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_request_in_any_fragments),
	    cmocka_unit_test(test_a_request_split_at_every_byte),
	    cmocka_unit_test(test_padding_on_every_record),
	    cmocka_unit_test(test_padding_behind_a_request_is_taken_with_it),
	    cmocka_unit_test(test_streams_may_interleave),
	    cmocka_unit_test(test_without_keep_conn_the_connection_is_not_kept),
	    cmocka_unit_test(test_get_values_answers_each_known_name_once),
	    cmocka_unit_test(test_get_values_is_bounded),
	    cmocka_unit_test(test_other_management_records_are_unknown),
	    cmocka_unit_test(test_abort_ends_the_request),
	    cmocka_unit_test(test_other_roles_are_refused),
	    cmocka_unit_test(test_a_begin_inside_a_request_is_refused),
	    cmocka_unit_test(test_streams_out_of_step_break_the_connection),
	    cmocka_unit_test(test_records_of_other_requests_are_ignored),
	    cmocka_unit_test(test_refusals_keep_the_stream_in_step),
	    cmocka_unit_test(test_parameters_are_bounded),
	    cmocka_unit_test(test_many_names_of_one_length_are_no_repetition),
	    cmocka_unit_test(test_a_large_body_is_discarded_without_being_kept),
	    cmocka_unit_test(test_endless_input_is_cut_off),
	    cmocka_unit_test(test_memory_is_kept_small_between_requests),
	    cmocka_unit_test(test_random_streams_in_random_fragments),
	};
	return cmocka_run_group_tests_name("fastcgi_codec", tests, NULL, NULL);
}
