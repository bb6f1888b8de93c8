#include "ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/deadline.h"
#include "base/utf8.h"

int ctl_fail(int exit_code, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("ziggiectl: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	return exit_code;
}

static int exit_code_of(enum err err)
{
	switch (err) {
	case ERR_INVALID:
	case ERR_MALFORMED:
	case ERR_TOO_LARGE:
		return EX_DATAERR;
	case ERR_NOT_FOUND:
		return EX_NOUSER;
	case ERR_CONFLICT:
		return EX_CANTCREAT;
	case ERR_FORBIDDEN:
	case ERR_UNAUTHORIZED:
		return EX_NOPERM;
	case ERR_UNAVAILABLE:
		return EX_UNAVAILABLE;
	case ERR_TIMEOUT:
	case ERR_CANCELLED:
	case ERR_OVERLOADED:
	case ERR_RETRY:
	case ERR_UNKNOWN_OUTCOME:
		return EX_TEMPFAIL;
	case ERR_IO:
		return EX_IOERR;
	case ERR_NOMEM:
		return EX_OSERR;
	default:
		return EX_SOFTWARE;
	}
}

int ctl_fail_err(enum err err, const struct errmsg *why)
{
	const char *text = why->text[0] != '\0' ? why->text : err_text(err);
	return ctl_fail(exit_code_of(err), "%s", text);
}

void ctl_add_plain(struct strbuf *out, const char *text)
{
	size_t len = strlen(text);
	for (size_t at = 0, step; at < len; at += step) {
		char one[5] = {0};
		step = utf8_sequence(text + at, len - at);
		memcpy(one, text + at, step);
		bool good = step > 0 && !utf8_has_control(one);
		strbuf_adds(out, good ? one : "?");
		step += step == 0;
	}
}

int ctl_print(const struct strbuf *text)
{
	if (text->failed)
		return ctl_fail(EX_OSERR, "out of memory");
	if (fwrite(text->data, 1, text->len, stdout) != text->len || fflush(stdout) != 0)
		return ctl_fail(EX_IOERR, "standard output can't be written");
	return EX_OK;
}

void ctl_usage(const struct command *command, struct strbuf *out)
{
	strbuf_addf(out, "ziggiectl %s%s%s", command->name, *command->synopsis != '\0' ? " " : "",
		    command->synopsis);
}

static bool bad_usage(const struct ctl *ctl, const char *what, const char *which)
{
	STRBUF_CLEANUP usage = STRBUF_INIT;
	ctl_usage(ctl->command, &usage);
	ctl_fail(EX_USAGE, "%s%s\nUsage: %s", what, which, usage.data);
	return false;
}

static const struct ctl_option *find_option(const struct ctl_option *options, size_t count,
					    const char *name, size_t len)
{
	for (size_t i = 0; i < count; i++) {
		if (strlen(options[i].name) == len && memcmp(options[i].name, name, len) == 0)
			return &options[i];
	}
	return NULL;
}

/* Takes the option at argv[*at] and its value, which may be the next argument. */
static bool take_option(const struct ctl *ctl, int argc, char **argv, int *at,
			const struct ctl_option *options, size_t count)
{
	const char *given = argv[*at];
	size_t len = strcspn(given, "=");
	const struct ctl_option *option = find_option(options, count, given + 2, len - 2);
	if (option == NULL)
		return bad_usage(ctl, "unknown option ", given);
	if (option->flag != NULL) {
		*option->flag = true;
		return given[len] == '\0' || bad_usage(ctl, "no value is taken by ", given);
	}
	if (given[len] == '=')
		*option->value = given + len + 1;
	else if (*at + 1 < argc)
		*option->value = argv[++*at];
	else
		return bad_usage(ctl, "a value is missing behind ", given);
	return true;
}

bool ctl_arguments(const struct ctl *ctl, int argc, char **argv, const struct ctl_option *options,
		   size_t option_count, const char **operands, size_t least, size_t most)
{
	size_t count = 0;
	bool options_end = false;
	for (int i = 0; i < argc; i++) {
		if (!options_end && strcmp(argv[i], "--") == 0) {
			options_end = true;
		} else if (!options_end && strncmp(argv[i], "--", 2) == 0) {
			if (!take_option(ctl, argc, argv, &i, options, option_count))
				return false;
		} else if (count == most) {
			return bad_usage(ctl, "one argument too many: ", argv[i]);
		} else {
			operands[count++] = argv[i];
		}
	}
	return count >= least || bad_usage(ctl, "an argument is missing", "");
}

enum err ctl_database(const struct ctl *ctl, struct db_pool_config *out, struct errmsg *why)
{
	return db_pool_config_load(&ctl->conf, 0, 1, out, why);
}

int ctl_transaction(const struct ctl *ctl, int64_t limit_ms, db_work *work, void *arg)
{
	struct db_pool_config config;
	struct errmsg why = ERRMSG_INIT;
	if (ctl_database(ctl, &config, &why) != ERR_OK)
		return ctl_fail(EX_CONFIG, "%s", why.text);
	struct deadline deadline = deadline_in_ms(limit_ms);
	struct db_conn *db;
	enum err err = db_connect(&config.server, &deadline, &db, &why);
	if (err == ERR_OK) {
		err = db_transaction(db, work, arg, &why);
		db_close(db);
	}
	db_pool_config_release(&config);
	return err == ERR_OK ? EX_OK : ctl_fail_err(err, &why);
}
