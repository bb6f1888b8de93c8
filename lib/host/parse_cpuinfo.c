#include "host/parse.h"

enum { CORES_MAX = 4096, CORE_SLOTS = 2 * CORES_MAX };

/* Which (package, core) pairs have been seen: open addressing over a bounded table. */
struct core_set {
	uint32_t slots[CORE_SLOTS]; /* pair + 1; 0 is free */
	unsigned count;
};

static void core_add(struct core_set *set, uint64_t package, uint64_t core)
{
	uint32_t pair = (uint32_t)((package & 0x7fff) << 16 | (core & 0xffff)) + 1;
	if (set->count == CORES_MAX)
		return;
	size_t slot = pair * UINT32_C(2654435761) % CORE_SLOTS;
	while (set->slots[slot] != 0) {
		if (set->slots[slot] == pair)
			return;
		slot = (slot + 1) % CORE_SLOTS;
	}
	set->slots[slot] = pair;
	set->count++;
}

static struct span trimmed(const char *from, const char *to)
{
	while (from < to && (*from == ' ' || *from == '\t'))
		from++;
	while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
		to--;
	return (struct span){.text = from, .len = (size_t)(to - from)};
}

void parse_cpuinfo(const char *text, size_t len, struct cpuinfo *out)
{
	struct cursor file = cursor_over(text, len), line;
	struct core_set cores = {.count = 0};
	uint64_t package = 0, core = 0;
	*out = (struct cpuinfo){.model = {.text = text, .len = 0}};
	while (cursor_line(&file, &line)) {
		struct span key;
		if (!cursor_until(&line, ':', &key))
			continue;
		key = trimmed(key.text, key.text + key.len);
		double mhz;
		if (span_is(key, "model name") && out->model.len == 0) {
			out->model = trimmed(line.at, line.end);
		} else if (span_is(key, "cpu MHz") && cursor_real(&line, &mhz)) {
			out->mhz_sum += mhz;
			out->mhz_count++;
		} else if (span_is(key, "physical id")) {
			package = 0;
			cursor_u64(&line, &package);
		} else if (span_is(key, "core id") && cursor_u64(&line, &core)) {
			core_add(&cores, package, core);
		}
	}
	out->physical_cores = cores.count;
}
