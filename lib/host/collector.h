/*
 * What lib/host keeps to itself: the collector's state and the readers that fill
 * it.  See host.h for what a collector is.
 *
 * Rates need an earlier reading.  One is used when it is at most HOST_BASELINE_MAX_NS
 * old; host_wait_interval() makes sure that HOST_INTERVAL_MIN_NS lie between the two,
 * since the kernel counts processor time in ticks of 10 ms.
 */
#ifndef ZIGGIE_HOST_COLLECTOR_H
#define ZIGGIE_HOST_COLLECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "host/host.h"
#include "host/parse.h"
#include "json/writer.h"

enum { HOST_CPUS_MAX = 2048, HOST_MODEL_MAX = 128 };

#define HOST_INTERVAL_MIN_NS (100 * NS_PER_MS)
#define HOST_BASELINE_MAX_NS (60 * NS_PER_S)

/* ---- processors ---- */

struct cpu_reading {
	int64_t taken_ns; /* 0: never */
	struct stat_file sum;
	struct cpu_times *cpus; /* HOST_CPUS_MAX of them */
	size_t count;
};
/* Whoever reports processor usage has its own pair, so that intervals don't mix. */
struct cpu_track {
	struct cpu_reading now, before;
};

struct cpu_frequency {
	int64_t taken_ns;
	bool known, has_limits;
	double current, min, max; /* MHz */
};

struct cpu_model {
	bool known;
	char model[HOST_MODEL_MAX]; /* "" when the kernel does not say */
	unsigned physical;          /* 0 when the kernel does not say */
};

/* ---- network and disks: the rows of the last reading ---- */

struct network_track {
	int64_t taken_ns;
	struct netdev_row *rows;
	size_t count;
};
struct disk_track {
	int64_t taken_ns;
	struct diskstats_row *rows;
	size_t count;
};

/* ---- processes ---- */

struct process {
	int32_t pid, ppid;
	uint32_t threads;
	uint32_t owner; /* effective user id: owns /proc/PID */
	uint32_t uid;   /* real user id */
	char state;
	uint8_t comm_len; /* the kernel's name is this much of the name */
	uint16_t name_len;
	size_t name_at; /* in the table's names */
	uint64_t start_ticks, cpu_ticks, faults;
	uint64_t stat_pages; /* what `stat` says of the resident memory */
	uint64_t rss;        /* bytes */
	uint64_t cpu_tenths; /* tenths of a percent of one processor */
};

struct process_table {
	int64_t taken_ns;     /* 0: never */
	struct process *rows; /* by pid, ascending */
	size_t count, cap;
	struct strbuf names;
};

/* ---- users ---- */

enum { USERS_CACHED = 256, USER_NAME_MAX = 64 };

struct users {
	int64_t cleared_ns;
	struct {
		bool used;
		uint32_t uid;
		char name[USER_NAME_MAX];
	} slots[USERS_CACHED];
};

/* ---- names of ports ---- */

struct services;

/* Fails for want of memory or descriptors only; a host without the file has no names. */
enum err services_load(const char *path, struct services **out);
void services_free(struct services *s);
bool services_name(const struct services *s, uint16_t port, bool udp, struct span *out);

/* ---- the collector ---- */

struct host_collector {
	int proc, sys; /* directories */
	bool short_of; /* memory or descriptors: something was left out of this sample */
	bool live;     /* proc is this kernel's own, so system calls tell the same story */
	struct strbuf file;
	uint64_t ticks_per_second, page_size;
	struct cpu_track stats_cpu, resources_cpu;
	struct cpu_frequency frequency;
	struct cpu_model model;
	struct network_track network, resources_network;
	struct disk_track disks;
	struct process_table processes, processes_before;
	struct users users;
	struct services *services; /* read when first needed */
};

/*
 * What can't be read is left out of a sample: it has gone, or is not ours to see.  Not
 * when the reason is that this process lacks memory or descriptors; the sample would be
 * wrong, so host_sample() fails once this has been told such an errno.
 */
void host_note_error(struct host_collector *c, int error);

/* Reads a whole file below a directory into c->file. */
enum err host_read(struct host_collector *c, int dir, const char *name);
/* The same; says which file when it can't. */
enum err host_need(struct host_collector *c, int dir, const char *name, struct errmsg *why);
/* The one number that a file of /sys holds. */
bool host_read_number(struct host_collector *c, int dir, const char *name, uint64_t *out);

bool host_baseline_fresh(int64_t taken_ns);
void host_wait_interval(int64_t taken_ns);
/* (after - before) per second; 0 when it fell or no time passed. */
double host_rate(uint64_t before, uint64_t after, int64_t elapsed_ns);
/* part of whole in percent, 0 for an empty whole. */
double host_percent(double part, double whole);
double host_gb(uint64_t bytes);

/* ---- readings shared by several kinds ---- */

/* The account's name, or the number when there is none; valid until the next call. */
const char *users_name(struct host_collector *c, uint32_t uid);

/* Two readings and the usage between them. */
enum err cpu_track_init(struct cpu_track *t);
void cpu_track_release(struct cpu_track *t);
enum err cpu_measure(struct host_collector *c, struct cpu_track *t, struct errmsg *why);
double cpu_usage(const struct cpu_track *t);
void cpu_put(struct host_collector *c, const struct cpu_track *t, struct json_writer *w);
/* How many processors are on line, and when the kernel started, in seconds since 1970. */
enum err cpu_count_read(struct host_collector *c, size_t *cpus, uint64_t *boot_time,
			struct errmsg *why);
const struct cpu_model *cpu_read_model(struct host_collector *c);

enum err memory_read(struct host_collector *c, struct meminfo *out, struct errmsg *why);
uint64_t memory_used(const struct meminfo *m);
uint64_t memory_available(const struct meminfo *m);
double memory_percent(const struct meminfo *m);
void memory_put(const struct meminfo *m, struct json_writer *w);
void memory_put_swap(const struct meminfo *m, struct json_writer *w);

struct disk_space {
	uint64_t total, used, available; /* bytes; available to unprivileged users */
	double percent;
	bool has_inodes;
	double inodes_percent;
};
bool disk_space_read(struct host_collector *c, const char *path, struct disk_space *out);
void disk_put_root(const struct disk_space *d, struct json_writer *w);

/* Reads the counters and appends the object "total" of the network answer. */
enum err network_put_total(struct host_collector *c, struct network_track *t, struct json_writer *w,
			   struct errmsg *why);

/* Fills c->processes from one pass over /proc; c->processes_before is the pass before. */
enum err processes_scan(struct host_collector *c, struct errmsg *why);
/* The name of one process as the process list has it; false when it has gone. */
bool process_name_of(struct host_collector *c, int32_t pid, struct strbuf *out);
void process_table_release(struct process_table *t);

/* ---- sockets ---- */

typedef void socket_visit(const struct socket_row *row, void *arg);
/* All sockets of one family and protocol whose state's bit is set in states. */
enum err sockets_each(struct host_collector *c, bool udp, bool v6, uint32_t states,
		      socket_visit *visit, void *arg);

enum { SOCKET_ESTABLISHED = 1, SOCKET_UNCONNECTED = 7, SOCKET_LISTEN = 10 };

/* ---- one function per kind: the JSON, and what lib/host alone reads ---- */

enum err collect_stats(struct host_collector *c, struct strbuf *json, struct strbuf *rest,
		       struct errmsg *why);
enum err collect_info(struct host_collector *c, struct strbuf *json, struct strbuf *rest,
		      struct errmsg *why);
enum err collect_processes(struct host_collector *c, struct strbuf *json, struct strbuf *rest,
			   struct errmsg *why);
enum err collect_ports(struct host_collector *c, struct strbuf *json, struct strbuf *rest,
		       struct errmsg *why);
enum err collect_network(struct host_collector *c, struct strbuf *json, struct strbuf *rest,
			 struct errmsg *why);
enum err collect_disk(struct host_collector *c, struct strbuf *json, struct strbuf *rest,
		      struct errmsg *why);
enum err collect_resources(struct host_collector *c, struct strbuf *json, struct strbuf *rest,
			   struct errmsg *why);

/* The rest of a HOST_STATS sample. */
void summary_write(const struct host_summary *s, struct strbuf *rest);

#endif
