/*
 * Fuzz target of what lib/host reads: all its parsers over the same bytes, and the
 * samples that come back from a cache.
 *
 * With libFuzzer:
 *
 *	clang -fsanitize=fuzzer,address,undefined … tests/fuzz/fuzz_host.c …
 *
 * `make check` builds it with replay.c, which runs the corpus through it, and with
 * tests/unit/test_host_parse.c, which cuts and changes samples of each format.
 */
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "host/host.h"
#include "host/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct span s, const char *text, size_t len)
{
	AN_INVARIANT(s.text >= text && s.len <= len && s.text + s.len <= text + len);
}

static void try_processes(const char *text, size_t len)
{
	struct pid_stat stat;
	struct span name = {.text = text, .len = len < 4 ? len : 4}, full;
	uint64_t pages;
	uint32_t uid;
	if (parse_pid_stat(text, len, &stat))
		check_inside(stat.name, text, len);
	if (parse_cmdline_name(text, len, name, &full))
		check_inside(full, text, len);
	parse_pid_statm(text, len, &pages);
	parse_pid_status_uid(text, len, &uid);
}

static void try_host_files(const char *text, size_t len)
{
	struct stat_file stat;
	struct cpu_times cpus[2];
	struct meminfo meminfo;
	struct pressure pressure;
	struct cpuinfo cpuinfo;
	double load[3], uptime;
	size_t count;
	parse_stat(text, len, &stat, cpus, ARRAY_LEN(cpus), &count);
	if (parse_meminfo(text, len, &meminfo))
		AN_INVARIANT(meminfo.total > 0);
	parse_loadavg(text, len, load);
	parse_uptime(text, len, &uptime);
	parse_pressure(text, len, &pressure);
	parse_cpuinfo(text, len, &cpuinfo);
	check_inside(cpuinfo.model, text, len);
}

static void try_lists(const char *text, size_t len)
{
	struct netdev_row netdev;
	struct diskstats_row disk;
	struct services_row service;
	for (struct cursor c = cursor_over(text, len); netdev_next(&c, &netdev);)
		AN_INVARIANT(memchr(netdev.name, '\0', sizeof(netdev.name)) != NULL);
	for (struct cursor c = cursor_over(text, len); diskstats_next(&c, &disk);)
		AN_INVARIANT(memchr(disk.name, '\0', sizeof(disk.name)) != NULL);
	for (struct cursor c = cursor_over(text, len); services_next(&c, &service);) {
		AN_INVARIANT(service.port > 0);
		check_inside(service.name, text, len);
	}
}

static void try_mounts(const char *text, size_t len)
{
	struct mounts_row mount;
	struct span type;
	char path[16];
	mounts_unescape((struct span){.text = text, .len = len}, path, sizeof(path));
	for (struct cursor c = cursor_over(text, len); mounts_next(&c, &mount);)
		check_inside(mount.type, text, len);
	for (struct cursor c = cursor_over(text, len); filesystems_next(&c, &type);)
		check_inside(type, text, len);
}

static void try_sockets(const char *text, size_t len)
{
	struct socket_row row;
	for (int v6 = 0; v6 < 2; v6++)
		for (struct cursor c = cursor_over(text, len); proc_net_next(&c, v6 != 0, &row);)
			AN_INVARIANT(row.state > 0 && row.state < SOCKET_STATES);
	for (struct cursor c = cursor_over(text, len); diag_next(&c, &row) == DIAG_ROW;)
		AN_INVARIANT(row.state > 0 && row.state < SOCKET_STATES);
}

static void try_sample(const char *text, size_t len)
{
	struct host_view view;
	struct host_summary summary;
	struct host_process_query query = {.limit = 2, .search = "A"};
	if (host_view_open(text, len, &view) != ERR_OK)
		return;
	check_inside((struct span){.text = view.json, .len = view.json_len}, text, len);
	check_inside((struct span){.text = view.rest, .len = view.rest_len}, text, len);
	host_view_summary(&view, &summary);
	for (int sort = HOST_SORT_CPU; sort <= HOST_SORT_NAME; sort++) {
		STRBUF_CLEANUP json = STRBUF_INIT;
		query.sort = (enum host_process_sort)sort;
		host_view_processes(&view, &query, &json, NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	try_processes(text, size);
	try_host_files(text, size);
	try_lists(text, size);
	try_mounts(text, size);
	try_sockets(text, size);
	try_sample(text, size);
	return 0;
}
