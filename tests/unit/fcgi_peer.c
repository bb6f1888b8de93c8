#include "fcgi_peer.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void peer_record(struct strbuf *out, uint8_t type, uint16_t id, const void *content, size_t len,
		 uint8_t padding)
{
	static const char filling[UINT8_MAX] = "padding is not looked at";
	const unsigned char header[] = {1,
					type,
					(unsigned char)(id >> 8),
					(unsigned char)id,
					(unsigned char)(len >> 8),
					(unsigned char)len,
					padding,
					0};
	strbuf_add(out, header, sizeof(header));
	strbuf_add(out, content, len);
	strbuf_add(out, filling, padding);
}

void peer_begin(struct strbuf *out, uint16_t id, uint16_t role, bool keep)
{
	const unsigned char body[8] = {(unsigned char)(role >> 8), (unsigned char)role, keep};
	peer_record(out, FCGI_BEGIN_REQUEST, id, body, sizeof(body), 0);
}

static void add_length(struct strbuf *pairs, size_t len)
{
	if (len < 0x80) {
		strbuf_addc(pairs, (char)len);
		return;
	}
	const unsigned char bytes[] = {(unsigned char)(0x80 | len >> 24),
				       (unsigned char)(len >> 16), (unsigned char)(len >> 8),
				       (unsigned char)len};
	strbuf_add(pairs, bytes, sizeof(bytes));
}

void peer_pair(struct strbuf *pairs, const char *name, size_t name_len, const char *value,
	       size_t value_len)
{
	add_length(pairs, name_len);
	add_length(pairs, value_len);
	strbuf_add(pairs, name, name_len);
	strbuf_add(pairs, value, value_len);
}

void peer_pairs(struct strbuf *pairs, const char *const *names_and_values)
{
	for (const char *const *at = names_and_values; at[0] != NULL; at += 2)
		peer_pair(pairs, at[0], strlen(at[0]), at[1], strlen(at[1]));
}

void peer_stream(struct strbuf *out, uint8_t type, uint16_t id, const void *bytes, size_t len)
{
	const char *at = bytes;
	while (len > 0) {
		size_t part = len < FCGI_MAX_LENGTH ? len : FCGI_MAX_LENGTH;
		peer_record(out, type, id, at, part, 0);
		at += part;
		len -= part;
	}
	peer_record(out, type, id, "", 0, 0);
}

void peer_request(struct strbuf *out, uint16_t id, bool keep, const char *const *params,
		  const void *body, size_t body_len)
{
	STRBUF_CLEANUP pairs = STRBUF_INIT;
	peer_pairs(&pairs, params);
	if (body_len > 0) {
		STRBUF_CLEANUP length = STRBUF_INIT;
		strbuf_addu(&length, body_len);
		peer_pair(&pairs, "CONTENT_LENGTH", 14, length.data, length.len);
	}
	peer_begin(out, id, FCGI_RESPONDER, keep);
	peer_stream(out, FCGI_PARAMS, id, pairs.data, pairs.len);
	peer_stream(out, FCGI_STDIN, id, body, body_len);
}

void peer_get(struct strbuf *out, uint16_t id, bool keep, const char *query)
{
	const char *const params[] = {"QUERY_STRING", query, NULL};
	peer_request(out, id, keep, params, "", 0);
}

void peer_answer_init(struct peer_answer *a)
{
	*a = (struct peer_answer){0};
	strbuf_init(&a->out);
}

void peer_answer_release(struct peer_answer *a)
{
	strbuf_release(&a->out);
}

static bool is_farewell(const void *record)
{
	static const char farewell[FCGI_HEADER_LEN] = {
	    FCGI_VERSION_1, FCGI_UNKNOWN_TYPE, 0, 0, 0, sizeof(FCGI_UnknownTypeBody)};
	return memcmp(record, farewell, sizeof(farewell)) == 0;
}

bool peer_parse(struct peer_answer *a, const char *bytes, size_t len, size_t *used)
{
	const unsigned char *at = (const unsigned char *)bytes;
	*used = 0;
	while (len - *used >= FCGI_HEADER_LEN) {
		const unsigned char *header = at + *used;
		size_t content = (size_t)header[4] << 8 | header[5];
		if (len - *used < FCGI_HEADER_LEN + content + header[6])
			return false;
		*used += FCGI_HEADER_LEN + content + header[6];
		if (is_farewell(header))
			continue;
		a->id = (uint16_t)(header[2] << 8 | header[3]);
		a->records++;
		assert_int_equal(header[0], FCGI_VERSION_1);
		assert_int_equal((content + header[6]) % 8, 0);
		if (header[1] == FCGI_STDOUT) {
			strbuf_add(&a->out, header + FCGI_HEADER_LEN, content);
			continue;
		}
		assert_int_equal(header[1], FCGI_END_REQUEST);
		assert_int_equal(content, sizeof(FCGI_EndRequestBody));
		a->protocol_status = header[FCGI_HEADER_LEN + 4];
		return true;
	}
	return false;
}

int peer_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = strlen(path);
	assert_true(len < sizeof(address.sun_path));
	memcpy(address.sun_path, path, len);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static bool wait_for(int fd, short events, int ms)
{
	struct pollfd ready = {.fd = fd, .events = events};
	int n;
	do
		n = poll(&ready, 1, ms);
	while (n < 0 && errno == EINTR);
	return n == 1;
}

void peer_send(int fd, const struct strbuf *bytes)
{
	size_t sent = 0;
	assert_false(bytes->failed);
	while (sent < bytes->len) {
		assert_true(wait_for(fd, POLLOUT, PEER_WAIT_MS));
		ssize_t n =
		    send(fd, bytes->data + sent, bytes->len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			continue;
		if (n < 0)
			return; /* the other side has closed; reading will tell */
		sent += (size_t)n;
	}
}

/* Looks at what is there before taking a record's worth of it, so that nothing is read ahead. */
bool peer_receive(int fd, struct peer_answer *a)
{
	static _Thread_local char buffer[FCGI_HEADER_LEN + FCGI_MAX_LENGTH + UINT8_MAX];
	size_t len = 0;
	for (;;) {
		size_t want = FCGI_HEADER_LEN;
		if (len >= FCGI_HEADER_LEN)
			want += ((size_t)(unsigned char)buffer[4] << 8 | (unsigned char)buffer[5]) +
				(unsigned char)buffer[6];
		if (len == want && len >= FCGI_HEADER_LEN) {
			size_t used;
			if (peer_parse(a, buffer, len, &used))
				return true;
			len = 0;
			continue;
		}
		if (!wait_for(fd, POLLIN, PEER_WAIT_MS))
			fail_msg("no answer within %d ms", PEER_WAIT_MS);
		ssize_t n = recv(fd, buffer + len, want - len, 0);
		if (n <= 0)
			return false;
		len += (size_t)n;
	}
}

bool peer_sees_farewell(int fd)
{
	char record[sizeof(FCGI_UnknownTypeRecord)];
	return recv(fd, record, sizeof(record), MSG_WAITALL) == (ssize_t)sizeof(record) &&
	       is_farewell(record) && peer_sees_close(fd, PEER_WAIT_MS);
}

bool peer_sees_close(int fd, int ms)
{
	char byte;
	return wait_for(fd, POLLIN, ms) && recv(fd, &byte, 1, 0) <= 0;
}
