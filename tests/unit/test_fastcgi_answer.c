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

static void fill(char *bytes, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (char)(i * 31 + i / 251 + seed);
}

/* "Sends" at most piece bytes at a time, as a full socket would. */
static void collect(struct codec_answer *a, size_t piece, struct strbuf *wire)
{
	while (codec_answer_left(a) > 0) {
		struct iovec iov[CODEC_ANSWER_IOV];
		size_t left = piece;
		size_t before = codec_answer_left(a);
		int count = codec_answer_iov(a, iov);
		assert_in_range(count, 1, CODEC_ANSWER_IOV);
		for (int i = 0; i < count && left > 0; i++) {
			size_t part = iov[i].iov_len < left ? iov[i].iov_len : left;
			assert_true(iov[i].iov_len > 0);
			strbuf_add(wire, iov[i].iov_base, part);
			codec_answer_advance(a, part);
			left -= part;
		}
		assert_true(codec_answer_left(a) < before);
	}
}

static void check(size_t head_len, size_t body_len, size_t piece)
{
	char *head = malloc(head_len + 1);
	char *body = malloc(body_len + 1);
	STRBUF_CLEANUP wire = STRBUF_INIT;
	struct codec_answer a;
	struct peer_answer answer;
	size_t used;
	assert_non_null(head);
	assert_non_null(body);
	fill(head, head_len, 1);
	fill(body, body_len, 2);

	codec_answer_init(&a, 0xabcd, head, head_len, body, body_len);
	size_t announced = codec_answer_left(&a);
	collect(&a, piece, &wire);
	assert_int_equal(wire.len, announced);
	struct iovec iov[CODEC_ANSWER_IOV];
	assert_int_equal(codec_answer_iov(&a, iov), 0);

	peer_answer_init(&answer);
	assert_true(peer_parse(&answer, wire.data, wire.len, &used));
	assert_int_equal(used, wire.len);
	assert_int_equal(answer.id, 0xabcd);
	assert_int_equal(answer.protocol_status, FCGI_REQUEST_COMPLETE);
	assert_int_equal(answer.out.len, head_len + body_len);
	assert_memory_equal(answer.out.data, head, head_len);
	assert_memory_equal(answer.out.data + head_len, body, body_len);
	/* The content, the end of the stream and END_REQUEST. */
	assert_int_equal(answer.records, (head_len + body_len + 65527) / 65528 + 2);
	peer_answer_release(&answer);
	free(head);
	free(body);
}

static void test_answers_of_any_size(void **state)
{
	(void)state;
	const size_t bodies[] = {0,     1,     7,     8,      8192,    65428,   65429,
				 65527, 65528, 65529, 131056, 1048448, 1048449, 3000000};
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		check(100, bodies[i], SIZE_MAX);
		check(0, bodies[i], SIZE_MAX);
	}
	check(200000, 10, SIZE_MAX);
}

static void test_answers_sent_in_pieces(void **state)
{
	(void)state;
	for (size_t piece = 1; piece < 60; piece++)
		check(33, 200, piece);
	check(70000, 70001, 1000);
	check(100, 2000000, 65535);
	check(100, 2000000, 65536);
	check(100, 2000000, 65537);
}

static void test_a_small_answer_is_one_record(void **state)
{
	(void)state;
	struct codec_answer a;
	struct iovec iov[CODEC_ANSWER_IOV];
	codec_answer_init(&a, 1, "head", 4, "body", 4);
	/* Frame, head, body and the end: nothing was copied. */
	assert_int_equal(codec_answer_iov(&a, iov), 4);
	assert_int_equal(codec_answer_left(&a), 8 + 8 + 8 + 16);
}

static size_t length_of(const struct iovec *iov, int count)
{
	size_t len = 0;
	for (int i = 0; i < count; i++)
		len += iov[i].iov_len;
	return len;
}

static void test_a_piece_has_as_many_records_as_it_can(void **state)
{
	(void)state;
	static const char body[CODEC_ANSWER_RECORDS * 65528 + 1];
	struct codec_answer a;
	struct iovec iov[CODEC_ANSWER_IOV];
	/* Each record's frame and content, and the tail: all of the answer. */
	codec_answer_init(&a, 1, "", 0, body, sizeof(body) - 1);
	int count = codec_answer_iov(&a, iov);
	assert_int_equal(count, 2 * CODEC_ANSWER_RECORDS + 1);
	assert_int_equal(length_of(iov, count), codec_answer_left(&a));
	/* One byte more is a record more, and the tail comes behind that. */
	codec_answer_init(&a, 1, "", 0, body, sizeof(body));
	count = codec_answer_iov(&a, iov);
	assert_int_equal(count, 2 * CODEC_ANSWER_RECORDS);
	codec_answer_advance(&a, length_of(iov, count));
	assert_int_equal(codec_answer_iov(&a, iov), 3);
}

static void test_a_farewell_comes_with_the_answer(void **state)
{
	(void)state;
	struct codec_answer a;
	STRBUF_CLEANUP wire = STRBUF_INIT;
	STRBUF_CLEANUP farewell = STRBUF_INIT;
	struct peer_answer answer;
	size_t used;
	codec_answer_init(&a, 1, "head", 4, "bod", 3);
	codec_answer_add_farewell(&a);
	size_t announced = codec_answer_left(&a);
	collect(&a, 5, &wire);
	assert_int_equal(wire.len, announced);
	peer_answer_init(&answer);
	assert_true(peer_parse(&answer, wire.data, wire.len, &used));
	assert_string_equal(answer.out.data, "headbod");
	peer_answer_release(&answer);
	peer_record(&farewell, FCGI_UNKNOWN_TYPE, FCGI_NULL_REQUEST_ID, "\0\0\0\0\0\0\0\0", 8, 0);
	assert_int_equal(wire.len - used, farewell.len);
	assert_memory_equal(wire.data + used, farewell.data, farewell.len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_answers_of_any_size),
	    cmocka_unit_test(test_answers_sent_in_pieces),
	    cmocka_unit_test(test_a_farewell_comes_with_the_answer),
	    cmocka_unit_test(test_a_small_answer_is_one_record),
	    cmocka_unit_test(test_a_piece_has_as_many_records_as_it_can),
	};
	return cmocka_run_group_tests_name("fastcgi_answer", tests, NULL, NULL);
}
