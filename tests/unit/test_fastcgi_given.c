/*
 * Requests that something else read are judged like those off the wire: each case goes
 * both ways, and the two must end alike.
 */
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
#include "codec_seen.h"
#include "fcgi_peer.h"

enum { PAIRS_MAX = 32 };

struct sample {
	const char *names_and_values[2 * PAIRS_MAX + 1];
	size_t body_len;
	enum err refused;
	unsigned times;   /* that the last pair is repeated under other names */
	size_t value_len; /* of those; 0 for the pair's own value */
};

static const struct sample samples[] = {
    {{"REQUEST_METHOD", "GET", "EMPTY", ""}, 0, ERR_OK, 0, 0},
    {{NULL}, 0, ERR_OK, 0, 0},
    {{"CONTENT_LENGTH", "5"}, 5, ERR_OK, 0, 0},
    {{"CONTENT_LENGTH", ""}, 0, ERR_OK, 0, 0},
    {{"CONTENT_LENGTH", "1000"}, 1000, ERR_OK, 0, 0},
    {{"HTTP_COOKIE", "a=1", "A", "b", "HTTP_COOKIE", "b=2"}, 0, ERR_OK, 0, 0},
    {{"A", ""}, 0, ERR_OK, 1, 127},
    {{"A", ""}, 0, ERR_OK, 1, 128},
    {{"A", "b"}, 0, ERR_OK, 1, 4000},
    {{"A", "b"}, 0, ERR_OK, 19, 0},
    {{"A", "b"}, 5, ERR_MALFORMED, 0, 0},
    {{"CONTENT_LENGTH", "4"}, 5, ERR_MALFORMED, 0, 0},
    {{"CONTENT_LENGTH", "6"}, 5, ERR_MALFORMED, 0, 0},
    {{"CONTENT_LENGTH", "five"}, 5, ERR_MALFORMED, 0, 0},
    {{"CONTENT_LENGTH", "5"}, 0, ERR_MALFORMED, 0, 0},
    {{"HTTP_HOST", "a", "HTTP_HOST", "a"}, 0, ERR_MALFORMED, 0, 0},
    {{"", "value"}, 0, ERR_MALFORMED, 0, 0},
    {{"CONTENT_LENGTH", "1001"}, 1001, ERR_TOO_LARGE, 0, 0},
    {{"A", "b"}, 0, ERR_TOO_LARGE, 20, 0},
    {{"A", "b"}, 0, ERR_TOO_LARGE, 1, 5000},
};

/* The sample's pairs, with those that it repeats. */
struct pair_list {
	struct strbuf names[PAIRS_MAX];
	struct strbuf values[PAIRS_MAX];
	size_t count;
};

static void add_pair(struct pair_list *list, const char *name, const char *value)
{
	AN_INVARIANT(list->count < PAIRS_MAX);
	strbuf_init(&list->names[list->count]);
	strbuf_init(&list->values[list->count]);
	strbuf_adds(&list->names[list->count], name);
	strbuf_adds(&list->values[list->count++], value);
}

static void list_pairs(const struct sample *sample, struct pair_list *list)
{
	const char *value = "";
	list->count = 0;
	for (const char *const *at = sample->names_and_values; at[0] != NULL; at += 2)
		add_pair(list, at[0], value = at[1]);
	for (unsigned i = 0; i < sample->times; i++) {
		char name[16];
		snprintf(name, sizeof(name), "MORE_%u", i);
		add_pair(list, name, value);
		for (size_t n = 0; n < sample->value_len; n++)
			strbuf_addc(&list->values[list->count - 1], 'x');
	}
}

static void release_pairs(struct pair_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		strbuf_release(&list->names[i]);
		strbuf_release(&list->values[i]);
	}
}

static void send_over_the_wire(const struct pair_list *list, const struct strbuf *body,
			       struct seen *s)
{
	STRBUF_CLEANUP pairs = STRBUF_INIT;
	STRBUF_CLEANUP bytes = STRBUF_INIT;
	for (size_t i = 0; i < list->count; i++)
		peer_pair(&pairs, list->names[i].data, list->names[i].len, list->values[i].data,
			  list->values[i].len);
	peer_begin(&bytes, 1, FCGI_RESPONDER, true);
	peer_stream(&bytes, FCGI_PARAMS, 1, pairs.data, pairs.len);
	peer_stream(&bytes, FCGI_STDIN, 1, body->data, body->len);
	see_all(s, &bytes, bytes.len);
}

static void give(struct codec *c, const struct pair_list *list, const struct strbuf *body,
		 struct seen *s)
{
	for (size_t i = 0; i < list->count; i++)
		codec_give_param(c, list->names[i].data, list->names[i].len, list->values[i].data,
				 list->values[i].len);
	for (size_t at = 0; at < body->len; at += 100)
		assert_true(codec_give_body(c, body->data + at,
					    body->len - at < 100 ? body->len - at : 100));
	codec_give_end(c);
	see_request(s, &c->request);
	codec_next(c);
}

static void test_a_given_request_is_judged_as_one_off_the_wire(void **state)
{
	(void)state;
	struct codec c;
	codec_init(&c, &seen_limits);
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct pair_list list;
		struct seen sent, given;
		STRBUF_CLEANUP body = STRBUF_INIT;
		list_pairs(&samples[i], &list);
		for (size_t n = 0; n < samples[i].body_len; n++)
			strbuf_addc(&body, (char)n);
		seen_init(&sent);
		seen_init(&given);
		send_over_the_wire(&list, &body, &sent);
		give(&c, &list, &body, &given);
		assert_int_equal(sent.refused, samples[i].refused);
		assert_int_equal(given.refused, sent.refused);
		if (sent.refusal != NULL)
			assert_string_equal(given.refusal, sent.refusal);
		assert_string_equal(given.params.data, sent.params.data);
		assert_int_equal(given.body.len, sent.body.len);
		assert_memory_equal(given.body.data, sent.body.data, sent.body.len);
		seen_release(&sent);
		seen_release(&given);
		release_pairs(&list);
	}
	codec_release(&c);
}

static void test_a_body_without_end_is_not_wanted(void **state)
{
	(void)state;
	static const char bytes[64 * 1024];
	struct codec c;
	size_t taken = 0;
	codec_init(&c, &seen_limits);
	codec_give_param(&c, "CONTENT_LENGTH", 14, "1", 1);
	while (codec_give_body(&c, bytes, sizeof(bytes)))
		taken += sizeof(bytes);
	assert_in_range(taken, CODEC_DISCARD_MAX - sizeof(bytes),
			CODEC_DISCARD_MAX + sizeof(bytes));
	codec_give_end(&c);
	assert_int_equal(c.request.refused, ERR_TOO_LARGE);
	codec_release(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_given_request_is_judged_as_one_off_the_wire),
	    cmocka_unit_test(test_a_body_without_end_is_not_wanted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
