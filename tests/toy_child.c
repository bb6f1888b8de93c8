/*
 * A child for ziggied's tests, in the place of ziggie-worker and ziggie-jobs.  It
 * reads the settings, takes a row of the scoreboard, reports that it is ready, and
 * answers one line with one line on each connection:
 *
 *	hello		who answers, as key=value words
 *	fds		its open descriptors and what is behind them
 *	env		its environment
 *	sleep MS	waits, then as hello
 *
 * Files in $ZIGGIE_TEST_TOY_DIR change what it does when it starts: `crash-NAME`
 * exits with code 3 (NAME is worker or jobs), `refuse-NAME` exits as for bad
 * settings, `hang-NAME` never reports and ignores TERM, `fault-NAME` does what a
 * sanitizer reports; `reopened-PID` is made on USR1.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/num.h"
#include "base/strbuf.h"
#include "conf/conf.h"
#include "shm/scoreboard.h"

enum { LISTEN_FD = 3, LINE_MAX_LEN = 256 };

struct toy {
	const char *program;
	struct conf conf;
	struct scoreboard *board;
	int signals;
	int listen_fd; /* -1 for jobs, and once it drains */
};

static uint64_t number_of(const char *variable)
{
	const char *text = getenv(variable);
	uint64_t value = 0;
	return text != NULL && num_u64s(text, 0, INT32_MAX, &value) ? value : 0;
}

static bool told_to(const char *what, const char *program)
{
	char path[PATH_MAX];
	const char *directory = getenv("ZIGGIE_TEST_TOY_DIR");
	if (directory == NULL)
		return false;
	snprintf(path, sizeof(path), "%s/%s-%s", directory, what, program);
	return access(path, F_OK) == 0;
}

static void note_reopened(void)
{
	char path[PATH_MAX];
	const char *directory = getenv("ZIGGIE_TEST_TOY_DIR");
	snprintf(path, sizeof(path), "%s/reopened-%d", directory == NULL ? "" : directory,
		 (int)getpid());
	FD_CLEANUP fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	(void)fd;
}

static void say_hello(const struct toy *toy, struct strbuf *out)
{
	strbuf_addf(out, "pid=%d generation=%d index=%d count=%d threads=%d uid=%d gid=%d\n",
		    (int)getpid(), (int)number_of("ZIGGIE_GENERATION"),
		    (int)number_of("ZIGGIE_WORKER_INDEX"), (int)number_of("ZIGGIE_WORKER_COUNT"),
		    (int)conf_number(&toy->conf, threads), (int)getuid(), (int)getgid());
}

static void list_descriptors(struct strbuf *out)
{
	DIR *directory = opendir("/proc/self/fd");
	AN_INVARIANT(directory != NULL);
	for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
		char target[PATH_MAX];
		ssize_t len = readlinkat(dirfd(directory), entry->d_name, target, sizeof(target));
		if (len > 0)
			strbuf_addf(out, "%s=%.*s\n", entry->d_name, (int)len, target);
	}
	strbuf_addf(out, "own=%d\n", dirfd(directory));
	closedir(directory);
}

static void answer(const struct toy *toy, const char *line, struct strbuf *out)
{
	uint64_t ms = 0;
	if (strcmp(line, "fds") == 0) {
		list_descriptors(out);
		return;
	}
	if (strcmp(line, "env") == 0) {
		for (char **at = environ; *at != NULL; at++)
			strbuf_addf(out, "%s\n", *at);
		return;
	}
	if (strncmp(line, "sleep ", 6) == 0 && num_u64s(line + 6, 0, 60000, &ms))
		nanosleep(&(struct timespec){.tv_sec = (time_t)(ms / 1000),
					     .tv_nsec = (long)(ms % 1000) * NS_PER_MS},
			  NULL);
	say_hello(toy, out);
}

/* All are told of a connection and one gets it; the others must not wait, deaf to signals. */
static void never_block(int listen_fd)
{
	AN_INVARIANT(listen_fd < 0 || fcntl(listen_fd, F_SETFL, O_NONBLOCK) == 0);
}

static void serve_one(struct toy *toy)
{
	char line[LINE_MAX_LEN];
	FD_CLEANUP fd = accept4(toy->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return;
	ssize_t len = read(fd, line, sizeof(line) - 1);
	if (len <= 0)
		return;
	line[len] = '\0';
	line[strcspn(line, "\n")] = '\0';
	STRBUF_CLEANUP out = STRBUF_INIT;
	scoreboard_begin(toy->board, 0);
	answer(toy, line, &out);
	scoreboard_record(toy->board, 0, scoreboard_route(toy->board, "toy"), 200, 1, 1);
	io_write_all(fd, out.data, out.len);
}

/* False when it is time to end. */
static bool handle_signal(struct toy *toy)
{
	struct signalfd_siginfo info;
	if (read(toy->signals, &info, sizeof(info)) != sizeof(info))
		return true;
	if (info.ssi_signo != SIGUSR1)
		return false;
	note_reopened();
	(void)toy;
	return true;
}

static void run(struct toy *toy)
{
	for (;;) {
		struct pollfd polls[] = {{.fd = toy->signals, .events = POLLIN},
					 {.fd = toy->listen_fd, .events = POLLIN}};
		if (poll(polls, ARRAY_LEN(polls), -1) < 0)
			continue;
		if (polls[0].revents != 0 && !handle_signal(toy))
			return;
		if (polls[1].revents != 0)
			serve_one(toy);
	}
}

static int take_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static void join_scoreboard(struct toy *toy)
{
	struct errmsg why = ERRMSG_INIT;
	const struct scoreboard_claim claim = {
	    .program = toy->listen_fd >= 0 ? PROGRAM_WORKER : PROGRAM_JOBS,
	    .index = (unsigned)number_of("ZIGGIE_WORKER_INDEX"),
	    .generation = (unsigned)number_of("ZIGGIE_GENERATION"),
	    .threads = 1,
	};
	AN_INVARIANT(scoreboard_open(&toy->board, &why) == ERR_OK);
	AN_INVARIANT(scoreboard_claim(toy->board, &claim, &why) == ERR_OK);
}

static void report_ready(struct toy *toy)
{
	int fd = (int)number_of("ZIGGIE_READY_FD");
	scoreboard_set_state(toy->board, STATE_READY);
	AN_INVARIANT(io_write_all(fd, "R", 1) == ERR_OK);
	close(fd);
}

static int raced_for;

static void *race(void *unused)
{
	raced_for++;
	return unused;
}

/* Memory that nobody can find any more, and two threads that write without a lock. */
static void commit_faults(void)
{
	void *volatile lost = strdup("lost");
	lost = NULL;
	(void)lost;
	pthread_t other;
	AN_INVARIANT(pthread_create(&other, NULL, race, NULL) == 0);
	race(NULL);
	pthread_join(other, NULL);
}

int main(int argc, char **argv)
{
	struct errmsg why = ERRMSG_INIT;
	const char *slash = strrchr(argv[0], '-');
	struct toy toy = {.program = slash == NULL ? "" : slash + 1};
	toy.listen_fd = number_of("LISTEN_FDS") == 1 ? LISTEN_FD : -1;
	AN_INVARIANT(toy.listen_fd < 0 || number_of("LISTEN_PID") == (uint64_t)getpid());
	if (told_to("crash", toy.program))
		return 3;
	if (told_to("refuse", toy.program) ||
	    conf_load(&toy.conf, NULL, &argc, argv, &why) != ERR_OK)
		return EX_CONFIG;
	never_block(toy.listen_fd);
	toy.signals = take_signals();
	join_scoreboard(&toy);
	while (told_to("hang", toy.program))
		pause();
	if (told_to("fault", toy.program))
		commit_faults();
	report_ready(&toy);
	run(&toy);
	scoreboard_free(toy.board);
	conf_release(&toy.conf);
	return EX_OK;
}
