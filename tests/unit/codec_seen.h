/*
 * A codec under test: what comes out of it when bytes are fed, put down for comparing.
 */
#ifndef ZIGGIE_TESTS_CODEC_SEEN_H
#define ZIGGIE_TESTS_CODEC_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "fastcgi/codec.h"

/* Small ones: 4096 bytes and 20 parameters, 1000 bytes of body. */
extern const struct codec_limits seen_limits;

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

void seen_init(struct seen *s);
void seen_release(struct seen *s);

/* Notes a complete request, and checks its form. */
void see_request(struct seen *s, const struct codec_request *r);
/* Feeds one fragment, dealing with all that comes of it. */
void see_fragment(struct seen *s, struct codec *c, const char *bytes, size_t len);
/* All of it through a new codec, in fragments of the given size. */
void see_all(struct seen *s, const struct strbuf *bytes, size_t fragment);

#endif
