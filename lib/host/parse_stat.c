#include "host/parse.h"

/* Old kernels print fewer columns; what is missing is 0. */
static bool read_times(struct cursor *line, struct cpu_times *out)
{
	struct cpu_times times = {.id = out->id};
	for (size_t i = 0; i < CPU_TIMES; i++) {
		cursor_skip_blanks(line);
		if (line->at == line->end && i > CPU_IDLE)
			break;
		if (!cursor_u64(line, &times.ticks[i]))
			return false;
	}
	*out = times;
	return true;
}

static bool read_cpu(struct cursor *line, struct cpu_times *out, bool *is_sum)
{
	*is_sum = line->at < line->end && *line->at == ' ';
	uint64_t id = 0;
	if (!*is_sum && (!cursor_u64(line, &id) || id > UINT16_MAX))
		return false;
	out->id = (unsigned)id;
	return read_times(line, out);
}

bool parse_stat(const char *text, size_t len, struct stat_file *out, struct cpu_times *cpus,
		size_t max, size_t *count)
{
	struct cursor file = cursor_over(text, len), line;
	struct stat_file result = {0};
	size_t found = 0;
	while (cursor_line(&file, &line)) {
		struct cpu_times times;
		bool is_sum;
		if (cursor_literal(&line, "cpu")) {
			if (!read_cpu(&line, &times, &is_sum))
				continue;
			if (is_sum) {
				result.all = times;
				result.has_all = true;
			} else if (found++ < max) {
				cpus[found - 1] = times;
			}
		} else if (cursor_literal(&line, "btime ")) {
			cursor_u64(&line, &result.boot_time);
		}
	}
	if (!result.has_all)
		return false;
	*out = result;
	*count = found;
	return true;
}
