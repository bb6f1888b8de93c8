#include "supervisor/child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/io.h"

enum { LISTEN_TARGET = 3, SCOREBOARD_TARGET, REPORT_TARGET, CONF_TARGET };
enum { GROUPS_MAX = 1024 };

/* ---- identity ---- */

static enum err fill_groups(struct identity *who, const struct passwd *entry, struct errmsg *why)
{
	int count = GROUPS_MAX;
	who->groups = calloc(GROUPS_MAX, sizeof(*who->groups));
	if (who->groups == NULL)
		return err_set(why, ERR_NOMEM, "out of memory looking up groups");
	if (getgrouplist(entry->pw_name, entry->pw_gid, who->groups, &count) < 0) {
		identity_release(who);
		return err_set(why, ERR_INVALID, "user %s is in more than %d groups",
			       entry->pw_name, GROUPS_MAX);
	}
	who->group_count = (size_t)count;
	return ERR_OK;
}

enum err identity_init(struct identity *who, const char *user, struct errmsg *why)
{
	*who = (struct identity){0};
	if (user[0] == '\0')
		return ERR_OK;
	errno = 0;
	const struct passwd *entry = getpwnam(user);
	if (entry == NULL && errno != 0)
		return err_errno(why, "user: can't look up %s", user);
	if (entry == NULL)
		return err_set(why, ERR_INVALID, "user: there is no user %s", user);
	who->uid = entry->pw_uid;
	who->gid = entry->pw_gid;
	if (geteuid() == entry->pw_uid)
		return ERR_OK;
	if (geteuid() != 0)
		return err_set(why, ERR_INVALID, "user: only root can run its workers as %s", user);
	who->change = true;
	return fill_groups(who, entry, why);
}

void identity_release(struct identity *who)
{
	free(who->groups);
	who->groups = NULL;
}

/* ---- environment: built before fork, but for the child's own number ---- */

enum { LISTEN_PID_AT = 0, OWN_VARIABLES = 9 };

struct environment {
	char **list;
	char own[OWN_VARIABLES][64];
};

/* What is ours to say, or was said to ziggied alone, is not passed on. */
static bool is_passed_on(const char *entry)
{
	static const char *const dropped[] = {"LISTEN_", "NOTIFY_SOCKET=", "WATCHDOG_",
					      "MAINPID=", "ZIGGIE_"};
	if (strncmp(entry, "ZIGGIE_TEST_", strlen("ZIGGIE_TEST_")) == 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(dropped); i++)
		if (strncmp(entry, dropped[i], strlen(dropped[i])) == 0)
			return false;
	return true;
}

static void write_own(struct environment *env, const struct child *child,
		      const struct child_setup *setup)
{
	size_t n = 0, size = sizeof(env->own[0]);
	snprintf(env->own[n++], size, "LISTEN_PID=");
	snprintf(env->own[n++], size, "LISTEN_FDS=%d", setup->listen_fd >= 0);
	snprintf(env->own[n++], size, "ZIGGIE_SCOREBOARD_FD=%d", SCOREBOARD_TARGET);
	snprintf(env->own[n++], size, "ZIGGIE_READY_FD=%d", REPORT_TARGET);
	snprintf(env->own[n++], size, "ZIGGIE_CONFIG=/proc/self/fd/%d", CONF_TARGET);
	snprintf(env->own[n++], size, "ZIGGIE_WORKER_INDEX=%u", child->index);
	snprintf(env->own[n++], size, "ZIGGIE_WORKER_COUNT=%u", setup->worker_count);
	snprintf(env->own[n++], size, "ZIGGIE_GENERATION=%u", child->generation);
	snprintf(env->own[n++], size, "ZIGGIE_SUPERVISOR_PID=%d", (int)getpid());
	AN_INVARIANT(n == OWN_VARIABLES);
}

static enum err build_environment(struct environment *env, const struct child *child,
				  const struct child_setup *setup, struct errmsg *why)
{
	size_t inherited = 0, n = 0;
	while (environ[inherited] != NULL)
		inherited++;
	env->list = calloc(inherited + OWN_VARIABLES + 1, sizeof(*env->list));
	if (env->list == NULL)
		return err_set(why, ERR_NOMEM, "out of memory starting a child");
	write_own(env, child, setup);
	for (size_t i = 0; i < OWN_VARIABLES; i++)
		env->list[n++] = env->own[i];
	for (size_t i = 0; i < inherited; i++)
		if (is_passed_on(environ[i]))
			env->list[n++] = environ[i];
	return ERR_OK;
}

/* ---- after fork: system calls only ---- */

enum step { STEP_IDENTITY, STEP_PARENT, STEP_DESCRIPTORS, STEP_EXEC, STEP_COUNT };
static const char *const step_names[STEP_COUNT] = {
    "change to its user", "outlive a parent that just ended", "arrange its descriptors", "exec"};

struct failure {
	char tag; /* FAILURE_TAG; a child that is ready writes READY_TAG */
	unsigned char step;
	int error;
};
enum { FAILURE_TAG = 'E', READY_TAG = 'R' };

static void __attribute__((noreturn)) fail(int report_fd, enum step step)
{
	struct failure failure = {FAILURE_TAG, (unsigned char)step, errno};
	ssize_t ignored = write(report_fd, &failure, sizeof(failure));
	(void)ignored;
	_exit(EX_OSERR);
}

static void write_pid(char *variable)
{
	char digits[16];
	size_t count = 0;
	for (pid_t left = getpid(); left > 0; left /= 10)
		digits[count++] = (char)('0' + left % 10);
	char *to = variable + strlen(variable);
	while (count > 0)
		*to++ = digits[--count];
	*to = '\0';
}

static bool become(const struct identity *who)
{
	if (!who->change)
		return true;
	return setgroups(who->group_count, who->groups) == 0 && setgid(who->gid) == 0 &&
	       setuid(who->uid) == 0;
}

static bool place(int fd, int target)
{
	if (fd < 0) {
		close(target);
		return true;
	}
	return dup2(fd, target) >= 0;
}

/* The sources are all above the targets (child_reserve_descriptors()), so none is overwritten. */
static bool arrange_descriptors(const struct child_setup *setup, int report_fd)
{
	int null = open("/dev/null", O_RDONLY);
	if (null < 0 || (null != STDIN_FILENO && dup2(null, STDIN_FILENO) < 0))
		return false;
	if (!place(setup->listen_fd, LISTEN_TARGET) ||
	    !place(setup->scoreboard_fd, SCOREBOARD_TARGET) || !place(report_fd, REPORT_TARGET) ||
	    !place(setup->conf_fd, CONF_TARGET))
		return false;
	/* All that is left is marked; only the pipe must live until exec has worked. */
	close_range(CHILD_FIRST_UNUSED, UINT_MAX, CLOSE_RANGE_CLOEXEC);
	return true;
}

/* A request to reopen the log must not end a program that has not set its handler yet. */
static void reset_signals(void)
{
	sigset_t none;
	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	signal(SIGUSR1, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void __attribute__((noreturn))
run_child(const struct child_setup *setup, struct environment *env, int report_fd, pid_t parent)
{
	if (!become(setup->identity))
		fail(report_fd, STEP_IDENTITY);
	/* After setuid, which clears it; and the parent may have ended before. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		fail(report_fd, STEP_PARENT);
	if (!arrange_descriptors(setup, report_fd))
		fail(report_fd, STEP_DESCRIPTORS);
	write_pid(env->own[LISTEN_PID_AT]);
	reset_signals();
	char *const argv[] = {(char *)(uintptr_t)setup->path, NULL};
	execve(setup->path, argv, env->list);
	fail(REPORT_TARGET, STEP_EXEC);
}

/* ---- the parent's side ---- */

enum err child_reserve_descriptors(struct errmsg *why)
{
	for (;;) {
		int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return err_errno(why, "can't open /dev/null");
		if (fd >= CHILD_FIRST_UNUSED) {
			close(fd);
			return ERR_OK;
		}
		if (fd <= STDERR_FILENO)
			fcntl(fd, F_SETFD, 0);
	}
}

static enum err fork_child(struct child *child, const struct child_setup *setup, int ends[2],
			   struct errmsg *why)
{
	struct environment env = {0};
	enum err err = build_environment(&env, child, setup, why);
	if (err != ERR_OK)
		return err;
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid == 0)
		run_child(setup, &env, ends[1], parent);
	if (pid < 0)
		err = err_errno(why, "can't fork");
	free(env.list);
	child->pid = pid > 0 ? pid : 0;
	return err;
}

enum err child_start(struct child *child, const struct child_setup *setup, struct errmsg *why)
{
	int ends[2] = {-1, -1};
	AN_INVARIANT(setup->listen_fd < 0 || setup->listen_fd >= CHILD_FIRST_UNUSED);
	AN_INVARIANT(setup->scoreboard_fd >= CHILD_FIRST_UNUSED &&
		     setup->conf_fd >= CHILD_FIRST_UNUSED);
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_errno(why, "can't make a pipe for a child");
	AN_INVARIANT(ends[1] >= CHILD_FIRST_UNUSED);
	enum err err = fork_child(child, setup, ends, why);
	io_close(&ends[1]);
	if (err != ERR_OK) {
		io_close(&ends[0]);
		return err;
	}
	child->report_fd = ends[0];
	child->ready = false;
	child->started_ns = clock_mono_ns();
	return ERR_OK;
}

static enum child_report read_failure(const struct failure *failure, struct errmsg *why)
{
	enum step step = failure->step < STEP_COUNT ? (enum step)failure->step : STEP_EXEC;
	errno = failure->error;
	err_errno(why, "the child can't %s", step_names[step]);
	return REPORT_FAILED;
}

enum child_report child_read_report(struct child *child, struct errmsg *why)
{
	struct failure report = {0};
	ssize_t got = read(child->report_fd, &report, sizeof(report));
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return REPORT_NONE;
	io_close(&child->report_fd);
	if (got >= 1 && report.tag == READY_TAG)
		return REPORT_READY;
	if (got == sizeof(report) && report.tag == FAILURE_TAG)
		return read_failure(&report, why);
	return REPORT_CLOSED;
}
