#include "compat/cgi.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/io.h"
#include "base/num.h"

bool cgi_is_called(void)
{
	return getenv("REQUEST_METHOD") != NULL;
}

/*
 * A CGI program must not look beyond CONTENT_LENGTH, so a body that is longer can't be
 * told from one that is right; a shorter one can.
 */
static void read_body(struct gateway *g)
{
	const char *length = getenv("CONTENT_LENGTH");
	uint64_t left = 0;
	if (length == NULL || !num_u64s(length, 0, UINT64_MAX, &left))
		return;
	char bytes[8192];
	while (left > 0) {
		size_t part = left < sizeof(bytes) ? (size_t)left : sizeof(bytes);
		ssize_t n = read(STDIN_FILENO, bytes, part);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || !gateway_body(g, bytes, (size_t)n))
			return;
		left -= (uint64_t)n;
	}
}

enum err cgi_serve(struct gateway *g, struct errmsg *why)
{
	gateway_begin(g);
	for (char **at = environ; *at != NULL; at++)
		gateway_param(g, *at);
	read_body(g);
	const struct http_output *out = gateway_answer(g, -1);
	if (io_write_all(STDOUT_FILENO, out->head.data, out->head.len) != ERR_OK ||
	    io_write_all(STDOUT_FILENO, out->body.data, out->body.len) != ERR_OK)
		return err_errno(why, "can't write the answer");
	return ERR_OK;
}
