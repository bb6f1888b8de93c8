/*
 * The configuration file.  What it sets and how many of its lines are wrong is what a
 * plain reading says.  Checking and loading agree on whether it is good and on the
 * first error, and each error is one line; values stay within their rows' bounds; what
 * is printed is a file that sets the same.
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

/* ---- the plain reading ---- */

/* Without the blanks at both ends. */
static void trim(struct strbuf *text)
{
	static const char blanks[] = " \t\r";
	STRBUF_CLEANUP copy = STRBUF_INIT;
	size_t from = strspn(text->data, blanks), to = text->len;
	while (to > from && strchr(blanks, text->data[to - 1]) != NULL)
		to--;
	strbuf_add(&copy, text->data + from, to - from);
	strbuf_clear(text);
	strbuf_add(text, copy.data, copy.len);
}

/* What stands before the character, taken off together with it; false when it is not there. */
static bool cut(struct strbuf *text, char at, struct strbuf *before)
{
	const char *found = strchr(text->data, at);
	STRBUF_CLEANUP rest = STRBUF_INIT;
	if (found == NULL)
		return false;
	strbuf_add(before, text->data, (size_t)(found - text->data));
	strbuf_adds(&rest, found + 1);
	strbuf_clear(text);
	strbuf_add(text, rest.data, rest.len);
	return true;
}

static bool same_letter(char given, char own)
{
	return given == own || (own == '_' && given == '-') ||
	       (own >= 'a' && own <= 'z' && given == own - 'a' + 'A');
}

static int row_named(const struct strbuf *key)
{
	for (int id = 0; id < CONF_COUNT; id++) {
		const char *name = conf_rows[id].name;
		size_t same = 0;
		while (same < key->len && name[same] != '\0' &&
		       same_letter(key->data[same], name[same]))
			same++;
		if (same == key->len && name[same] == '\0')
			return id;
	}
	return -1;
}

/* The value that a line gives, in *rest before; false when there is none to be had. */
static bool read_value(struct strbuf *rest, struct strbuf *value)
{
	STRBUF_CLEANUP before = STRBUF_INIT;
	trim(rest);
	if (rest->data[0] != '"') {
		if (!cut(rest, '#', value))
			strbuf_add(value, rest->data, rest->len);
		trim(value);
		return true;
	}
	bool closed = cut(rest, '"', &before) && cut(rest, '"', value);
	trim(rest);
	return closed && (rest->len == 0 || rest->data[0] == '#');
}

/* False when the line is wrong. */
static bool read_line(struct conf *c, struct strbuf *line)
{
	STRBUF_CLEANUP key = STRBUF_INIT, value = STRBUF_INIT;
	trim(line);
	if (line->len == 0 || line->data[0] == '#')
		return true;
	if (!cut(line, '=', &key))
		return false;
	trim(&key);
	int id = row_named(&key);
	return id >= 0 && read_value(line, &value) &&
	       conf_set(c, (enum conf_id)id, value.data, "reference", NULL) == ERR_OK;
}

/* Sets what the file sets; the number of lines that are wrong. */
static size_t read_plainly(struct conf *c, const char *text, size_t len)
{
	size_t wrong = 0;
	if (len > 0 && memchr(text, '\0', len) != NULL)
		return 1;
	for (size_t at = 0; at < len;) {
		STRBUF_CLEANUP line = STRBUF_INIT;
		const char *end = memchr(text + at, '\n', len - at);
		size_t line_len = end != NULL ? (size_t)(end - text) - at : len - at;
		strbuf_add(&line, text + at, line_len);
		wrong += !read_line(c, &line);
		at += line_len + 1;
	}
	return wrong;
}

static void check_plain_reading(const struct conf *c, size_t errors, const char *text, size_t len)
{
	struct conf wanted;
	AN_INVARIANT(conf_init(&wanted, NULL) == ERR_OK);
	AN_INVARIANT(read_plainly(&wanted, text, len) == errors);
	check_same(c, &wanted);
	conf_release(&wanted);
}

/* ---- what the code says ---- */

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
	check_plain_reading(&c, errors, (const char *)data, size);
	check_bounds(&c);
	check_load(path, &c, &report);
	check_way_back(&c);
	conf_release(&c);
	return 0;
}
