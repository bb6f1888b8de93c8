#include "program/program.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/num.h"
#include "base/strbuf.h"

/* What the command line asks for beside settings. */
struct command_line {
	const char *config_file;
	bool check;
	bool print_config;
};

/* The value of "--config FILE" or "--config=FILE"; moves *at over what it took. */
static const char *config_option(int argc, char **argv, int *at)
{
	static const char name[] = "--config";
	const char *option = argv[*at];
	if (strncmp(option, name, sizeof(name) - 1) != 0)
		return NULL;
	if (option[sizeof(name) - 1] == '=')
		return option + sizeof(name);
	if (option[sizeof(name) - 1] != '\0' || *at + 1 >= argc)
		return NULL;
	return argv[++*at];
}

static enum err read_command_line(struct command_line *line, struct conf *conf, int argc,
				  char **argv, struct errmsg *why)
{
	for (int i = 1; i < argc; i++) {
		const char *file = config_option(argc, argv, &i);
		if (file != NULL)
			line->config_file = file;
	}
	enum err err = conf_load(conf, line->config_file, &argc, argv, why);
	for (int i = 1; i < argc && err == ERR_OK; i++) {
		const char *option = argv[i];
		if (config_option(argc, argv, &i) != NULL)
			continue;
		if (strcmp(option, "--check") == 0)
			line->check = true;
		else if (strcmp(option, "--print-config") == 0)
			line->print_config = true;
		else
			err = err_set(why, ERR_MALFORMED, "unknown option \"%s\"; see --help",
				      option);
	}
	return err;
}

static int complain(const struct program *program, const char *text, int exit_code)
{
	fprintf(stderr, "%s: %s\n", program->name, text);
	return exit_code;
}

static int print_config(const struct conf *conf)
{
	STRBUF_CLEANUP text = STRBUF_INIT;
	conf_print(conf, &text);
	return fputs(text.data, stdout) < 0 ? EX_IOERR : EX_OK;
}

static int check(const struct program *program, const struct conf *conf)
{
	struct errmsg why = ERRMSG_INIT;
	if (program->check != NULL && program->check(conf, &why) != ERR_OK)
		return complain(program, why.text, EX_CONFIG);
	return EX_OK;
}

static int exit_code_of(enum err err)
{
	switch (err) {
	case ERR_OK:
		return EX_OK;
	case ERR_INVALID:
		return EX_CONFIG;
	case ERR_NOT_FOUND:
		return EX_UNAVAILABLE;
	default:
		return EX_OSERR;
	}
}

static int run(const struct program *program, const struct conf *conf)
{
	struct errmsg why = ERRMSG_INIT;
	enum log_level level = LOG_INFO;
	log_level_parse(conf_text(conf, log_level), &level);
	if (log_open(program->name, conf_text(conf, log_file), level, &why) != ERR_OK)
		return complain(program, why.text, EX_CANTCREAT);
	enum err err = program->run(conf, &why);
	if (err != ERR_OK)
		LOG_EVENT(LOG_ERROR, "not_started", LOG_STR("detail", why.text));
	log_close();
	return exit_code_of(err);
}

int program_main(const struct program *program, int argc, char **argv)
{
	struct command_line line = {0};
	struct errmsg why = ERRMSG_INIT;
	struct conf conf = {0};
	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return fputs(program->help, stdout) < 0 ? EX_IOERR : EX_OK;
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return printf("%s %s (%s)\n", program->name, PACKAGE_VERSION, ZIGGIE_COMMIT) < 0
			   ? EX_IOERR
			   : EX_OK;
	enum err err = read_command_line(&line, &conf, argc, argv, &why);
	int exit_code;
	if (err != ERR_OK)
		exit_code =
		    complain(program, why.text, err == ERR_MALFORMED ? EX_USAGE : EX_CONFIG);
	else if (line.check)
		exit_code = check(program, &conf);
	else if (line.print_config)
		exit_code = print_config(&conf);
	else
		exit_code = run(program, &conf);
	conf_release(&conf);
	return exit_code;
}

unsigned program_told(const char *name, unsigned fallback)
{
	const char *text = getenv(name);
	uint64_t value;
	return text != NULL && num_u64s(text, 0, INT32_MAX, &value) ? (unsigned)value : fallback;
}

bool program_is_listening(int fd)
{
	int listening = 0;
	socklen_t len = sizeof(listening);
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening;
}

void program_tell_ready(void)
{
	int fd = (int)program_told("ZIGGIE_READY_FD", 0);
	if (fd <= STDERR_FILENO)
		return;
	if (io_write_all(fd, "R", 1) != ERR_OK)
		LOG_EVENT(LOG_WARNING, "ready_not_told", LOG_STR("error", strerrordesc_np(errno)));
	close(fd);
}

void program_take_signals(sigset_t *taken)
{
	sigemptyset(taken);
	sigaddset(taken, SIGTERM);
	sigaddset(taken, SIGINT);
	sigaddset(taken, SIGHUP);
	sigaddset(taken, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, taken, NULL);
	/* A log that can't be written, whatever the reason, ends nothing. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

static void exit_at_once(int signal_number)
{
	(void)signal_number;
	_exit(EX_OK);
}

void program_exit_at_next_signal(const sigset_t *taken)
{
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGTERM, exit_at_once);
	signal(SIGINT, exit_at_once);
	pthread_sigmask(SIG_UNBLOCK, taken, NULL);
}

void program_reopen_log(void)
{
	struct errmsg why = ERRMSG_INIT;
	if (log_reopen(&why) != ERR_OK)
		LOG_EVENT(LOG_ERROR, "log_not_reopened", LOG_STR("detail", why.text));
}
