#include "supervisor/options.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/strbuf.h"
#include "supervisor/child.h"

static const struct {
	const char *name;
	enum action action;
} actions[] = {
    {"--check", ACTION_CHECK},
    {"--preflight", ACTION_PREFLIGHT},
    {"--foreground", ACTION_RUN},
    {"--print-config", ACTION_PRINT},
};

/* An option with a value, as --name VALUE or --name=VALUE; NULL when it is not this one. */
static const char *option_value(const char *name, int argc, char **argv, int *at)
{
	const char *option = argv[*at];
	size_t len = strlen(name);
	if (strncmp(option, name, len) != 0)
		return NULL;
	if (option[len] == '=')
		return option + len + 1;
	if (option[len] != '\0' || *at + 1 >= argc)
		return NULL;
	return argv[++*at];
}

static enum err read_option(struct options *out, int argc, char **argv, int *at, struct errmsg *why)
{
	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		if (strcmp(argv[*at], actions[i].name) == 0) {
			if (actions[i].action != ACTION_RUN)
				out->action = actions[i].action;
			return ERR_OK;
		}
	int first = *at;
	const char *value = option_value("--config", argc, argv, at);
	if (value != NULL)
		out->config = value;
	else if ((value = option_value("--libexec-dir", argc, argv, at)) != NULL)
		out->libexec_dir = value;
	if (value != NULL)
		return ERR_OK;
	return err_set(why, ERR_MALFORMED, "unknown option, or an option without its value: %s",
		       argv[first]);
}

/*
 * The path that started us rather than what it points to now, so that an upgrade
 * that swaps a link, or the file, is seen.  From $PATH only the kernel's answer is left.
 */
static enum err find_self(const char *argv0, char **out, struct errmsg *why)
{
	char buffer[PATH_MAX];
	STRBUF_CLEANUP path = STRBUF_INIT;
	if (argv0[0] != '/' && strchr(argv0, '/') != NULL && getcwd(buffer, sizeof(buffer)) != NULL)
		strbuf_addf(&path, "%s/", buffer);
	if (strchr(argv0, '/') != NULL)
		strbuf_adds(&path, argv0);
	if (path.data[0] != '/') {
		ssize_t len = readlink("/proc/self/exe", buffer, sizeof(buffer));
		if (len < 0)
			return err_errno(why, "can't find out which program this is");
		strbuf_clear(&path);
		strbuf_add(&path, buffer, (size_t)len);
	}
	*out = path.failed ? NULL : strdup(path.data);
	return *out != NULL ? ERR_OK : err_set(why, ERR_NOMEM, "out of memory");
}

static enum err read_rest(struct options *out, int argc, char **argv, struct errmsg *why)
{
	enum err err = ERR_OK;
	for (int i = 1; i < argc && err == ERR_OK; i++)
		err = read_option(out, argc, argv, &i, why);
	return err;
}

/* What must be known before the settings are read. */
static void look_ahead(struct options *out)
{
	for (int i = 1; i < out->argc; i++) {
		const char *option = out->argv[i];
		const char *value = option_value("--config", out->argc, out->argv, &i);
		if (value != NULL)
			out->config = value;
		else if (strcmp(option, "--help") == 0)
			out->action = ACTION_HELP;
		else if (strcmp(option, "--version") == 0)
			out->action = ACTION_VERSION;
	}
}

static enum err check_user(const struct conf *conf, struct errmsg *why)
{
	struct identity who;
	enum err err = identity_init(&who, conf_text(conf, user), why);
	if (err == ERR_OK)
		identity_release(&who);
	return err;
}

/* conf_load() takes its options out of the list, so it gets a copy; *rest are the others. */
static enum err load_conf(const struct options *options, struct conf *conf, char ***rest,
			  int *rest_count, struct errmsg *why)
{
	char **copy = calloc((size_t)options->argc + 1, sizeof(*copy));
	if (copy == NULL)
		return err_set(why, ERR_NOMEM, "out of memory");
	memcpy(copy, options->argv, (size_t)options->argc * sizeof(*copy));
	*rest_count = options->argc;
	enum err err = conf_load(conf, options->config, rest_count, copy, why);
	if (err != ERR_OK) {
		free(copy);
		return err;
	}
	err = check_user(conf, why);
	if (err != ERR_OK) {
		conf_release(conf);
		free(copy);
		return err;
	}
	*rest = copy;
	return ERR_OK;
}

enum err options_read(struct options *out, int argc, char **argv, struct conf *conf,
		      struct errmsg *why)
{
	const char *directory = getenv("ZIGGIE_LIBEXECDIR");
	char **rest = NULL;
	int rest_count = 0;
	*out = (struct options){
	    .action = ACTION_RUN,
	    .libexec_dir = directory != NULL ? directory : ZIGGIE_LIBEXECDIR,
	    .argc = argc,
	    .argv = argv,
	};
	look_ahead(out);
	if (out->action != ACTION_RUN)
		return ERR_OK;
	enum err err = load_conf(out, conf, &rest, &rest_count, why);
	if (err != ERR_OK)
		return err;
	err = read_rest(out, rest_count, rest, why);
	free(rest);
	if (err == ERR_OK)
		err = find_self(argv[0], &out->self, why);
	if (err != ERR_OK)
		conf_release(conf);
	return err;
}

enum err options_load_conf(const struct options *options, struct conf *conf, struct errmsg *why)
{
	char **rest = NULL;
	int rest_count = 0;
	enum err err = load_conf(options, conf, &rest, &rest_count, why);
	free(rest);
	return err;
}

void options_release(struct options *options)
{
	free(options->self);
	options->self = NULL;
}

enum err options_program(const struct options *options, enum scoreboard_program program, char *out,
			 size_t size, struct errmsg *why)
{
	int len = snprintf(out, size, "%s/ziggie-%s", options->libexec_dir,
			   scoreboard_program_names[program]);
	if (len < 0 || (size_t)len >= size)
		return err_set(why, ERR_INVALID, "the path of ziggie-%s is too long",
			       scoreboard_program_names[program]);
	if (access(out, X_OK) == 0)
		return ERR_OK;
	err_errno(why, "can't run %s", out);
	return ERR_NOT_FOUND;
}
