#include <string.h>

#include "base/assert.h"
#include "fastcgi/wire.h"

/* The largest content that needs no padding. */
#define RECORD_CONTENT ((size_t)FCGI_MAX_LENGTH & ~(size_t)7)
#define RECORD_SIZE (RECORD_CONTENT + FCGI_HEADER_LEN)

static size_t content_len(const struct codec_answer *a)
{
	return a->head_len + a->body_len;
}

static size_t record_count(const struct codec_answer *a)
{
	return (content_len(a) + RECORD_CONTENT - 1) / RECORD_CONTENT;
}

/* Everything before the tail. */
static size_t records_len(const struct codec_answer *a)
{
	return content_len(a) + record_count(a) * FCGI_HEADER_LEN;
}

void codec_answer_init(struct codec_answer *a, uint16_t id, const char *head, size_t head_len,
		       const char *body, size_t body_len)
{
	a->head = head;
	a->body = body;
	a->head_len = head_len;
	a->body_len = body_len;
	a->sent = 0;
	a->id = id;

	FCGI_EndRequestRecord end = {
	    .header = wire_header(FCGI_END_REQUEST, id, sizeof(end.body), 0),
	    .body = {.protocolStatus = FCGI_REQUEST_COMPLETE},
	};
	FCGI_Header stream_end = wire_header(FCGI_STDOUT, id, 0, 0);
	size_t padding = wire_padding(content_len(a));
	memset(a->tail, 0, padding);
	memcpy(a->tail + padding, &stream_end, sizeof(stream_end));
	memcpy(a->tail + padding + sizeof(stream_end), &end, sizeof(end));
	a->tail_len = (uint8_t)(padding + sizeof(stream_end) + sizeof(end));
}

void codec_answer_add_farewell(struct codec_answer *a)
{
	const FCGI_UnknownTypeRecord farewell = {
	    .header =
		wire_header(FCGI_UNKNOWN_TYPE, FCGI_NULL_REQUEST_ID, sizeof(farewell.body), 0),
	};
	AN_INVARIANT(a->sent == 0 && a->tail_len + sizeof(farewell) <= sizeof(a->tail));
	memcpy(a->tail + a->tail_len, &farewell, sizeof(farewell));
	a->tail_len = (uint8_t)(a->tail_len + sizeof(farewell));
}

size_t codec_answer_left(const struct codec_answer *a)
{
	return records_len(a) + a->tail_len - a->sent;
}

static int add_iov(struct iovec *iov, int count, const void *bytes, size_t len)
{
	if (len == 0)
		return count;
	/* writev only reads, but struct iovec serves readv too. */
	iov[count] = (struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
	return count + 1;
}

/* The content from `from` to `to`, which may lie in the head, in the body or in both. */
static int add_content(const struct codec_answer *a, struct iovec *iov, int count, size_t from,
		       size_t to)
{
	if (from < a->head_len) {
		size_t stop = to < a->head_len ? to : a->head_len;
		count = add_iov(iov, count, a->head + from, stop - from);
		from = stop;
	}
	if (from < to)
		count = add_iov(iov, count, a->body + (from - a->head_len), to - from);
	return count;
}

int codec_answer_iov(struct codec_answer *a, struct iovec iov[CODEC_ANSWER_IOV])
{
	const size_t records = record_count(a);
	const size_t content = content_len(a);
	size_t record = a->sent / RECORD_SIZE;
	size_t skip = a->sent % RECORD_SIZE; /* of that record */
	int count = 0;

	for (int i = 0; i < CODEC_ANSWER_RECORDS && record < records; i++, record++, skip = 0) {
		size_t from = record * RECORD_CONTENT;
		size_t len = content - from < RECORD_CONTENT ? content - from : RECORD_CONTENT;
		if (skip < FCGI_HEADER_LEN) {
			a->frames[i] =
			    wire_header(FCGI_STDOUT, a->id, (uint16_t)len, wire_padding(len));
			count = add_iov(iov, count, (const char *)&a->frames[i] + skip,
					FCGI_HEADER_LEN - skip);
			skip = FCGI_HEADER_LEN;
		}
		size_t done = skip - FCGI_HEADER_LEN;
		if (done < len)
			count = add_content(a, iov, count, from + done, from + len);
	}
	if (record >= records) {
		size_t before = records_len(a);
		size_t done = a->sent > before ? a->sent - before : 0;
		count = add_iov(iov, count, a->tail + done, a->tail_len - done);
	}
	return count;
}

void codec_answer_advance(struct codec_answer *a, size_t count)
{
	AN_INVARIANT(count <= codec_answer_left(a));
	a->sent += count;
}
