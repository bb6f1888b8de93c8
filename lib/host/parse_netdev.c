#include "host/parse.h"

static bool read_counters(struct cursor *c, struct interface_counters *out)
{
	return cursor_u64(c, &out->bytes_recv) && cursor_u64(c, &out->packets_recv) &&
	       cursor_u64(c, &out->errin) && cursor_u64(c, &out->dropin) &&
	       cursor_skip_words(c, 4) && /* fifo, frame, compressed, multicast */
	       cursor_u64(c, &out->bytes_sent) && cursor_u64(c, &out->packets_sent) &&
	       cursor_u64(c, &out->errout) && cursor_u64(c, &out->dropout);
}

/* A name may hold a colon (an alias), so it ends at the last one. */
static bool read_name(struct cursor *line, struct span *name)
{
	cursor_skip_blanks(line);
	if (line->at == line->end)
		return false;
	const char *colon = memrchr(line->at, ':', cursor_left(line));
	if (colon == NULL || colon == line->at)
		return false;
	*name = (struct span){.text = line->at, .len = (size_t)(colon - line->at)};
	line->at = colon + 1;
	return true;
}

bool netdev_next(struct cursor *file, struct netdev_row *out)
{
	struct cursor line;
	while (cursor_line(file, &line)) {
		struct span name;
		struct netdev_row row;
		if (read_name(&line, &name) && span_copy(name, row.name, sizeof(row.name)) &&
		    read_counters(&line, &row.counters)) {
			*out = row;
			return true;
		}
	}
	return false;
}
