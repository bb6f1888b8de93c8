/* The codec without memory: it refuses the request, and the connection stays in step. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <stdio.h>

#include "base/assert.h"
#include "codec_seen.h"
#include "faults.h"
#include "fcgi_peer.h"

/* More than the table of a new codec has room for. */
enum { MANY = 60 };

static const struct codec_limits limits = {.params_bytes = CODEC_PARAMS_BYTES,
					   .params_count = CODEC_PARAMS_COUNT,
					   .body_bytes = 1000,
					   .max_connections = 1};

static void request_with_many_parameters(struct strbuf *out, uint16_t id)
{
	static char names[MANY][8];
	const char *params[2 * MANY + 1] = {NULL};
	for (size_t i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof(names[i]), "P_%zu", i);
		params[2 * i] = names[i];
		params[2 * i + 1] = "value";
	}
	peer_request(out, id, true, params, "a body", 6);
}

static void expect_whole(const struct seen *s, uint16_t id)
{
	assert_int_equal(s->refused, ERR_OK);
	assert_int_equal(s->id, id);
	assert_string_equal(s->body.data, "a body");
}

static unsigned feed_with_failing(unsigned number, struct codec *c, struct seen *s,
				  const struct strbuf *bytes)
{
	size_t used = 0;
	fault_arm(&(struct fault){FAULT_MEMORY, ENOMEM, number, FAULT_ONCE});
	enum codec_event event = codec_feed(c, bytes->data, bytes->len, &used);
	unsigned calls = fault_lift();
	assert_int_equal(event, CODEC_REQUEST);
	assert_int_equal(used, bytes->len);
	see_request(s, &c->request);
	codec_next(c);
	return calls;
}

static void test_each_allocation_of_a_request_can_fail(void **state)
{
	(void)state;
	STRBUF_CLEANUP first = STRBUF_INIT;
	STRBUF_CLEANUP second = STRBUF_INIT;
	request_with_many_parameters(&first, 1);
	request_with_many_parameters(&second, 2);
	unsigned number = 0, calls;
	do {
		struct codec c;
		struct seen s;
		codec_init(&c, &limits);
		seen_init(&s);
		calls = feed_with_failing(++number, &c, &s, &first);
		if (calls >= number)
			assert_int_equal(s.refused, ERR_NOMEM);
		else
			expect_whole(&s, 1);
		see_fragment(&s, &c, second.data, second.len);
		assert_int_equal(s.requests, 2);
		expect_whole(&s, 2);
		seen_release(&s);
		codec_release(&c);
	} while (calls >= number);
	/* The parameters, their table and its growth, the body. */
	assert_in_range(number, 5, 10);
}

/* What a thread could not have when it started, a request gets when it comes. */
static void test_memory_that_was_not_there_to_be_lent(void **state)
{
	(void)state;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	request_with_many_parameters(&bytes, 1);
	for (unsigned number = 1; number <= 2; number++) {
		struct codec_memory memory;
		struct codec c;
		struct seen s;
		fault_arm(&(struct fault){FAULT_MEMORY, ENOMEM, number, FAULT_ONCE});
		codec_memory_init(&memory);
		assert_int_equal(fault_lift(), number);
		assert_null(memory.table);
		codec_init(&c, &limits);
		seen_init(&s);
		codec_lend(&c, &memory);
		see_fragment(&s, &c, bytes.data, bytes.len);
		expect_whole(&s, 1);
		seen_release(&s);
		codec_release(&c);
		codec_memory_release(&memory);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_each_allocation_of_a_request_can_fail),
	    cmocka_unit_test(test_memory_that_was_not_there_to_be_lent),
	};
	return cmocka_run_group_tests_name("faults_codec", tests, NULL, NULL);
}
