/*
 * FastCGI streams made from a seed: one request each, as a web server might send it
 * (records split anywhere, padding, lengths in one byte or in four, other records in
 * between), with oddities when asked for.  Independent of the codec under test.
 */
#ifndef ZIGGIE_TESTS_FCGI_STREAMS_H
#define ZIGGIE_TESTS_FCGI_STREAMS_H

#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"

/* What a web server does not do, or what either reader does not take; a bit each. */
enum {
	ODD_BEGIN_PADDED = 1 << 0,       /* padding on BEGIN_REQUEST */
	ODD_END_PADDED = 1 << 1,         /* padding on the record that ends PARAMS */
	ODD_EMPTY_FOREIGN = 1 << 2,      /* a record of another id without content */
	ODD_MANY_VALUES = 1 << 3,        /* GET_VALUES with one name more than four times */
	ODD_UNKNOWN_MANAGEMENT = 1 << 4, /* a management record of no known type, with content */
	ODD_OTHER_STREAM = 1 << 5, /* a DATA record, or one of no known type, of the request */
	ODD_EARLY_BODY = 1 << 6,   /* STDIN before the end of PARAMS */
	ODD_ABORT = 1 << 7,
	ODD_CUT = 1 << 8, /* the stream ends early */
	ODD_ROLE = 1 << 9,
	ODD_VERSION = 1 << 10,
	ODD_BEGIN_AGAIN = 1 << 11,  /* of the same id */
	ODD_BEGIN_LENGTH = 1 << 12, /* not 8 bytes */
	ODD_ID_ZERO = 1 << 13,
	ODD_PARAMS_AGAIN = 1 << 14, /* after their end */
	ODD_CUT_PAIR = 1 << 15,     /* PARAMS end inside a pair */
	ODD_HUGE_LENGTH = 1 << 16,  /* a pair says that it has 2 GB */
	ODD_NUL = 1 << 17,
	ODD_NO_NAME = 1 << 18,
	ODD_REPEATED = 1 << 19, /* a parameter that is no list */
	ODD_NO_NUMBER = 1 << 20,
	ODD_FALSE_LENGTH = 1 << 21,
	ODD_NO_LENGTH = 1 << 22,
	ODD_MANY_PARAMS = 1 << 23,
	ODD_LARGE_PARAMS = 1 << 24,
	ODD_LARGE_BODY = 1 << 25,
	ODD_COUNT = 26,
};

/* The limits that the streams keep, or exceed when asked to. */
enum { STREAM_PARAMS = 256, STREAM_PARAMS_BYTES = 192 * 1024, STREAM_BODY_BYTES = 128 * 1024 };

struct fcgi_stream {
	uint64_t seed;
	unsigned odd;
	struct strbuf bytes;
	struct strbuf params; /* what was meant: "NAME=VALUE" and a NUL each */
	struct strbuf body;
};

void fcgi_stream_init(struct fcgi_stream *s);
void fcgi_stream_release(struct fcgi_stream *s);
void fcgi_stream_make(struct fcgi_stream *s, uint64_t seed, unsigned odd);

/* SplitMix64, for what else a test draws; bound is not 0. */
uint64_t random_next(uint64_t *state);
size_t random_below(uint64_t *state, size_t bound);

#endif
