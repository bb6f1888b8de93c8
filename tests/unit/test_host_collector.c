/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "host/collector.h"
#include "host_tree.h"

/* The tree that stands in tests/fixtures/host: a host that doesn't change. */
static struct host_collector *fixture_collector(void)
{
	char proc[512], sys[512];
	const char *source = getenv("ZIGGIE_TEST_SRCDIR");
	struct host_collector *c = NULL;
	struct errmsg why = ERRMSG_INIT;
	snprintf(proc, sizeof(proc), "%s/tests/fixtures/host/proc", source ? source : ".");
	snprintf(sys, sizeof(sys), "%s/tests/fixtures/host/sys", source ? source : ".");
	if (host_collector_new(proc, sys, &c, &why) != ERR_OK)
		fail_msg("%s", why.text);
	return c;
}

/* The default answer, NUL-terminated, in out. */
static struct host_view take(struct host_collector *c, enum host_kind kind, struct strbuf *sample,
			     struct strbuf *json)
{
	struct errmsg why = ERRMSG_INIT;
	struct host_view view;
	strbuf_clear(sample);
	strbuf_clear(json);
	if (host_sample(c, kind, sample, &why) != ERR_OK)
		fail_msg("%s", why.text);
	assert_int_equal(host_view_open(sample->data, sample->len, &view), ERR_OK);
	assert_int_equal(view.kind, kind);
	strbuf_add(json, view.json, view.json_len);
	return view;
}

/* The same of the fixture's host. */
static void take_of_fixture(enum host_kind kind, struct strbuf *json)
{
	STRBUF_CLEANUP sample = STRBUF_INIT;
	struct host_collector *c = fixture_collector();
	take(c, kind, &sample, json);
	host_collector_free(c);
}

static void assert_says(const struct strbuf *json, const char *part)
{
	if (strstr(json->data, part) == NULL)
		fail_msg("%s\nis not in\n%s", part, json->data);
}

static void assert_silent(const struct strbuf *json, const char *part)
{
	if (strstr(json->data, part) != NULL)
		fail_msg("%s\nis in\n%s", part, json->data);
}

static void test_stats_of_a_host(void **state)
{
	(void)state;
	STRBUF_CLEANUP sample = STRBUF_INIT;
	STRBUF_CLEANUP json = STRBUF_INIT;
	struct host_collector *c = fixture_collector();
	struct host_view view = take(c, HOST_STATS, &sample, &json);
	assert_says(&json, "{\"success\":true,\"timestamp\":\"20");
	assert_says(&json, "\"cpu\":{\"usage_percent\":0.0,\"count\":4,\"frequency\":{\"current\":"
			   "2150.500,\"min\":800.000,\"max\":4200.000},"
			   "\"per_cpu\":[0.0,0.0,0.0,0.0]}");
	assert_says(&json, "\"memory\":{\"total\":16777216000,\"available\":12582912000,"
			   "\"used\":5505024000,\"percent\":25.0,\"total_gb\":15.63,"
			   "\"used_gb\":5.13,\"available_gb\":11.72}");
	assert_says(&json, "\"load\":[0.25,1.50,12.75]");
	assert_says(&json, "\"swap\":{\"total\":2097152000,\"used\":524288000,"
			   "\"free\":1572864000,\"percent\":25.0}");
	assert_says(&json, "\"pressure\":{\"cpu\":{\"some\":{\"avg10\":1.50,\"avg60\":0.75,"
			   "\"avg300\":0.10,\"total_us\":123456}},\"memory\":{\"some\":");
	struct host_summary summary;
	assert_int_equal(host_view_summary(&view, &summary), ERR_OK);
	assert_int_equal(summary.cpu_count, 4);
	assert_int_equal(summary.memory_used, 5505024000);
	assert_int_equal(summary.memory_available, 12582912000);
	assert_true(summary.memory_percent == 25.0);
	assert_true(summary.disk_total > 0 && summary.disk_percent <= 100);
	host_collector_free(c);
}

static void test_info_of_a_host(void **state)
{
	(void)state;
	STRBUF_CLEANUP json = STRBUF_INIT;
	take_of_fixture(HOST_INFO, &json);
	assert_says(&json, "\"uptime\":86400,\"processor\":\"Example(R) Processor 4-Way @ "
			   "2.00GHz\",\"totalMemory\":16777216000,\"cpuCores\":4,"
			   "\"cpuCoresPhysical\":2,\"boot_time\":1700000000}");
	assert_says(&json, "\"os\":\"Linux\",\"hostname\":\"");
}

static void test_processes_of_a_host(void **state)
{
	(void)state;
	STRBUF_CLEANUP json = STRBUF_INIT;
	take_of_fixture(HOST_PROCESSES, &json);
	assert_says(&json, "\"count\":4,\"processes\":[{\"pid\":1234,\"ppid\":1,\"name\":"
			   "\"gnome-keyring-daemon\",\"username\":\"root\",\"status\":\"running\"");
	assert_says(&json, "\"memory_percent\":0.12,\"rss\":20484096,\"threads\":4,"
			   "\"started\":\"2023-11-14T22:13:30.000000\"}");
	assert_says(&json, "\"name\":\"kworker/0:1-events\"");
	assert_says(&json, "\"name\":\"evil) S 1 (\\nname\"");
	assert_says(&json, "\"status\":\"zombie\"");
}

static void test_ports_of_a_host(void **state)
{
	(void)state;
	STRBUF_CLEANUP json = STRBUF_INIT;
	take_of_fixture(HOST_PORTS, &json);
	/* Two sockets share port 22; a connected UDP socket is no port. */
	assert_says(&json, "\"count\":4,\"ports\":[{\"port\":22,\"pid\":null,");
	assert_says(&json, "\"protocol\":\"udp\",\"status\":\"NONE\",\"address\":\"0.0.0.0\"}");
	assert_says(&json, "\"protocol\":\"tcp\",\"status\":\"LISTEN\",\"address\":\"127.0.0.1\"}");
	assert_says(&json, "\"address\":\"::1\"}]}");
}

static void test_network_of_a_host(void **state)
{
	(void)state;
	STRBUF_CLEANUP json = STRBUF_INIT;
	take_of_fixture(HOST_NETWORK, &json);
	assert_says(&json, "{\"name\":\"eth0\",\"bytes_sent\":3000000,\"bytes_recv\":1000000,"
			   "\"packets_sent\":4000,\"packets_recv\":2000,\"errin\":1,\"errout\":3,"
			   "\"dropin\":2,\"dropout\":4,\"bytes_sent_per_sec\":0.0,"
			   "\"bytes_recv_per_sec\":0.0,\"is_up\":true,\"speed\":10000,"
			   "\"mtu\":1500,\"addresses\":[]}");
	assert_says(&json, "\"name\":\"wg0\"");
	assert_says(&json, "\"is_up\":false,\"speed\":0,\"mtu\":1420");
	assert_says(&json, "\"total\":{\"bytes_sent\":3005000,\"bytes_recv\":1005000,");
	assert_says(&json, "\"connections\":{\"ESTABLISHED\":1,\"SYN_SENT\":0,\"SYN_RECV\":1,");
	assert_says(&json, "\"TIME_WAIT\":1,");
	assert_says(&json, "\"LISTEN\":4,\"CLOSING\":0,\"NONE\":2}");
}

static void test_disks_of_a_host(void **state)
{
	(void)state;
	STRBUF_CLEANUP json = STRBUF_INIT;
	take_of_fixture(HOST_DISK, &json);
	assert_says(&json, "\"partitions\":[{\"device\":\"/dev/vda1\",\"mountpoint\":\"/\","
			   "\"fstype\":\"ext4\",\"total\":");
	assert_silent(&json, "/mnt/dead");
	assert_silent(&json, "/no/such");
	assert_says(&json, "}],\"io\":[{\"device\":\"vda\",\"read_bytes\":40960000,"
			   "\"write_bytes\":20480000,\"read_count\":1000,\"write_count\":500,"
			   "\"read_bytes_per_sec\":0.0,\"write_bytes_per_sec\":0.0,"
			   "\"busy_percent\":0.0},{\"device\":\"nvme0n1\"");
	assert_silent(&json, "vda1\",\"read_bytes");
	assert_silent(&json, "loop0");
}

static void test_resources_of_a_host(void **state)
{
	(void)state;
	STRBUF_CLEANUP json = STRBUF_INIT;
	take_of_fixture(HOST_RESOURCES, &json);
	assert_says(&json, "\"cpu\":{\"usage_percent\":0.0,\"count\":4,");
	assert_says(&json, "\"memory\":{\"total\":16777216000,");
	assert_says(&json, "\"disk\":{\"total\":");
	assert_says(&json, "\"network\":{\"bytes_sent\":3005000,");
}

static void test_a_tree_without_the_essential_is_an_error(void **state)
{
	(void)state;
	struct host_tree tree;
	struct errmsg why = ERRMSG_INIT;
	STRBUF_CLEANUP out = STRBUF_INIT;
	host_tree_make(&tree);
	struct host_collector *c = host_tree_collector(&tree);
	assert_int_equal(host_sample(c, HOST_STATS, &out, &why), ERR_IO);
	assert_string_equal(why.text, "can't read stat of /proc");
	host_tree_put(&tree, "proc/stat", "intr 5\n");
	assert_int_equal(host_sample(c, HOST_STATS, &out, &why), ERR_PROTOCOL);
	assert_int_equal(out.len, 0);
	host_collector_free(c);
	host_tree_remove(&tree);
	assert_int_equal(host_collector_new("/no/such", "/sys", &c, &why), ERR_IO);
	assert_string_equal(why.text, "can't open /no/such: No such file or directory");
}

static void test_the_missing_is_null(void **state)
{
	(void)state;
	struct host_tree tree;
	STRBUF_CLEANUP sample = STRBUF_INIT;
	STRBUF_CLEANUP json = STRBUF_INIT;
	host_tree_make(&tree);
	host_tree_basics(&tree);
	struct host_collector *c = host_tree_collector(&tree);
	take(c, HOST_STATS, &sample, &json);
	assert_says(&json, "\"frequency\":null");
	assert_says(&json, "\"load\":null");
	assert_says(&json, "\"pressure\":null");
	/* Without MemAvailable, what is not used counts as available. */
	assert_says(&json, "\"available\":536870912,\"used\":536870912,\"percent\":50.0");
	host_tree_put(&tree, "proc/uptime", "5.0 5.0\n");
	take(c, HOST_INFO, &sample, &json);
	assert_says(&json, "\"processor\":\"\"");
	assert_says(&json, "\"cpuCoresPhysical\":null");
	host_collector_free(c);
	host_tree_remove(&tree);
}

static void test_processor_use_between_readings(void **state)
{
	(void)state;
	struct host_tree tree;
	STRBUF_CLEANUP sample = STRBUF_INIT;
	STRBUF_CLEANUP json = STRBUF_INIT;
	host_tree_make(&tree);
	host_tree_basics(&tree);
	host_tree_put(&tree, "proc/stat",
		      "cpu  100 0 100 800 0 0 0 0\ncpu0 50 0 50 400\n"
		      "cpu1 50 0 50 400\ncpu2 0 0 0 400\n");
	struct host_collector *c = host_tree_collector(&tree);
	take(c, HOST_STATS, &sample, &json);
	clock_test_shift(NS_PER_S);
	/* Processor 1 went off line; idle time of processor 2 fell, which counts as nothing. */
	host_tree_put(&tree, "proc/stat",
		      "cpu  125 0 125 850 100 0 0 0\ncpu0 125 0 50 425\n"
		      "cpu2 100 0 0 300\ncpu3 5 0 0 5\n");
	take(c, HOST_STATS, &sample, &json);
	assert_says(&json, "\"usage_percent\":25.0,\"count\":3");
	assert_says(&json, "\"per_cpu\":[75.0,100.0,0.0]");
	/* A reading of long ago says nothing about now. */
	clock_test_shift(120 * NS_PER_S);
	host_tree_put(&tree, "proc/stat", "cpu  9000 0 0 0\ncpu0 1 0 0 0\n");
	take(c, HOST_STATS, &sample, &json);
	assert_says(&json, "\"usage_percent\":0.0");
	host_collector_free(c);
	host_tree_remove(&tree);
}

#define NETWORK_HEAD "Inter-|\n face |\n"

static void test_network_rates(void **state)
{
	(void)state;
	struct host_tree tree;
	STRBUF_CLEANUP sample = STRBUF_INIT;
	STRBUF_CLEANUP json = STRBUF_INIT;
	host_tree_make(&tree);
	host_tree_put(&tree, "proc/net/dev",
		      NETWORK_HEAD "eth0: 1000 1 0 0 0 0 0 0 5000 1 0 0 0 0 0 0\n");
	struct host_collector *c = host_tree_collector(&tree);
	take(c, HOST_NETWORK, &sample, &json);
	clock_test_shift(10000 * NS_PER_S); /* so long that the test's own time is nothing */
	host_tree_put(&tree, "proc/net/dev",
		      NETWORK_HEAD "new0: 7 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n"
				   "eth0: 20001000 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n");
	take(c, HOST_NETWORK, &sample, &json);
	/* A counter that fell was reset: no rate. */
	assert_says(&json, "\"bytes_sent_per_sec\":0.0,\"bytes_recv_per_sec\":2000.0,");
	assert_says(&json, "\"total\":{\"bytes_sent\":8,\"bytes_recv\":20001007,");
	host_collector_free(c);
	host_tree_remove(&tree);
}

static void test_disk_rates(void **state)
{
	(void)state;
	struct host_tree tree;
	STRBUF_CLEANUP sample = STRBUF_INIT;
	STRBUF_CLEANUP json = STRBUF_INIT;
	host_tree_make(&tree);
	host_tree_put(&tree, "sys/block/cciss!c0d0/dev", "1:0\n");
	host_tree_put(&tree, "proc/filesystems", "");
	host_tree_put(&tree, "proc/self/mounts", "");
	host_tree_put(&tree, "proc/diskstats", "1 0 cciss/c0d0 1 0 2 0 1 0 2 0 0 1000 0\n");
	struct host_collector *c = host_tree_collector(&tree);
	take(c, HOST_DISK, &sample, &json);
	clock_test_shift(10000 * NS_PER_S);
	host_tree_put(&tree, "proc/diskstats",
		      "1 0 cciss/c0d0 1 0 20002 0 1 0 40002 0 0 2501000 0\n");
	take(c, HOST_DISK, &sample, &json);
	assert_says(&json, "\"partitions\":[],\"io\":[{\"device\":\"cciss/c0d0\"");
	assert_says(&json, "\"read_bytes_per_sec\":1024.0,\"write_bytes_per_sec\":2048.0,"
			   "\"busy_percent\":25.0}");
	host_collector_free(c);
	host_tree_remove(&tree);
}

static void test_absurd_numbers_do_not_escape(void **state)
{
	(void)state;
	struct host_tree tree;
	STRBUF_CLEANUP sample = STRBUF_INIT;
	STRBUF_CLEANUP json = STRBUF_INIT;
	host_tree_make(&tree);
	host_tree_put(&tree, "proc/stat", "cpu  18446744073709551615 0 0 18446744073709551615\n");
	host_tree_put(&tree, "proc/uptime", "99999999999999999999.9 1\n");
	host_tree_put(&tree, "proc/loadavg", "18446744073709551615.9 1 1\n");
	/* A container may see less memory than is cached. */
	host_tree_put(&tree, "proc/meminfo",
		      "MemTotal: 100 kB\nMemFree: 50 kB\nCached: 18014398509481983 kB\n"
		      "Buffers: 18014398509481983 kB\nMemAvailable: 999999 kB\n");
	struct host_collector *c = host_tree_collector(&tree);
	take(c, HOST_STATS, &sample, &json);
	assert_says(&json, "\"total\":102400,\"available\":51200,\"used\":51200,\"percent\":50.0");
	assert_says(&json, "\"count\":0");
	host_tree_put(&tree, "proc/meminfo", "MemTotal: 100 kB\nMemFree: 50 kB\nCached: 70 kB\n");
	take(c, HOST_STATS, &sample, &json);
	assert_says(&json, "\"used\":51200,");
	strbuf_clear(&sample);
	assert_int_equal(host_sample(c, HOST_INFO, &sample, NULL), ERR_PROTOCOL);
	host_collector_free(c);
	host_tree_remove(&tree);
}

static void assert_service(const struct services *s, uint16_t port, bool udp, const char *expected)
{
	struct span name;
	assert_true(services_name(s, port, udp, &name));
	assert_int_equal(name.len, strlen(expected));
	assert_memory_equal(name.text, expected, name.len);
}

static void test_ports_have_names(void **state)
{
	(void)state;
	struct host_tree tree;
	struct services *s;
	struct span name;
	char path[128];
	host_tree_make(&tree);
	host_tree_put(&tree, "services",
		      "syslog 514/udp\nshell 514/tcp cmd\nssh 22/tcp\n"
		      "second 22/tcp\nlast 65535/udp\n");
	snprintf(path, sizeof(path), "%s/services", tree.root);
	assert_int_equal(services_load(path, &s), ERR_OK);
	assert_service(s, 514, true, "syslog");
	assert_service(s, 514, false, "shell");
	assert_service(s, 22, false, "ssh");
	assert_service(s, 65535, true, "last");
	assert_false(services_name(s, 22, true, &name));
	assert_false(services_name(s, 1, false, &name));
	services_free(s);
	assert_int_equal(services_load("/no/such/file", &s), ERR_OK);
	assert_false(services_name(s, 22, false, &name));
	services_free(s);
	host_tree_remove(&tree);
}

static void test_this_process_uses_memory(void **state)
{
	(void)state;
	assert_in_range(host_own_rss(), 100 << 10, UINT64_C(1) << 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_stats_of_a_host),
	    cmocka_unit_test(test_info_of_a_host),
	    cmocka_unit_test(test_processes_of_a_host),
	    cmocka_unit_test(test_ports_of_a_host),
	    cmocka_unit_test(test_network_of_a_host),
	    cmocka_unit_test(test_disks_of_a_host),
	    cmocka_unit_test(test_resources_of_a_host),
	    cmocka_unit_test(test_a_tree_without_the_essential_is_an_error),
	    cmocka_unit_test(test_the_missing_is_null),
	    cmocka_unit_test(test_processor_use_between_readings),
	    cmocka_unit_test(test_network_rates),
	    cmocka_unit_test(test_disk_rates),
	    cmocka_unit_test(test_absurd_numbers_do_not_escape),
	    cmocka_unit_test(test_ports_have_names),
	    cmocka_unit_test(test_this_process_uses_memory),
	};
	return cmocka_run_group_tests_name("host_collector", tests, NULL, NULL);
}
