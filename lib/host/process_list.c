/*
 * GET /api/system/processes: the default answer, and all processes for the others.
 */
#include <stdlib.h>

#include "host/collector.h"
#include "host/process_row.h"

/* memcached takes items up to 1 MiB; the default answer and the keys need their share. */
enum { REST_MAX = 960 << 10 };

static int compare_rank(const void *a, const void *b)
{
	const struct process *x = *(const struct process *const *)a;
	const struct process *y = *(const struct process *const *)b;
	if (x->cpu_tenths != y->cpu_tenths)
		return x->cpu_tenths > y->cpu_tenths ? -1 : 1;
	if (x->rss != y->rss)
		return x->rss > y->rss ? -1 : 1;
	return (x->pid > y->pid) - (x->pid < y->pid);
}

static const struct process **rank(const struct process_table *t)
{
	const struct process **ranked = calloc(t->count + 1, sizeof(struct process *));
	if (ranked == NULL)
		return NULL;
	for (size_t i = 0; i < t->count; i++)
		ranked[i] = &t->rows[i];
	qsort(ranked, t->count, sizeof(struct process *), compare_rank);
	return ranked;
}

static int64_t started_us(const struct host_collector *c, uint64_t boot_time, uint64_t ticks)
{
	double seconds = (double)boot_time + (double)ticks / (double)c->ticks_per_second;
	return seconds < 9e12 ? (int64_t)(seconds * 1e6) : 0;
}

static struct process_row row_of(struct host_collector *c, const struct process *p,
				 uint64_t boot_time)
{
	const char *user = users_name(c, p->uid);
	return (struct process_row){
	    .pid = p->pid,
	    .ppid = p->ppid,
	    .state = p->state,
	    .threads = p->threads,
	    .rss = p->rss,
	    .cpu_tenths = p->cpu_tenths,
	    .started_us = started_us(c, boot_time, p->start_ticks),
	    .name = {.text = c->processes.names.data + p->name_at, .len = p->name_len},
	    .user = {.text = user, .len = strlen(user)},
	};
}

static void render(struct host_collector *c, const struct process *const *ranked,
		   const struct process_list_head *head, uint64_t boot_time, struct strbuf *json,
		   struct strbuf *rest)
{
	struct json_writer w;
	json_init(&w, json);
	json_object(&w);
	json_put_bool(&w, "success", true);
	json_put_time_legacy(&w, "timestamp", clock_wall_us());
	json_put_uint(&w, "count", head->count);
	json_key(&w, "processes");
	json_array(&w);
	process_head_write(head, rest);
	for (size_t i = 0; i < head->count; i++) {
		struct process_row row = row_of(c, ranked[i], boot_time);
		if (i < PROCESSES_DEFAULT)
			process_row_put(&row, head->memory_total, &w);
		size_t before = rest->len;
		process_row_write(&row, rest);
		if (rest->len > REST_MAX) {
			strbuf_truncate(rest, before);
			break;
		}
	}
	json_end(&w);
	json_end(&w);
}

static enum err scan_twice_at_first(struct host_collector *c, struct errmsg *why)
{
	enum err err = ERR_OK;
	if (!host_baseline_fresh(c->processes.taken_ns))
		err = processes_scan(c, why);
	if (err != ERR_OK)
		return err;
	host_wait_interval(c->processes.taken_ns);
	return processes_scan(c, why);
}

enum err collect_processes(struct host_collector *c, struct strbuf *json, struct strbuf *rest,
			   struct errmsg *why)
{
	struct meminfo memory;
	uint64_t boot_time;
	size_t cpus;
	enum err err = memory_read(c, &memory, why);
	if (err == ERR_OK)
		err = cpu_count_read(c, &cpus, &boot_time, why);
	if (err == ERR_OK)
		err = scan_twice_at_first(c, why);
	if (err != ERR_OK)
		return err;
	const struct process **ranked = rank(&c->processes);
	if (ranked == NULL)
		return err_set(why, ERR_NOMEM, "out of memory");
	const struct process_list_head head = {
	    .count = c->processes.count,
	    .memory_total = memory.total,
	};
	render(c, ranked, &head, boot_time, json, rest);
	free(ranked);
	return ERR_OK;
}
