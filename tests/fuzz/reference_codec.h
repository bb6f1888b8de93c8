/*
 * What fastcgi/codec.h promises of a stream that is there as a whole, read record by
 * record.  Both sides write down what happens in the same words, so that they can
 * be compared.
 */
#ifndef ZIGGIE_TESTS_FUZZ_REFERENCE_CODEC_H
#define ZIGGIE_TESTS_FUZZ_REFERENCE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strbuf.h"
#include "fastcgi/codec.h"

void note_reply(struct strbuf *out, unsigned type, unsigned id, const void *content, size_t len);
/* Its parameters and its body follow. */
void note_request(struct strbuf *out, unsigned id, bool keep, enum err refused);
void note_text(struct strbuf *out, const char *what, const void *bytes, size_t len);
void note_broken(struct strbuf *out);

/* The events until the bytes or the connection end; less than CODEC_DISCARD_MAX bytes. */
void reference_codec(const struct codec_limits *limits, const uint8_t *bytes, size_t len,
		     struct strbuf *out);

#endif
