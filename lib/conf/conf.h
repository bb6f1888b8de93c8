/*
 * Settings: one table (settings.h) and three sources, the later ones winning: the
 * configuration file, ZIGGIE_<NAME> in the environment, --<name> on the command
 * line.  An unknown key or a bad value is an error that names file and line (or
 * the variable, or the option), the key, and what is allowed.
 *
 * The file has `key = value` lines; `#` starts a comment; quotes are optional and
 * keep blanks.  A struct conf is filled once and read-only afterwards, so threads
 * share it freely.
 */
#ifndef ZIGGIE_CONF_CONF_H
#define ZIGGIE_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strbuf.h"

enum conf_id {
#define ROW(name, type, default_text, min, max, unit, reload, doc) CONF_##name,
#include "conf/settings.h"
#undef ROW
	CONF_COUNT
};

enum conf_type { CONF_UINT, CONF_BOOL, CONF_TEXT, CONF_PATH, CONF_DURATION, CONF_SIZE };

struct conf_row {
	const char *name;
	enum conf_type type;
	const char *default_text;
	int64_t min;
	int64_t max;
	const char *unit;
	bool reloads;
	const char *doc;
};
extern const struct conf_row conf_rows[CONF_COUNT];

struct conf_value {
	int64_t number; /* UINT, BOOL, DURATION (ms), SIZE (bytes) */
	char *text;     /* TEXT, PATH */
	char *source;   /* "default", "FILE:LINE", "ZIGGIE_X" or "--x" */
};

struct conf {
	char *file; /* the file that was read; NULL for none */
	struct conf_value values[CONF_COUNT];
};

/* conf_number(c, db_port), conf_text(c, socket): checked against the table when compiling. */
#define conf_number(conf, name) ((conf)->values[CONF_##name].number)
#define conf_text(conf, name) ((conf)->values[CONF_##name].text)

/* Sets the defaults; conf_release() frees. */
enum err conf_init(struct conf *c, struct errmsg *why);
void conf_release(struct conf *c);

/*
 * conf_load does all of it, in order: file, environment, command line.  A NULL
 * file means $ZIGGIE_CONFIG, else the system's ziggie.conf when that exists.
 * Options it knows (--name=value or --name value, - and _ alike) are taken out of
 * argv; *argc shrinks.  The first error wins; conf_check_file reports all of a
 * file's errors, a line each.
 */
enum err conf_load(struct conf *c, const char *file, int *argc, char **argv, struct errmsg *why);
size_t conf_check_file(struct conf *c, const char *file, struct strbuf *report);

enum err conf_set(struct conf *c, enum conf_id id, const char *text, const char *source,
		  struct errmsg *why);

/* What --print-config shows: every setting with its value and where it came from. */
void conf_print(const struct conf *c, struct strbuf *out);
/* The shipped example, the reference in Markdown and the manual page's section. */
void conf_print_example(struct strbuf *out);
void conf_print_reference(struct strbuf *out);
void conf_print_man(struct strbuf *out);
/* A value as the file writes it. */
void conf_format(const struct conf *c, enum conf_id id, struct strbuf *out);

/* Derived: worker processes (0 resolved), this host's name in the fleet. */
unsigned conf_workers(const struct conf *c);
const char *conf_host_id(const struct conf *c);

#endif
