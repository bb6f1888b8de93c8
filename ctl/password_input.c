#include "password_input.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/io.h"

/* Characters of up to four bytes, a line end and the NUL. */
enum { LINE_MAX_BYTES = PASSWORD_LEN_MAX * 4 + 3, HASH_LIMIT_MS = 60000 };

/* For the signal handler, which has no other way to know. */
static struct termios saved_terminal;

static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

/* Whoever gives up at the prompt gets the echo back. */
static void restore_and_end(int signal_number)
{
	tcsetattr(STDIN_FILENO, TCSANOW, &saved_terminal);
	raise(signal_number);
}

static enum err hide_input(struct errmsg *why)
{
	if (tcgetattr(STDIN_FILENO, &saved_terminal) != 0)
		return err_errno(why, "the terminal's settings can't be read");
	struct sigaction action = {.sa_handler = restore_and_end, .sa_flags = (int)SA_RESETHAND};
	for (size_t i = 0; i < ARRAY_LEN(ending_signals); i++)
		sigaction(ending_signals[i], &action, NULL);
	signal(SIGTSTP, SIG_IGN);
	struct termios hidden = saved_terminal;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) != 0)
		return err_errno(why, "the terminal's echo can't be turned off");
	return ERR_OK;
}

static void show_input(void)
{
	tcsetattr(STDIN_FILENO, TCSANOW, &saved_terminal);
	for (size_t i = 0; i < ARRAY_LEN(ending_signals); i++)
		signal(ending_signals[i], SIG_DFL);
	signal(SIGTSTP, SIG_DFL);
}

/* One line without its end.  Byte by byte, so that no buffer keeps it or takes more. */
static enum err read_line(int fd, char line[LINE_MAX_BYTES], struct errmsg *why)
{
	size_t len = 0;
	for (;;) {
		char c;
		ssize_t got = read(fd, &c, 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_errno(why, "the password can't be read");
		if (got == 0 || c == '\n')
			break;
		if (c == '\0')
			return err_set(why, ERR_INVALID, "the password holds a NUL byte");
		if (len + 1 == LINE_MAX_BYTES)
			return err_set(why, ERR_INVALID, "the password is too long");
		line[len++] = c;
	}
	if (len > 0 && line[len - 1] == '\r')
		len--;
	line[len] = '\0';
	return ERR_OK;
}

static enum err ask(const char *prompt, char line[LINE_MAX_BYTES], struct errmsg *why)
{
	fputs(prompt, stderr);
	fflush(stderr);
	enum err err = read_line(STDIN_FILENO, line, why);
	fputc('\n', stderr);
	return err;
}

static enum err ask_twice(char line[LINE_MAX_BYTES], struct errmsg *why)
{
	char again[LINE_MAX_BYTES] = "";
	enum err err = hide_input(why);
	if (err == ERR_OK)
		err = ask("Password: ", line, why);
	if (err == ERR_OK)
		err = ask("Again: ", again, why);
	show_input();
	if (err == ERR_OK && strcmp(line, again) != 0)
		err = err_set(why, ERR_INVALID, "the two passwords differ");
	sodium_memzero(again, sizeof(again));
	return err;
}

static enum err read_from_file(const char *file, char line[LINE_MAX_BYTES], struct errmsg *why)
{
	FD_CLEANUP fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(why, "%s", file);
	return read_line(fd, line, why);
}

static enum err hash(const char *password, char out[PASSWORD_HASH_SIZE], struct errmsg *why)
{
	struct password_hasher *hasher;
	struct deadline deadline = deadline_in_ms(HASH_LIMIT_MS);
	enum err err = password_hasher_new(1, 1, &hasher, why);
	if (err != ERR_OK)
		return err;
	err = password_hash(hasher, password, &deadline, out, why);
	password_hasher_free(hasher);
	return err;
}

static enum err check(const char *password, const char *username, struct errmsg *why)
{
	struct errmsg fault = ERRMSG_INIT;
	enum err err = password_acceptable(password, username, &fault);
	return err == ERR_OK ? ERR_OK : err_set(why, err, "the password %s", fault.text);
}

enum err password_input(const char *file, const char *username, char out[PASSWORD_HASH_SIZE],
			struct errmsg *why)
{
	char line[LINE_MAX_BYTES] = "";
	enum err err;
	if (file != NULL)
		err = read_from_file(file, line, why);
	else if (isatty(STDIN_FILENO))
		err = ask_twice(line, why);
	else
		err = read_line(STDIN_FILENO, line, why);
	if (err == ERR_OK)
		err = check(line, username, why);
	if (err == ERR_OK)
		err = hash(line, out, why);
	sodium_memzero(line, sizeof(line));
	return err;
}
