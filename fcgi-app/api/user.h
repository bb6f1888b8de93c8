/*
 * What the files about accounts share (auth.c, account.c, users.c): how a user is
 * shown, and the rules for fields that a row can't say.
 */
#ifndef ZIGGIE_API_USER_H
#define ZIGGIE_API_USER_H

#include "auth/password.h"
#include "http/request.h"
#include "json/schema.h"
#include "json/writer.h"
#include "store/users.h"

extern const char *const role_words[];
extern const struct schema user_schema;    /* what put_user() writes */
extern const struct schema message_schema; /* what answer_message() writes */

void put_user(struct json_writer *w, const struct user *user);
/* The whole answer. */
void answer_user(struct http_response *response, const struct user *user);
void answer_message(struct http_response *response, const char *text);

/* A body's text; NULL when it is not given, or null. */
const char *text_of(const struct field_value *value);

/* Notes an error when it breaks the rules of auth/password.h, which know the name. */
void check_new_password(struct json_fields *errors, const char *field, const char *password,
			const char *username);

/* Hashes, after waiting for a turn; that time is booked to the phase "auth". */
enum err hash_password(struct http_request *r, const char *password, char out[PASSWORD_HASH_SIZE],
		       struct errmsg *why);
/*
 * Compares with the hash of a user, or as slowly with nobody's (NULL); ERR_OVERLOADED when
 * half of the time is over before its turn comes.
 */
enum err compare_password(struct http_request *r, const char *hash, const char *password,
			  bool *matches, struct errmsg *why);

#endif
