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
#include "fcgi_peer.h"
#include "codec_seen.h"

static const char *const plain[] = {
    "REQUEST_METHOD", "GET", "QUERY_STRING", "a=1", "EMPTY", "", NULL};
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
    {PAIRS("\11\1HTTP_HOSTa\11\1HTTP_HOSTa"), "", ERR_MALFORMED, "HTTP_HOST=a;"},
    {PAIRS("\5\1HTTP_a\5\1HTTP_a"), "", ERR_MALFORMED, "HTTP_=a;"},
    {PAIRS("\6\1HTTP_Aa\1\1bc\6\1HTTP_Ad\6\1HTTP_Be\6\0HTTP_A\6\1HTTP_Bf"), "", ERR_OK,
     "HTTP_A=a, d, ;b=c;HTTP_B=e, f;"},
    {PAIRS("\13\1HTTP_COOKIEx\13\1HTTP_COOKIEy"), "", ERR_OK, "HTTP_COOKIE=x; y;"},
    {PAIRS("\1\3ab\0c"), "", ERR_MALFORMED, ""},
    {PAIRS("\1\1xy\3\1a\0bc"), "", ERR_MALFORMED, "x=y;"},
    {PAIRS("\0\1b"), "", ERR_MALFORMED, ""},
    {PAIRS("\1\1ab\5"), "", ERR_MALFORMED, "a=b;"},
    {PAIRS("\1\1ab\1\xff\0\0\1a"), "", ERR_MALFORMED, "a=b;"},
    {PAIRS("\x80\0\0"), "", ERR_MALFORMED, ""},
    {PAIRS("\11\1HTTP_HOSXa\11\1HTTP_HOSXb"), "", ERR_OK, "HTTP_HOSX=a, b;"},
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
    /* each of a length's four bytes counts */
    {PAIRS("\x80\0\1\1\1ab"), "", ERR_MALFORMED, ""},
    {PAIRS("\x80\1\0\1\1ab"), "", ERR_MALFORMED, ""},
    {PAIRS("\x81\0\0\1\1ab"), "", ERR_MALFORMED, ""},
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
		codec_init(&c, &seen_limits);
		seen_init(&s);
		see_fragment(&s, &c, bytes.data, bytes.len);
		assert_int_equal(s.requests, 1);
		assert_int_equal(s.refused, r->refused);
		assert_int_equal(s.refusal != NULL, r->refused != ERR_OK);
		if (r->kept != NULL)
			assert_string_equal(s.params.data, r->kept);
		assert_true(s.keep);
		see_fragment(&s, &c, next.data, next.len);
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
	codec_init(&c, &seen_limits);
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
		codec_init(&c, &seen_limits);
		seen_init(&s);
		see_fragment(&s, &c, bytes.data, bytes.len - 8);
		assert_int_equal(s.requests, 0);
		assert_true(c.memory.body.cap <= 2048);
		see_fragment(&s, &c, bytes.data + bytes.len - 8, 8);
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
	codec_init(&c, &seen_limits);
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
	assert_null(c.memory.params.data);
	assert_int_equal(codec_feed(&c, bytes.data, bytes.len, &used), CODEC_REQUEST);
	assert_int_equal(c.request.body_len, 1 << 20);
	codec_next(&c);
	assert_true(c.memory.body.cap <= CODEC_KEEP_BYTES);
	assert_true(c.memory.params.cap > 0 && c.memory.params.cap <= CODEC_KEEP_BYTES);
	codec_release(&c);
	free(body);
}

static void test_memory_is_lent_from_codec_to_codec(void **state)
{
	(void)state;
	struct codec codecs[2];
	struct codec_memory memory;
	size_t used;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	peer_request(&bytes, 1, true, plain, "", 0);
	codec_memory_init(&memory);
	const char *lent = memory.params.data;
	const struct param *table = memory.table;
	assert_non_null(lent);
	for (size_t i = 0; i < 2; i++) {
		struct codec *c = &codecs[i];
		codec_init(c, &seen_limits);
		codec_lend(c, &memory);
		assert_null(memory.params.data);
		assert_null(memory.table);
		assert_int_equal(codec_feed(c, bytes.data, bytes.len, &used), CODEC_REQUEST);
		assert_ptr_equal(c->memory.params.data, lent);
		assert_ptr_equal(c->request.params, table);
		codec_next(c);
		codec_give_back(c, &memory);
		assert_ptr_equal(memory.params.data, lent);
		assert_null(c->memory.params.data);
		assert_null(c->memory.table);
		codec_release(c);
	}
	codec_memory_release(&memory);
}

/* As when two requests were being read, one in pieces. */
static void test_memory_that_nobody_needs_is_freed(void **state)
{
	(void)state;
	struct codec c;
	struct codec_memory memory;
	struct codec_memory none = {0};
	size_t used;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	peer_request(&bytes, 1, true, plain, "", 0);
	codec_memory_init(&memory);
	const char *spare = memory.params.data;
	codec_init(&c, &seen_limits);
	codec_lend(&c, &none);
	assert_int_equal(codec_feed(&c, bytes.data, bytes.len - 1, &used), CODEC_MORE);
	const char *own = c.memory.params.data;
	assert_non_null(own);
	codec_lend(&c, &memory); /* it has some */
	assert_ptr_equal(c.memory.params.data, own);
	assert_int_equal(codec_feed(&c, bytes.data + used, bytes.len - used, &used), CODEC_REQUEST);
	codec_next(&c);
	codec_give_back(&c, &memory);
	assert_null(c.memory.params.data);
	assert_ptr_equal(memory.params.data, spare);
	codec_memory_release(&memory);
	codec_release(&c);
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
		see_all(&whole, &bytes, bytes.len);
		see_all(&parts, &bytes, random_below(&seed, 50) + 1);
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
	    cmocka_unit_test(test_refusals_keep_the_stream_in_step),
	    cmocka_unit_test(test_parameters_are_bounded),
	    cmocka_unit_test(test_many_names_of_one_length_are_no_repetition),
	    cmocka_unit_test(test_a_large_body_is_discarded_without_being_kept),
	    cmocka_unit_test(test_endless_input_is_cut_off),
	    cmocka_unit_test(test_memory_is_kept_small_between_requests),
	    cmocka_unit_test(test_memory_is_lent_from_codec_to_codec),
	    cmocka_unit_test(test_memory_that_nobody_needs_is_freed),
	    cmocka_unit_test(test_random_streams_in_random_fragments),
	};
	return cmocka_run_group_tests_name("fastcgi_limits", tests, NULL, NULL);
}
