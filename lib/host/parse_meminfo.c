#include "host/parse.h"

static void take(const struct cursor *value, uint64_t *out)
{
	struct cursor c = *value;
	uint64_t kib, bytes;
	if (cursor_u64(&c, &kib) && !__builtin_mul_overflow(kib, 1024, &bytes))
		*out = bytes;
}

bool parse_meminfo(const char *text, size_t len, struct meminfo *out)
{
	struct meminfo m = {0};
	const struct {
		const char *key;
		uint64_t *value;
	} fields[] = {
	    {"MemTotal", &m.total},           {"MemFree", &m.free},
	    {"Buffers", &m.buffers},          {"Cached", &m.cached},
	    {"SwapTotal", &m.swap_total},     {"SwapFree", &m.swap_free},
	    {"SReclaimable", &m.reclaimable},
	};
	struct cursor file = cursor_over(text, len), line;
	while (cursor_line(&file, &line)) {
		struct span key;
		if (!cursor_until(&line, ':', &key))
			continue;
		if (span_is(key, "MemAvailable")) {
			m.available = UINT64_MAX;
			take(&line, &m.available);
			m.has_available = m.available != UINT64_MAX;
		}
		for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
			if (span_is(key, fields[i].key))
				take(&line, fields[i].value);
	}
	if (m.total == 0)
		return false;
	if (!m.has_available)
		m.available = 0;
	*out = m;
	return true;
}
