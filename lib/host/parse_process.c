#include "host/parse.h"

static bool read_i32(struct cursor *c, int32_t *out)
{
	uint64_t value;
	if (!cursor_u64(c, &value) || value > INT32_MAX)
		return false;
	*out = (int32_t)value;
	return true;
}

/* Fields 4 to 24 of proc(5): what follows the name and the state. */
static bool read_fields(struct cursor *c, struct pid_stat *out)
{
	uint64_t user, system, threads, minor, major;
	if (!read_i32(c, &out->ppid) || !cursor_skip_words(c, 5) || /* pgrp … flags */
	    !cursor_u64(c, &minor) || !cursor_skip_words(c, 1) || !cursor_u64(c, &major) ||
	    !cursor_skip_words(c, 1) || !cursor_u64(c, &user) || !cursor_u64(c, &system) ||
	    !cursor_skip_words(c, 4) || /* cutime … nice */
	    !cursor_u64(c, &threads) || !cursor_skip_words(c, 1) ||
	    !cursor_u64(c, &out->start_ticks) || !cursor_skip_words(c, 1) ||
	    !cursor_u64(c, &out->rss_pages))
		return false;
	if (threads > UINT32_MAX || __builtin_add_overflow(user, system, &out->cpu_ticks) ||
	    __builtin_add_overflow(minor, major, &out->faults))
		return false;
	out->threads = (uint32_t)threads;
	return true;
}

/*
 * A name may hold blanks, newlines and parentheses, so it ends at the last
 * parenthesis: everything behind it is numbers.
 */
bool parse_pid_stat(const char *text, size_t len, struct pid_stat *out)
{
	struct cursor c = cursor_over(text, len);
	struct pid_stat result;
	if (!read_i32(&c, &result.pid) || !cursor_literal(&c, " ("))
		return false;
	const char *close = memrchr(c.at, ')', cursor_left(&c));
	if (close == NULL)
		return false;
	result.name = (struct span){.text = c.at, .len = (size_t)(close - c.at)};
	c.at = close + 1;
	if (!cursor_literal(&c, " ") || c.at == c.end)
		return false;
	result.state = *c.at++;
	if (!read_fields(&c, &result))
		return false;
	*out = result;
	return true;
}

bool parse_pid_statm(const char *text, size_t len, uint64_t *rss_pages)
{
	struct cursor c = cursor_over(text, len);
	return cursor_skip_words(&c, 1) && cursor_u64(&c, rss_pages);
}

bool parse_pid_status_uid(const char *text, size_t len, uint32_t *uid)
{
	struct cursor file = cursor_over(text, len), line;
	while (cursor_line(&file, &line)) {
		uint64_t value;
		if (!cursor_literal(&line, "Uid:"))
			continue;
		if (!cursor_u64(&line, &value) || value > UINT32_MAX)
			return false;
		*uid = (uint32_t)value;
		return true;
	}
	return false;
}

/*
 * Arguments end with NUL.  Programs that rewrite their title may leave one text
 * with blanks instead, with or without a NUL at its end.
 */
static struct span first_argument(const char *text, size_t len)
{
	bool terminated = len > 0 && text[len - 1] == '\0';
	size_t content = terminated ? len - 1 : len;
	char stop = terminated && memchr(text, '\0', content) != NULL ? '\0' : ' ';
	if (content == 0)
		return (struct span){.text = text, .len = 0};
	const char *end = memchr(text, stop, content);
	return (struct span){.text = text, .len = end != NULL ? (size_t)(end - text) : content};
}

bool parse_cmdline_name(const char *text, size_t len, struct span name, struct span *full)
{
	struct span path = first_argument(text, len);
	if (path.len == 0)
		return false;
	const char *slash = memrchr(path.text, '/', path.len);
	if (slash != NULL) {
		path.len -= (size_t)(slash + 1 - path.text);
		path.text = slash + 1;
	}
	if (path.len < name.len || memcmp(path.text, name.text, name.len) != 0)
		return false;
	*full = path;
	return true;
}
