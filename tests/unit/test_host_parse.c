/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "host/parse.h"

#define TEXT(literal) (literal), sizeof(literal) - 1

static void assert_span(struct span s, const char *text)
{
	assert_int_equal(s.len, strlen(text));
	assert_memory_equal(s.text, text, s.len);
}

#define CLOSE_TO(a, b) assert_true((a) - (b) < 1e-9 && (b) - (a) < 1e-9)

/* ---- cursor ---- */

static void test_numbers_stop_at_what_does_not_fit(void **state)
{
	(void)state;
	uint64_t value = 7;
	struct cursor c = cursor_over(TEXT("  18446744073709551615x"));
	assert_true(cursor_u64(&c, &value));
	assert_true(value == UINT64_MAX);
	assert_int_equal(cursor_left(&c), 1);
	c = cursor_over(TEXT("18446744073709551616"));
	assert_false(cursor_u64(&c, &value));
	c = cursor_over(TEXT("-1"));
	assert_false(cursor_u64(&c, &value));
	c = cursor_over(TEXT("   "));
	assert_false(cursor_u64(&c, &value));
	assert_true(value == UINT64_MAX);
	double real;
	c = cursor_over(TEXT("12.25 "));
	assert_true(cursor_real(&c, &real));
	CLOSE_TO(real, 12.25);
	uint32_t hex;
	c = cursor_over(TEXT("0aFfg"));
	assert_true(cursor_hex(&c, 4, &hex));
	assert_int_equal(hex, 0x0aff);
	assert_false(cursor_hex(&c, 1, &hex));
}

static void test_lines_need_no_last_newline(void **state)
{
	(void)state;
	struct cursor c = cursor_over(TEXT("a\n\nb")), line;
	assert_true(cursor_line(&c, &line));
	assert_int_equal(cursor_left(&line), 1);
	assert_true(cursor_line(&c, &line));
	assert_int_equal(cursor_left(&line), 0);
	assert_true(cursor_line(&c, &line));
	assert_int_equal(*line.at, 'b');
	assert_false(cursor_line(&c, &line));
}

/* ---- /proc/stat ---- */

static const char stat_text[] = "cpu  10 20 30 40 50 60 70 80 90 100\n"
				"cpu0 1 2 3 4 5 6 7 8 9 10\n"
				"cpu7 2 2 3 4\n"
				"cpu8 x\n"
				"intr 1 2 3\n"
				"btime 1700000000\n";

static void test_stat(void **state)
{
	(void)state;
	struct stat_file stat;
	struct cpu_times cpus[1];
	size_t count;
	assert_true(parse_stat(TEXT(stat_text), &stat, cpus, 1, &count));
	assert_int_equal(count, 2);
	assert_int_equal(stat.boot_time, 1700000000);
	assert_int_equal(stat.all.ticks[CPU_USER], 10);
	assert_int_equal(stat.all.ticks[CPU_STEAL], 80);
	assert_int_equal(cpus[0].id, 0);
	assert_int_equal(cpus[0].ticks[CPU_IOWAIT], 5);
	struct cpu_times both[2];
	assert_true(parse_stat(TEXT(stat_text), &stat, both, 2, &count));
	assert_int_equal(both[1].id, 7);
	assert_int_equal(both[1].ticks[CPU_IOWAIT], 0);
	assert_false(parse_stat(TEXT("btime 5\n"), &stat, both, 2, &count));
}

/* ---- processes ---- */

#define AFTER_NAME                                                                                 \
	" S 1 42 42 0 -1 4194560 100 7 30 4 500 250 9 9 20 0 3 0 12345 99 1260 "                   \
	"18446744073709551615"

static void assert_name(const char *text, size_t len, const char *name, size_t name_len)
{
	struct pid_stat stat;
	assert_true(parse_pid_stat(text, len, &stat));
	assert_int_equal(stat.name.len, name_len);
	assert_memory_equal(stat.name.text, name, name_len);
	assert_int_equal(stat.ppid, 1);
	assert_int_equal(stat.start_ticks, 12345);
}

static void test_pid_stat(void **state)
{
	(void)state;
	struct pid_stat stat;
	assert_true(parse_pid_stat(TEXT("42 (cat)" AFTER_NAME "\n"), &stat));
	assert_int_equal(stat.pid, 42);
	assert_int_equal(stat.state, 'S');
	assert_int_equal(stat.cpu_ticks, 750);
	assert_int_equal(stat.faults, 130);
	assert_int_equal(stat.threads, 3);
	assert_int_equal(stat.rss_pages, 1260);
}

static void test_names_hold_any_byte(void **state)
{
	(void)state;
	assert_name(TEXT("1 (a b)" AFTER_NAME), TEXT("a b"));
	assert_name(TEXT("1 ()" AFTER_NAME), TEXT(""));
	assert_name(TEXT("1 (a) S 2 3)" AFTER_NAME), TEXT("a) S 2 3"));
	assert_name(TEXT("1 (((((()" AFTER_NAME), TEXT("((((("));
	assert_name(TEXT("1 (x\ny)" AFTER_NAME), TEXT("x\ny"));
	assert_name(TEXT("1 (\xff\xfe)\xc3)" AFTER_NAME), TEXT("\xff\xfe)\xc3"));
}

static void test_pid_stat_refuses_the_absurd(void **state)
{
	(void)state;
	static const char *const texts[] = {
	    "",
	    "42",
	    "42 (cat",
	    "42 (cat)",
	    "42 (cat) ",
	    "42 (cat) S",
	    "42 (cat) S 1 42 42 0",
	    "x (cat)" AFTER_NAME,
	    "99999999999 (cat)" AFTER_NAME,
	    "42 cat" AFTER_NAME,
	    /* a tick count that does not fit, a sum that does not, and too many threads */
	    "4 (c) S 1 2 2 0 -1 4 1 0 0 0 99999999999999999999 2 9 9 20 0 3 0 1 9 1 1",
	    "4 (c) S 1 2 2 0 -1 4 1 0 0 0 18446744073709551615 2 9 9 20 0 3 0 1 9 1 1",
	    "4 (c) S 1 2 2 0 -1 4 1 0 0 0 1 2 9 9 20 0 4294967296 0 1 9 1 1",
	};
	struct pid_stat stat;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_false(parse_pid_stat(texts[i], strlen(texts[i]), &stat));
}

static void test_status_uid(void **state)
{
	(void)state;
	uint32_t uid = 0;
	assert_true(parse_pid_status_uid(TEXT("Name:\tx\nUid:\t1000\t0\t0\t0\n"), &uid));
	assert_int_equal(uid, 1000);
	assert_false(parse_pid_status_uid(TEXT("Name:\tUid:\t5\n"), &uid));
	assert_false(parse_pid_status_uid(TEXT("Uid:\t4294967296\n"), &uid));
	uint64_t pages;
	assert_true(parse_pid_statm(TEXT("2000 501 3 4\n"), &pages));
	assert_int_equal(pages, 501);
	assert_false(parse_pid_statm(TEXT("2000"), &pages));
}

static void assert_full(const char *cmdline, size_t len, const char *comm, const char *expected)
{
	struct span name = {.text = comm, .len = strlen(comm)}, full = name;
	parse_cmdline_name(cmdline, len, name, &full);
	assert_span(full, expected);
}

static void test_long_names_come_from_the_command(void **state)
{
	(void)state;
	const char *cut = "gnome-keyring-d", *whole = "gnome-keyring-daemon";
	assert_full(TEXT("/usr/bin/gnome-keyring-daemon\0--start\0"), cut, whole);
	assert_full(TEXT("gnome-keyring-daemon\0"), cut, whole);
	assert_full(TEXT("gnome-keyring-daemon --start"), cut, whole);
	assert_full(TEXT("gnome-keyring-daemon --start\0"), cut, whole);
	assert_full(TEXT("/usr/bin/other\0gnome-keyring-daemon\0"), cut, cut);
	assert_full(TEXT("/usr/bin/\0"), cut, cut);
	assert_full(TEXT("\0\0"), cut, cut);
	assert_full(TEXT(""), cut, cut);
	assert_full(TEXT("/bin/gnome\0"), cut, cut);
}

/* ---- memory, load, pressure, processors ---- */

static void test_meminfo(void **state)
{
	(void)state;
	struct meminfo m;
	assert_true(parse_meminfo(TEXT("MemTotal:  100 kB\nMemFree: 40 kB\nSwapCached: 9 kB\n"
				       "MemAvailable: 60 kB\nCached: 20 kB\n"),
				  &m));
	assert_int_equal(m.total, 102400);
	assert_int_equal(m.free, 40960);
	assert_int_equal(m.cached, 20480);
	assert_true(m.has_available);
	assert_int_equal(m.available, 61440);
	assert_true(parse_meminfo(TEXT("MemTotal: 1 kB\nMemAvailable: none\n"), &m));
	assert_false(m.has_available);
	assert_false(parse_meminfo(TEXT("MemTotal: 18446744073709551615 kB\n"), &m));
	assert_false(parse_meminfo(TEXT("MemFree: 5 kB\n"), &m));
}

static void test_load_uptime_and_pressure(void **state)
{
	(void)state;
	double load[3], uptime;
	assert_true(parse_loadavg(TEXT("0.25 1.50 12.75 1/2 3\n"), load));
	CLOSE_TO(load[2], 12.75);
	assert_false(parse_loadavg(TEXT("0.25 1.50"), load));
	assert_true(parse_uptime(TEXT("86400.42 1.0\n"), &uptime));
	CLOSE_TO(uptime, 86400.42);
	struct pressure p;
	assert_true(parse_pressure(TEXT("some avg10=1.50 avg60=0.75 avg300=0.10 total=5\n"), &p));
	assert_false(p.has_full);
	CLOSE_TO(p.some.avg60, 0.75);
	assert_int_equal(p.some.total_us, 5);
	assert_false(parse_pressure(TEXT("some avg10=1.50 total=5\n"), &p));
	assert_false(parse_pressure(TEXT(""), &p));
}

static void test_cpuinfo(void **state)
{
	(void)state;
	struct cpuinfo info;
	parse_cpuinfo(TEXT("processor\t: 0\nmodel name\t: A B \ncpu MHz\t: 1000.5\nphysical id\t: "
			   "0\ncore id\t: 0\n\n"
			   "processor\t: 1\nmodel name\t: C\ncpu MHz\t: 2000.5\nphysical id\t: "
			   "0\ncore id\t: 0\n\n"
			   "processor\t: 2\ncpu MHz\t: x\nphysical id\t: 1\ncore id\t: 0\n"),
		      &info);
	assert_span(info.model, "A B");
	CLOSE_TO(info.mhz_sum, 3001.0);
	assert_int_equal(info.mhz_count, 2);
	assert_int_equal(info.physical_cores, 2);
	parse_cpuinfo(TEXT("processor : 0\nBogoMIPS : 50\n"), &info);
	assert_int_equal(info.physical_cores, 0);
	assert_int_equal(info.model.len, 0);
}

/* ---- network and disks ---- */

static void test_netdev(void **state)
{
	(void)state;
	static const char text[] = "Inter-|   Receive\n face |bytes\n"
				   "    lo:5000 50 1 2 0 0 0 0 6000 60 3 4 0 0 0 0\n"
				   "eth0:1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
				   "broken: 1 2\n"
				   "n\0l: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
				   "a-name-of-sixteen: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n";
	struct cursor file = cursor_over(TEXT(text));
	struct netdev_row row;
	assert_true(netdev_next(&file, &row));
	assert_string_equal(row.name, "lo");
	assert_int_equal(row.counters.bytes_recv, 5000);
	assert_int_equal(row.counters.dropin, 2);
	assert_int_equal(row.counters.bytes_sent, 6000);
	assert_int_equal(row.counters.dropout, 4);
	assert_true(netdev_next(&file, &row));
	assert_string_equal(row.name, "eth0:1");
	assert_int_equal(row.counters.bytes_sent, 9);
	assert_false(netdev_next(&file, &row));
}

static void test_diskstats(void **state)
{
	(void)state;
	static const char text[] = "8 1 old 1 2 3 4\n"
				   " 254 0 vda 1000 20 80000 300 500 10 40000 200 0 600 500 0 0\n"
				   "8 0 huge 1 1 99999999999999999999 1 1 1 1 1 1 1 1\n"
				   "8 0 wraps 1 1 18446744073709551615 1 1 1 1 1 1 1 1\n";
	struct cursor file = cursor_over(TEXT(text));
	struct diskstats_row row;
	assert_true(diskstats_next(&file, &row));
	assert_string_equal(row.name, "vda");
	assert_int_equal(row.read_count, 1000);
	assert_int_equal(row.read_bytes, 80000 * 512);
	assert_int_equal(row.write_count, 500);
	assert_int_equal(row.write_bytes, 40000 * 512);
	assert_int_equal(row.busy_ms, 600);
	assert_false(diskstats_next(&file, &row));
}

static void test_mounts(void **state)
{
	(void)state;
	struct cursor file = cursor_over(TEXT("/dev/a /with\\040blank ext4 rw 0 0\nshort line\n"
					      "/dev/b /b\\134\\09x vfat"));
	struct mounts_row row;
	char path[32];
	assert_true(mounts_next(&file, &row));
	assert_true(mounts_unescape(row.mountpoint, path, sizeof(path)));
	assert_string_equal(path, "/with blank");
	assert_false(mounts_unescape(row.mountpoint, path, strlen("/with blank")));
	assert_true(mounts_next(&file, &row));
	assert_true(mounts_unescape(row.mountpoint, path, sizeof(path)));
	assert_string_equal(path, "/b\\\\09x");
	assert_false(mounts_next(&file, &row));
	struct span type;
	file = cursor_over(TEXT("nodev\tproc\n\text4\nnodev\tzfs\n\n\tvfat"));
	static const char *const expected[] = {"ext4", "zfs", "vfat"};
	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		assert_true(filesystems_next(&file, &type));
		assert_span(type, expected[i]);
	}
	assert_false(filesystems_next(&file, &type));
}

/* ---- sockets ---- */

static void test_proc_net(void **state)
{
	(void)state;
	static const char text[] =
	    "  sl  local_address rem_address   st\n"
	    "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 1 0 77 1\n"
	    "   1: 0100007F:1F90 00000000:0000 FF 00000000:00000000 00:00000000 00000000 1 0 78 1\n"
	    "   2: 0100007F:1F9 00000000:0000 0A 0:0 0:0 0 1 0 78 1\n";
	struct cursor file = cursor_over(TEXT(text));
	struct socket_row row;
	uint32_t loopback;
	assert_true(proc_net_next(&file, false, &row));
	memcpy(&loopback, row.address, sizeof(loopback));
	assert_int_equal(loopback, UINT32_C(0x0100007F)); /* as printed, in this byte order */
	assert_int_equal(row.port, 8080);
	assert_int_equal(row.state, 10);
	assert_int_equal(row.inode, 77);
	assert_false(proc_net_next(&file, false, &row));
}

struct diag_message {
	struct nlmsghdr header;
	struct inet_diag_msg body;
};

static struct diag_message diag_message(uint8_t family, uint8_t state)
{
	return (struct diag_message){
	    .header = {.nlmsg_len = sizeof(struct diag_message), .nlmsg_type = SOCK_DIAG_BY_FAMILY},
	    .body = {.idiag_family = family,
		     .idiag_state = state,
		     .id = {.idiag_sport = htons(443), .idiag_src = {htonl(0x7f000001)}},
		     .idiag_inode = 99},
	};
}

static void test_diag(void **state)
{
	(void)state;
	struct diag_message messages[] = {diag_message(AF_INET, 10), diag_message(AF_UNIX, 1),
					  diag_message(AF_INET6, 13), diag_message(AF_INET6, 12),
					  diag_message(AF_INET, 1)};
	messages[4].header.nlmsg_type = NLMSG_DONE;
	struct cursor c = cursor_over((const char *)messages, sizeof(messages));
	struct socket_row row;
	assert_int_equal(diag_next(&c, &row), DIAG_ROW);
	assert_int_equal(row.port, 443);
	assert_int_equal(row.inode, 99);
	assert_int_equal(row.address[0], 127);
	assert_false(row.v6);
	assert_int_equal(diag_next(&c, &row), DIAG_ROW);
	assert_int_equal(row.state, 12);
	assert_true(row.v6);
	assert_int_equal(diag_next(&c, &row), DIAG_DONE);
	c = cursor_over((const char *)messages, sizeof(messages[0]));
	diag_next(&c, &row);
	assert_int_equal(diag_next(&c, &row), DIAG_END_OF_BUFFER);
}

static void test_diag_refuses_what_is_cut(void **state)
{
	(void)state;
	struct diag_message message = diag_message(AF_INET, 10);
	struct socket_row row;
	for (size_t len = 1; len < sizeof(message); len++) {
		struct cursor c = cursor_over((const char *)&message, len);
		assert_int_equal(diag_next(&c, &row), DIAG_ERROR);
	}
	message.header.nlmsg_len = 4;
	struct cursor c = cursor_over((const char *)&message, sizeof(message));
	assert_int_equal(diag_next(&c, &row), DIAG_ERROR);
	message.header.nlmsg_len = sizeof(struct nlmsghdr) + 8; /* no room for a socket */
	c = cursor_over((const char *)&message, sizeof(struct nlmsghdr) + 8);
	assert_int_equal(diag_next(&c, &row), DIAG_END_OF_BUFFER);
	message.header.nlmsg_type = NLMSG_ERROR;
	c = cursor_over((const char *)&message, sizeof(message));
	assert_int_equal(diag_next(&c, &row), DIAG_ERROR);
}

static void test_services(void **state)
{
	(void)state;
	struct cursor file =
	    cursor_over(TEXT("# comment 1/tcp\n\nssh\t22/tcp # Shell\ndomain 53/udp\n"
			     "sctp 9/sctp\nbig 65536/tcp\nnone\nhttp 80/tcp www"));
	struct services_row row;
	assert_true(services_next(&file, &row));
	assert_span(row.name, "ssh");
	assert_int_equal(row.port, 22);
	assert_true(services_next(&file, &row));
	assert_true(row.udp);
	assert_true(services_next(&file, &row));
	assert_span(row.name, "http");
	assert_false(services_next(&file, &row));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_numbers_stop_at_what_does_not_fit),
	    cmocka_unit_test(test_lines_need_no_last_newline),
	    cmocka_unit_test(test_stat),
	    cmocka_unit_test(test_pid_stat),
	    cmocka_unit_test(test_names_hold_any_byte),
	    cmocka_unit_test(test_pid_stat_refuses_the_absurd),
	    cmocka_unit_test(test_status_uid),
	    cmocka_unit_test(test_long_names_come_from_the_command),
	    cmocka_unit_test(test_meminfo),
	    cmocka_unit_test(test_load_uptime_and_pressure),
	    cmocka_unit_test(test_cpuinfo),
	    cmocka_unit_test(test_netdev),
	    cmocka_unit_test(test_diskstats),
	    cmocka_unit_test(test_mounts),
	    cmocka_unit_test(test_proc_net),
	    cmocka_unit_test(test_diag),
	    cmocka_unit_test(test_diag_refuses_what_is_cut),
	    cmocka_unit_test(test_services),
	};
	return cmocka_run_group_tests_name("host_parse", tests, NULL, NULL);
}
