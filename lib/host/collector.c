#include "host/collector.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/io.h"

/* /proc/net/tcp is the largest: 150 bytes a connection. */
enum { FILE_MAX = 64 << 20 };

static enum err open_root(const char *path, int *out, struct errmsg *why)
{
	*out = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *out >= 0 ? ERR_OK : err_errno(why, "can't open %s", path);
}

static enum err fill(struct host_collector *c, const char *proc_root, const char *sys_root,
		     struct errmsg *why)
{
	enum err err = open_root(proc_root, &c->proc, why);
	if (err == ERR_OK)
		err = open_root(sys_root, &c->sys, why);
	if (err != ERR_OK)
		return err;
	if (cpu_track_init(&c->stats_cpu) != ERR_OK || cpu_track_init(&c->resources_cpu) != ERR_OK)
		return err_set(why, ERR_NOMEM, "out of memory");
	c->live = strcmp(proc_root, "/proc") == 0;
	c->ticks_per_second = (uint64_t)sysconf(_SC_CLK_TCK);
	c->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	return ERR_OK;
}

enum err host_collector_new(const char *proc_root, const char *sys_root,
			    struct host_collector **out, struct errmsg *why)
{
	struct host_collector *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return err_set(why, ERR_NOMEM, "out of memory");
	c->proc = c->sys = -1;
	strbuf_init(&c->file);
	strbuf_init(&c->processes.names);
	strbuf_init(&c->processes_before.names);
	enum err err = fill(c, proc_root, sys_root, why);
	if (err != ERR_OK) {
		host_collector_free(c);
		return err;
	}
	*out = c;
	return ERR_OK;
}

void host_collector_free(struct host_collector *c)
{
	if (c == NULL)
		return;
	io_close(&c->proc);
	io_close(&c->sys);
	strbuf_release(&c->file);
	cpu_track_release(&c->stats_cpu);
	cpu_track_release(&c->resources_cpu);
	process_table_release(&c->processes);
	process_table_release(&c->processes_before);
	free(c->network.rows);
	free(c->resources_network.rows);
	free(c->disks.rows);
	services_free(c->services);
	free(c);
}

void host_note_error(struct host_collector *c, int error)
{
	c->short_of |= io_is_shortage(error);
}

enum err host_read(struct host_collector *c, int dir, const char *name)
{
	strbuf_clear(&c->file);
	enum err err = io_read_file_at(dir, name, FILE_MAX, &c->file);
	if (err == ERR_NOMEM)
		host_note_error(c, ENOMEM);
	else if (err == ERR_IO)
		host_note_error(c, errno);
	return err;
}

enum err host_need(struct host_collector *c, int dir, const char *name, struct errmsg *why)
{
	enum err err = host_read(c, dir, name);
	if (err == ERR_NOMEM)
		return err_set(why, err, "out of memory");
	if (err != ERR_OK)
		return err_set(why, ERR_IO, "can't read %s of %s", name,
			       dir == c->proc ? "/proc" : "/sys");
	return ERR_OK;
}

bool host_read_number(struct host_collector *c, int dir, const char *name, uint64_t *out)
{
	if (host_read(c, dir, name) != ERR_OK)
		return false;
	struct cursor text = cursor_over(c->file.data, c->file.len);
	return cursor_u64(&text, out);
}

bool host_baseline_fresh(int64_t taken_ns)
{
	return taken_ns != 0 && clock_mono_ns() - taken_ns <= HOST_BASELINE_MAX_NS;
}

void host_wait_interval(int64_t taken_ns)
{
	int64_t left;
	while ((left = taken_ns + HOST_INTERVAL_MIN_NS - clock_mono_ns()) > 0) {
		struct timespec wait = {.tv_sec = left / NS_PER_S, .tv_nsec = left % NS_PER_S};
		nanosleep(&wait, NULL);
	}
}

double host_rate(uint64_t before, uint64_t after, int64_t elapsed_ns)
{
	if (after <= before || elapsed_ns <= 0)
		return 0;
	return (double)(after - before) * (double)NS_PER_S / (double)elapsed_ns;
}

double host_percent(double part, double whole)
{
	return whole > 0 ? 100 * part / whole : 0;
}

double host_gb(uint64_t bytes)
{
	return (double)bytes / (double)(UINT64_C(1) << 30);
}

uint64_t host_own_rss(void)
{
	char text[128];
	FD_CLEANUP fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t len = read(fd, text, sizeof(text));
	struct cursor c = cursor_over(text, len > 0 ? (size_t)len : 0);
	uint64_t pages;
	if (!cursor_skip_words(&c, 1) || !cursor_u64(&c, &pages))
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
