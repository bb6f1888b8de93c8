/*
 * What this host is doing, read from /proc, /sys and netlink.
 *
 * A collector keeps the previous readings, so that it can compute rates and
 * percentages.  Each call to host_sample() takes a fresh reading of one kind and
 * appends one *sample* to a buffer: a self-contained byte string, fit for a cache,
 * that any process on any host can turn into an answer without having read
 * anything itself.  A sample begins with the default answer in JSON, rendered
 * once, so that the hot path is a copy.
 *
 * Sample layout: the line "ziggie-sample 1 KIND TAKEN_US JSON_LEN REST_LEN\n", then
 * JSON_LEN bytes of JSON object, then REST_LEN bytes that only lib/host reads
 * (all processes or ports, the summary), in a form independent of byte order.
 *
 * A collector belongs to one thread.  The view functions are pure.
 */
#ifndef ZIGGIE_HOST_HOST_H
#define ZIGGIE_HOST_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strbuf.h"

enum host_kind {
	HOST_STATS,
	HOST_INFO,
	HOST_PROCESSES,
	HOST_PORTS,
	HOST_NETWORK,
	HOST_DISK,
	HOST_RESOURCES,
	HOST_KIND_COUNT
};
extern const char *const host_kind_names[HOST_KIND_COUNT]; /* "stats", … */

struct host_collector;

/* proc_root and sys_root are directories ("/proc", "/sys"; fixture trees in tests). */
enum err host_collector_new(const char *proc_root, const char *sys_root,
			    struct host_collector **out, struct errmsg *why);
void host_collector_free(struct host_collector *c);

/*
 * Takes a reading and appends its sample.  The first reading of a kind has no
 * earlier one to compare with: CPU percentages then come from a second reading
 * 100 ms later, other rates are 0.
 */
enum err host_sample(struct host_collector *c, enum host_kind kind, struct strbuf *out,
		     struct errmsg *why);

struct host_view {
	enum host_kind kind;
	int64_t taken_us; /* wall time of the reading */
	const char *json; /* the default answer; not NUL-terminated */
	size_t json_len;
	const char *rest;
	size_t rest_len;
};

/* ERR_MALFORMED when it is not a sample of ours. */
enum err host_view_open(const char *sample, size_t len, struct host_view *out);

/* The numbers that health checks and live streams need; from a sample of HOST_STATS. */
struct host_summary {
	double cpu_percent;
	unsigned cpu_count;
	uint64_t memory_total, memory_available, memory_used; /* bytes */
	double memory_percent;
	uint64_t disk_total, disk_used, disk_free; /* bytes, the root file system */
	double disk_percent;
};
enum err host_view_summary(const struct host_view *view, struct host_summary *out);

/* GET /api/system/processes with other than the default parameters. */
enum host_process_sort { HOST_SORT_CPU, HOST_SORT_MEMORY, HOST_SORT_PID, HOST_SORT_NAME };
struct host_process_query {
	size_t limit;
	enum host_process_sort sort;
	const char *search; /* part of the name, any case; NULL for all */
};
enum err host_view_processes(const struct host_view *view, const struct host_process_query *query,
			     struct strbuf *json, struct errmsg *why);

/* Resident memory of this process in bytes, 0 when unknown. */
uint64_t host_own_rss(void);

#endif
