#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/escape.h"
#include "base/stack.h"
#include "base/strbuf.h"

/* Room for one more usual line behind those that make a buffer full. */
enum { FLUSH_INTERVAL_MS = 200, BUFFER_FULL = 16 * 1024, BUFFER_SIZE = BUFFER_FULL + 2048 };

/* A thread's lines that are not written yet; the flusher takes them under the lock. */
struct log_buffer {
	struct log_buffer *next;
	pthread_mutex_t lock;
	struct strbuf lines;
};

static struct {
	const char *program;
	char *path;
	_Atomic int fd;
	_Atomic int least;
	_Atomic uint64_t lost;
	_Atomic bool cut;     /* the last line written has no end */
	pthread_mutex_t lock; /* the list of buffers and the flusher's state */
	pthread_cond_t wake;
	struct log_buffer *buffers;
	pthread_t flusher;
	bool flushing;
	bool stop;
} log_state = {
    .program = "ziggie",
    .fd = STDERR_FILENO,
    .least = LOG_INFO,
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .wake = PTHREAD_COND_INITIALIZER,
};

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug",
    [LOG_INFO] = "info",
    [LOG_WARNING] = "warning",
    [LOG_ERROR] = "error",
};

static pthread_key_t buffer_key;
static pthread_once_t buffer_key_once = PTHREAD_ONCE_INIT;

static enum err open_path(const char *path, int *out, struct errmsg *why)
{
	if (path == NULL || path[0] == '\0' || strcmp(path, "-") == 0) {
		*out = STDERR_FILENO;
		return ERR_OK;
	}
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
	if (fd < 0)
		return err_errno(why, "can't open the log %s", path);
	*out = fd;
	return ERR_OK;
}

enum err log_open(const char *program, const char *path, enum log_level least, struct errmsg *why)
{
	int fd = STDERR_FILENO;
	enum err err = open_path(path, &fd, why);
	if (err != ERR_OK)
		return err;
	char *copy = path == NULL ? NULL : strdup(path);
	if (path != NULL && copy == NULL) {
		if (fd != STDERR_FILENO)
			close(fd);
		return err_set(why, ERR_NOMEM, "out of memory opening the log");
	}
	free(log_state.path);
	log_state.path = copy;
	log_state.program = program;
	int old = atomic_exchange(&log_state.fd, fd);
	if (old != STDERR_FILENO && old != fd)
		close(old);
	log_set_level(least);
	return ERR_OK;
}

enum err log_reopen(struct errmsg *why)
{
	int fd = STDERR_FILENO;
	enum err err = open_path(log_state.path, &fd, why);
	if (err != ERR_OK)
		return err;
	int now = atomic_load(&log_state.fd);
	if (fd == STDERR_FILENO || now == STDERR_FILENO)
		return ERR_OK;
	/* dup3 swaps the file under the number that other threads are writing to. */
	enum err result = ERR_OK;
	if (dup3(fd, now, O_CLOEXEC) < 0)
		result = err_errno(why, "can't swap the log %s", log_state.path);
	else
		atomic_store(&log_state.cut, false);
	close(fd);
	return result;
}

void log_set_level(enum log_level least)
{
	atomic_store(&log_state.least, (int)least);
}

bool log_level_parse(const char *name, enum log_level *out)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++)
		if (strcmp(name, level_names[i]) == 0) {
			*out = (enum log_level)i;
			return true;
		}
	return false;
}

static void format_field(struct strbuf *line, const struct log_field *field)
{
	if (field->type == LOG_TYPE_STRING && field->value.string == NULL)
		return;
	strbuf_addc(line, ',');
	escape_json(line, field->key, strlen(field->key));
	strbuf_addc(line, ':');
	switch (field->type) {
	case LOG_TYPE_STRING:
		escape_json(line, field->value.string, strlen(field->value.string));
		break;
	case LOG_TYPE_INT:
		strbuf_addi(line, field->value.integer);
		break;
	case LOG_TYPE_REAL_MS: {
		int64_t us = field->value.integer / NS_PER_US;
		strbuf_addi(line, us / 1000);
		if (us >= 0) {
			char fraction[4] = {'.', (char)('0' + us / 100 % 10),
					    (char)('0' + us / 10 % 10), (char)('0' + us % 10)};
			strbuf_add(line, fraction, sizeof(fraction));
		}
		break;
	}
	case LOG_TYPE_BOOL:
		strbuf_adds(line, field->value.integer ? "true" : "false");
		break;
	}
}

/* Appends a line; one for which there is no memory is lost, and those before it stay. */
static void format_line(struct strbuf *line, enum log_level level, const char *event,
			const struct log_field *fields, size_t count)
{
	size_t before = line->len;
	char now[CLOCK_TEXT_MAX];
	clock_format_utc(clock_wall_us(), now);
	strbuf_adds(line, "{\"time\":\"");
	strbuf_adds(line, now);
	strbuf_adds(line, "\",\"level\":\"");
	strbuf_adds(line, level_names[level]);
	strbuf_adds(line, "\",\"event\":");
	escape_json(line, event, strlen(event));
	strbuf_adds(line, ",\"program\":\"");
	strbuf_adds(line, log_state.program);
	strbuf_adds(line, "\",\"pid\":");
	strbuf_addi(line, getpid());
	for (size_t i = 0; i < count; i++)
		format_field(line, &fields[i]);
	strbuf_adds(line, "}\n");
	if (!line->failed)
		return;
	strbuf_truncate(line, before);
	line->failed = false;
	atomic_fetch_add(&log_state.lost, 1);
}

static uint64_t count_lines(const char *text, size_t len)
{
	uint64_t count = 0;
	for (size_t i = 0; i < len; i++)
		count += text[i] == '\n';
	return count;
}

/* Returns how many bytes were written before it failed, if it did. */
static size_t write_some(int fd, const char *bytes, size_t len)
{
	size_t done = 0;
	while (done < len) {
		ssize_t wrote = write(fd, bytes + done, len - done);
		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0)
			break;
		done += (size_t)wrote;
	}
	return done;
}

/*
 * On a full disk a line may be cut in the middle.  What is written next begins a line
 * of its own, so that the cut one alone is spoilt.
 */
static void write_lines(const struct strbuf *lines)
{
	int fd = atomic_load(&log_state.fd);
	bool cut = atomic_exchange(&log_state.cut, false);
	if (cut && write_some(fd, "\n", 1) == 1)
		cut = false;
	size_t done = cut ? 0 : write_some(fd, lines->data, lines->len);
	if (done == lines->len)
		return;
	atomic_fetch_add(&log_state.lost, count_lines(lines->data + done, lines->len - done));
	if (cut || (done > 0 && lines->data[done - 1] != '\n'))
		atomic_store(&log_state.cut, true);
}

static bool wanted(enum log_level level)
{
	return (int)level >= atomic_load_explicit(&log_state.least, memory_order_relaxed);
}

void log_write(enum log_level level, const char *event, const struct log_field *fields,
	       size_t count)
{
	if (!wanted(level))
		return;
	STRBUF_CLEANUP line = STRBUF_INIT;
	format_line(&line, level, event, fields, count);
	write_lines(&line);
}

/* All of it at once, so that a thread's memory does not grow with its busiest moment. */
static void take_room(struct strbuf *lines)
{
	strbuf_init(lines);
	strbuf_reserve(lines, BUFFER_SIZE);
}

/* The caller holds buffer->lock.  What a very long line took is given back. */
static void flush_locked(struct log_buffer *buffer)
{
	if (buffer->lines.len > 0)
		write_lines(&buffer->lines);
	strbuf_clear(&buffer->lines);
	if (buffer->lines.cap > 2 * (size_t)BUFFER_SIZE) {
		strbuf_release(&buffer->lines);
		take_room(&buffer->lines);
	}
}

/* A thread ends: its lines are written and its buffer leaves the list. */
static void buffer_free(void *pointer)
{
	struct log_buffer *buffer = pointer;
	pthread_mutex_lock(&log_state.lock);
	for (struct log_buffer **at = &log_state.buffers; *at != NULL; at = &(*at)->next)
		if (*at == buffer) {
			*at = buffer->next;
			break;
		}
	pthread_mutex_unlock(&log_state.lock);
	flush_locked(buffer);
	strbuf_release(&buffer->lines);
	pthread_mutex_destroy(&buffer->lock);
	free(buffer);
}

static void make_buffer_key(void)
{
	pthread_key_create(&buffer_key, buffer_free);
}

static struct log_buffer *thread_buffer(void)
{
	pthread_once(&buffer_key_once, make_buffer_key);
	struct log_buffer *buffer = pthread_getspecific(buffer_key);
	if (buffer != NULL)
		return buffer;
	buffer = calloc(1, sizeof(*buffer));
	if (buffer == NULL)
		return NULL;
	pthread_mutex_init(&buffer->lock, NULL);
	take_room(&buffer->lines);
	if (pthread_setspecific(buffer_key, buffer) != 0) {
		pthread_mutex_destroy(&buffer->lock);
		strbuf_release(&buffer->lines);
		free(buffer);
		return NULL;
	}
	pthread_mutex_lock(&log_state.lock);
	buffer->next = log_state.buffers;
	log_state.buffers = buffer;
	pthread_mutex_unlock(&log_state.lock);
	return buffer;
}

void log_prepare_thread(void)
{
	(void)thread_buffer();
}

void log_write_buffered(enum log_level level, const char *event, const struct log_field *fields,
			size_t count)
{
	if (!wanted(level))
		return;
	struct log_buffer *buffer = thread_buffer();
	if (buffer == NULL) {
		log_write(level, event, fields, count);
		return;
	}
	pthread_mutex_lock(&buffer->lock);
	format_line(&buffer->lines, level, event, fields, count);
	if (buffer->lines.len > BUFFER_FULL)
		flush_locked(buffer);
	pthread_mutex_unlock(&buffer->lock);
}

/* The caller holds log_state.lock. */
static void flush_all(void)
{
	for (struct log_buffer *buffer = log_state.buffers; buffer != NULL; buffer = buffer->next) {
		pthread_mutex_lock(&buffer->lock);
		flush_locked(buffer);
		pthread_mutex_unlock(&buffer->lock);
	}
}

static void *flusher_main(void *unused)
{
	(void)unused;
	stack_touch();
	pthread_mutex_lock(&log_state.lock);
	while (!log_state.stop) {
		struct timespec until;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += FLUSH_INTERVAL_MS * NS_PER_MS;
		until.tv_sec += until.tv_nsec / NS_PER_S;
		until.tv_nsec %= NS_PER_S;
		pthread_cond_timedwait(&log_state.wake, &log_state.lock, &until);
		flush_all();
	}
	pthread_mutex_unlock(&log_state.lock);
	return NULL;
}

enum err log_start_flusher(struct errmsg *why)
{
	log_state.stop = false;
	int failed = pthread_create(&log_state.flusher, NULL, flusher_main, NULL);
	if (failed != 0) {
		errno = failed;
		return err_errno(why, "can't start the log's thread");
	}
	log_state.flushing = true;
	return ERR_OK;
}

void log_close(void)
{
	pthread_mutex_lock(&log_state.lock);
	log_state.stop = true;
	pthread_cond_signal(&log_state.wake);
	pthread_mutex_unlock(&log_state.lock);
	if (log_state.flushing)
		pthread_join(log_state.flusher, NULL);
	log_state.flushing = false;
	pthread_mutex_lock(&log_state.lock);
	flush_all();
	pthread_mutex_unlock(&log_state.lock);
}

uint64_t log_lost(void)
{
	return atomic_load(&log_state.lost);
}
