/*
 * Processor usage as psutil has it: the share of the time between two readings
 * that was neither idle nor waiting for a disk.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/io.h"
#include "host/collector.h"

/* Reading /proc/cpuinfo asks every processor, so it is done rarely. */
#define FREQUENCY_KEPT_NS (5 * NS_PER_S)

enum err cpu_track_init(struct cpu_track *t)
{
	t->now.cpus = calloc(HOST_CPUS_MAX, sizeof(*t->now.cpus));
	t->before.cpus = calloc(HOST_CPUS_MAX, sizeof(*t->before.cpus));
	return t->now.cpus != NULL && t->before.cpus != NULL ? ERR_OK : ERR_NOMEM;
}

void cpu_track_release(struct cpu_track *t)
{
	free(t->now.cpus);
	free(t->before.cpus);
}

static enum err take_reading(struct host_collector *c, struct cpu_reading *into, struct errmsg *why)
{
	into->taken_ns = 0;
	enum err err = host_need(c, c->proc, "stat", why);
	if (err != ERR_OK)
		return err;
	if (!parse_stat(c->file.data, c->file.len, &into->sum, into->cpus, HOST_CPUS_MAX,
			&into->count))
		return err_set(why, ERR_PROTOCOL, "stat of /proc has no processor times");
	if (into->count > HOST_CPUS_MAX)
		into->count = HOST_CPUS_MAX;
	into->taken_ns = clock_mono_ns();
	return ERR_OK;
}

enum err cpu_count_read(struct host_collector *c, size_t *cpus, uint64_t *boot_time,
			struct errmsg *why)
{
	struct stat_file stat;
	enum err err = host_need(c, c->proc, "stat", why);
	if (err != ERR_OK)
		return err;
	if (!parse_stat(c->file.data, c->file.len, &stat, NULL, 0, cpus))
		return err_set(why, ERR_PROTOCOL, "stat of /proc has no processor times");
	*boot_time = stat.boot_time;
	return ERR_OK;
}

enum err cpu_measure(struct host_collector *c, struct cpu_track *t, struct errmsg *why)
{
	struct cpu_reading oldest = t->before;
	t->before = t->now;
	t->now = oldest;
	if (!host_baseline_fresh(t->before.taken_ns)) {
		enum err err = take_reading(c, &t->before, why);
		if (err != ERR_OK)
			return err;
	}
	host_wait_interval(t->before.taken_ns);
	return take_reading(c, &t->now, why);
}

/* A counter may fall (the kernel corrects idle and iowait): that is no time at all. */
static double usage_between(const struct cpu_times *before, const struct cpu_times *now)
{
	double total = 0, idle = 0;
	for (size_t i = 0; i < CPU_TIMES; i++) {
		if (now->ticks[i] <= before->ticks[i])
			continue;
		double delta = (double)(now->ticks[i] - before->ticks[i]);
		total += delta;
		if (i == CPU_IDLE || i == CPU_IOWAIT)
			idle += delta;
	}
	return host_percent(total - idle, total);
}

double cpu_usage(const struct cpu_track *t)
{
	return usage_between(&t->before.sum.all, &t->now.sum.all);
}

/* Processors may go on and off line, so a row may have moved. */
static double usage_of(const struct cpu_track *t, size_t index)
{
	const struct cpu_times *now = &t->now.cpus[index];
	if (index < t->before.count && t->before.cpus[index].id == now->id)
		return usage_between(&t->before.cpus[index], now);
	for (size_t i = 0; i < t->before.count; i++)
		if (t->before.cpus[i].id == now->id)
			return usage_between(&t->before.cpus[i], now);
	return 0;
}

static bool policy_number(struct host_collector *c, unsigned cpu, const char *file, double *mhz)
{
	char path[96];
	uint64_t khz;
	snprintf(path, sizeof(path), "devices/system/cpu/cpu%u/cpufreq/%s", cpu, file);
	if (!host_read_number(c, c->sys, path, &khz))
		return false;
	*mhz = (double)khz / 1000;
	return true;
}

/* Means over the processors, as psutil reports them. */
static void read_frequency(struct host_collector *c, const struct cpu_track *t,
			   struct cpu_frequency *out)
{
	double current = 0, min = 0, max = 0;
	unsigned current_count = 0, limits_count = 0;
	for (size_t i = 0; i < t->now.count; i++) {
		double value[3];
		unsigned id = t->now.cpus[i].id;
		if (!policy_number(c, id, "scaling_min_freq", &value[0]) ||
		    !policy_number(c, id, "scaling_max_freq", &value[1]))
			continue;
		min += value[0];
		max += value[1];
		limits_count++;
		if (policy_number(c, id, "scaling_cur_freq", &value[2])) {
			current += value[2];
			current_count++;
		}
	}
	struct cpuinfo info = {0};
	if (host_read(c, c->proc, "cpuinfo") == ERR_OK)
		parse_cpuinfo(c->file.data, c->file.len, &info);
	if (info.mhz_count > 0) {
		current = info.mhz_sum;
		current_count = info.mhz_count;
	}
	*out = (struct cpu_frequency){.taken_ns = clock_mono_ns()};
	out->known = current_count > 0;
	out->has_limits = limits_count > 0;
	out->current = out->known ? current / current_count : 0;
	out->min = out->has_limits ? min / limits_count : 0;
	out->max = out->has_limits ? max / limits_count : 0;
	if (c->short_of)
		out->taken_ns = 0; /* not to be kept */
}

static void put_frequency(struct host_collector *c, const struct cpu_track *t,
			  struct json_writer *w)
{
	struct cpu_frequency *f = &c->frequency;
	if (f->taken_ns == 0 || clock_mono_ns() - f->taken_ns > FREQUENCY_KEPT_NS)
		read_frequency(c, t, f);
	if (!f->known) {
		json_put_null(w, "frequency");
		return;
	}
	json_key(w, "frequency");
	json_object(w);
	json_put_real(w, "current", f->current, 3);
	if (f->has_limits) {
		json_put_real(w, "min", f->min, 3);
		json_put_real(w, "max", f->max, 3);
	} else {
		json_put_null(w, "min");
		json_put_null(w, "max");
	}
	json_end(w);
}

void cpu_put(struct host_collector *c, const struct cpu_track *t, struct json_writer *w)
{
	json_key(w, "cpu");
	json_object(w);
	json_put_real(w, "usage_percent", cpu_usage(t), 1);
	json_put_uint(w, "count", t->now.count);
	put_frequency(c, t, w);
	json_key(w, "per_cpu");
	json_array(w);
	for (size_t i = 0; i < t->now.count; i++)
		json_real(w, usage_of(t, i), 1);
	json_end(w);
	json_end(w);
}

/* A core is counted at the first of the processors that share it. */
static bool first_of_core(struct host_collector *c, int dir, const char *name, bool *first)
{
	char path[96];
	uint64_t id, lowest;
	struct cursor number = cursor_over(name, strlen(name));
	if (!cursor_literal(&number, "cpu") || number.at == number.end ||
	    !cursor_u64(&number, &id) || number.at != number.end)
		return false;
	snprintf(path, sizeof(path), "cpu%llu/topology/thread_siblings_list",
		 (unsigned long long)id);
	if (!host_read_number(c, dir, path, &lowest))
		return false;
	*first = lowest == id;
	return true;
}

static unsigned cores_of_sysfs(struct host_collector *c)
{
	unsigned cores = 0;
	int fd = openat(c->sys, "devices/system/cpu", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (dir == NULL) {
		host_note_error(c, errno);
		io_close(&fd);
		return 0;
	}
	struct dirent *entry;
	bool first;
	while (errno = 0, (entry = readdir(dir)) != NULL)
		if (first_of_core(c, dirfd(dir), entry->d_name, &first) && first)
			cores++;
	host_note_error(c, errno);
	closedir(dir);
	return cores;
}

const struct cpu_model *cpu_read_model(struct host_collector *c)
{
	struct cpu_model *model = &c->model;
	if (model->known)
		return model;
	struct cpuinfo info = {0};
	if (host_read(c, c->proc, "cpuinfo") == ERR_OK)
		parse_cpuinfo(c->file.data, c->file.len, &info);
	model->physical = info.physical_cores;
	if (info.model.len >= sizeof(model->model))
		info.model.len = sizeof(model->model) - 1;
	if (info.model.len > 0)
		span_copy(info.model, model->model, sizeof(model->model));
	unsigned cores = cores_of_sysfs(c);
	if (cores > 0)
		model->physical = cores;
	model->known = !c->short_of;
	return model;
}
