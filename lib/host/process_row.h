/*
 * One process as a sample carries it, and as an answer shows it.
 *
 * The rest of a HOST_PROCESSES sample is "COUNT MEMORY_TOTAL\n" and then a record
 * per process, best ranked first: "PID PPID STATE THREADS RSS CPU_TENTHS STARTED_US
 * NAME_LEN USER_LEN NAME USER\n".  Names may hold any byte, hence the lengths.
 * COUNT is the host's; fewer records follow when they would not fit.
 */
#ifndef ZIGGIE_HOST_PROCESS_ROW_H
#define ZIGGIE_HOST_PROCESS_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "host/cursor.h"
#include "json/writer.h"

enum { PROCESSES_DEFAULT = 50, PROCESSES_LIMIT_MAX = 500 };

struct process_row {
	int32_t pid, ppid;
	char state;
	uint32_t threads;
	uint64_t rss;        /* bytes */
	uint64_t cpu_tenths; /* tenths of a percent of one processor */
	int64_t started_us;  /* wall time */
	struct span name, user;
};

struct process_list_head {
	uint64_t count, memory_total;
};

void process_head_write(const struct process_list_head *head, struct strbuf *out);
bool process_head_read(struct cursor *c, struct process_list_head *out);
void process_row_write(const struct process_row *row, struct strbuf *out);
bool process_row_read(struct cursor *c, struct process_row *out);

void process_row_put(const struct process_row *row, uint64_t memory_total, struct json_writer *w);

/* The state's letter in psutil's words. */
const char *process_status(char state);

/* Order of the default answer: processor, then memory, then pid. */
int process_row_compare(const struct process_row *a, const struct process_row *b);

#endif
