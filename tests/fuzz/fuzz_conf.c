/*
 * The configuration file.  Checking and loading agree on whether it is good and on
 * the first error, and each error is one line; values stay within their rows'
 * bounds; what is printed of a good file is a file that sets the same.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"
#include "conf/conf.h"
#include "conf/conf_value.h"
#include "fuzz.h"
#include "reference.h"

enum { PATH_LEN = 32 };

/* A file in memory, by a path of its own; made once and written anew each time. */
static const char *file_with(const void *bytes, size_t len)
{
	static int fd = -1;
	static char path[PATH_LEN];
	if (fd < 0) {
		fd = memfd_create("ziggie.conf", MFD_CLOEXEC);
		AN_INVARIANT(fd >= 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	AN_INVARIANT(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	AN_INVARIANT(io_write_all(fd, bytes, len) == ERR_OK);
	return path;
}

static bool is_text(const struct conf_row *row)
{
	return row->type == CONF_TEXT || row->type == CONF_PATH;
}

static void check_bounds(const struct conf *c)
{
	for (int id = 0; id < CONF_COUNT; id++) {
		const struct conf_row *row = &conf_rows[id];
		const struct conf_value *value = &c->values[id];
		int64_t number =
		    is_text(row) ? (int64_t)strlen(value->text) : (int64_t)value->number;
		AN_INVARIANT(number >= row->min && number <= row->max);
		AN_INVARIANT(reference_utf8(value->text, strlen(value->text)));
	}
}

static void check_same(const struct conf *a, const struct conf *b)
{
	for (int id = 0; id < CONF_COUNT; id++) {
		AN_INVARIANT(a->values[id].number == b->values[id].number);
		if (is_text(&conf_rows[id]))
			AN_INVARIANT(strcmp(a->values[id].text, b->values[id].text) == 0);
	}
}

static void check_way_back(const struct conf *c)
{
	STRBUF_CLEANUP printed = STRBUF_INIT, report = STRBUF_INIT;
	struct conf again;
	conf_print(c, &printed);
	AN_INVARIANT(conf_init(&again, NULL) == ERR_OK);
	AN_INVARIANT(conf_check_file(&again, file_with(printed.data, printed.len), &report) == 0);
	check_same(c, &again);
	conf_release(&again);
}

static size_t count_lines(const char *text)
{
	size_t count = 0;
	for (; (text = strchr(text, '\n')) != NULL; text++)
		count++;
	return count;
}

/* Loading stops at the first error of the report; a good file may still not fit together. */
static void check_load(const char *path, const struct conf *checked, const struct strbuf *report)
{
	struct conf loaded;
	struct errmsg why = ERRMSG_INIT;
	enum err err = conf_load(&loaded, path, NULL, NULL, &why);
	AN_INVARIANT((err == ERR_OK) == (why.text[0] == '\0'));
	if (report->len > 0) {
		size_t first = strcspn(report->data, "\n");
		AN_INVARIANT(err == ERR_INVALID && strlen(why.text) == first);
		AN_INVARIANT(memcmp(why.text, report->data, first) == 0);
	}
	if (err != ERR_OK)
		return;
	if (conf_text(checked, host_id)[0] != '\0')
		check_same(checked, &loaded);
	check_bounds(&loaded);
	conf_release(&loaded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	STRBUF_CLEANUP report = STRBUF_INIT;
	struct conf c;
	const char *path = file_with(data, size);
	AN_INVARIANT(conf_init(&c, NULL) == ERR_OK);
	size_t errors = conf_check_file(&c, path, &report);
	AN_INVARIANT(count_lines(report.data) == errors);
	check_bounds(&c);
	check_load(path, &c, &report);
	check_way_back(&c);
	conf_release(&c);
	return 0;
}
