/*
 * Upgrading in place.  The program on disk is first run with --preflight, as a
 * child; only when that succeeds does this process become it by exec.  The number,
 * the lock, the socket, the scoreboard and the children are kept: what they are is
 * listed in $ZIGGIE_UPGRADE_STATE, as words `key=number[:number…]`.  The new
 * program then replaces the generation that it finds, as after SIGHUP.
 *
 * Words are only ever added, and unknown ones skipped, so that releases can follow
 * one another in either direction.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "base/strbuf.h"
#include "supervisor/notify.h"
#include "supervisor/supervisor.h"

#define PREFLIGHT_LIMIT_NS (20 * NS_PER_S)

static const char state_variable[] = "ZIGGIE_UPGRADE_STATE";

/* ---- trying the new program ---- */

static void __attribute__((noreturn)) run_preflight(const char *path, char **argv, pid_t parent)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent)
		execv(path, argv);
	_exit(EX_OSERR);
}

void upgrade_begin(struct supervisor *s)
{
	static char flag[] = "--preflight";
	const struct options *options = s->options;
	if (s->preflight_pid > 0 || s->upgrade_ready)
		return;
	char **argv = calloc((size_t)options->argc + 2, sizeof(*argv));
	if (argv == NULL) {
		LOG_EVENT(LOG_ERROR, "upgrade_failed", LOG_STR("detail", "out of memory"));
		return;
	}
	memcpy(argv, options->argv, (size_t)options->argc * sizeof(*argv));
	argv[options->argc] = flag;
	LOG_EVENT(LOG_INFO, "upgrade_preflight", LOG_STR("path", options->self));
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid == 0)
		run_preflight(options->self, argv, parent);
	free(argv);
	if (pid < 0) {
		LOG_EVENT(LOG_ERROR, "upgrade_failed", LOG_STR("detail", strerrordesc_np(errno)));
		return;
	}
	s->preflight_pid = pid;
	s->preflight_until_ns = clock_mono_ns() + PREFLIGHT_LIMIT_NS;
}

void upgrade_preflight_ended(struct supervisor *s, int status)
{
	s->preflight_pid = 0;
	s->upgrade_ready = WIFEXITED(status) && WEXITSTATUS(status) == EX_OK;
	if (!s->upgrade_ready)
		LOG_EVENT(LOG_ERROR, "upgrade_failed",
			  LOG_STR("detail", "the new program failed its preflight check"),
			  LOG_INT("exit_code", WIFEXITED(status) ? WEXITSTATUS(status) : -1));
}

void upgrade_run_timers(struct supervisor *s, int64_t now)
{
	if (s->preflight_pid == 0 || now < s->preflight_until_ns)
		return;
	kill(s->preflight_pid, SIGKILL);
	s->preflight_until_ns = INT64_MAX;
}

/* ---- handing over ---- */

static void describe(const struct supervisor *s, struct strbuf *out)
{
	strbuf_addf(out, "of=%d listen=%d:%d board=%d lock=%d conf=%d", (int)getpid(),
		    s->listener.fd, s->listener.own, scoreboard_fd(s->board), s->pidfile.fd,
		    s->current.conf_fd);
	strbuf_addf(out, " generation=%u:%u:%lld:%d", s->current.number, s->current.workers,
		    (long long)s->current.drain_ns, s->serving);
	for (size_t i = 0; i < s->child_count; i++) {
		const struct child *c = &s->children[i];
		if (c->pid > 0)
			strbuf_addf(out, " child=%d:%d:%u:%u:%d:%d", (int)c->pid, (int)c->program,
				    c->index, c->generation, c->ready, c->draining);
	}
}

/* What the new program needs must survive exec; when exec fails, nothing may leak later. */
static void mark_handed_over(const struct supervisor *s, int flags)
{
	const int fds[] = {s->listener.fd, scoreboard_fd(s->board), s->pidfile.fd,
			   s->current.conf_fd};
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fcntl(fds[i], F_SETFD, flags);
}

void upgrade_exec(struct supervisor *s)
{
	STRBUF_CLEANUP state = STRBUF_INIT;
	if (!s->upgrade_ready || s->replacing || s->stopping)
		return;
	s->upgrade_ready = false;
	describe(s, &state);
	if (state.failed || setenv(state_variable, state.data, 1) < 0) {
		LOG_EVENT(LOG_ERROR, "upgrade_failed", LOG_STR("detail", "out of memory"));
		return;
	}
	LOG_EVENT(LOG_INFO, "upgrading", LOG_STR("path", s->options->self));
	notify_reloading("upgrading");
	mark_handed_over(s, 0);
	execv(s->options->self, s->options->argv);
	int error = errno;
	mark_handed_over(s, FD_CLOEXEC);
	unsetenv(state_variable);
	LOG_EVENT(LOG_ERROR, "upgrade_failed", LOG_STR("detail", strerrordesc_np(error)));
	notify_send("READY=1\nSTATUS=the upgrade failed: %s", strerrordesc_np(error));
}

/* ---- taking over ---- */

enum { WORD_NUMBERS = 6 };

struct word {
	char key[16];
	int64_t numbers[WORD_NUMBERS];
};

/* Reads the word at text, which ends at a blank; false when it is not of our form. */
static bool read_word(const char *text, size_t len, struct word *out)
{
	const char *end = text + len;
	const char *at = memchr(text, '=', len);
	*out = (struct word){0};
	if (at == NULL || (size_t)(at - text) >= sizeof(out->key))
		return false;
	memcpy(out->key, text, (size_t)(at - text));
	for (size_t i = 0; i < WORD_NUMBERS && at < end; i++) {
		const char *number = at + 1;
		at = memchr(number, ':', (size_t)(end - number));
		if (at == NULL)
			at = end;
		if (!num_i64(number, (size_t)(at - number), -1, INT64_MAX, &out->numbers[i]))
			return false;
	}
	return true;
}

static void take_child(struct supervisor *s, const int64_t *n)
{
	if (s->child_count == CHILDREN_MAX || n[0] <= 0 || n[0] > INT32_MAX ||
	    n[1] >= PROGRAM_COUNT)
		return;
	s->children[s->child_count++] = (struct child){
	    .pid = (pid_t)n[0],
	    .program = (enum scoreboard_program)n[1],
	    .index = (unsigned)n[2],
	    .generation = (unsigned)n[3],
	    .ready = n[4] != 0,
	    .draining = n[5] != 0,
	    .report_fd = -1,
	    .started_ns = clock_mono_ns(),
	    .ready_ns = clock_mono_ns(),
	    .kill_at_ns = clock_mono_ns() + s->current.drain_ns,
	};
}

static int keep(int64_t fd)
{
	if (fd >= 0)
		fcntl((int)fd, F_SETFD, FD_CLOEXEC);
	return (int)fd;
}

struct handed_over {
	int lock_fd;
	int board_fd;
};

static void take_word(struct supervisor *s, const struct word *word, struct handed_over *out)
{
	const int64_t *n = word->numbers;
	if (strcmp(word->key, "listen") == 0) {
		listener_adopt(&s->listener, keep(n[0]), n[1] != 0);
	} else if (strcmp(word->key, "board") == 0) {
		out->board_fd = keep(n[0]);
	} else if (strcmp(word->key, "lock") == 0) {
		out->lock_fd = keep(n[0]);
	} else if (strcmp(word->key, "conf") == 0) {
		s->current.conf_fd = keep(n[0]);
	} else if (strcmp(word->key, "generation") == 0) {
		s->current.number = (unsigned)n[0];
		s->current.workers = (unsigned)n[1];
		s->current.drain_ns = n[2];
		s->serving = n[3] != 0;
	} else if (strcmp(word->key, "child") == 0) {
		take_child(s, n);
	}
}

bool upgrade_is_pending(void)
{
	const char *state = getenv(state_variable);
	uint64_t pid = 0;
	return state != NULL && strncmp(state, "of=", 3) == 0 &&
	       num_u64(state + 3, strcspn(state + 3, " "), 1, INT32_MAX, &pid) &&
	       (pid_t)pid == getpid();
}

static enum err take_lock(struct supervisor *s, int fd, struct errmsg *why)
{
	char link[32], file[PATH_MAX];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t len = readlink(link, file, sizeof(file) - 1);
	if (len < 0)
		return err_errno(why, "the PID file's descriptor did not survive the upgrade");
	file[len] = '\0';
	return pidfile_adopt(&s->pidfile, file, fd, why);
}

/* A release with another layout begins a scoreboard of its own, and counters at zero. */
static enum err take_board(struct supervisor *s, int fd, struct errmsg *why)
{
	struct errmsg detail = ERRMSG_INIT;
	if (scoreboard_attach(fd, &s->board, &detail) == ERR_OK)
		return ERR_OK;
	LOG_EVENT(LOG_WARNING, "scoreboard_begins_anew", LOG_STR("detail", detail.text));
	close(fd);
	return scoreboard_create(SCOREBOARD_PROCESSES, &s->board, why);
}

enum err upgrade_take_over(struct supervisor *s, struct errmsg *why)
{
	struct handed_over fds = {.lock_fd = -1, .board_fd = -1};
	const char *at = getenv(state_variable);
	while (at != NULL && *at != '\0') {
		struct word word;
		size_t len = strcspn(at, " ");
		if (read_word(at, len, &word))
			take_word(s, &word, &fds);
		at += len + (at[len] == ' ');
	}
	unsetenv(state_variable);
	if (s->listener.fd < 0 || fds.lock_fd < 0)
		return err_set(why, ERR_INTERNAL, "the upgrade handed over no socket or no lock");
	enum err err = take_lock(s, fds.lock_fd, why);
	return err == ERR_OK ? take_board(s, fds.board_fd, why) : err;
}
