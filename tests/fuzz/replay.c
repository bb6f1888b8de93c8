/*
 * Runs every file of a fuzz target's corpus through the target, for `make check`;
 * speaks TAP.  The directory is $ZIGGIE_TEST_SRCDIR/tests/fuzz/corpus/NAME, NAME
 * being the program's name behind "replay_".
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/io.h"
#include "base/strbuf.h"

enum { FILE_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *corpus_name(const char *program)
{
	static const char prefix[] = "replay_";
	const char *at = strstr(program, prefix);
	return at != NULL ? at + sizeof(prefix) - 1 : program;
}

static unsigned replay_all(DIR *directory, unsigned *failed)
{
	unsigned count = 0;
	const struct dirent *entry;
	while ((entry = readdir(directory)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		STRBUF_CLEANUP bytes = STRBUF_INIT;
		bool is_read =
		    io_read_file_at(dirfd(directory), entry->d_name, FILE_MAX, &bytes) == ERR_OK;
		/* A finding aborts. */
		if (is_read)
			LLVMFuzzerTestOneInput((const uint8_t *)bytes.data, bytes.len);
		else
			++*failed;
		printf("%s %u - %s\n", is_read ? "ok" : "not ok", ++count, entry->d_name);
		fflush(stdout);
	}
	return count;
}

int main(int argc, char **argv)
{
	const char *source = getenv("ZIGGIE_TEST_SRCDIR");
	STRBUF_CLEANUP path = STRBUF_INIT;
	(void)argc;
	strbuf_addf(&path, "%s/tests/fuzz/corpus/%s", source != NULL ? source : ".",
		    corpus_name(argv[0]));
	DIR *directory = opendir(path.data);
	if (directory == NULL) {
		printf("Bail out! can't open %s\n", path.data);
		return EX_NOINPUT;
	}
	unsigned failed = 0;
	unsigned count = replay_all(directory, &failed);
	closedir(directory);
	printf("1..%u\n", count);
	return count == 0 || failed > 0;
}
