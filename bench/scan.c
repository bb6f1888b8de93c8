/*
 * What a scan of all processes costs, next to reading their stat files and nothing
 * else.  Both take turns over the current /proc; the medians are printed as one JSON
 * object.  bench/scan_psutil.py adds sleeping processes and psutil.
 */
#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/num.h"
#include "host/host.h"

enum { ROUNDS_DEFAULT = 15, ROUNDS_MAX = 1000 };

/* A collector waits for 100 ms between two readings; that is not what we measure. */
static const struct timespec pause_between = {.tv_nsec = 120 * 1000 * 1000};

static const char usage[] =
    "Usage: scan [--rounds N]\n"
    "Print the median times of reading every /proc/PID/stat and of a full process sample.\n";

static size_t read_raw(void)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	char path[300], buffer[2048];
	size_t processes = 0;
	if (dir == NULL)
		return 0;
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "%s/stat", entry->d_name);
		FD_CLEANUP fd = openat(dirfd(dir), path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && read(fd, buffer, sizeof(buffer)) > 0)
			processes++;
	}
	closedir(dir);
	return processes;
}

static void sample_or_die(struct host_collector *c, struct strbuf *out)
{
	struct errmsg why = ERRMSG_INIT;
	strbuf_clear(out);
	if (host_sample(c, HOST_PROCESSES, out, &why) == ERR_OK)
		return;
	fprintf(stderr, "scan: %s\n", why.text);
	exit(EX_OSERR);
}

static int compare(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

static double median_us(int64_t *times, size_t count)
{
	qsort(times, count, sizeof(*times), compare);
	return (double)times[count / 2] / (double)NS_PER_US;
}

static void measure(struct host_collector *c, size_t rounds)
{
	int64_t raw[ROUNDS_MAX] = {0}, ours[ROUNDS_MAX] = {0};
	size_t processes = 0;
	STRBUF_CLEANUP out = STRBUF_INIT;
	sample_or_die(c, &out); /* long names and real users are read once per process */
	for (size_t i = 0; i < 2 * rounds; i++) {
		nanosleep(&pause_between, NULL);
		int64_t start = clock_mono_ns();
		if (i % 2 == 0)
			processes = read_raw();
		else
			sample_or_die(c, &out);
		(i % 2 == 0 ? raw : ours)[i / 2] = clock_mono_ns() - start;
	}
	double raw_us = median_us(raw, rounds), ours_us = median_us(ours, rounds);
	printf("{\"processes\":%zu,\"rounds\":%zu,\"raw_us\":%.0f,\"sample_us\":%.0f,"
	       "\"ratio\":%.2f,\"sample_bytes\":%zu}\n",
	       processes, rounds, raw_us, ours_us, ours_us / raw_us, out.len);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"rounds", required_argument, NULL, 'r'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	uint64_t rounds = ROUNDS_DEFAULT;
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'h')
			return fputs(usage, stdout) < 0 ? EX_IOERR : EX_OK;
		if (option != 'r' || !num_u64s(optarg, 1, ROUNDS_MAX, &rounds)) {
			fputs(usage, stderr);
			return EX_USAGE;
		}
	}
	struct host_collector *c;
	struct errmsg why = ERRMSG_INIT;
	if (host_collector_new("/proc", "/sys", &c, &why) != ERR_OK) {
		fprintf(stderr, "scan: %s\n", why.text);
		return EX_OSERR;
	}
	measure(c, (size_t)rounds);
	host_collector_free(c);
	return EX_OK;
}
