/*
 * A route is a row, and policy stands in the row.  The router, the limits, the
 * access tests and the API description are all made from these rows.
 */
#ifndef ZIGGIE_HTTP_ROUTE_H
#define ZIGGIE_HTTP_ROUTE_H

#include <stddef.h>

#include "base/error.h"

struct http_request;
struct http_response;
struct resource;
struct schema;

enum http_method {
	HTTP_GET = 1 << 0,
	HTTP_HEAD = 1 << 1, /* answered by the GET row, without a body */
	HTTP_POST = 1 << 2,
	HTTP_PUT = 1 << 3,
	HTTP_PATCH = 1 << 4,
	HTTP_DELETE = 1 << 5,
	HTTP_OPTIONS = 1 << 6,
};

/* Who may call it.  There is no default: ROUTE() does not compile without it, or with 0. */
enum route_access {
	ACCESS_PUBLIC = 1, /* anybody; credentials are not looked at */
	ACCESS_OPTIONAL,   /* anybody; a principal is noted when credentials are good */
	ACCESS_HOST,       /* any principal; for a while also one known before the database went */
	ACCESS_READONLY,   /* any principal */
	ACCESS_USER,       /* role user or admin */
	ACCESS_ADMIN,      /* role admin */
	ACCESS_REGISTER,   /* role admin; anybody while open_registration is on */
	ACCESS_LOCAL,      /* a loopback client, the metrics token or an admin */
};

/* What of others' records a caller may change; administrators may change all. */
enum route_others {
	OTHERS_NONE = 1, /* the row is about no record, or only about the caller's own */
	OTHERS_READ,     /* reads them, and changes nothing */
	OTHERS_KEPT,     /* changes records, and those of others only as an administrator */
	OTHERS_CHANGED,  /* changes those of others too: what agents do for each other */
};

/*
 * What an API key must be allowed to: the words before ":read" (GET) or ":write" (the
 * other methods) of one of its scopes.
 */
#define SCOPE_NONE "-" /* no key may, whatever its scopes: accounts and keys themselves */
#define SCOPE_ANY "*"  /* every key may */

enum route_rate {
	RATE_NONE = 1,
	RATE_READ,  /* as a read of the family that the path is of */
	RATE_WRITE, /* of /api/v1, where a write is no read */
	RATE_LOGS,
	RATE_CONTROL,
	RATE_LOGIN,
	RATE_ACCOUNT,
	RATE_SEARCH,
	RATE_INGEST,
};

/* Caps on what runs at once in a worker: heavy a quarter of the threads, normal all but two. */
enum route_weight {
	WEIGHT_LIGHT = 1, /* health, sign-in, administrators: the two threads kept free */
	WEIGHT_NORMAL,
	WEIGHT_HEAVY,
};

enum route_body {
	BODY_NONE = 1,
	BODY_JSON,
	BODY_FORM,
	BODY_JSON_OR_FORM,
};

/*
 * Fills the response, or returns an error and a message, which becomes the
 * problem answer; a half-filled response is discarded then.
 */
typedef enum err route_handler(struct http_request *request, struct http_response *response,
			       struct errmsg *why);

struct route {
	enum http_method method;
	const char *path; /* "/api/auth/users/{id}"; a {name} takes one segment */
	enum route_access access;
	enum route_others others;
	const char *scope;
	enum route_rate rate;
	enum route_weight weight;
	enum route_body body;
	route_handler *handler;
	const char *summary;

	const struct schema *accepts;    /* the fields of a JSON body, read into request->values */
	const struct schema *takes;      /* the parameters of the query, for the description */
	const struct schema *answers;    /* the fields of the answer, for the description */
	const char *const *media;        /* types of an answer that is no JSON; ends with NULL */
	int status;                      /* of an answer that is no error; 0 for 200 */
	int also;                        /* another status with the same answer; 304 has none */
	unsigned fails;                  /* FAILS() that the other columns do not imply */
	const struct resource *resource; /* whose records: api/records.h */
};

/* An error that the handler may end with: .fails = FAILS(ERR_CONFLICT) | FAILS(ERR_NOT_FOUND). */
#define FAILS(err) (1u << (err))
_Static_assert(ERR_COUNT <= 32, "a bit for each error");

/*
 * The value of a column; an array of less than nothing, which does not compile, when it is 0.
 * Texts are literals, which "" tells from anything else.
 */
#define ROUTE_GIVEN(value) ((value) + 0 * (int)sizeof(char[(value) != 0 ? 1 : -1]))

/*
 * A row, and the only way to write one (script/check-rules).  Every column up to the summary
 * must be there, or it does not compile (tests/routes.sh); the others are named:
 * ROUTE(HTTP_POST, …, "Create one", .accepts = &goal_schema).
 */
#define ROUTE(method_, path_, access_, others_, scope_, rate_, weight_, body_, handler_, summary_, \
	      ...)                                                                                 \
	{                                                                                          \
		.method = ROUTE_GIVEN(method_), .path = "" path_, .access = ROUTE_GIVEN(access_),  \
		.others = ROUTE_GIVEN(others_), .scope = "" scope_, .rate = ROUTE_GIVEN(rate_),    \
		.weight = ROUTE_GIVEN(weight_), .body = ROUTE_GIVEN(body_), .handler = (handler_), \
		.summary = "" summary_, ##__VA_ARGS__                                              \
	}

/* What fcgi-app/routes.c lists: a table of rows from each api file. */
struct route_table {
	const struct route *rows;
	const size_t *count; /* each file knows its own */
	const char *name;    /* what the rows are about, for the description: "hosts" */
	const char *summary;
};

extern const struct route_table route_tables[];
extern const size_t route_table_count;

/* A column's value in a word: "readonly", "kept", "read", "light", "json". */
const char *route_access_word(enum route_access access);
const char *route_others_word(enum route_others others);
const char *route_rate_word(enum route_rate rate);
const char *route_weight_word(enum route_weight weight);
const char *route_body_word(enum route_body body);

#endif
