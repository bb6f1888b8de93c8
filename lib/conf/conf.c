#include "conf/conf.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/io.h"
#include "conf/conf_value.h"
#include "conf/conf_words.h"

enum { FILE_MAX = 1 << 20, NAME_MAX_LEN = 64 };

#define RELOAD true
#define RESTART false
#define UINT CONF_UINT
#define BOOL CONF_BOOL
#define TEXT CONF_TEXT
#define PATH CONF_PATH
#define DURATION CONF_DURATION
#define SIZE CONF_SIZE
const struct conf_row conf_rows[CONF_COUNT] = {
#define ROW(name, type, default_text, min, max, unit, reload, doc)                                 \
	{#name, type, default_text, min, max, unit, reload, doc},
#include "conf/settings.h"
#undef ROW
};

/* Told to a child by ziggied, or to any program of ours; not settings. */
static const char *const not_settings[] = {"ADMIN_PASSWORD", "BUILD",         "COMMIT",
					   "CONFIG",         "GENERATION",    "LIBEXECDIR",
					   "READY_FD",       "SCOREBOARD_FD", "SUPERVISOR_PID",
					   "UPGRADE_STATE",  "WORKER_COUNT",  "WORKER_INDEX"};

static void value_release(struct conf_value *value)
{
	free(value->text);
	free(value->source);
	*value = (struct conf_value){0};
}

void conf_release(struct conf *c)
{
	for (int id = 0; id < CONF_COUNT; id++)
		value_release(&c->values[id]);
	free(c->file);
	c->file = NULL;
}

enum err conf_init(struct conf *c, struct errmsg *why)
{
	memset(c, 0, sizeof(*c));
	for (int id = 0; id < CONF_COUNT; id++) {
		enum err err =
		    conf_set(c, (enum conf_id)id, conf_rows[id].default_text, "default", why);
		if (err != ERR_OK) {
			conf_release(c);
			return err;
		}
	}
	return ERR_OK;
}

enum err conf_set(struct conf *c, enum conf_id id, const char *text, const char *source,
		  struct errmsg *why)
{
	const struct conf_row *row = &conf_rows[id];
	struct conf_value fresh = {0};
	struct errmsg detail = ERRMSG_INIT;
	enum err err = conf_value_parse(row, text, &fresh.number, &detail);
	if (err == ERR_OK)
		err = conf_check_words(id, text, &detail);
	if (err != ERR_OK)
		return err_set(why, err, "%s: %s: %s", source, row->name, detail.text);
	fresh.text = strdup(text);
	fresh.source = strdup(source);
	if (fresh.text == NULL || fresh.source == NULL) {
		value_release(&fresh);
		return err_set(why, ERR_NOMEM, "out of memory reading settings");
	}
	value_release(&c->values[id]);
	c->values[id] = fresh;
	return ERR_OK;
}

/* Case and the difference between - and _ don't matter, so options read naturally. */
static bool same_name(const char *name, const char *given, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		int c = given[i] == '-' ? '_' : tolower((unsigned char)given[i]);
		if (name[i] == '\0' || c != name[i])
			return false;
	}
	return name[len] == '\0';
}

static int find_row(const char *given, size_t len)
{
	for (int id = 0; id < CONF_COUNT; id++)
		if (same_name(conf_rows[id].name, given, len))
			return id;
	return -1;
}

/* The known name with the longest common beginning, for "did you mean". */
static const char *nearest_name(const char *given, size_t len)
{
	size_t best_len = 2;
	const char *best = NULL;
	for (int id = 0; id < CONF_COUNT; id++) {
		size_t common = 0;
		while (common < len && conf_rows[id].name[common] == given[common])
			common++;
		if (common > best_len) {
			best_len = common;
			best = conf_rows[id].name;
		}
	}
	return best;
}

static enum err unknown_key(const char *source, const char *key, size_t len, struct errmsg *why)
{
	const char *near = nearest_name(key, len);
	return err_set(why, ERR_INVALID, "%s: unknown setting \"%.*s\"%s%s%s", source,
		       (int)(len > NAME_MAX_LEN ? NAME_MAX_LEN : len), key,
		       near == NULL ? "" : "; did you mean ", near == NULL ? "" : near,
		       near == NULL ? "" : "?");
}

static char *skip_blanks(char *text)
{
	while (*text == ' ' || *text == '\t' || *text == '\r')
		text++;
	return text;
}

static void trim_end(char *text)
{
	size_t len = strlen(text);
	while (len > 0 && strchr(" \t\r", text[len - 1]) != NULL)
		text[--len] = '\0';
}

/* Ends the value at its comment or closing quote; NULL when something is left over. */
static char *take_value(char *text)
{
	text = skip_blanks(text);
	if (*text != '"') {
		char *comment = strchr(text, '#');
		if (comment != NULL)
			*comment = '\0';
		trim_end(text);
		return text;
	}
	char *end = strchr(++text, '"');
	if (end == NULL)
		return NULL;
	*end = '\0';
	char *rest = skip_blanks(end + 1);
	return *rest == '\0' || *rest == '#' ? text : NULL;
}

static enum err read_line(struct conf *c, char *line, const char *source, struct errmsg *why)
{
	char *key = skip_blanks(line);
	if (*key == '\0' || *key == '#')
		return ERR_OK;
	char *equals = strchr(key, '=');
	if (equals == NULL)
		return err_set(why, ERR_INVALID, "%s: expected \"key = value\"", source);
	*equals = '\0';
	trim_end(key);
	int id = find_row(key, strlen(key));
	if (id < 0)
		return unknown_key(source, key, strlen(key), why);
	char *value = take_value(equals + 1);
	if (value == NULL)
		return err_set(why, ERR_INVALID, "%s: %s: text behind or without a closing quote",
			       source, conf_rows[id].name);
	return conf_set(c, (enum conf_id)id, value, source, why);
}

/* Reads every line; *report gets a line per error, or the first error ends it when NULL. */
static enum err read_file(struct conf *c, const char *file, struct strbuf *report, size_t *errors,
			  struct errmsg *why)
{
	STRBUF_CLEANUP text = STRBUF_INIT;
	enum err err = io_read_file(file, FILE_MAX, &text, why);
	if (err != ERR_OK)
		return err;
	if (strlen(text.data) != text.len)
		return err_set(why, ERR_INVALID, "%s: holds a NUL byte", file);
	STRBUF_CLEANUP source = STRBUF_INIT;
	int number = 0;
	for (char *line = text.data; line != NULL;) {
		char *next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		strbuf_clear(&source);
		strbuf_addf(&source, "%s:%d", file, ++number);
		struct errmsg detail = ERRMSG_INIT;
		err = read_line(c, line, source.data, &detail);
		if (err != ERR_OK && report == NULL) {
			if (why != NULL)
				*why = detail;
			return err;
		}
		if (err != ERR_OK) {
			strbuf_addf(report, "%s\n", detail.text);
			(*errors)++;
		}
		line = next;
	}
	return ERR_OK;
}

size_t conf_check_file(struct conf *c, const char *file, struct strbuf *report)
{
	size_t errors = 0;
	struct errmsg why = ERRMSG_INIT;
	if (read_file(c, file, report, &errors, &why) != ERR_OK) {
		strbuf_addf(report, "%s\n", why.text);
		errors++;
	}
	return errors;
}

static bool is_setting_variable(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(not_settings); i++)
		if (strlen(not_settings[i]) == len && memcmp(not_settings[i], name, len) == 0)
			return false;
	return strncmp(name, "TEST_", 5) != 0;
}

static enum err read_environment(struct conf *c, struct errmsg *why)
{
	static const char prefix[] = "ZIGGIE_";
	for (char **entry = environ; *entry != NULL; entry++) {
		if (strncmp(*entry, prefix, sizeof(prefix) - 1) != 0)
			continue;
		const char *name = *entry + sizeof(prefix) - 1;
		size_t len = strcspn(name, "=");
		if (name[len] != '=' || !is_setting_variable(name, len))
			continue;
		char source[NAME_MAX_LEN + sizeof(prefix)];
		snprintf(source, sizeof(source), "%s%.*s", prefix,
			 (int)(len > NAME_MAX_LEN ? NAME_MAX_LEN : len), name);
		int id = find_row(name, len);
		if (id < 0)
			return unknown_key("environment", source, strlen(source), why);
		enum err err = conf_set(c, (enum conf_id)id, name + len + 1, source, why);
		if (err != ERR_OK)
			return err;
	}
	return ERR_OK;
}

static enum err read_options(struct conf *c, int *argc, char **argv, struct errmsg *why)
{
	int kept = 1;
	for (int i = 1; i < *argc; i++) {
		const char *option = argv[i];
		if (strcmp(option, "--") == 0) {
			while (i < *argc)
				argv[kept++] = argv[i++];
			break;
		}
		size_t len = strcspn(option, "=");
		int id = strncmp(option, "--", 2) == 0 ? find_row(option + 2, len - 2) : -1;
		if (id < 0) {
			argv[kept++] = argv[i];
			continue;
		}
		const char *value = option[len] == '=' ? option + len + 1 : NULL;
		if (value == NULL && i + 1 < *argc)
			value = argv[++i];
		char source[NAME_MAX_LEN + 3];
		snprintf(source, sizeof(source), "--%s", conf_rows[id].name);
		if (value == NULL)
			return err_set(why, ERR_INVALID, "%s: a value is missing", source);
		enum err err = conf_set(c, (enum conf_id)id, value, source, why);
		if (err != ERR_OK)
			return err;
	}
	*argc = kept;
	argv[kept] = NULL;
	return ERR_OK;
}

/* The named file must exist; the system's may be missing. */
static enum err choose_file(struct conf *c, const char *file, struct errmsg *why)
{
	if (file == NULL)
		file = getenv("ZIGGIE_CONFIG");
	static const char standard[] = ZIGGIE_SYSCONFDIR "/ziggie/ziggie.conf";
	if (file == NULL && access(standard, F_OK) == 0)
		file = standard;
	if (file == NULL)
		return ERR_OK;
	c->file = strdup(file);
	return c->file != NULL ? ERR_OK : err_set(why, ERR_NOMEM, "out of memory reading settings");
}

/* What no single row can say. */
static enum err check_together(const struct conf *c, struct errmsg *why)
{
	if (conf_number(c, db_pool_min) > conf_number(c, db_pool_max))
		return err_set(
		    why, ERR_INVALID, "db_pool_min is %lld, above db_pool_max, which is %lld",
		    (long long)conf_number(c, db_pool_min), (long long)conf_number(c, db_pool_max));
	if (conf_workers(c) > conf_number(c, db_pool_max))
		return err_set(why, ERR_INVALID,
			       "db_pool_max is %lld, but each of %u workers needs a connection",
			       (long long)conf_number(c, db_pool_max), conf_workers(c));
	if (strcmp(conf_text(c, ratelimit_scope), "fleet") == 0 &&
	    conf_text(c, memcached)[0] == '\0')
		return err_set(
		    why, ERR_INVALID,
		    "ratelimit_scope is fleet, but memcached names no server to count at");
	return ERR_OK;
}

static enum err default_host_id(struct conf *c, struct errmsg *why)
{
	char hostname[65] = "";
	if (conf_text(c, host_id)[0] != '\0')
		return ERR_OK;
	if (gethostname(hostname, sizeof(hostname) - 1) != 0 || hostname[0] == '\0')
		return err_set(why, ERR_INVALID, "this host has no name; set host_id");
	return conf_set(c, CONF_host_id, hostname, "hostname", why);
}

enum err conf_load(struct conf *c, const char *file, int *argc, char **argv, struct errmsg *why)
{
	enum err err = conf_init(c, why);
	if (err != ERR_OK)
		return err;
	err = choose_file(c, file, why);
	if (err == ERR_OK && c->file != NULL)
		err = read_file(c, c->file, NULL, NULL, why);
	if (err == ERR_OK)
		err = read_environment(c, why);
	if (err == ERR_OK && argc != NULL)
		err = read_options(c, argc, argv, why);
	if (err == ERR_OK)
		err = check_together(c, why);
	if (err == ERR_OK)
		err = default_host_id(c, why);
	if (err != ERR_OK)
		conf_release(c);
	return err;
}

unsigned conf_workers(const struct conf *c)
{
	int64_t workers = conf_number(c, workers);
	if (workers > 0)
		return (unsigned)workers;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	return cores < 1 ? 1 : cores > 64 ? 64 : (unsigned)cores;
}

const char *conf_host_id(const struct conf *c)
{
	return conf_text(c, host_id);
}
