#include "metrics/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "shm/windows.h"

struct page {
	struct strbuf *out;
	bool openmetrics;
};

/* OpenMetrics names a counter's family without the _total that its samples carry. */
static size_t family_len(const struct page *p, const char *metric, const char *type)
{
	size_t len = strlen(metric);
	if (p->openmetrics && strcmp(type, "counter") == 0 && len > 6)
		len -= 6;
	return len;
}

static void family(const struct page *p, const char *metric, const char *type, const char *help)
{
	int len = (int)family_len(p, metric, type);
	strbuf_addf(p->out, "# HELP %.*s %s\n# TYPE %.*s %s\n", len, metric, help, len, metric,
		    type);
}

static void label_value(struct strbuf *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\\' || text[i] == '"')
			strbuf_addc(out, '\\');
		if (text[i] != '\n')
			strbuf_addc(out, text[i]);
	}
}

static void sample(const struct page *p, const char *metric, const char *labels, int64_t value)
{
	strbuf_adds(p->out, metric);
	if (labels[0] != '\0')
		strbuf_addf(p->out, "{%s}", labels);
	strbuf_addc(p->out, ' ');
	strbuf_addi(p->out, value);
	strbuf_addc(p->out, '\n');
}

static void seconds(struct strbuf *out, int64_t ns)
{
	strbuf_addf(out, "%lld.%09lld", (long long)(ns / NS_PER_S), (long long)(ns % NS_PER_S));
}

/* 0.00025, 1.0: without trailing zeros but for the one that OpenMetrics wants. */
static void bound(struct strbuf *out, int64_t ns)
{
	seconds(out, ns);
	while (out->len > 2 && out->data[out->len - 1] == '0' && out->data[out->len - 2] != '.')
		strbuf_truncate(out, out->len - 1);
}

static void histogram(const struct page *p, const char *metric, const char *labels,
		      const struct scoreboard_histogram *h)
{
	const char *comma = labels[0] != '\0' ? "," : "";
	uint64_t running = 0;
	for (size_t i = 0; i < SCOREBOARD_BUCKETS; i++) {
		running += h->buckets[i];
		strbuf_addf(p->out, "%s_bucket{%s%sle=\"", metric, labels, comma);
		if (scoreboard_bounds_ns[i] == INT64_MAX)
			strbuf_adds(p->out, "+Inf");
		else
			bound(p->out, scoreboard_bounds_ns[i]);
		strbuf_addf(p->out, "\"} %llu\n", (unsigned long long)running);
	}
	const char *open = labels[0] != '\0' ? "{" : "";
	const char *close = labels[0] != '\0' ? "}" : "";
	strbuf_addf(p->out, "%s_sum%s%s%s ", metric, open, labels, close);
	seconds(p->out, (int64_t)h->sum_ns);
	strbuf_addf(p->out, "\n%s_count%s%s%s %llu\n", metric, open, labels, close,
		    (unsigned long long)running);
}

/* A registered name is "GET /api/health"; "" stands for what matched no route. */
static void route_labels(const struct scoreboard_route_totals *route, struct strbuf *labels)
{
	const char *blank = strchr(route->name, ' ');
	strbuf_clear(labels);
	strbuf_adds(labels, "method=\"");
	if (blank != NULL)
		label_value(labels, route->name, (size_t)(blank - route->name));
	strbuf_adds(labels, "\",route=\"");
	if (blank != NULL)
		label_value(labels, blank + 1, strlen(blank + 1));
	strbuf_addc(labels, '"');
}

static bool was_called(const struct scoreboard_route_totals *route)
{
	for (size_t i = 0; i < SCOREBOARD_STATUSES; i++)
		if (route->by_status[i] > 0)
			return true;
	return false;
}

static void requests(const struct page *p, const struct scoreboard_totals *t)
{
	STRBUF_CLEANUP labels = STRBUF_INIT;
	family(p, "ziggie_requests_total", "counter", "Requests answered, by route and status.");
	for (unsigned i = 0; i < t->route_count; i++) {
		route_labels(&t->routes[i], &labels);
		size_t len = labels.len;
		for (size_t s = 0; s < SCOREBOARD_STATUSES; s++) {
			if (t->routes[i].by_status[s] == 0)
				continue;
			if (scoreboard_statuses[s] == 0)
				strbuf_adds(&labels, ",status=\"other\"");
			else
				strbuf_addf(&labels, ",status=\"%d\"", scoreboard_statuses[s]);
			sample(p, "ziggie_requests_total", labels.data,
			       (int64_t)t->routes[i].by_status[s]);
			strbuf_truncate(&labels, len);
		}
	}
	family(p, "ziggie_request_duration_seconds", "histogram",
	       "Time from a request's arrival at the web server to its answer.");
	for (unsigned i = 0; i < t->route_count; i++) {
		if (!was_called(&t->routes[i]))
			continue;
		route_labels(&t->routes[i], &labels);
		histogram(p, "ziggie_request_duration_seconds", labels.data, &t->routes[i].latency);
	}
	family(p, "ziggie_queue_duration_seconds", "histogram",
	       "Time from a request's arrival at the web server to its thread.");
	histogram(p, "ziggie_queue_duration_seconds", "", &t->queue);
}

/* "..._seconds", and "..._seconds_total" too. */
static bool is_in_seconds(const char *metric)
{
	const char *unit = strstr(metric, "_seconds");
	return unit != NULL && (unit[8] == '\0' || unit[8] == '_');
}

/* Metrics in seconds are kept in microseconds. */
static void value_sample(const struct page *p, const struct scoreboard_value_row *row,
			 int64_t value)
{
	if (!is_in_seconds(row->metric)) {
		sample(p, row->metric, row->labels, value);
		return;
	}
	strbuf_adds(p->out, row->metric);
	strbuf_addc(p->out, ' ');
	seconds(p->out, value * NS_PER_US);
	strbuf_addc(p->out, '\n');
}

static void values(const struct page *p, const struct scoreboard_totals *t)
{
	const char *last = "";
	for (size_t i = 0; i < COUNTER_COUNT; i++) {
		const struct scoreboard_value_row *row = &scoreboard_counter_rows[i];
		if (strcmp(last, row->metric) != 0)
			family(p, row->metric, "counter", row->help);
		last = row->metric;
		value_sample(p, row, (int64_t)t->counters[i]);
	}
	for (size_t i = 0; i < GAUGE_COUNT; i++) {
		const struct scoreboard_value_row *row = &scoreboard_gauge_rows[i];
		if (strcmp(last, row->metric) != 0)
			family(p, row->metric, "gauge", row->help);
		last = row->metric;
		value_sample(p, row, t->gauges[i]);
	}
}

static void programs(const struct page *p, const struct scoreboard_totals *t)
{
	char labels[64];
	family(p, "ziggie_restarts_total", "counter", "Processes that died and were replaced.");
	for (size_t i = 0; i < PROGRAM_COUNT; i++) {
		snprintf(labels, sizeof(labels), "program=\"%s\"", scoreboard_program_names[i]);
		sample(p, "ziggie_restarts_total", labels, (int64_t)t->restarts[i]);
	}
	family(p, "ziggie_processes", "gauge", "Processes that run.");
	for (size_t i = 0; i < PROGRAM_COUNT; i++) {
		snprintf(labels, sizeof(labels), "program=\"%s\"", scoreboard_program_names[i]);
		sample(p, "ziggie_processes", labels, t->processes[i]);
	}
	family(p, "ziggie_threads", "gauge", "Threads that handle requests.");
	sample(p, "ziggie_threads", "", t->threads);
	family(p, "ziggie_threads_busy", "gauge", "Of them, those that handle one now.");
	sample(p, "ziggie_threads_busy", "", t->threads_busy);
	family(p, "ziggie_generation", "gauge", "Newest generation of workers.");
	sample(p, "ziggie_generation", "", t->generation);
}

/* Sampled, not summed: the table is one for all processes. */
static void limits(const struct page *p, const struct scoreboard *board)
{
	int64_t minute = clock_wall_us() / US_PER_S / 60;
	unsigned fill = windows_fill(board, (uint32_t)minute);
	family(p, "ziggie_ratelimit_table_used_ratio", "gauge",
	       "How much of the table of windows is in use, 0 to 1; estimated.");
	strbuf_addf(p->out, "ziggie_ratelimit_table_used_ratio %u.%03u\n", fill / 1000,
		    fill % 1000);
}

static void memory(const struct page *p, const struct scoreboard *board)
{
	struct scoreboard_process processes[SCOREBOARD_PROCESSES];
	size_t count = scoreboard_processes(board, processes, SCOREBOARD_PROCESSES);
	family(p, "ziggie_resident_memory_bytes", "gauge", "Resident memory of each process.");
	for (size_t i = 0; i < count; i++) {
		char labels[96];
		snprintf(labels, sizeof(labels), "program=\"%s\",generation=\"%u\",index=\"%u\"",
			 scoreboard_program_names[processes[i].program], processes[i].generation,
			 processes[i].index);
		sample(p, "ziggie_resident_memory_bytes", labels, (int64_t)processes[i].rss_bytes);
	}
}

enum err metrics_render(const struct scoreboard *board, bool openmetrics, struct strbuf *out,
			struct errmsg *why)
{
	struct scoreboard_totals *totals = malloc(sizeof(*totals));
	if (totals == NULL)
		return err_set(why, ERR_NOMEM, "out of memory reading the metrics");
	enum err err = scoreboard_totals(board, totals, why);
	if (err == ERR_OK) {
		struct page page = {.out = out, .openmetrics = openmetrics};
		family(&page, "ziggie_build_info", "gauge", "What was built from what.");
		strbuf_addf(out, "ziggie_build_info{version=\"%s\",commit=\"%s\"} 1\n",
			    PACKAGE_VERSION, ZIGGIE_COMMIT);
		requests(&page, totals);
		values(&page, totals);
		programs(&page, totals);
		limits(&page, board);
		memory(&page, board);
		if (openmetrics)
			strbuf_adds(out, "# EOF\n");
	}
	free(totals);
	if (err == ERR_OK && out->failed)
		return err_set(why, ERR_NOMEM, "out of memory writing the metrics");
	return err;
}
