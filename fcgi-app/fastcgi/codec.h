/*
 * FastCGI 1.0 as an application sees it: bytes in, requests out, and an answer
 * as a list of byte ranges.  No I/O, no clock, no threads: a struct codec belongs
 * to one owner at a time.
 *
 *	codec_feed(&c, bytes, len, &used)
 *	  CODEC_MORE     all bytes are used; feed more when they come
 *	  CODEC_REPLY    send c.reply (c.reply_len bytes), call codec_replied(), go on
 *	                 with the bytes that are left; when c.closing is set, close instead
 *	  CODEC_REQUEST  c.request is complete; answer it, call codec_next(), go on with
 *	                 the bytes that are left; close instead unless c.request.keep
 *	  CODEC_BROKEN   the peer does not speak FastCGI, or no way leads back into step: close
 *
 * One request at a time: FCGI_MPXS_CONNS is 0.  Answered on the spot, as replies:
 * GET_VALUES (only the three names of the specification, each once, from the first
 * CODEC_SCRATCH bytes of the record), any other record with request id 0
 * (UNKNOWN_TYPE), ABORT_REQUEST (END_REQUEST), a begin while another request is
 * active (CANT_MPX_CONN), roles other than responder (UNKNOWN_ROLE).  Records
 * of requests that are not active are ignored, as the specification asks; so is the
 * DATA stream.  Padding may follow any record.
 *
 * A request that is complete but must not be handled carries `refused` and
 * `refusal`, and the connection stays in step:
 *
 *	ERR_MALFORMED  parameters cut short, NUL in them, an empty name, a repeated one that is no
 *list, a CONTENT_LENGTH that is no number or not the body's length, a body without CONTENT_LENGTH
 *	ERR_TOO_LARGE  parameters over their limits, a body over max_body; what comes
 *	               too much is read and thrown away, up to CODEC_DISCARD_MAX bytes,
 *	               beyond which the request is complete at once and `keep` is false
 *	ERR_NOMEM      no memory for it
 *
 * Memory is taken when a request comes and kept for the next one, up to
 * CODEC_KEEP_BYTES a buffer.  Who has many codecs and few requests at once lends
 * them memory instead, codec_lend(); then one without a request costs
 * sizeof(struct codec).
 */
#ifndef ZIGGIE_FASTCGI_CODEC_H
#define ZIGGIE_FASTCGI_CODEC_H

#include <fastcgi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"
#include "base/param.h"

enum {
	CODEC_SCRATCH = 128,
	CODEC_REPLY_MAX = 128,
	CODEC_KEEP_BYTES = 8 * 1024,
	CODEC_DISCARD_MAX = 64 * 1024 * 1024,
};

struct codec_limits {
	size_t params_bytes; /* the encoded parameters of a request */
	size_t params_count;
	size_t body_bytes;
	unsigned max_connections; /* what GET_VALUES says of MAX_CONNS and MAX_REQS */
};

#define CODEC_PARAMS_BYTES ((size_t)64 * 1024)
#define CODEC_PARAMS_COUNT ((size_t)256)

enum codec_event { CODEC_MORE, CODEC_REPLY, CODEC_REQUEST, CODEC_BROKEN };

/* Valid from CODEC_REQUEST until codec_next(). */
struct codec_request {
	uint16_t id;
	bool keep;                  /* FCGI_KEEP_CONN */
	enum err refused;           /* ERR_OK: handle it */
	const char *refusal;        /* a constant text, NULL when not refused */
	const struct param *params; /* NUL-terminated, names unique: lists are joined */
	size_t param_count;         /* when refused: those before the fault */
	const char *body;           /* NUL-terminated, may hold NULs; empty when refused */
	size_t body_len;
};

struct codec_buffer {
	char *data;
	size_t len;
	size_t cap;
};

/* What a request is kept in. */
struct codec_memory {
	struct codec_buffer params;
	struct codec_buffer body;
	struct param *table;
	size_t table_cap;
};

struct codec {
	const struct codec_limits *limits;

	/* The record being read. */
	union {
		FCGI_Header fields;
		unsigned char bytes[FCGI_HEADER_LEN];
	} header;
	uint8_t header_len;
	uint8_t padding_left;
	uint8_t sink; /* where its content goes */
	uint8_t scratch_len;
	uint16_t content_left;

	/* The request being read. */
	bool active;
	bool params_done;
	bool body_done;
	bool complete;
	bool closing; /* close once the reply is sent */
	bool broken;
	bool has_content_length;
	uint64_t content_length;
	size_t discarded;
	struct codec_memory memory;
	struct codec_buffer joined; /* values of repeated header fields */
	struct codec_request request;

	/* Behind what every request touches. */
	size_t reply_len;
	unsigned char scratch[CODEC_SCRATCH];
	unsigned char reply[CODEC_REPLY_MAX];
};

/* limits must outlive the codec. */
void codec_init(struct codec *c, const struct codec_limits *limits);
/* For the next connection: everything forgotten, memory kept as between requests. */
void codec_reset(struct codec *c);
void codec_release(struct codec *c);

/* Never looks at more than len bytes; *used says how many were taken. */
enum codec_event codec_feed(struct codec *c, const void *bytes, size_t len, size_t *used);
void codec_replied(struct codec *c);
void codec_next(struct codec *c);

/*
 * Lends a codec that has no memory what stands in *m, and leaves *m empty.  The codec
 * takes it for its own: gets more when it must, and frees it in codec_release().
 */
void codec_lend(struct codec *c, struct codec_memory *m);
/* After codec_next(): what was kept goes to *m, or is freed when *m has something already. */
void codec_give_back(struct codec *c, struct codec_memory *m);

/* What most requests fit in; less of it, or nothing, when there is no memory. */
void codec_memory_init(struct codec_memory *m);
void codec_memory_release(struct codec_memory *m);

/*
 * A request that something else took off its wire (libfcgi, a CGI environment) is
 * judged here as well: the same limits, the same refusals, the same joined lists.
 *
 *	codec_give_param(&c, name, name_len, value, value_len);	each in turn
 *	codec_give_body(&c, bytes, len);			piece by piece, while it says true
 *	codec_give_end(&c);	as after CODEC_REQUEST: answer c.request, call codec_next()
 *
 * All parameters come before the body.  Everything is copied.
 */
void codec_give_param(struct codec *c, const char *name, size_t name_len, const char *value,
		      size_t value_len);
bool codec_give_body(struct codec *c, const void *bytes, size_t len);
void codec_give_end(struct codec *c);

/* Whether the stream stands between two requests, with no part of a record read. */
bool codec_between(const struct codec *c);

/*
 * The records of an answer: STDOUT with head and then body, the end of STDOUT and
 * END_REQUEST, nothing copied but the frames.  head and body must stay until all is
 * sent.  After writev() took n bytes, call codec_answer_advance(&a, n); while
 * codec_answer_left(&a) is not 0, codec_answer_iov() gives the next piece.
 */
enum { CODEC_ANSWER_RECORDS = 16, CODEC_ANSWER_IOV = 3 * CODEC_ANSWER_RECORDS + 1 };

struct codec_answer {
	const char *head;
	const char *body;
	size_t head_len;
	size_t body_len;
	size_t sent; /* of the whole, frames included */
	uint16_t id;
	uint8_t tail_len;
	/* Padding, end of the stream, END_REQUEST, and perhaps a farewell. */
	unsigned char tail[7 + FCGI_HEADER_LEN + sizeof(FCGI_EndRequestRecord) +
			   sizeof(FCGI_UnknownTypeRecord)];
	FCGI_Header frames[CODEC_ANSWER_RECORDS];
};

void codec_answer_init(struct codec_answer *a, uint16_t id, const char *head, size_t head_len,
		       const char *body, size_t body_len);
/*
 * Before any of it is sent: a management record comes behind END_REQUEST.  It means
 * nothing, but nginx keeps a connection only when END_REQUEST is the last that it
 * read, so this one takes no further request.
 */
void codec_answer_add_farewell(struct codec_answer *a);
size_t codec_answer_left(const struct codec_answer *a);
/* Fills iov and returns how many entries; they point into a, head and body. */
int codec_answer_iov(struct codec_answer *a, struct iovec iov[CODEC_ANSWER_IOV]);
void codec_answer_advance(struct codec_answer *a, size_t count);

#endif
