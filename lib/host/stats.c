/*
 * GET /api/system/stats, and /api/system/resources, which is its short form with
 * the network's totals.
 */
#include <stdio.h>

#include "host/collector.h"

static void put_load(struct host_collector *c, struct json_writer *w)
{
	double load[3] = {0, 0, 0};
	if (host_read(c, c->proc, "loadavg") != ERR_OK ||
	    !parse_loadavg(c->file.data, c->file.len, load)) {
		json_put_null(w, "load");
		return;
	}
	json_key(w, "load");
	json_array(w);
	for (int i = 0; i < 3; i++)
		json_real(w, load[i], 2);
	json_end(w);
}

static void put_pressure_line(const char *key, const struct pressure_line *line,
			      struct json_writer *w)
{
	json_key(w, key);
	json_object(w);
	json_put_real(w, "avg10", line->avg10, 2);
	json_put_real(w, "avg60", line->avg60, 2);
	json_put_real(w, "avg300", line->avg300, 2);
	json_put_uint(w, "total_us", line->total_us);
	json_end(w);
}

static bool read_pressure(struct host_collector *c, const char *resource, struct pressure *out)
{
	char path[32];
	snprintf(path, sizeof(path), "pressure/%s", resource);
	return host_read(c, c->proc, path) == ERR_OK &&
	       parse_pressure(c->file.data, c->file.len, out);
}

/* Null where the kernel was built or started without it. */
static void put_pressure(struct host_collector *c, struct json_writer *w)
{
	static const char *const resources[] = {"cpu", "memory", "io"};
	struct pressure pressure;
	if (!read_pressure(c, "cpu", &pressure)) {
		json_put_null(w, "pressure");
		return;
	}
	json_key(w, "pressure");
	json_object(w);
	for (size_t i = 0; i < sizeof(resources) / sizeof(resources[0]); i++) {
		if (!read_pressure(c, resources[i], &pressure)) {
			json_put_null(w, resources[i]);
			continue;
		}
		json_key(w, resources[i]);
		json_object(w);
		put_pressure_line("some", &pressure.some, w);
		if (pressure.has_full)
			put_pressure_line("full", &pressure.full, w);
		json_end(w);
	}
	json_end(w);
}

struct basics {
	struct meminfo memory;
	struct disk_space disk;
};

static enum err read_basics(struct host_collector *c, struct cpu_track *cpu, struct basics *out,
			    struct errmsg *why)
{
	enum err err = cpu_measure(c, cpu, why);
	if (err == ERR_OK)
		err = memory_read(c, &out->memory, why);
	if (err == ERR_OK && !disk_space_read(c, "/", &out->disk))
		err = err_errno(why, "can't read the size of /");
	return err;
}

static void put_basics(struct host_collector *c, const struct cpu_track *cpu,
		       const struct basics *b, struct json_writer *w)
{
	json_put_bool(w, "success", true);
	json_put_time_legacy(w, "timestamp", clock_wall_us());
	cpu_put(c, cpu, w);
	memory_put(&b->memory, w);
	disk_put_root(&b->disk, w);
}

enum err collect_stats(struct host_collector *c, struct strbuf *json, struct strbuf *rest,
		       struct errmsg *why)
{
	struct basics b;
	enum err err = read_basics(c, &c->stats_cpu, &b, why);
	if (err != ERR_OK)
		return err;
	struct json_writer w;
	json_init(&w, json);
	json_object(&w);
	put_basics(c, &c->stats_cpu, &b, &w);
	put_load(c, &w);
	memory_put_swap(&b.memory, &w);
	put_pressure(c, &w);
	json_end(&w);
	struct host_summary summary = {
	    .cpu_percent = cpu_usage(&c->stats_cpu),
	    .cpu_count = (unsigned)c->stats_cpu.now.count,
	    .memory_total = b.memory.total,
	    .memory_available = memory_available(&b.memory),
	    .memory_used = memory_used(&b.memory),
	    .memory_percent = memory_percent(&b.memory),
	    .disk_total = b.disk.total,
	    .disk_used = b.disk.used,
	    .disk_free = b.disk.available,
	    .disk_percent = b.disk.percent,
	};
	summary_write(&summary, rest);
	return ERR_OK;
}

enum err collect_resources(struct host_collector *c, struct strbuf *json, struct strbuf *rest,
			   struct errmsg *why)
{
	(void)rest;
	struct basics b;
	enum err err = read_basics(c, &c->resources_cpu, &b, why);
	if (err != ERR_OK)
		return err;
	struct json_writer w;
	json_init(&w, json);
	json_object(&w);
	put_basics(c, &c->resources_cpu, &b, &w);
	json_key(&w, "network");
	err = network_put_total(c, &c->resources_network, &w, why);
	if (err != ERR_OK)
		return err;
	json_end(&w);
	return ERR_OK;
}
