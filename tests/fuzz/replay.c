/*
 * Takes libFuzzer's place in `make check`: runs every file of a target's corpus
 * through the target, then the file cut short and with bytes changed, as often as a
 * bounded time allows; speaks TAP.  A finding aborts.  The directory is
 * $ZIGGIE_TEST_SRCDIR/tests/fuzz/corpus/NAME, NAME being the program's name behind
 * "fuzz_".  Inputs stand in blocks of exactly their size for a sanitizer to watch.
 */
#include <dirent.h>
#include <stdio.h>
#include <sysexits.h>

#include "base/io.h"
#include "fuzz.h"

enum { FILE_MAX = 1 << 20, VARIATIONS = 48 };

static const char *corpus_name(const char *program)
{
	static const char prefix[] = "fuzz_";
	const char *at = strrchr(program, '/');
	at = strstr(at != NULL ? at : program, prefix);
	return at != NULL ? at + sizeof(prefix) - 1 : program;
}

static void run(const char *bytes, size_t len)
{
	uint8_t *copy = exact_copy(bytes, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

/* Cuts spread over the file, each also with one byte changed. */
static void run_variations(const struct strbuf *file)
{
	static const char bytes[] = "\n :)(9-\\\xff";
	for (size_t i = 0; i < VARIATIONS && file->len > 0; i++) {
		size_t len = file->len * i / VARIATIONS;
		run(file->data, len);
		char *changed = exact_copy(file->data, file->len);
		changed[len] = bytes[i % sizeof(bytes)];
		run(changed, file->len);
		run(changed, len + 1);
		free(changed);
	}
}

static unsigned replay_all(DIR *directory, unsigned *failed)
{
	unsigned count = 0;
	const struct dirent *entry;
	while ((entry = readdir(directory)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		STRBUF_CLEANUP file = STRBUF_INIT;
		bool is_read =
		    io_read_file_at(dirfd(directory), entry->d_name, FILE_MAX, &file) == ERR_OK;
		if (is_read) {
			run(file.data, file.len);
			run_variations(&file);
		} else {
			++*failed;
		}
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
