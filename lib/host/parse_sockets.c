#include "host/parse.h"

/* The kernel prints each 32-bit word of an address as a number of its own byte order. */
static bool read_address(struct cursor *c, bool v6, uint8_t address[16])
{
	for (unsigned i = 0; i < (v6 ? 4U : 1U); i++) {
		uint32_t word;
		if (!cursor_hex(c, 8, &word))
			return false;
		memcpy(address + 4 * (size_t)i, &word, sizeof(word));
	}
	return true;
}

static bool read_row(struct cursor *c, bool v6, struct socket_row *out)
{
	struct span word;
	uint32_t port, state;
	if (!cursor_until(c, ':', &word) || !cursor_literal(c, " ") ||
	    !read_address(c, v6, out->address) || !cursor_literal(c, ":") ||
	    !cursor_hex(c, 4, &port) || !cursor_word(c, &word)) /* the remote end */
		return false;
	cursor_skip_blanks(c);
	if (!cursor_hex(c, 2, &state) || state == 0 || state >= SOCKET_STATES ||
	    !cursor_skip_words(c, 5) || /* queues, timer, retransmits, uid, timeout */
	    !cursor_u64(c, &out->inode))
		return false;
	out->v6 = v6;
	out->port = (uint16_t)port;
	out->state = (uint8_t)state;
	return true;
}

bool proc_net_next(struct cursor *file, bool v6, struct socket_row *out)
{
	struct cursor line;
	while (cursor_line(file, &line)) {
		struct socket_row row = {0};
		if (read_row(&line, v6, &row)) {
			*out = row;
			return true;
		}
	}
	return false;
}
