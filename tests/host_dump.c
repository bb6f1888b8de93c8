/*
 * Prints the default answers of lib/host, for tests that compare them with what
 * others read: host_dump [-n SAMPLES] [-i SECONDS] KIND…  One JSON object a line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/num.h"
#include "host/host.h"

static int usage(void)
{
	fputs("usage: host_dump [-n SAMPLES] [-i SECONDS] KIND...\n", stderr);
	return 64;
}

static bool kind_of(const char *name, enum host_kind *out)
{
	for (unsigned kind = 0; kind < HOST_KIND_COUNT; kind++) {
		if (strcmp(name, host_kind_names[kind]) == 0) {
			*out = (enum host_kind)kind;
			return true;
		}
	}
	return false;
}

static int dump(struct host_collector *c, const char *name)
{
	STRBUF_CLEANUP sample = STRBUF_INIT;
	struct errmsg why = ERRMSG_INIT;
	struct host_view view;
	enum host_kind kind;
	if (!kind_of(name, &kind))
		return usage();
	if (host_sample(c, kind, &sample, &why) != ERR_OK) {
		fprintf(stderr, "host_dump: %s\n", why.text);
		return 1;
	}
	if (host_view_open(sample.data, sample.len, &view) != ERR_OK) {
		fputs("host_dump: the sample can't be read back\n", stderr);
		return 1;
	}
	printf("%.*s\n", (int)view.json_len, view.json);
	fflush(stdout);
	return 0;
}

static int run(struct host_collector *c, char **kinds, uint64_t samples, uint64_t seconds)
{
	const struct timespec interval = {.tv_sec = (time_t)seconds};
	for (uint64_t i = 0; i < samples; i++) {
		if (i > 0)
			nanosleep(&interval, NULL);
		for (char **kind = kinds; *kind != NULL; kind++) {
			int status = dump(c, *kind);
			if (status != 0)
				return status;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t samples = 1, seconds = 1;
	int option;
	while ((option = getopt(argc, argv, "n:i:")) != -1) {
		uint64_t *number = option == 'n' ? &samples : &seconds;
		if (option == '?' || !num_u64s(optarg, 1, 3600, number))
			return usage();
	}
	if (optind == argc)
		return usage();
	struct host_collector *c;
	struct errmsg why = ERRMSG_INIT;
	if (host_collector_new("/proc", "/sys", &c, &why) != ERR_OK) {
		fprintf(stderr, "host_dump: %s\n", why.text);
		return 1;
	}
	int status = run(c, argv + optind, samples, seconds);
	host_collector_free(c);
	return status;
}
