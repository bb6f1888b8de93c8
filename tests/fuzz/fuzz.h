/*
 * What the fuzz targets share.  A target is a file fuzz_NAME.c with one function,
 * LLVMFuzzerTestOneInput(), that takes any bytes and aborts (AN_INVARIANT) when the
 * code under test breaks its promise.  With --enable-fuzzing libFuzzer drives it;
 * without, replay.c runs what libFuzzer once found.  docs/fuzzing.md says how.
 */
#ifndef ZIGGIE_TESTS_FUZZ_FUZZ_H
#define ZIGGIE_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/strbuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input, taken apart from its beginning. */
struct input {
	const uint8_t *at;
	size_t left;
};

static inline uint8_t input_byte(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->at++;
}

/* A block of exactly this size, so that the sanitizer sees a read past its end; free() it. */
static inline void *exact_copy(const void *bytes, size_t len)
{
	void *copy = malloc(len > 0 ? len : 1);
	AN_INVARIANT(copy != NULL);
	if (len > 0)
		memcpy(copy, bytes, len);
	return copy;
}

static inline void must_equal(const struct strbuf *a, const struct strbuf *b)
{
	AN_INVARIANT(!a->failed && !b->failed);
	AN_INVARIANT(a->len == b->len && memcmp(a->data, b->data, a->len) == 0);
}

#endif
