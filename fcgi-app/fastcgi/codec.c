#include "fastcgi/codec.h"

#include <string.h>

#include "base/assert.h"
#include "fastcgi/wire.h"

enum sink { SINK_NOWHERE, SINK_SCRATCH, SINK_PARAMS, SINK_BODY };

void codec_init(struct codec *c, const struct codec_limits *limits)
{
	*c = (struct codec){.limits = limits, .request = {.body = ""}};
}

void codec_release(struct codec *c)
{
	codec_memory_release(&c->memory);
	codec_buffer_release(&c->joined);
}

void codec_next(struct codec *c)
{
	codec_memory_recycle(&c->memory);
	codec_buffer_release(&c->joined);
	c->active = false;
	c->params_done = false;
	c->body_done = false;
	c->complete = false;
	c->has_content_length = false;
	c->discarded = 0;
	c->request = (struct codec_request){.body = ""};
}

void codec_reset(struct codec *c)
{
	codec_next(c);
	c->header_len = 0;
	c->padding_left = 0;
	c->content_left = 0;
	c->scratch_len = 0;
	c->reply_len = 0;
	c->closing = false;
	c->broken = false;
}

void codec_replied(struct codec *c)
{
	c->reply_len = 0;
}

bool codec_between(const struct codec *c)
{
	return !c->active && c->header_len == 0 && c->reply_len == 0;
}

void codec_refuse(struct codec *c, enum err why, const char *text)
{
	if (c->request.refused != ERR_OK)
		return;
	c->request.refused = why;
	c->request.refusal = text;
}

static void discard(struct codec *c, size_t len)
{
	c->discarded += len;
	if (c->discarded > CODEC_DISCARD_MAX) {
		c->request.keep = false;
		c->complete = true;
	}
}

/*
 * What is left of a refused request is read, so that the next one is found, but not
 * kept.  Up to the limit it is, so that what can be seen of a request with too many
 * parameters does not depend on how its bytes came.
 */
static void collect(struct codec *c, struct codec_buffer *b, size_t limit, const char *too_large,
		    const void *bytes, size_t len)
{
	size_t room = limit - b->len;
	size_t part = len < room ? len : room;
	if (c->request.refused == ERR_OK && !codec_buffer_reserve(b, part))
		codec_refuse(c, ERR_NOMEM, NULL);
	if (c->request.refused != ERR_OK) {
		discard(c, len);
		return;
	}
	memcpy(b->data + b->len, bytes, part);
	b->len += part;
	if (len > room) {
		codec_refuse(c, ERR_TOO_LARGE, too_large);
		discard(c, len - part);
	}
}

static void collect_params(struct codec *c, const void *bytes, size_t len)
{
	collect(c, &c->memory.params, c->limits->params_bytes,
		"the request's header fields are too large", bytes, len);
}

static void collect_body(struct codec *c, const void *bytes, size_t len)
{
	collect(c, &c->memory.body, c->limits->body_bytes, "the request body is too large", bytes,
		len);
}

static void take_content(struct codec *c, const void *bytes, size_t len)
{
	switch ((enum sink)c->sink) {
	case SINK_NOWHERE:
		break;
	case SINK_SCRATCH: {
		size_t room = sizeof(c->scratch) - c->scratch_len;
		size_t part = len < room ? len : room;
		memcpy(c->scratch + c->scratch_len, bytes, part);
		c->scratch_len = (uint8_t)(c->scratch_len + part);
		break;
	}
	case SINK_PARAMS:
		collect_params(c, bytes, len);
		break;
	case SINK_BODY:
		collect_body(c, bytes, len);
		break;
	}
}

static uint16_t record_id(const struct codec *c)
{
	return wire_u16(c->header.fields.requestIdB1, c->header.fields.requestIdB0);
}

static bool is_active(const struct codec *c)
{
	return c->active && record_id(c) == c->request.id;
}

/* Chooses where the content goes; false when the stream can't be followed any further. */
static bool start_record(struct codec *c)
{
	const FCGI_Header *h = &c->header.fields;
	if (h->version != FCGI_VERSION_1)
		return false;
	c->content_left = wire_u16(h->contentLengthB1, h->contentLengthB0);
	c->padding_left = h->paddingLength;
	c->scratch_len = 0;
	c->sink = SINK_NOWHERE;
	if (record_id(c) == FCGI_NULL_REQUEST_ID) {
		if (h->type == FCGI_GET_VALUES)
			c->sink = SINK_SCRATCH;
		return true;
	}
	switch (h->type) {
	case FCGI_BEGIN_REQUEST:
		c->sink = SINK_SCRATCH;
		/* A second begin of the active id: nobody could tell the two apart. */
		return c->content_left == sizeof(FCGI_BeginRequestBody) && !is_active(c);
	case FCGI_PARAMS:
		if (is_active(c))
			c->sink = SINK_PARAMS;
		return !is_active(c) || !c->params_done;
	case FCGI_STDIN:
		if (is_active(c))
			c->sink = SINK_BODY;
		return !is_active(c) || !c->body_done;
	default:
		return true;
	}
}

static void begin_request(struct codec *c)
{
	FCGI_BeginRequestBody body;
	memcpy(&body, c->scratch, sizeof(body));
	bool keep = (body.flags & FCGI_KEEP_CONN) != 0;
	if (c->active) {
		codec_reply_end(c, record_id(c), FCGI_CANT_MPX_CONN);
		return;
	}
	if (wire_u16(body.roleB1, body.roleB0) != FCGI_RESPONDER) {
		codec_reply_end(c, record_id(c), FCGI_UNKNOWN_ROLE);
		c->closing = !keep;
		return;
	}
	c->active = true;
	c->request.id = record_id(c);
	c->request.keep = keep;
}

static void abort_request(struct codec *c)
{
	codec_reply_end(c, c->request.id, FCGI_REQUEST_COMPLETE);
	c->closing = !c->request.keep;
	codec_next(c);
}

/* Both streams have ended: the lengths must agree. */
static void finish_request(struct codec *c)
{
	struct codec_buffer *body = &c->memory.body;
	if (c->has_content_length ? c->content_length != body->len : body->len != 0)
		codec_refuse(c, ERR_MALFORMED,
			     c->has_content_length ? "the body's length is not CONTENT_LENGTH"
						   : "the body comes without CONTENT_LENGTH");
	if (c->request.refused == ERR_OK && body->len > 0) {
		body->data[body->len] = '\0'; /* codec_buffer_reserve() left room */
		c->request.body = body->data;
		c->request.body_len = body->len;
	}
	c->complete = true;
}

static void end_stream(struct codec *c, bool *done)
{
	*done = true;
	if (done == &c->params_done)
		codec_unpack_params(c);
	if (c->params_done && c->body_done)
		finish_request(c);
}

/* The record's content is complete. */
static void end_record(struct codec *c)
{
	const uint8_t type = c->header.fields.type;
	const bool is_empty =
	    wire_u16(c->header.fields.contentLengthB1, c->header.fields.contentLengthB0) == 0;
	if (record_id(c) == FCGI_NULL_REQUEST_ID) {
		if (type == FCGI_GET_VALUES)
			codec_reply_values(c);
		else
			codec_reply_unknown(c, type);
	} else if (type == FCGI_BEGIN_REQUEST) {
		begin_request(c);
	} else if (type == FCGI_ABORT_REQUEST && is_active(c)) {
		abort_request(c);
	} else if (type == FCGI_PARAMS && is_active(c) && is_empty) {
		end_stream(c, &c->params_done);
	} else if (type == FCGI_STDIN && is_active(c) && is_empty) {
		end_stream(c, &c->body_done);
	}
}

static size_t take_header(struct codec *c, const unsigned char *bytes, size_t len)
{
	size_t missing = (size_t)(FCGI_HEADER_LEN - c->header_len);
	size_t part = len < missing ? len : missing;
	memcpy(c->header.bytes + c->header_len, bytes, part);
	c->header_len = (uint8_t)(c->header_len + part);
	if (c->header_len == FCGI_HEADER_LEN) {
		if (!start_record(c))
			c->broken = true;
		else if (c->content_left == 0)
			end_record(c);
	}
	return part;
}

static size_t take_rest(struct codec *c, const unsigned char *bytes, size_t len)
{
	size_t part;
	if (c->content_left > 0) {
		part = len < c->content_left ? len : c->content_left;
		take_content(c, bytes, part);
		c->content_left = (uint16_t)(c->content_left - part);
		if (c->content_left == 0)
			end_record(c);
	} else {
		part = len < c->padding_left ? len : c->padding_left;
		c->padding_left = (uint8_t)(c->padding_left - part);
	}
	return part;
}

static void close_record(struct codec *c)
{
	if (c->header_len == FCGI_HEADER_LEN && c->content_left == 0 && c->padding_left == 0)
		c->header_len = 0;
}

static enum codec_event event_of(const struct codec *c)
{
	if (c->broken)
		return CODEC_BROKEN;
	if (c->reply_len > 0)
		return CODEC_REPLY;
	return c->complete ? CODEC_REQUEST : CODEC_MORE;
}

enum codec_event codec_feed(struct codec *c, const void *bytes, size_t len, size_t *used)
{
	const unsigned char *at = bytes;
	size_t left = len;
	AN_INVARIANT(c->reply_len == 0 && !c->complete);
	while (left > 0 && event_of(c) == CODEC_MORE) {
		size_t part = c->header_len < FCGI_HEADER_LEN ? take_header(c, at, left)
							      : take_rest(c, at, left);
		close_record(c);
		at += part;
		left -= part;
	}
	/* The padding behind an event comes along, so that no bytes need to be kept for it. */
	if (left > 0 && c->header_len == FCGI_HEADER_LEN && c->content_left == 0 && !c->broken) {
		left -= take_rest(c, at, left);
		close_record(c);
	}
	*used = len - left;
	return event_of(c);
}

void codec_give_param(struct codec *c, const char *name, size_t name_len, const char *value,
		      size_t value_len)
{
	unsigned char lengths[2 * WIRE_LENGTH_MAX];
	size_t used = wire_put_length(lengths, name_len);
	used += wire_put_length(lengths + used, value_len);
	AN_INVARIANT(!c->params_done);
	collect_params(c, lengths, used);
	collect_params(c, name, name_len);
	collect_params(c, value, value_len);
}

bool codec_give_body(struct codec *c, const void *bytes, size_t len)
{
	if (!c->params_done)
		end_stream(c, &c->params_done);
	collect_body(c, bytes, len);
	return !c->complete;
}

void codec_give_end(struct codec *c)
{
	if (!c->params_done)
		end_stream(c, &c->params_done);
	end_stream(c, &c->body_done);
}
