/*
 * The sample format; see host.h.
 */
#include "base/assert.h"
#include "host/collector.h"

const char *const host_kind_names[HOST_KIND_COUNT] = {
    [HOST_STATS] = "stats",         [HOST_INFO] = "info",       [HOST_PROCESSES] = "processes",
    [HOST_PORTS] = "ports",         [HOST_NETWORK] = "network", [HOST_DISK] = "disk",
    [HOST_RESOURCES] = "resources",
};

static enum err (*const collectors[HOST_KIND_COUNT])(struct host_collector *, struct strbuf *,
						     struct strbuf *, struct errmsg *) = {
    [HOST_STATS] = collect_stats,         [HOST_INFO] = collect_info,
    [HOST_PROCESSES] = collect_processes, [HOST_PORTS] = collect_ports,
    [HOST_NETWORK] = collect_network,     [HOST_DISK] = collect_disk,
    [HOST_RESOURCES] = collect_resources,
};

enum err host_sample(struct host_collector *c, enum host_kind kind, struct strbuf *out,
		     struct errmsg *why)
{
	AN_INVARIANT((unsigned)kind < HOST_KIND_COUNT);
	STRBUF_CLEANUP json = STRBUF_INIT;
	STRBUF_CLEANUP rest = STRBUF_INIT;
	c->short_of = false;
	enum err err = collectors[kind](c, &json, &rest, why);
	if (err != ERR_OK)
		return err;
	if (c->short_of)
		return err_set(why, ERR_NOMEM, "out of memory or descriptors reading the host");
	strbuf_addf(out, "ziggie-sample 1 %s %lld %zu %zu\n", host_kind_names[kind],
		    (long long)clock_wall_us(), json.len, rest.len);
	strbuf_add(out, json.data, json.len);
	strbuf_add(out, rest.data, rest.len);
	if (json.failed || rest.failed || out->failed)
		return err_set(why, ERR_NOMEM, "out of memory");
	return ERR_OK;
}

static bool read_kind(struct cursor *c, enum host_kind *out)
{
	struct span name;
	if (!cursor_word(c, &name))
		return false;
	for (unsigned kind = 0; kind < HOST_KIND_COUNT; kind++) {
		if (span_is(name, host_kind_names[kind])) {
			*out = (enum host_kind)kind;
			return true;
		}
	}
	return false;
}

enum err host_view_open(const char *sample, size_t len, struct host_view *out)
{
	struct cursor c = cursor_over(sample, len);
	struct host_view view;
	uint64_t taken, json_len, rest_len;
	if (!cursor_literal(&c, "ziggie-sample 1 ") || !read_kind(&c, &view.kind) ||
	    !cursor_u64(&c, &taken) || taken > INT64_MAX || !cursor_u64(&c, &json_len) ||
	    !cursor_u64(&c, &rest_len) || !cursor_literal(&c, "\n"))
		return ERR_MALFORMED;
	if (json_len > cursor_left(&c) || rest_len != cursor_left(&c) - json_len)
		return ERR_MALFORMED;
	view.taken_us = (int64_t)taken;
	view.json = c.at;
	view.json_len = (size_t)json_len;
	view.rest = c.at + json_len;
	view.rest_len = (size_t)rest_len;
	*out = view;
	return ERR_OK;
}

void summary_write(const struct host_summary *s, struct strbuf *rest)
{
	strbuf_addf(rest, "%.3f %u %llu %llu %llu %.3f %llu %llu %llu %.3f\n", s->cpu_percent,
		    s->cpu_count, (unsigned long long)s->memory_total,
		    (unsigned long long)s->memory_available, (unsigned long long)s->memory_used,
		    s->memory_percent, (unsigned long long)s->disk_total,
		    (unsigned long long)s->disk_used, (unsigned long long)s->disk_free,
		    s->disk_percent);
}

enum err host_view_summary(const struct host_view *view, struct host_summary *out)
{
	struct cursor c = cursor_over(view->rest, view->rest_len);
	struct host_summary s;
	uint64_t count;
	if (view->kind != HOST_STATS)
		return ERR_INVALID;
	if (!cursor_real(&c, &s.cpu_percent) || !cursor_u64(&c, &count) || count > UINT32_MAX ||
	    !cursor_u64(&c, &s.memory_total) || !cursor_u64(&c, &s.memory_available) ||
	    !cursor_u64(&c, &s.memory_used) || !cursor_real(&c, &s.memory_percent) ||
	    !cursor_u64(&c, &s.disk_total) || !cursor_u64(&c, &s.disk_used) ||
	    !cursor_u64(&c, &s.disk_free) || !cursor_real(&c, &s.disk_percent))
		return ERR_MALFORMED;
	s.cpu_count = (unsigned)count;
	*out = s;
	return ERR_OK;
}
