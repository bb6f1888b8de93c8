/*
 * The web server's side of FastCGI, for tests: records to send, and answers read
 * back and taken apart.  Independent of the codec under test.
 */
#ifndef ZIGGIE_TESTS_FCGI_PEER_H
#define ZIGGIE_TESTS_FCGI_PEER_H

#include <fastcgi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"

/* Appends one record. */
void peer_record(struct strbuf *out, uint8_t type, uint16_t id, const void *content, size_t len,
		 uint8_t padding);
void peer_begin(struct strbuf *out, uint16_t id, uint16_t role, bool keep);
/* Appends one encoded pair, lengths as short as possible. */
void peer_pair(struct strbuf *pairs, const char *name, size_t name_len, const char *value,
	       size_t value_len);
void peer_pairs(struct strbuf *pairs, const char *const *names_and_values);
/* Appends a stream's records, of at most 65535 bytes each, and its end. */
void peer_stream(struct strbuf *out, uint8_t type, uint16_t id, const void *bytes, size_t len);

/*
 * Appends a whole request.  params: names and values in turn, NULL at the end;
 * CONTENT_LENGTH is added when there is a body.
 */
void peer_request(struct strbuf *out, uint16_t id, bool keep, const char *const *params,
		  const void *body, size_t body_len);
/* The same with the one parameter QUERY_STRING. */
void peer_get(struct strbuf *out, uint16_t id, bool keep, const char *query);

/* What an application sent: the records of one id, put together. */
struct peer_answer {
	uint16_t id;
	struct strbuf out; /* the STDOUT stream */
	uint8_t protocol_status;
	unsigned records;
};

void peer_answer_init(struct peer_answer *a);
void peer_answer_release(struct peer_answer *a);
/*
 * Takes records from bytes until an END_REQUEST or the end; true at END_REQUEST.
 * *used says how far it came, always to a record's end.  Fails the test on records
 * that an application must not send; the farewell of one that drains is passed over.
 */
bool peer_parse(struct peer_answer *a, const char *bytes, size_t len, size_t *used);

/* Sockets; every wait is bounded by PEER_WAIT_MS. */
enum { PEER_WAIT_MS = 20000 };

int peer_connect(const char *path);
void peer_send(int fd, const struct strbuf *bytes);
/* Reads one answer; false when the connection ended before. */
bool peer_receive(int fd, struct peer_answer *a);
/* Whether the other side closes within ms, without sending anything more. */
bool peer_sees_close(int fd, int ms);
/* Whether the last answer was followed at once by the record that ends nginx's use of it. */
bool peer_sees_farewell(int fd);

#endif
