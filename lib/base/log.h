/*
 * The log: one JSON object a line.
 *
 * Events are written at once.  Request lines are kept in a buffer of the calling
 * thread and written by whichever comes first: the buffer is full, or the flusher
 * thread's next round (log_start_flusher(); every 200 ms).  So kill -9 may lose
 * the last request lines and nothing else.  A line that can't be written is
 * counted (log_lost()) and never blocks the caller for longer than the write; what
 * comes after one that a full disk has cut begins a line of its own.
 *
 *	LOG_EVENT(LOG_WARNING, "memcached_down", LOG_STR("server", name), LOG_INT("failures", n));
 *
 * writes {"time":"…Z","level":"warning","event":"memcached_down","program":"ziggie-worker",
 * "pid":12,"server":"…","failures":3}.  Field values are escaped; never log a secret.
 * Thread-safe after log_open().
 */
#ifndef ZIGGIE_BASE_LOG_H
#define ZIGGIE_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

enum log_type { LOG_TYPE_STRING, LOG_TYPE_INT, LOG_TYPE_REAL_MS, LOG_TYPE_BOOL };

struct log_field {
	const char *key;
	enum log_type type;
	union {
		const char *string; /* NULL leaves the field out */
		int64_t integer;    /* for REAL_MS: nanoseconds, printed as milliseconds */
	} value;
};

#define LOG_STR(k, v)                                                                              \
	(struct log_field)                                                                         \
	{                                                                                          \
		.key = (k), .type = LOG_TYPE_STRING, .value.string = (v)                           \
	}
#define LOG_INT(k, v)                                                                              \
	(struct log_field)                                                                         \
	{                                                                                          \
		.key = (k), .type = LOG_TYPE_INT, .value.integer = (int64_t)(v)                    \
	}
#define LOG_MS(k, ns)                                                                              \
	(struct log_field)                                                                         \
	{                                                                                          \
		.key = (k), .type = LOG_TYPE_REAL_MS, .value.integer = (int64_t)(ns)               \
	}
#define LOG_BOOL(k, v)                                                                             \
	(struct log_field)                                                                         \
	{                                                                                          \
		.key = (k), .type = LOG_TYPE_BOOL, .value.integer = (v)                            \
	}

#define LOG_FIELDS(...)                                                                            \
	(const struct log_field[]){__VA_ARGS__},                                                   \
	    sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field)
#define LOG_EVENT(level, event, ...) log_write(level, event, LOG_FIELDS(__VA_ARGS__))

/*
 * program must live as long as the process.  path NULL or "" or "-" means standard
 * error; a file is opened for appending, 0640.  Until log_open() lines go to
 * standard error as program "ziggie".
 */
enum err log_open(const char *program, const char *path, enum log_level least, struct errmsg *why);
/* Opens the same path again, after logrotate moved it. */
enum err log_reopen(struct errmsg *why);
void log_set_level(enum log_level least);
bool log_level_parse(const char *name, enum log_level *out);

void log_write(enum log_level level, const char *event, const struct log_field *fields,
	       size_t count);
/* The same through the calling thread's buffer. */
void log_write_buffered(enum log_level level, const char *event, const struct log_field *fields,
			size_t count);
/* Takes the calling thread's buffer now, not with its first line. */
void log_prepare_thread(void);

/* Starts the thread that flushes all buffers; call after the last fork. */
enum err log_start_flusher(struct errmsg *why);
/* Writes what the buffers hold and stops the flusher; before exit. */
void log_close(void);
uint64_t log_lost(void);

#endif
