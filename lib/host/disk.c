/*
 * GET /api/system/disk: the file systems that live on a device of this host, and
 * what its disks did.  Network file systems are left out, since asking a dead
 * server for its size can wait for ever.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <limits.h>
#include <unistd.h>

#include "host/collector.h"

enum { TYPES_MAX = 128, TYPE_MAX = 32 };

/* As psutil: of what programs without privileges can use. */
bool disk_space_read(struct host_collector *c, const char *path, struct disk_space *out)
{
	struct statvfs fs;
	if (statvfs(path, &fs) != 0) {
		host_note_error(c, errno);
		return false;
	}
	*out = (struct disk_space){
	    .total = (uint64_t)fs.f_blocks * fs.f_frsize,
	    .used = (uint64_t)(fs.f_blocks - fs.f_bfree) * fs.f_frsize,
	    .available = (uint64_t)fs.f_bavail * fs.f_frsize,
	    .has_inodes = fs.f_files > 0,
	};
	out->percent = host_percent((double)out->used, (double)out->used + (double)out->available);
	out->inodes_percent = host_percent((double)(fs.f_files - fs.f_ffree), (double)fs.f_files);
	return true;
}

static void put_sizes(const struct disk_space *d, struct json_writer *w)
{
	json_put_uint(w, "total", d->total);
	json_put_uint(w, "used", d->used);
	json_put_uint(w, "free", d->available);
	json_put_real(w, "percent", d->percent, 1);
}

void disk_put_root(const struct disk_space *d, struct json_writer *w)
{
	json_key(w, "disk");
	json_object(w);
	put_sizes(d, w);
	json_put_real(w, "total_gb", host_gb(d->total), 2);
	json_put_real(w, "used_gb", host_gb(d->used), 2);
	json_put_real(w, "free_gb", host_gb(d->available), 2);
	json_end(w);
}

/* ---- partitions ---- */

struct type_list {
	char names[TYPES_MAX][TYPE_MAX];
	size_t count;
};

/* Cluster file systems count as living on a device, but wait for other hosts. */
static bool waits_for_others(struct span type)
{
	return span_is(type, "gfs2") || span_is(type, "ocfs2");
}

static enum err read_types(struct host_collector *c, struct type_list *out, struct errmsg *why)
{
	enum err err = host_need(c, c->proc, "filesystems", why);
	if (err != ERR_OK)
		return err;
	struct cursor file = cursor_over(c->file.data, c->file.len);
	struct span type;
	out->count = 0;
	while (out->count < TYPES_MAX && filesystems_next(&file, &type))
		if (!waits_for_others(type) && span_copy(type, out->names[out->count], TYPE_MAX))
			out->count++;
	return ERR_OK;
}

static bool is_listed(const struct type_list *types, struct span type)
{
	for (size_t i = 0; i < types->count; i++)
		if (span_is(type, types->names[i]))
			return true;
	return false;
}

/* Early mounts are called /dev/root; /sys knows the device's name. */
static void resolve_root_device(struct host_collector *c, const char *mountpoint, char *device,
				size_t size)
{
	struct stat info;
	char path[64], target[PATH_MAX];
	if ((strcmp(device, "/dev/root") != 0 && strcmp(device, "rootfs") != 0) ||
	    stat(mountpoint, &info) != 0)
		return;
	snprintf(path, sizeof(path), "dev/block/%u:%u", major(info.st_dev), minor(info.st_dev));
	ssize_t len = readlinkat(c->sys, path, target, sizeof(target));
	const char *slash = len > 0 ? memrchr(target, '/', (size_t)len) : NULL;
	if (slash != NULL)
		snprintf(device, size, "/dev/%.*s", (int)(target + len - slash - 1), slash + 1);
}

static void put_partition(struct host_collector *c, const struct mounts_row *row,
			  struct json_writer *w)
{
	char device[PATH_MAX], mountpoint[PATH_MAX];
	struct disk_space space;
	if (!mounts_unescape(row->device, device, sizeof(device)) ||
	    !mounts_unescape(row->mountpoint, mountpoint, sizeof(mountpoint)) ||
	    !disk_space_read(c, mountpoint, &space))
		return;
	resolve_root_device(c, mountpoint, device, sizeof(device));
	json_object(w);
	json_put_string(w, "device", device);
	json_put_string(w, "mountpoint", mountpoint);
	json_key(w, "fstype");
	json_stringn(w, row->type.text, row->type.len);
	put_sizes(&space, w);
	json_key(w, "inodes_percent");
	if (space.has_inodes)
		json_real(w, space.inodes_percent, 1);
	else
		json_null(w);
	json_end(w);
}

static enum err put_partitions(struct host_collector *c, struct json_writer *w, struct errmsg *why)
{
	struct type_list types;
	enum err err = read_types(c, &types, why);
	if (err == ERR_OK)
		err = host_need(c, c->proc, "self/mounts", why);
	if (err != ERR_OK)
		return err;
	struct cursor file = cursor_over(c->file.data, c->file.len);
	struct mounts_row row;
	json_key(w, "partitions");
	json_array(w);
	while (mounts_next(&file, &row))
		if (!span_is(row.device, "none") && is_listed(&types, row.type))
			put_partition(c, &row, w);
	json_end(w);
	return ERR_OK;
}

/* ---- what the disks did ---- */

/* Whole disks stand in /sys/block, with a bang for a slash; a partition does not. */
static bool is_disk(struct host_collector *c, const char *name)
{
	char path[sizeof("block/") + BLOCK_NAME_MAX];
	snprintf(path, sizeof(path), "block/%s", name);
	for (char *slash = path + strlen("block/"); (slash = strchr(slash, '/')) != NULL;)
		*slash = '!';
	if (faccessat(c->sys, path, F_OK, 0) == 0)
		return true;
	host_note_error(c, errno);
	return false;
}

static bool never_used(const struct diskstats_row *row)
{
	return row->read_count == 0 && row->write_count == 0;
}

static bool add_row(struct disk_track *t, size_t *cap, const struct diskstats_row *row)
{
	if (t->count == *cap) {
		size_t more = *cap > 0 ? *cap * 2 : 16;
		struct diskstats_row *grown = reallocarray(t->rows, more, sizeof(*grown));
		if (grown == NULL)
			return false;
		t->rows = grown;
		*cap = more;
	}
	t->rows[t->count++] = *row;
	return true;
}

static enum err read_io(struct host_collector *c, struct disk_track *out, struct errmsg *why)
{
	*out = (struct disk_track){.taken_ns = clock_mono_ns()};
	enum err err = host_read(c, c->proc, "diskstats");
	if (err == ERR_NOT_FOUND) /* some containers */
		return ERR_OK;
	if (err != ERR_OK)
		return err_set(why, err, "can't read diskstats of /proc");
	struct cursor file = cursor_over(c->file.data, c->file.len);
	struct diskstats_row row;
	size_t cap = 0;
	while (diskstats_next(&file, &row))
		if (!never_used(&row) && is_disk(c, row.name) && !add_row(out, &cap, &row))
			return err_set(why, ERR_NOMEM, "out of memory");
	return ERR_OK;
}

static const struct diskstats_row *find_row(const struct disk_track *t, const char *name)
{
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->rows[i].name, name) == 0)
			return &t->rows[i];
	return NULL;
}

static void put_disk(const struct diskstats_row *before, const struct diskstats_row *now,
		     int64_t elapsed, struct json_writer *w)
{
	if (before == NULL)
		before = now;
	/* Milliseconds a second are tenths of a percent. */
	double busy = host_rate(before->busy_ms, now->busy_ms, elapsed) / 10;
	json_object(w);
	json_put_string(w, "device", now->name);
	json_put_uint(w, "read_bytes", now->read_bytes);
	json_put_uint(w, "write_bytes", now->write_bytes);
	json_put_uint(w, "read_count", now->read_count);
	json_put_uint(w, "write_count", now->write_count);
	json_put_real(w, "read_bytes_per_sec",
		      host_rate(before->read_bytes, now->read_bytes, elapsed), 1);
	json_put_real(w, "write_bytes_per_sec",
		      host_rate(before->write_bytes, now->write_bytes, elapsed), 1);
	json_put_real(w, "busy_percent", busy < 100 ? busy : 100, 1);
	json_end(w);
}

static enum err put_io(struct host_collector *c, struct json_writer *w, struct errmsg *why)
{
	struct disk_track now;
	enum err err = read_io(c, &now, why);
	if (err != ERR_OK) {
		free(now.rows);
		return err;
	}
	json_key(w, "io");
	json_array(w);
	for (size_t i = 0; i < now.count; i++)
		put_disk(find_row(&c->disks, now.rows[i].name), &now.rows[i],
			 now.taken_ns - c->disks.taken_ns, w);
	json_end(w);
	free(c->disks.rows);
	c->disks = now;
	return ERR_OK;
}

enum err collect_disk(struct host_collector *c, struct strbuf *json, struct strbuf *rest,
		      struct errmsg *why)
{
	(void)rest;
	struct json_writer w;
	json_init(&w, json);
	json_object(&w);
	json_put_bool(&w, "success", true);
	json_put_time_legacy(&w, "timestamp", clock_wall_us());
	enum err err = put_partitions(c, &w, why);
	if (err == ERR_OK)
		err = put_io(c, &w, why);
	if (err == ERR_OK)
		json_end(&w);
	return err;
}
