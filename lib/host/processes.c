/*
 * Processes: one pass over /proc, one `stat` a process.  The owner of /proc/PID is
 * the effective user; the real one and long names cost another file, and are read
 * once per process and kept while it lives.  So does the exact resident memory, which
 * is read again when `stat` shows that the process ran or that its memory changed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "host/collector.h"

enum {
	STAT_MAX = 2048, /* of /proc/PID/stat: 52 numbers and a short name */
	STATM_MAX = 256,
	STATUS_MAX = 4096,    /* "Uid:" stands in the first lines of status */
	CMDLINE_MAX = 1024,   /* enough for the first argument */
	COMM_CUT = 15,        /* the kernel cuts names here */
	NAME_MAX_BYTES = 255, /* what we keep of a longer one */
	PID_PATH_MAX = 32
};

void process_table_release(struct process_table *t)
{
	free(t->rows);
	strbuf_release(&t->names);
	*t = (struct process_table){.taken_ns = 0};
	strbuf_init(&t->names);
}

/* "PID/file" for a directory entry, NULL when it is no process. */
static const char *pid_path(char out[PID_PATH_MAX], const char *pid, const char *file)
{
	size_t len = 0;
	while (pid[len] >= '0' && pid[len] <= '9')
		len++;
	if (len == 0 || len > 10 || pid[len] != '\0')
		return NULL;
	memcpy(out, pid, len);
	out[len++] = '/';
	memcpy(out + len, file, strlen(file) + 1);
	return out;
}

/* Returns the bytes read, 0 when the process has gone or may not be read. */
static size_t read_small(struct host_collector *c, const char *path, char *buffer, size_t size)
{
	FD_CLEANUP fd = openat(c->proc, path, O_RDONLY | O_CLOEXEC);
	ssize_t len = -1;
	while (fd >= 0 && (len = read(fd, buffer, size)) < 0 && errno == EINTR)
		continue;
	if (len < 0)
		host_note_error(c, errno);
	return len > 0 ? (size_t)len : 0;
}

static bool read_stat(struct host_collector *c, const char *pid, char buffer[STAT_MAX],
		      struct pid_stat *out)
{
	char path[PID_PATH_MAX];
	if (pid_path(path, pid, "stat") == NULL)
		return false;
	return parse_pid_stat(buffer, read_small(c, path, buffer, STAT_MAX), out);
}

static bool read_uid(struct host_collector *c, const char *pid, uint32_t *uid)
{
	char path[PID_PATH_MAX], buffer[STATUS_MAX];
	size_t len = read_small(c, pid_path(path, pid, "status"), buffer, sizeof(buffer));
	return parse_pid_status_uid(buffer, len, uid);
}

/* Appends the name, the long one when the kernel may have cut it; returns its length. */
static size_t add_name(struct host_collector *c, const char *pid, struct span comm,
		       struct strbuf *names)
{
	struct span name = comm;
	/* cppcheck-suppress variableScope ; the name may lie in it */
	char buffer[CMDLINE_MAX];
	if (comm.len >= COMM_CUT) {
		char path[PID_PATH_MAX];
		size_t len = read_small(c, pid_path(path, pid, "cmdline"), buffer, sizeof(buffer));
		parse_cmdline_name(buffer, len, comm, &name);
	}
	if (name.len > NAME_MAX_BYTES)
		name.len = NAME_MAX_BYTES;
	strbuf_add(names, name.text, name.len);
	return name.len;
}

bool process_name_of(struct host_collector *c, int32_t pid, struct strbuf *out)
{
	char text[PID_PATH_MAX], buffer[STAT_MAX];
	struct pid_stat stat;
	snprintf(text, sizeof(text), "%d", pid);
	if (!read_stat(c, text, buffer, &stat))
		return false;
	add_name(c, text, stat.name, out);
	return true;
}

static int compare_pid(const void *a, const void *b)
{
	const struct process *x = a, *y = b;
	return (x->pid > y->pid) - (x->pid < y->pid);
}

static const struct process *find(const struct process_table *t, int32_t pid, uint64_t start_ticks)
{
	struct process key = {.pid = pid};
	if (t->count == 0)
		return NULL;
	const struct process *found =
	    bsearch(&key, t->rows, t->count, sizeof(*t->rows), compare_pid);
	return found != NULL && found->start_ticks == start_ticks ? found : NULL;
}

static struct process *add_row(struct process_table *t)
{
	if (t->count == t->cap) {
		size_t cap = t->cap > 0 ? t->cap * 2 : 512;
		struct process *rows = reallocarray(t->rows, cap, sizeof(*rows));
		if (rows == NULL)
			return NULL;
		t->rows = rows;
		t->cap = cap;
	}
	return &t->rows[t->count++];
}

static bool same_comm(const struct process_table *t, const struct process *p, struct span comm)
{
	return p->comm_len == comm.len &&
	       memcmp(t->names.data + p->name_at, comm.text, comm.len) == 0;
}

static void fill_name(struct host_collector *c, const char *pid, struct span comm,
		      const struct process *before, struct process *p)
{
	struct process_table *now = &c->processes;
	const struct process_table *old = &c->processes_before;
	if (comm.len > UINT8_MAX)
		comm.len = UINT8_MAX;
	p->comm_len = (uint8_t)comm.len;
	p->name_at = now->names.len;
	if (before != NULL && same_comm(old, before, comm)) {
		strbuf_add(&now->names, old->names.data + before->name_at, before->name_len);
		p->name_len = before->name_len;
	} else {
		p->name_len = (uint16_t)add_name(c, pid, comm, &now->names);
	}
}

static void fill_owner(struct host_collector *c, const char *pid, const struct process *before,
		       struct process *p)
{
	struct stat info;
	if (fstatat(c->proc, pid, &info, 0) != 0) {
		host_note_error(c, errno);
		info.st_uid = before != NULL ? before->owner : 0;
	}
	p->owner = info.st_uid;
	if (before != NULL && before->owner == p->owner)
		p->uid = before->uid;
	else if (!read_uid(c, pid, &p->uid))
		p->uid = p->owner;
}

static uint64_t resident_pages(struct host_collector *c, const char *pid,
			       const struct pid_stat *stat)
{
	char path[PID_PATH_MAX], buffer[STATM_MAX];
	uint64_t pages;
	size_t len = read_small(c, pid_path(path, pid, "statm"), buffer, sizeof(buffer));
	return parse_pid_statm(buffer, len, &pages) ? pages : stat->rss_pages;
}

static void fill_memory(struct host_collector *c, const char *pid, const struct pid_stat *stat,
			const struct process *before, struct process *p)
{
	p->faults = stat->faults;
	p->stat_pages = stat->rss_pages;
	if (before != NULL && before->cpu_ticks == p->cpu_ticks && before->faults == p->faults &&
	    before->stat_pages == p->stat_pages)
		p->rss = before->rss;
	else if (__builtin_mul_overflow(resident_pages(c, pid, stat), c->page_size, &p->rss))
		p->rss = 0;
}

/* As psutil: percent of one processor, 0 for a process not seen before. */
static uint64_t usage_tenths(const struct host_collector *c, const struct process *before,
			     uint64_t cpu_ticks)
{
	const struct process_table *old = &c->processes_before;
	if (before == NULL)
		return 0;
	int64_t elapsed = c->processes.taken_ns - old->taken_ns;
	double ticks = host_rate(before->cpu_ticks, cpu_ticks, elapsed);
	return (uint64_t)llround(fmin(1000 * ticks / (double)c->ticks_per_second, 1e15));
}

static bool add_process(struct host_collector *c, const char *pid)
{
	char buffer[STAT_MAX];
	struct pid_stat stat;
	if (!read_stat(c, pid, buffer, &stat))
		return true; /* gone, or not ours to read */
	const struct process *before = find(&c->processes_before, stat.pid, stat.start_ticks);
	struct process *p = add_row(&c->processes);
	if (p == NULL)
		return false;
	*p = (struct process){
	    .pid = stat.pid,
	    .ppid = stat.ppid,
	    .threads = stat.threads,
	    .state = stat.state,
	    .start_ticks = stat.start_ticks,
	    .cpu_ticks = stat.cpu_ticks,
	    .cpu_tenths = usage_tenths(c, before, stat.cpu_ticks),
	};
	fill_memory(c, pid, &stat, before, p);
	fill_name(c, pid, stat.name, before, p);
	fill_owner(c, pid, before, p);
	return !c->processes.names.failed;
}

/* The kernel lists processes by pid; a fixture tree may not. */
static void sort_rows(struct process_table *t)
{
	for (size_t i = 1; i < t->count; i++) {
		if (t->rows[i - 1].pid < t->rows[i].pid)
			continue;
		qsort(t->rows, t->count, sizeof(*t->rows), compare_pid);
		return;
	}
}

static enum err walk(struct host_collector *c, DIR *dir, struct errmsg *why)
{
	struct dirent *entry;
	while (errno = 0, (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
		    !add_process(c, entry->d_name))
			return err_set(why, ERR_NOMEM, "out of memory");
	if (errno != 0)
		return err_errno(why, "can't list /proc");
	return c->short_of ? err_set(why, ERR_NOMEM, "out of memory or descriptors") : ERR_OK;
}

enum err processes_scan(struct host_collector *c, struct errmsg *why)
{
	struct process_table oldest = c->processes_before;
	c->processes_before = c->processes;
	c->processes = oldest;
	c->processes.count = 0;
	strbuf_clear(&c->processes.names);
	int fd = openat(c->proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (dir == NULL) {
		io_close(&fd);
		return err_errno(why, "can't list /proc");
	}
	c->processes.taken_ns = clock_mono_ns();
	enum err err = walk(c, dir, why);
	closedir(dir);
	if (err != ERR_OK) {
		/* Nothing of it is kept, nor is it a baseline. */
		c->processes.count = 0;
		c->processes.taken_ns = 0;
	}
	sort_rows(&c->processes);
	return err;
}
