#include "reference_codec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

enum { HEADER = 8, PARAMS_MAX = 64 };

void note_reply(struct strbuf *out, unsigned type, unsigned id, const void *content, size_t len)
{
	strbuf_addf(out, "reply %u to %u", type, id);
	note_text(out, "", content, len);
}

void note_request(struct strbuf *out, unsigned id, bool keep, enum err refused)
{
	strbuf_addf(out, "request %u%s: %s\n", id, keep ? " of several" : "", err_name(refused));
}

void note_text(struct strbuf *out, const char *what, const void *bytes, size_t len)
{
	strbuf_addf(out, "%s %zu: ", what, len);
	strbuf_add(out, bytes, len);
	strbuf_addc(out, '\n');
}

void note_broken(struct strbuf *out)
{
	strbuf_adds(out, "broken\n");
}

/* A record whose header is there; its content may be cut short. */
struct record {
	unsigned version, type, id;
	const uint8_t *content;
	size_t len;
	size_t size; /* with header and padding */
	bool is_whole;
};

struct text {
	const char *bytes;
	size_t len;
};

struct field {
	struct text name;
	struct strbuf value;
};

struct reader {
	const struct codec_limits *limits;
	struct strbuf *out;
	bool active, keep, params_done, body_done, ended;
	unsigned id;
	enum err refused;
	unsigned long long content_length; /* 0 when nothing says */
	struct strbuf params, body;
	struct field fields[PARAMS_MAX];
	size_t field_count;
};

static struct record read_record(const uint8_t *at, size_t left)
{
	size_t len = (size_t)(at[4] << 8 | at[5]);
	return (struct record){
	    .version = at[0],
	    .type = at[1],
	    .id = (unsigned)(at[2] << 8 | at[3]),
	    .content = at + HEADER,
	    .len = len,
	    .size = HEADER + len + at[6],
	    .is_whole = left >= HEADER + len,
	};
}

static void start(struct reader *r, bool active)
{
	for (size_t i = 0; i < r->field_count; i++)
		strbuf_release(&r->fields[i].value);
	strbuf_clear(&r->params);
	strbuf_clear(&r->body);
	r->active = active;
	r->params_done = r->body_done = false;
	r->refused = ERR_OK;
	r->content_length = 0;
	r->field_count = 0;
}

static void refuse(struct reader *r, enum err why)
{
	if (r->refused == ERR_OK)
		r->refused = why;
}

static bool take_length(struct text *from, size_t *out)
{
	const uint8_t *b = (const uint8_t *)from->bytes;
	size_t size = from->len > 0 && b[0] < 128 ? 1 : 4;
	if (from->len < size)
		return false;
	*out = b[0];
	if (size == 4)
		*out = (size_t)(b[0] - 128) << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
	from->bytes += size;
	from->len -= size;
	return true;
}

static bool take_pair(struct text *from, struct text *name, struct text *value)
{
	size_t name_len, value_len;
	if (!take_length(from, &name_len) || !take_length(from, &value_len) ||
	    name_len > from->len || value_len > from->len - name_len)
		return false;
	*name = (struct text){from->bytes, name_len};
	*value = (struct text){from->bytes + name_len, value_len};
	from->bytes += name_len + value_len;
	from->len -= name_len + value_len;
	return true;
}

static bool is(struct text a, const char *b)
{
	return a.len == strlen(b) && memcmp(a.bytes, b, a.len) == 0;
}

static bool same(struct text a, struct text b)
{
	return a.len == b.len && memcmp(a.bytes, b.bytes, a.len) == 0;
}

/* A header field that is a list; all else stands once. */
static bool is_list(struct text name)
{
	static const char *const single[] = {
	    "HTTP_AUTHORIZATION",   "HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "HTTP_HOST",
	    "HTTP_IDEMPOTENCY_KEY", "HTTP_TRACEPARENT",    "HTTP_X_API_KEY"};
	bool list = name.len > 5 && memcmp(name.bytes, "HTTP_", 5) == 0;
	for (size_t i = 0; i < ARRAY_LEN(single); i++)
		list = list && !is(name, single[i]);
	return list;
}

static void take_content_length(struct reader *r, const char *digits)
{
	errno = 0;
	r->content_length = strtoull(digits, NULL, 10);
	if (strspn(digits, "0123456789") != strlen(digits) || errno == ERANGE)
		refuse(r, ERR_MALFORMED);
	else if (r->content_length > r->limits->body_bytes)
		refuse(r, ERR_TOO_LARGE);
}

static enum err add_field(struct reader *r, struct text name, struct text value, size_t count)
{
	if (name.len == 0 || memchr(name.bytes, 0, name.len) != NULL ||
	    memchr(value.bytes, 0, value.len) != NULL)
		return ERR_MALFORMED;
	if (count == r->limits->params_count)
		return ERR_TOO_LARGE;
	for (size_t i = 0; i < r->field_count; i++) {
		if (!same(name, r->fields[i].name))
			continue;
		if (!is_list(name))
			return ERR_MALFORMED;
		strbuf_adds(&r->fields[i].value, is(name, "HTTP_COOKIE") ? "; " : ", ");
		strbuf_add(&r->fields[i].value, value.bytes, value.len);
		return ERR_OK;
	}
	struct field *field = &r->fields[r->field_count++];
	field->name = name;
	strbuf_init(&field->value);
	strbuf_add(&field->value, value.bytes, value.len);
	if (is(name, "CONTENT_LENGTH") && value.len > 0)
		take_content_length(r, field->value.data);
	return ERR_OK;
}

/* Those before the first one at fault. */
static void read_params(struct reader *r)
{
	struct text left = {r->params.data, r->params.len}, name, value;
	for (size_t count = 0; left.len > 0; count++) {
		enum err err = ERR_MALFORMED;
		if (take_pair(&left, &name, &value))
			err = add_field(r, name, value, count);
		if (err != ERR_OK) {
			refuse(r, err);
			return;
		}
	}
}

/* Up to the limit; what is refused is not kept. */
static void collect(struct reader *r, struct strbuf *b, size_t limit, const struct record *record)
{
	size_t room = limit - b->len;
	if (r->refused != ERR_OK)
		return;
	strbuf_add(b, record->content, record->len < room ? record->len : room);
	if (record->len > room)
		refuse(r, ERR_TOO_LARGE);
}

static void finish_request(struct reader *r)
{
	bool keep = r->keep;
	if (r->content_length != r->body.len)
		refuse(r, ERR_MALFORMED);
	note_request(r->out, r->id, keep, r->refused);
	for (size_t i = 0; i < r->field_count; i++) {
		note_text(r->out, "name", r->fields[i].name.bytes, r->fields[i].name.len);
		note_text(r->out, "value", r->fields[i].value.data, r->fields[i].value.len);
	}
	note_text(r->out, "body", r->body.data, r->refused == ERR_OK ? r->body.len : 0);
	start(r, false);
	r->ended = !keep;
}

static void take_stream(struct reader *r, const struct record *record)
{
	bool is_params = record->type == FCGI_PARAMS;
	bool *done = is_params ? &r->params_done : &r->body_done;
	if (is_params)
		collect(r, &r->params, r->limits->params_bytes, record);
	else
		collect(r, &r->body, r->limits->body_bytes, record);
	if (record->len > 0)
		return;
	*done = true;
	if (is_params)
		read_params(r);
	if (r->params_done && r->body_done)
		finish_request(r);
}

static void end_request(struct reader *r, unsigned id, unsigned protocol_status)
{
	uint8_t body[8] = {[4] = (uint8_t)protocol_status};
	note_reply(r->out, FCGI_END_REQUEST, id, body, sizeof(body));
}

static void begin(struct reader *r, const struct record *record)
{
	bool keep = (record->content[2] & FCGI_KEEP_CONN) != 0;
	if (r->active) {
		end_request(r, record->id, FCGI_CANT_MPX_CONN);
	} else if (record->content[0] != 0 || record->content[1] != FCGI_RESPONDER) {
		end_request(r, record->id, FCGI_UNKNOWN_ROLE);
		r->ended = !keep;
	} else {
		start(r, true);
		r->id = record->id;
		r->keep = keep;
	}
}

static void get_values(struct reader *r, const struct record *record)
{
	static const char *const known[] = {FCGI_MAX_CONNS, FCGI_MAX_REQS, FCGI_MPXS_CONNS};
	STRBUF_CLEANUP answer = STRBUF_INIT;
	char number[12];
	bool answered[ARRAY_LEN(known)] = {false};
	size_t len = record->len < CODEC_SCRATCH ? record->len : CODEC_SCRATCH;
	struct text left = {(const char *)record->content, len}, name, value;
	snprintf(number, sizeof(number), "%u", r->limits->max_connections);
	while (left.len > 0 && take_pair(&left, &name, &value))
		for (size_t i = 0; i < ARRAY_LEN(known); i++) {
			const char *says = i == 2 ? "0" : number;
			if (answered[i] || !is(name, known[i]))
				continue;
			answered[i] = true;
			strbuf_addc(&answer, (char)name.len);
			strbuf_addc(&answer, (char)strlen(says));
			strbuf_addf(&answer, "%s%s", known[i], says);
		}
	note_reply(r->out, FCGI_GET_VALUES_RESULT, 0, answer.data, answer.len);
}

static void manage(struct reader *r, const struct record *record)
{
	if (record->type == FCGI_GET_VALUES) {
		get_values(r, record);
	} else {
		uint8_t body[8] = {(uint8_t)record->type};
		note_reply(r->out, FCGI_UNKNOWN_TYPE, 0, body, sizeof(body));
	}
}

static void abort_request(struct reader *r)
{
	end_request(r, r->id, FCGI_REQUEST_COMPLETE);
	r->ended = !r->keep;
	start(r, false);
}

/* What is wrong with a record can be seen from its header. */
static bool breaks(const struct reader *r, const struct record *record)
{
	bool is_active = r->active && record->id == r->id;
	if (record->version != FCGI_VERSION_1)
		return true;
	if (record->id == 0)
		return false;
	if (record->type == FCGI_BEGIN_REQUEST)
		return record->len != 8 || is_active;
	return is_active && ((record->type == FCGI_PARAMS && r->params_done) ||
			     (record->type == FCGI_STDIN && r->body_done));
}

static void take_record(struct reader *r, const struct record *record)
{
	bool is_active = r->active && record->id == r->id;
	if (breaks(r, record)) {
		note_broken(r->out);
		r->ended = true;
	} else if (!record->is_whole) {
		r->ended = true;
	} else if (record->id == 0) {
		manage(r, record);
	} else if (record->type == FCGI_BEGIN_REQUEST) {
		begin(r, record);
	} else if (record->type == FCGI_ABORT_REQUEST && is_active) {
		abort_request(r);
	} else if ((record->type == FCGI_PARAMS || record->type == FCGI_STDIN) && is_active) {
		take_stream(r, record);
	}
}

void reference_codec(const struct codec_limits *limits, const uint8_t *bytes, size_t len,
		     struct strbuf *out)
{
	struct reader r = {
	    .limits = limits, .out = out, .params = STRBUF_INIT, .body = STRBUF_INIT};
	AN_INVARIANT(limits->params_count <= PARAMS_MAX && len < CODEC_DISCARD_MAX);
	for (size_t at = 0; at < len && len - at >= HEADER && !r.ended;) {
		struct record record = read_record(bytes + at, len - at);
		take_record(&r, &record);
		at += record.size;
	}
	start(&r, false);
	strbuf_release(&r.params);
	strbuf_release(&r.body);
}
