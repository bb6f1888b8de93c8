#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "fastcgi/wire.h"

static void reply_add(struct codec *c, uint8_t type, uint16_t id, const void *content, size_t len)
{
	uint8_t padding = wire_padding(len);
	FCGI_Header header = wire_header(type, id, (uint16_t)len, padding);
	unsigned char *at = c->reply + c->reply_len;
	AN_INVARIANT(c->reply_len + sizeof(header) + len + padding <= sizeof(c->reply));
	memcpy(at, &header, sizeof(header));
	if (len > 0)
		memcpy(at + sizeof(header), content, len);
	memset(at + sizeof(header) + len, 0, padding);
	c->reply_len += sizeof(header) + len + padding;
}

/* The value of a name that the specification defines, or NULL. */
static const char *value_of(const struct wire_pair *asked, const char *connections, size_t *which)
{
	const struct {
		const char *name;
		const char *value;
	} known[] = {
	    {FCGI_MAX_CONNS, connections}, {FCGI_MAX_REQS, connections}, {FCGI_MPXS_CONNS, "0"}};
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (asked->name_len == strlen(known[i].name) &&
		    memcmp(asked->name, known[i].name, asked->name_len) == 0) {
			*which = i;
			return known[i].value;
		}
	}
	return NULL;
}

void codec_reply_values(struct codec *c)
{
	char connections[12];
	snprintf(connections, sizeof(connections), "%u", c->limits->max_connections);

	char content[CODEC_REPLY_MAX];
	size_t len = 0;
	unsigned answered = 0;
	char *at = (char *)c->scratch;
	char *end = at + c->scratch_len;
	struct wire_pair asked;
	while (at < end && wire_take_pair(&at, end, &asked)) {
		size_t which = 0;
		const char *value = value_of(&asked, connections, &which);
		if (value == NULL || (answered & 1U << which) != 0)
			continue;
		answered |= 1U << which;
		size_t value_len = strlen(value);
		content[len++] = (char)asked.name_len;
		content[len++] = (char)value_len;
		memcpy(content + len, asked.name, asked.name_len);
		len += asked.name_len;
		/* NOLINTNEXTLINE(bugprone-not-null-terminated-result): it has a length */
		memcpy(content + len, value, value_len);
		len += value_len;
	}
	reply_add(c, FCGI_GET_VALUES_RESULT, FCGI_NULL_REQUEST_ID, content, len);
}

void codec_reply_unknown(struct codec *c, uint8_t type)
{
	FCGI_UnknownTypeBody body = {.type = type};
	reply_add(c, FCGI_UNKNOWN_TYPE, FCGI_NULL_REQUEST_ID, &body, sizeof(body));
}

void codec_reply_end(struct codec *c, uint16_t id, uint8_t protocol_status)
{
	FCGI_EndRequestBody body = {.protocolStatus = protocol_status};
	reply_add(c, FCGI_END_REQUEST, id, &body, sizeof(body));
}
