#include "host/parse.h"

bool filesystems_next(struct cursor *file, struct span *type)
{
	struct cursor line;
	while (cursor_line(file, &line)) {
		bool no_device = cursor_literal(&line, "nodev");
		struct span name;
		if (!cursor_word(&line, &name) || (no_device && !span_is(name, "zfs")))
			continue;
		*type = name;
		return true;
	}
	return false;
}

bool mounts_next(struct cursor *file, struct mounts_row *out)
{
	struct cursor line;
	while (cursor_line(file, &line)) {
		struct mounts_row row;
		if (cursor_word(&line, &row.device) && cursor_word(&line, &row.mountpoint) &&
		    cursor_word(&line, &row.type)) {
			*out = row;
			return true;
		}
	}
	return false;
}

static bool octal(const char *text, size_t len, char *out)
{
	unsigned value = 0;
	if (len < 4 || text[0] != '\\')
		return false;
	for (size_t i = 1; i < 4; i++) {
		if (text[i] < '0' || text[i] > '7')
			return false;
		value = value * 8 + (unsigned)(text[i] - '0');
	}
	if (value == 0 || value > UINT8_MAX)
		return false;
	*out = (char)value;
	return true;
}

bool mounts_unescape(struct span escaped, char *out, size_t size)
{
	size_t used = 0;
	for (size_t i = 0; i < escaped.len; used++) {
		if (used + 1 >= size)
			return false;
		if (octal(escaped.text + i, escaped.len - i, &out[used]))
			i += 4;
		else
			out[used] = escaped.text[i++];
	}
	if (used >= size)
		return false;
	out[used] = '\0';
	return true;
}
