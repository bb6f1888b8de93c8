#include "host/parse.h"

static bool read_row(struct cursor *line, struct services_row *out)
{
	uint64_t port;
	if (!cursor_word(line, &out->name) || out->name.text[0] == '#' ||
	    !cursor_u64(line, &port) || port == 0 || port > UINT16_MAX)
		return false;
	out->port = (uint16_t)port;
	struct span protocol;
	if (!cursor_literal(line, "/") || !cursor_word(line, &protocol))
		return false;
	out->udp = span_is(protocol, "udp");
	return out->udp || span_is(protocol, "tcp");
}

bool services_next(struct cursor *file, struct services_row *out)
{
	struct cursor line;
	while (cursor_line(file, &line)) {
		struct services_row row;
		if (read_row(&line, &row)) {
			*out = row;
			return true;
		}
	}
	return false;
}
