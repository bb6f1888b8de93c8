#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

struct err_row {
	const char *name;
	const char *text;
	int http_status;
};

static const struct err_row err_rows[] = {
    [ERR_OK] = {"ok", "OK", 200},
    [ERR_NOMEM] = {"out_of_memory", "Service Unavailable", 503},
    [ERR_INVALID] = {"validation_failed", "Unprocessable Content", 422},
    [ERR_MALFORMED] = {"malformed_request", "Bad Request", 400},
    [ERR_UNAUTHORIZED] = {"unauthorized", "Unauthorized", 401},
    [ERR_FORBIDDEN] = {"forbidden", "Forbidden", 403},
    [ERR_NOT_FOUND] = {"not_found", "Not Found", 404},
    [ERR_METHOD] = {"method_not_allowed", "Method Not Allowed", 405},
    [ERR_CONFLICT] = {"conflict", "Conflict", 409},
    [ERR_PRECONDITION] = {"precondition_failed", "Precondition Failed", 412},
    [ERR_TOO_LARGE] = {"too_large", "Content Too Large", 413},
    [ERR_MEDIA_TYPE] = {"unsupported_media_type", "Unsupported Media Type", 415},
    [ERR_RATE_LIMITED] = {"rate_limited", "Too Many Requests", 429},
    [ERR_CANCELLED] = {"client_gone", "Client Closed Request", 499},
    [ERR_TIMEOUT] = {"timeout", "Gateway Timeout", 504},
    [ERR_OVERLOADED] = {"overloaded", "Service Unavailable", 503},
    [ERR_UNAVAILABLE] = {"unavailable", "Service Unavailable", 503},
    [ERR_UNKNOWN_OUTCOME] = {"unknown_outcome", "Service Unavailable", 503},
    [ERR_RETRY] = {"retry", "Service Unavailable", 503},
    [ERR_IO] = {"io_error", "Internal Server Error", 500},
    [ERR_PROTOCOL] = {"protocol_error", "Bad Gateway", 502},
    [ERR_INTERNAL] = {"internal_error", "Internal Server Error", 500},
};
TABLE_MATCHES(err_rows, ERR_COUNT);

enum err err_set(struct errmsg *why, enum err code, const char *format, ...)
{
	if (why != NULL) {
		va_list args;
		va_start(args, format);
		vsnprintf(why->text, sizeof(why->text), format, args);
		va_end(args);
	}
	return code;
}

enum err err_errno(struct errmsg *why, const char *format, ...)
{
	int saved = errno;
	if (why != NULL) {
		va_list args;
		va_start(args, format);
		vsnprintf(why->text, sizeof(why->text), format, args);
		va_end(args);
		size_t used = strlen(why->text);
		char text[128];
		snprintf(why->text + used, sizeof(why->text) - used, ": %s",
			 strerror_r(saved, text, sizeof(text)));
	}
	errno = saved;
	return ERR_IO;
}

static const struct err_row *err_row(enum err code)
{
	AN_INVARIANT((unsigned)code < ERR_COUNT);
	return &err_rows[code];
}

const char *err_name(enum err code)
{
	return err_row(code)->name;
}

const char *err_text(enum err code)
{
	return err_row(code)->text;
}

int err_http_status(enum err code)
{
	return err_row(code)->http_status;
}
