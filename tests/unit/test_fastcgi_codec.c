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
static const char plain_text[] = "REQUEST_METHOD=GET;QUERY_STRING=a=1;EMPTY=;";

static void test_a_request_in_any_fragments(void **state)
{
	(void)state;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	peer_request(&bytes, 0x1234, true, plain, "hello", 5);
	for (size_t fragment = 1; fragment <= bytes.len; fragment++) {
		struct seen s;
		seen_init(&s);
		see_all(&s, &bytes, fragment);
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
		codec_init(&c, &seen_limits);
		seen_init(&s);
		see_fragment(&s, &c, bytes.data, split);
		see_fragment(&s, &c, bytes.data + split, bytes.len - split);
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
			see_all(&s, &bytes, fragment);
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
	codec_init(&c, &seen_limits);
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
	see_all(&s, &bytes, bytes.len);
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
	see_all(&s, &bytes, bytes.len);
	assert_int_equal(s.requests, 1);
	assert_false(s.keep);
	seen_release(&s);
}

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
	see_all(&s, &bytes, bytes.len);
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

static void test_between_requests_nothing_is_pending(void **state)
{
	(void)state;
	struct codec c;
	size_t used;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	peer_record(&bytes, FCGI_GET_VALUES, 0, "", 0, 0);
	codec_init(&c, &seen_limits);
	assert_true(codec_between(&c));
	assert_int_equal(codec_feed(&c, bytes.data, 1, &used), CODEC_MORE);
	assert_false(codec_between(&c));
	assert_int_equal(codec_feed(&c, bytes.data + 1, bytes.len - 1, &used), CODEC_REPLY);
	assert_false(codec_between(&c));
	codec_replied(&c);
	assert_true(codec_between(&c));
	strbuf_clear(&bytes);
	peer_begin(&bytes, 1, FCGI_RESPONDER, true);
	assert_int_equal(codec_feed(&c, bytes.data, bytes.len, &used), CODEC_MORE);
	assert_false(codec_between(&c));
	codec_reset(&c);
	assert_true(codec_between(&c));
	codec_release(&c);
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
	see_all(&s, &bytes, 1000);
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
		see_all(&s, &bytes, bytes.len);
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
		see_all(&s, &bytes, bytes.len);
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
		see_all(&s, &bytes, bytes.len);
		assert_replies(&s, expected.data, expected.len);
		assert_int_equal(s.requests, 1);
		seen_release(&s);
	}
	struct seen s;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	peer_begin(&bytes, 9, FCGI_FILTER, false);
	seen_init(&s);
	see_all(&s, &bytes, bytes.len);
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
	see_all(&s, &bytes, bytes.len);
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
		see_all(&s, &bytes, bytes.len);
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
	see_all(&s, &bytes, bytes.len);
	assert_int_equal(s.requests, 1);
	assert_int_equal(s.refused, ERR_OK);
	assert_string_equal(s.params.data, "a=b;");
	assert_int_equal(s.replies.len, 0);
	seen_release(&s);
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
	    cmocka_unit_test(test_between_requests_nothing_is_pending),
	    cmocka_unit_test(test_get_values_is_bounded),
	    cmocka_unit_test(test_other_management_records_are_unknown),
	    cmocka_unit_test(test_abort_ends_the_request),
	    cmocka_unit_test(test_other_roles_are_refused),
	    cmocka_unit_test(test_a_begin_inside_a_request_is_refused),
	    cmocka_unit_test(test_streams_out_of_step_break_the_connection),
	    cmocka_unit_test(test_records_of_other_requests_are_ignored),
	};
	return cmocka_run_group_tests_name("fastcgi_codec", tests, NULL, NULL);
}
