/*
 * Parsers of what the kernel prints: pure functions of a buffer, which needs no
 * NUL and is never read past its end.  No system calls, no allocation.
 *
 * A list is read with NAME_next(): true with a row, false at the end.  Lines that
 * can't be read are passed over, since a new kernel may add some.  A number that
 * does not fit makes its line unreadable.  Spans point into the buffer.
 */
#ifndef ZIGGIE_HOST_PARSE_H
#define ZIGGIE_HOST_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/cursor.h"

/* ---- /proc/stat ---- */

enum {
	CPU_USER,
	CPU_NICE,
	CPU_SYSTEM,
	CPU_IDLE,
	CPU_IOWAIT,
	CPU_IRQ,
	CPU_SOFTIRQ,
	CPU_STEAL,
	CPU_TIMES
}; /* clock ticks; guest time is part of user and nice */

struct cpu_times {
	unsigned id; /* of "cpuN"; 0 for the sum */
	uint64_t ticks[CPU_TIMES];
};

struct stat_file {
	struct cpu_times all;
	bool has_all;
	uint64_t boot_time; /* seconds since 1970, 0 when the file does not say */
};

/* The rows of single processors go to cpus, which has room for max; *count counts all of them. */
bool parse_stat(const char *text, size_t len, struct stat_file *out, struct cpu_times *cpus,
		size_t max, size_t *count);

/* ---- /proc/PID/stat, statm, status and cmdline ---- */

struct pid_stat {
	int32_t pid, ppid;
	struct span name; /* may hold any byte */
	char state;
	uint64_t faults;    /* minor and major */
	uint64_t cpu_ticks; /* user and system */
	uint32_t threads;
	uint64_t start_ticks; /* after boot */
	uint64_t rss_pages;   /* since Linux 6.2 off by some pages per processor; statm is exact */
};

bool parse_pid_stat(const char *text, size_t len, struct pid_stat *out);
/* The resident pages of /proc/PID/statm. */
bool parse_pid_statm(const char *text, size_t len, uint64_t *rss_pages);
/* The real user id of /proc/PID/status. */
bool parse_pid_status_uid(const char *text, size_t len, uint32_t *uid);
/*
 * The kernel cuts names at 15 bytes.  When the last part of the command's path begins
 * with the cut name, it is the better one: true, and *full is that part.
 */
bool parse_cmdline_name(const char *text, size_t len, struct span name, struct span *full);

/* ---- /proc/meminfo: bytes ---- */

struct meminfo {
	uint64_t total, free, available, buffers, cached, reclaimable, swap_total, swap_free;
	bool has_available;
};

bool parse_meminfo(const char *text, size_t len, struct meminfo *out); /* false without a total */

/* ---- /proc/loadavg, /proc/uptime, /proc/pressure/NAME ---- */

bool parse_loadavg(const char *text, size_t len, double load[3]);
bool parse_uptime(const char *text, size_t len, double *seconds);

struct pressure_line {
	double avg10, avg60, avg300; /* percent */
	uint64_t total_us;
};
struct pressure {
	struct pressure_line some, full;
	bool has_some, has_full;
};

bool parse_pressure(const char *text, size_t len, struct pressure *out);

/* ---- /proc/cpuinfo ---- */

struct cpuinfo {
	struct span model; /* empty when the file does not say */
	double mhz_sum;
	unsigned mhz_count;
	unsigned physical_cores; /* 0 when the file does not say */
};

void parse_cpuinfo(const char *text, size_t len, struct cpuinfo *out);

/* ---- /proc/net/dev ---- */

enum { INTERFACE_NAME_MAX = 16 };

struct interface_counters {
	uint64_t bytes_recv, packets_recv, errin, dropin;
	uint64_t bytes_sent, packets_sent, errout, dropout;
};
struct netdev_row {
	char name[INTERFACE_NAME_MAX];
	struct interface_counters counters;
};

bool netdev_next(struct cursor *file, struct netdev_row *out);

/* ---- /proc/diskstats ---- */

enum { BLOCK_NAME_MAX = 64 };

struct diskstats_row {
	char name[BLOCK_NAME_MAX];
	uint64_t read_count, read_bytes, write_count, write_bytes;
	uint64_t busy_ms;
};

bool diskstats_next(struct cursor *file, struct diskstats_row *out);

/* ---- /proc/filesystems, /proc/self/mounts ---- */

/* Types of file systems that live on a device (and zfs, which manages its own). */
bool filesystems_next(struct cursor *file, struct span *type);

struct mounts_row {
	struct span device, mountpoint, type; /* escaped; see mounts_unescape() */
};

bool mounts_next(struct cursor *file, struct mounts_row *out);
/* Undoes the kernel's \ooo; false when it does not fit with its NUL. */
bool mounts_unescape(struct span escaped, char *out, size_t size);

/* ---- sockets: /proc/net/{tcp,tcp6,udp,udp6} and INET_DIAG ---- */

enum { SOCKET_STATES = 13 }; /* the kernel's TCP states, 1 to 12 */

struct socket_row {
	bool v6;
	uint8_t state;
	uint16_t port;
	uint8_t address[16]; /* network order; IPv4 uses the first four */
	uint64_t inode;
};

bool proc_net_next(struct cursor *file, bool v6, struct socket_row *out);

enum diag_result {
	DIAG_ROW,
	DIAG_END_OF_BUFFER, /* read the next one */
	DIAG_DONE,          /* the last message has been seen */
	DIAG_ERROR          /* the kernel refused, or this is no such answer */
};
enum diag_result diag_next(struct cursor *buffer, struct socket_row *out);

/* ---- /etc/services ---- */

struct services_row {
	struct span name;
	uint16_t port;
	bool udp;
};

bool services_next(struct cursor *file, struct services_row *out);

#endif
