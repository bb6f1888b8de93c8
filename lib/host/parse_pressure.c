#include "host/parse.h"

static bool read_line(struct cursor *c, struct pressure_line *out)
{
	return cursor_literal(c, " avg10=") && cursor_real(c, &out->avg10) &&
	       cursor_literal(c, " avg60=") && cursor_real(c, &out->avg60) &&
	       cursor_literal(c, " avg300=") && cursor_real(c, &out->avg300) &&
	       cursor_literal(c, " total=") && cursor_u64(c, &out->total_us);
}

bool parse_pressure(const char *text, size_t len, struct pressure *out)
{
	struct cursor file = cursor_over(text, len), line;
	struct pressure result = {0};
	while (cursor_line(&file, &line)) {
		if (cursor_literal(&line, "some"))
			result.has_some = read_line(&line, &result.some);
		else if (cursor_literal(&line, "full"))
			result.has_full = read_line(&line, &result.full);
	}
	if (!result.has_some)
		return false;
	*out = result;
	return true;
}
