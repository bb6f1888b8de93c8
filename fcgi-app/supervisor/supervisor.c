#include "supervisor/supervisor.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "supervisor/notify.h"

/* Descriptors of a worker beside its connections: pool, cache, files. */
enum { SPARE_DESCRIPTORS = 512 };

/* ---- start ---- */

static enum err take_signals(struct supervisor *s, struct errmsg *why)
{
	static const int taken[] = {SIGCHLD, SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
		signal(taken[i], SIG_DFL);
		sigaddset(&set, taken[i]);
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a log that has reached its limit */
	sigprocmask(SIG_SETMASK, &set, NULL);
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signal_fd >= 0 ? ERR_OK : err_errno(why, "can't take signals");
}

static enum err find_group(const char *name, int *out, struct errmsg *why)
{
	*out = -1;
	if (name[0] == '\0')
		return ERR_OK;
	const struct group *entry = getgrnam(name);
	if (entry == NULL)
		return err_set(why, ERR_INVALID, "socket_group: there is no group %s", name);
	*out = (int)entry->gr_gid;
	return ERR_OK;
}

/* Workers inherit the limit and check their connections against it. */
static void raise_file_limit(const struct conf *conf)
{
	struct rlimit limit;
	rlim_t wanted = (rlim_t)conf_number(conf, max_connections) + SPARE_DESCRIPTORS;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static enum err acquire(struct supervisor *s, struct errmsg *why)
{
	int group = -1;
	enum err err = find_group(conf_text(s->conf, socket_group), &group, why);
	if (err == ERR_OK)
		err = pidfile_acquire(&s->pidfile, conf_text(s->conf, pid_file), why);
	if (err == ERR_OK)
		err = listener_open(&s->listener, conf_text(s->conf, socket), group,
				    (int)conf_number(s->conf, listen_backlog), why);
	if (err == ERR_OK)
		err = scoreboard_create(SCOREBOARD_PROCESSES, &s->board, why);
	return err;
}

static enum err find_programs(struct supervisor *s, struct errmsg *why)
{
	enum err err = ERR_OK;
	for (int i = 0; i < PROGRAM_COUNT && err == ERR_OK; i++)
		err = options_program(s->options, (enum scoreboard_program)i, s->programs[i],
				      sizeof(s->programs[i]), why);
	return err;
}

static enum err start_first_generation(struct supervisor *s, struct errmsg *why)
{
	enum err err = generation_prepare(&s->current, s->conf, 1, why);
	if (err != ERR_OK)
		return err;
	scoreboard_set_generation(s->board, s->current.number);
	return children_start(s, &s->current, why);
}

/* The generation that was taken over keeps its settings file; s->conf stands in for it until then.
 */
static enum err start_over(struct supervisor *s, struct errmsg *why)
{
	enum err err = upgrade_take_over(s, why);
	if (err != ERR_OK)
		return err;
	LOG_EVENT(LOG_INFO, "upgraded", LOG_STR("version", PACKAGE_VERSION),
		  LOG_INT("children", s->child_count));
	struct conf *conf = calloc(1, sizeof(*conf));
	if (conf == NULL)
		return err_set(why, ERR_NOMEM, "out of memory");
	err = options_load_conf(s->options, conf, why);
	if (err != ERR_OK) {
		free(conf);
		return err;
	}
	generation_replace(s, conf);
	return ERR_OK;
}

static enum err start(struct supervisor *s, struct errmsg *why)
{
	bool upgraded = upgrade_is_pending();
	umask(027);
	enum err err = child_reserve_descriptors(why);
	if (err == ERR_OK)
		err = take_signals(s, why);
	if (err == ERR_OK)
		err = identity_init(&s->identity, conf_text(s->conf, user), why);
	if (err == ERR_OK)
		err = find_programs(s, why);
	if (err == ERR_OK && !upgraded)
		err = acquire(s, why);
	if (err == ERR_OK)
		err = generation_open_log(s, s->conf, why);
	if (err != ERR_OK)
		return err;
	raise_file_limit(s->conf);
	s->watchdog_ns = notify_watchdog_interval();
	s->watchdog_at_ns = clock_mono_ns();
	if (upgraded)
		return start_over(s, why);
	LOG_EVENT(LOG_INFO, "starting", LOG_STR("version", PACKAGE_VERSION),
		  LOG_STR("commit", ZIGGIE_COMMIT), LOG_STR("config", s->conf->file),
		  LOG_STR("socket", conf_text(s->conf, socket)),
		  LOG_BOOL("socket_given", !s->listener.own),
		  LOG_INT("workers", conf_workers(s->conf)));
	return start_first_generation(s, why);
}

/* ---- signals ---- */

/* The name goes at once: better refused by the web server than waiting for nobody. */
static void stop(struct supervisor *s, const char *reason)
{
	if (s->stopping) {
		LOG_EVENT(LOG_WARNING, "stopping_now", LOG_STR("reason", reason));
		children_kill_all(s);
		return;
	}
	LOG_EVENT(LOG_INFO, "stopping", LOG_STR("reason", reason));
	notify_send("STOPPING=1\nSTATUS=finishing what is under way");
	s->stopping = true;
	listener_release(&s->listener);
	children_drain_all(s, s->current.drain_ns);
	if (s->preflight_pid > 0)
		kill(s->preflight_pid, SIGKILL);
}

static void reopen_logs(struct supervisor *s)
{
	struct errmsg why = ERRMSG_INIT;
	if (generation_open_log(s, s->conf, &why) != ERR_OK)
		LOG_EVENT(LOG_ERROR, "log_not_reopened", LOG_STR("detail", why.text));
	children_reopen_logs(s);
}

static void handle_signal(struct supervisor *s, int signal_number)
{
	switch (signal_number) {
	case SIGCHLD:
		children_reap(s);
		break;
	case SIGHUP:
		if (!s->stopping)
			generation_reload(s);
		break;
	case SIGUSR1:
		reopen_logs(s);
		break;
	case SIGUSR2:
		if (!s->stopping)
			upgrade_begin(s);
		break;
	default:
		stop(s, sigabbrev_np(signal_number));
		break;
	}
}

static void read_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;
	while (read(s->signal_fd, &info, sizeof(info)) == sizeof(info))
		handle_signal(s, (int)info.ssi_signo);
}

/* ---- loop ---- */

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t next_timer(const struct supervisor *s)
{
	int64_t next = children_next_timer(s);
	if (s->replacing)
		next = earlier(next, s->replace_until_ns);
	if (s->preflight_pid > 0)
		next = earlier(next, s->preflight_until_ns);
	if (s->watchdog_ns > 0)
		next = earlier(next, s->watchdog_at_ns);
	return next;
}

static void run_timers(struct supervisor *s)
{
	int64_t now = clock_mono_ns();
	children_run_timers(s, now);
	upgrade_run_timers(s, now);
	if (s->watchdog_ns > 0 && now >= s->watchdog_at_ns) {
		notify_send("WATCHDOG=1");
		s->watchdog_at_ns = now + s->watchdog_ns;
	}
}

/* Waits for a signal, a report or a timer; then reads the reports. */
static void wait_for_something(struct supervisor *s)
{
	struct pollfd polls[1 + CHILDREN_MAX];
	size_t count = s->child_count;
	int64_t next = next_timer(s), left = next - clock_mono_ns();
	struct timespec limit = {.tv_sec = left / NS_PER_S, .tv_nsec = left % NS_PER_S};
	if (left < 0)
		limit = (struct timespec){0};
	polls[0] = (struct pollfd){.fd = s->signal_fd, .events = POLLIN};
	for (size_t i = 0; i < count; i++)
		polls[1 + i] = (struct pollfd){.fd = s->children[i].report_fd, .events = POLLIN};
	if (ppoll(polls, 1 + count, next == INT64_MAX ? NULL : &limit, NULL) <= 0)
		return;
	for (size_t i = 0; i < count; i++)
		if (polls[1 + i].revents != 0)
			children_read_report(s, i);
}

static void loop(struct supervisor *s)
{
	/* Of children that ended around an upgrade the old program took the signal. */
	children_reap(s);
	while (!s->stopping || children_alive(s) > 0) {
		wait_for_something(s);
		read_signals(s);
		run_timers(s);
		generation_check(s);
		if (s->exit_code != EX_OK && !s->stopping)
			stop(s, "a child can't work with these settings");
		upgrade_exec(s);
	}
}

/* ---- the end ---- */

static void release(struct supervisor *s)
{
	listener_release(&s->listener);
	pidfile_release(&s->pidfile);
	scoreboard_free(s->board);
	generation_release(&s->current);
	generation_release(&s->next);
	identity_release(&s->identity);
	io_close(&s->signal_fd);
	if (s->next_conf != NULL)
		conf_release(s->next_conf);
	free(s->next_conf);
	conf_release(s->conf);
	free(s->conf);
}

static int exit_code_of(enum err err)
{
	switch (err) {
	case ERR_OK:
		return EX_OK;
	case ERR_INVALID:
		return EX_CONFIG;
	case ERR_CONFLICT:
		return EX_TEMPFAIL;
	case ERR_FORBIDDEN:
		return EX_NOPERM;
	case ERR_NOT_FOUND:
		return EX_UNAVAILABLE;
	default:
		return EX_OSERR;
	}
}

int supervisor_run(struct options *options, struct conf *conf)
{
	struct errmsg why = ERRMSG_INIT;
	struct supervisor *s = calloc(1, sizeof(*s));
	AN_INVARIANT(s != NULL);
	s->options = options;
	s->conf = conf;
	s->signal_fd = s->listener.fd = s->pidfile.fd = -1;
	s->current.conf_fd = s->next.conf_fd = -1;
	enum err err = start(s, &why);
	if (err == ERR_OK) {
		loop(s);
		LOG_EVENT(LOG_INFO, "stopped", LOG_INT("exit_code", s->exit_code));
	} else {
		fprintf(stderr, "ziggied: %s\n", why.text);
		children_kill_all(s);
	}
	int code = err == ERR_OK ? s->exit_code : exit_code_of(err);
	release(s);
	free(s);
	log_close();
	return code;
}
