/*
 * Inside of the codec: what its files share, and the two-byte numbers of the wire.
 */
#ifndef ZIGGIE_FASTCGI_WIRE_H
#define ZIGGIE_FASTCGI_WIRE_H

#include <fastcgi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fastcgi/codec.h"

static inline uint16_t wire_u16(unsigned char high, unsigned char low)
{
	return (uint16_t)(high << 8 | low);
}

static inline FCGI_Header wire_header(uint8_t type, uint16_t id, uint16_t len, uint8_t padding)
{
	return (FCGI_Header){
	    .version = FCGI_VERSION_1,
	    .type = type,
	    .requestIdB1 = (unsigned char)(id >> 8),
	    .requestIdB0 = (unsigned char)id,
	    .contentLengthB1 = (unsigned char)(len >> 8),
	    .contentLengthB0 = (unsigned char)len,
	    .paddingLength = padding,
	};
}

/* Bytes that make len a multiple of eight, as the specification recommends. */
static inline uint8_t wire_padding(size_t len)
{
	return (uint8_t)(-len & 7);
}

/* The length of a name or a value, in one byte or in four; returns how many. */
enum { WIRE_LENGTH_MAX = 4 };
static inline size_t wire_put_length(unsigned char *out, size_t len)
{
	if (len < 0x80) {
		out[0] = (unsigned char)len;
		return 1;
	}
	out[0] = (unsigned char)(0x80 | len >> 24);
	out[1] = (unsigned char)(len >> 16);
	out[2] = (unsigned char)(len >> 8);
	out[3] = (unsigned char)len;
	return WIRE_LENGTH_MAX;
}

/* One encoded name and value; at moves behind it.  False when the pair does not fit before end. */
struct wire_pair {
	char *name;
	char *value;
	size_t name_len;
	size_t value_len;
};
bool wire_take_pair(char **at, char *end, struct wire_pair *out);

/* Refuses the request unless it is refused already. */
void codec_refuse(struct codec *c, enum err why, const char *text);
/* Turns the encoded parameters into c->memory.table, in place; refuses the request when they are
 * bad. */
void codec_unpack_params(struct codec *c);

/* Whether a parameter of this name is a header field that may come more than once. */
bool codec_may_repeat(const char *name, size_t len);
/* Makes names unique again, by joining values; refuses the request without memory. */
void codec_join_repeats(struct codec *c);

/* Room for len more bytes and a NUL; room for more entries.  False when there is no memory. */
bool codec_buffer_reserve(struct codec_buffer *b, size_t len);
bool codec_table_grow(struct codec_memory *m);
void codec_buffer_release(struct codec_buffer *b);
/* Empty for the next request, and no larger than what may be kept. */
void codec_memory_recycle(struct codec_memory *m);

/* Reply records, appended to c->reply. */
void codec_reply_values(struct codec *c);
void codec_reply_unknown(struct codec *c, uint8_t type);
void codec_reply_end(struct codec *c, uint16_t id, uint8_t protocol_status);

#endif
