#include "host/parse.h"

enum { SECTOR_BYTES = 512 }; /* in this file, whatever the device has */

static bool read_sectors(struct cursor *c, uint64_t *bytes)
{
	uint64_t sectors;
	return cursor_u64(c, &sectors) && !__builtin_mul_overflow(sectors, SECTOR_BYTES, bytes);
}

static bool read_row(struct cursor *c, struct diskstats_row *out)
{
	struct span name;
	return cursor_skip_words(c, 2) && /* major, minor */
	       cursor_word(c, &name) && span_copy(name, out->name, sizeof(out->name)) &&
	       cursor_u64(c, &out->read_count) && cursor_skip_words(c, 1) &&   /* merged */
	       read_sectors(c, &out->read_bytes) && cursor_skip_words(c, 1) && /* time */
	       cursor_u64(c, &out->write_count) && cursor_skip_words(c, 1) &&
	       read_sectors(c, &out->write_bytes) && cursor_skip_words(c, 2) && /* in flight */
	       cursor_u64(c, &out->busy_ms);
}

bool diskstats_next(struct cursor *file, struct diskstats_row *out)
{
	struct cursor line;
	while (cursor_line(file, &line)) {
		struct diskstats_row row;
		if (read_row(&line, &row)) {
			*out = row;
			return true;
		}
	}
	return false;
}
