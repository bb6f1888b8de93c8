/*
 * Our codec and libfcgi read the same byte streams.  What ordinary web servers send
 * both must read alike: the parameters and the body that were meant.  For every
 * oddity there is a row below that says what either may make of it, and why; ours is
 * never wrong without saying so.  A row that no stream shows fails the test, so the
 * table stays true.
 *
 * ZIGGIE_DIFFERENTIAL_STREAMS=N makes N ordinary streams instead of STREAMS, and half as
 * many with two oddities; ZIGGIE_DIFFERENTIAL_SEED=N starts elsewhere.
 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/num.h"
#include "fastcgi/codec.h"
#include "fcgi_peer.h"
#include "fcgi_streams.h"
#include "libfcgi_child.h"

enum { STREAMS = 400, STREAMS_OF_EACH_ODDITY = 24, SEED = 20261125 };

static const struct codec_limits limits = {.params_bytes = STREAM_PARAMS_BYTES,
					   .params_count = STREAM_PARAMS,
					   .body_bytes = STREAM_BODY_BYTES,
					   .max_connections = 1};

/* What a reader made of a stream; a bit each, so that rows can name several. */
enum {
	SERVED = 1,      /* gave the request that was meant */
	MISREAD = 2,     /* gave another one, and told nobody */
	REFUSED = 4,     /* ours: gave it with a reason not to serve it */
	BROKEN = 8,      /* ours: closes the connection */
	ENDED = 16,      /* ours: answered it with END_REQUEST at once */
	UNFINISHED = 32, /* waited for more when the stream ended */
	CUT = 64,        /* libfcgi: gave a part, and an error flag for those who ask */
	CLOSED = 128,    /* libfcgi: closed the connection */
	DIED = 256,
	HUNG = 512,
};

/* What either may make of streams with an oddity. */
struct expectation {
	unsigned odd;
	unsigned ours;
	unsigned theirs;
	const char *refusal; /* ours, when it is REFUSED */
	const char *why;
};

static const struct expectation expectations[] = {
    /* Where libfcgi is at fault, and ours serves what was meant. */
    {ODD_BEGIN_PADDED, SERVED, CUT, NULL,
     "libfcgi forgets the padding of BEGIN_REQUEST and takes it for the next header"},
    {ODD_END_PADDED, SERVED, CUT, NULL,
     "libfcgi forgets the padding behind PARAMS and takes it for the next header"},
    {ODD_EMPTY_FOREIGN, SERVED, SERVED | MISREAD | CUT | CLOSED | DIED, NULL,
     "libfcgi skips the content of the record behind an empty one of another request"},
    {ODD_MANY_VALUES, SERVED, DIED, NULL,
     "libfcgi writes its answer to GET_VALUES past 64 bytes on its stack"},
    {ODD_UNKNOWN_MANAGEMENT, SERVED, MISREAD | CUT | CLOSED | DIED, NULL,
     "libfcgi takes the content of an unknown management record for parameters"},
    {ODD_OTHER_STREAM, SERVED, CUT | CLOSED, NULL,
     "libfcgi gives up at a stream that a responder does not expect; ours ignores it"},
    {ODD_EARLY_BODY, SERVED, SERVED | CUT, NULL,
     "libfcgi reads the streams one after the other only; the specification lets them mix"},
    {ODD_HUGE_LENGTH, REFUSED, CLOSED | DIED, "the parameters end inside a pair",
     "libfcgi takes memory before it looks whether the bytes are there, and aborts without"},

    /* Where ours is the stricter one. */
    {ODD_ROLE, ENDED, SERVED | CLOSED, NULL,
     "ours is a responder; libfcgi leaves authorizers and filters to the program"},
    {ODD_BEGIN_AGAIN, BROKEN, SERVED, NULL,
     "two requests of one id can't be told apart; libfcgi ignores the second"},
    {ODD_NUL, REFUSED, MISREAD, "a parameter has no name, or a NUL in it",
     "libfcgi gives strings that end at the NUL"},
    {ODD_NO_NAME, REFUSED, SERVED, "a parameter has no name, or a NUL in it",
     "nothing that a web server means has no name"},
    {ODD_REPEATED, REFUSED, SERVED, "a header field or parameter is repeated",
     "two programs could each take another one for true; libfcgi gives both"},
    {ODD_NO_NUMBER, REFUSED, SERVED, "CONTENT_LENGTH is not a number",
     "libfcgi does not look at lengths"},
    {ODD_FALSE_LENGTH, REFUSED, SERVED, "the body's length is not CONTENT_LENGTH",
     "libfcgi does not look at lengths"},
    {ODD_NO_LENGTH, REFUSED, SERVED, "the body comes without CONTENT_LENGTH",
     "libfcgi does not look at lengths"},
    {ODD_MANY_PARAMS, REFUSED, SERVED, "the request has too many header fields",
     "libfcgi has no limits"},
    {ODD_LARGE_PARAMS, REFUSED, SERVED, "the request's header fields are too large",
     "libfcgi has no limits"},
    {ODD_LARGE_BODY, REFUSED, SERVED, "the request body is too large", "libfcgi has no limits"},

    /* What neither serves. */
    {ODD_ABORT, ENDED, CUT | CLOSED, NULL,
     "ours confirms the abort; to libfcgi it is a record that it does not expect"},
    {ODD_CUT, UNFINISHED, CUT | CLOSED, NULL,
     "ours waits for the rest; libfcgi gives half a request and a flag for those who ask"},
    {ODD_VERSION, BROKEN, CLOSED, NULL, "another protocol"},
    {ODD_BEGIN_LENGTH, BROKEN, CLOSED, NULL, "the specification says 8 bytes"},
    {ODD_ID_ZERO, UNFINISHED, CLOSED, NULL,
     "the id of management records: ours says that it does not know them, and waits"},
    {ODD_PARAMS_AGAIN, BROKEN, CUT, NULL, "a stream ends once"},
    {ODD_CUT_PAIR, REFUSED, CLOSED, "the parameters end inside a pair",
     "ours stays in step and can say so; libfcgi closes the connection"},
};
TABLE_MATCHES(expectations, ODD_COUNT);
static unsigned shown[ODD_COUNT];

static struct libfcgi_child libfcgi;

/* Lists of parameters */

static const char *const singles[] = {
    "HTTP_AUTHORIZATION=",   "HTTP_CONTENT_LENGTH=", "HTTP_CONTENT_TYPE=", "HTTP_HOST=",
    "HTTP_IDEMPOTENCY_KEY=", "HTTP_TRACEPARENT=",    "HTTP_X_API_KEY=",
};

static bool is_list(const char *pair)
{
	if (strncmp(pair, "HTTP_", 5) != 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(singles); i++)
		if (strncmp(pair, singles[i], strlen(singles[i])) == 0)
			return false;
	return true;
}

/* The length of "NAME=", when pair is a list that stood before `here`; else 0. */
static size_t repeats(const struct strbuf *params, const char *pair, const char *here)
{
	size_t len = strcspn(pair, "=") + 1;
	if (!is_list(pair))
		return 0;
	for (const char *at = params->data; at < here; at += strlen(at) + 1)
		if (strncmp(at, pair, len) == 0)
			return len;
	return 0;
}

/* Joins header fields that are lists, at the place of the first, as RFC 9110 says. */
static void join_lists(const struct strbuf *params, struct strbuf *out)
{
	const char *end = params->data + params->len;
	for (const char *at = params->data; at < end; at += strlen(at) + 1) {
		if (repeats(params, at, at) > 0)
			continue;
		strbuf_adds(out, at);
		for (const char *more = at + strlen(at) + 1; more < end; more += strlen(more) + 1) {
			size_t len = repeats(params, more, more);
			if (len > 0 && strncmp(more, at, len) == 0)
				strbuf_addf(out, "%s%s",
					    strncmp(at, "HTTP_COOKIE=", 12) == 0 ? "; " : ", ",
					    more + len);
		}
		strbuf_addc(out, '\0');
	}
}

static bool same(const struct strbuf *a, const struct strbuf *b)
{
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static bool is_meant(const struct fcgi_stream *s, const struct strbuf *params,
		     const struct strbuf *body)
{
	STRBUF_CLEANUP meant = STRBUF_INIT;
	STRBUF_CLEANUP got = STRBUF_INIT;
	join_lists(&s->params, &meant);
	join_lists(params, &got);
	return same(&meant, &got) && same(&s->body, body);
}

/* Our reading */

static unsigned judge_request(const struct fcgi_stream *s, const struct codec_request *r)
{
	STRBUF_CLEANUP params = STRBUF_INIT;
	STRBUF_CLEANUP body = STRBUF_INIT;
	if (r->refused != ERR_OK)
		return REFUSED;
	for (size_t i = 0; i < r->param_count; i++) {
		strbuf_addf(&params, "%s=%s", r->params[i].name, r->params[i].value);
		strbuf_addc(&params, '\0');
	}
	strbuf_add(&body, r->body, r->body_len);
	return is_meant(s, &params, &body) ? SERVED : MISREAD;
}

/* Feeds pieces of any size, up to the first thing that decides. */
static unsigned read_ourselves(const struct fcgi_stream *s, const char **refusal)
{
	struct codec c;
	uint64_t random = ~s->seed;
	size_t largest = random_below(&random, 4) == 0 ? 7 : 70000;
	unsigned result = UNFINISHED;
	codec_init(&c, &limits);
	for (size_t at = 0; at < s->bytes.len && result == UNFINISHED;) {
		size_t used, len = 1 + random_below(&random, largest);
		if (len > s->bytes.len - at)
			len = s->bytes.len - at;
		switch (codec_feed(&c, s->bytes.data + at, len, &used)) {
		case CODEC_MORE:
			break;
		case CODEC_REPLY:
			if (c.reply[1] == FCGI_END_REQUEST && c.reply[12] != FCGI_CANT_MPX_CONN)
				result = ENDED;
			codec_replied(&c);
			break;
		case CODEC_REQUEST:
			result = judge_request(s, &c.request);
			*refusal = c.request.refusal;
			break;
		case CODEC_BROKEN:
			result = BROKEN;
			break;
		}
		at += used;
	}
	codec_release(&c);
	return result;
}

/* libfcgi's reading */

static unsigned read_by_libfcgi(const struct fcgi_stream *s)
{
	struct libfcgi_view v;
	unsigned result = DIED;
	libfcgi_view_init(&v);
	libfcgi_read(&libfcgi, &v, s->bytes.data, s->bytes.len);
	switch (v.end) {
	case LIBFCGI_REQUEST:
		if (v.cut_short)
			result = CUT;
		else
			result = is_meant(s, &v.params, &v.body) ? SERVED : MISREAD;
		break;
	case LIBFCGI_CLOSED:
		result = CLOSED;
		break;
	case LIBFCGI_DIED:
		break;
	case LIBFCGI_HUNG:
		result = HUNG;
		break;
	}
	libfcgi_view_release(&v);
	return result;
}

/* Comparing */

static const char *name_of(unsigned result)
{
	static const char *const names[] = {"served",     "misread", "refused", "broken", "ended",
					    "unfinished", "cut",     "closed",  "died",   "hung"};
	size_t bit = 0;
	while (result > 1U << bit)
		bit++;
	return names[bit];
}

/* Whether the rows of the stream's oddities allow what the two did. */
static bool is_expected(unsigned odd, unsigned ours, unsigned theirs, const char *refusal)
{
	bool ours_expected = odd == 0 && ours == SERVED;
	bool theirs_expected = theirs == SERVED;
	for (size_t i = 0; i < ARRAY_LEN(expectations); i++) {
		const struct expectation *e = &expectations[i];
		if ((e->odd & odd) == 0)
			continue;
		/* One that can't be served can't be served beside another either. */
		if (ours == SERVED && (e->ours & SERVED) == 0)
			return false;
		bool applies =
		    (e->ours & ours) != 0 && (ours != REFUSED || strcmp(e->refusal, refusal) == 0);
		ours_expected |= applies;
		theirs_expected |= (e->theirs & theirs) != 0;
		shown[i] += applies && ours + theirs != SERVED + SERVED;
	}
	return ours_expected && theirs_expected;
}

/* Whether the stream was read as it should be; says so when it was not. */
static bool compare(uint64_t seed, unsigned odd)
{
	struct fcgi_stream s;
	const char *refusal = NULL;
	fcgi_stream_init(&s);
	fcgi_stream_make(&s, seed, odd);
	assert_false(s.bytes.failed || s.params.failed || s.body.failed);
	unsigned ours = read_ourselves(&s, &refusal);
	unsigned theirs = read_by_libfcgi(&s);
	bool fine = is_expected(odd, ours, theirs, refusal);
	if (!fine)
		print_error("seed %#llx odd %#x: ours %s (%s), libfcgi %s\n",
			    (unsigned long long)seed, odd, name_of(ours),
			    refusal != NULL ? refusal : "-", name_of(theirs));
	fcgi_stream_release(&s);
	return fine;
}

static uint64_t told(const char *name, uint64_t fallback)
{
	const char *text = getenv(name);
	uint64_t value;
	return text != NULL && num_u64s(text, 0, UINT64_MAX, &value) ? value : fallback;
}

static void test_ordinary_streams_are_read_alike(void **state)
{
	(void)state;
	uint64_t random = told("ZIGGIE_DIFFERENTIAL_SEED", SEED);
	uint64_t count = told("ZIGGIE_DIFFERENTIAL_STREAMS", STREAMS);
	unsigned bad = 0;
	for (uint64_t i = 0; i < count; i++)
		bad += !compare(random_next(&random), 0);
	assert_int_equal(bad, 0);
}

static void test_each_oddity_differs_as_documented(void **state)
{
	(void)state;
	uint64_t random = told("ZIGGIE_DIFFERENTIAL_SEED", SEED);
	unsigned bad = 0;
	for (unsigned oddity = 0; oddity < ODD_COUNT; oddity++)
		for (unsigned i = 0; i < STREAMS_OF_EACH_ODDITY; i++)
			bad += !compare(random_next(&random), 1U << oddity);
	assert_int_equal(bad, 0);
	for (size_t i = 0; i < ARRAY_LEN(expectations); i++)
		if (shown[i] == 0)
			fail_msg("no stream shows it: %s", expectations[i].why);
}

/* Two oddities in one stream: what happens is what one of them explains. */
static void test_oddities_mixed(void **state)
{
	(void)state;
	uint64_t random = told("ZIGGIE_DIFFERENTIAL_SEED", SEED);
	uint64_t count = told("ZIGGIE_DIFFERENTIAL_STREAMS", STREAMS);
	unsigned bad = 0;
	for (uint64_t i = 0; i < count / 2; i++) {
		unsigned odd = 1U << random_below(&random, ODD_COUNT);
		odd |= 1U << random_below(&random, ODD_COUNT);
		bad += !compare(random_next(&random), odd);
	}
	assert_int_equal(bad, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ordinary_streams_are_read_alike),
	    cmocka_unit_test(test_each_oddity_differs_as_documented),
	    cmocka_unit_test(test_oddities_mixed),
	};
	signal(SIGPIPE, SIG_IGN);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	libfcgi_child_end(&libfcgi);
	return failed;
}
