#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "supervisor/supervisor.h"

/*
 * The first death is answered at once; a child that keeps dying is started again
 * after 100 ms, 200 ms and so on up to half a minute, until it runs well.
 */
#define BACKOFF_FIRST_NS (100 * NS_PER_MS)
#define BACKOFF_MAX_NS (30 * NS_PER_S)
#define RAN_WELL_NS (5 * NS_PER_S)

static struct child_setup setup_of(const struct supervisor *s, const struct child *child)
{
	const struct generation *generation =
	    s->replacing && child->generation == s->next.number ? &s->next : &s->current;
	return (struct child_setup){
	    .path = s->programs[child->program],
	    .identity = &s->identity,
	    .listen_fd = child->program == PROGRAM_WORKER ? s->listener.fd : -1,
	    .scoreboard_fd = scoreboard_fd(s->board),
	    .conf_fd = generation->conf_fd,
	    .worker_count = generation->workers,
	};
}

static enum err start(struct supervisor *s, struct child *child, struct errmsg *why)
{
	const struct child_setup setup = setup_of(s, child);
	enum err err = child_start(child, &setup, why);
	if (err == ERR_OK)
		LOG_EVENT(LOG_INFO, "child_started",
			  LOG_STR("child", scoreboard_program_names[child->program]),
			  LOG_INT("index", child->index), LOG_INT("generation", child->generation),
			  LOG_INT("child_pid", child->pid));
	return err;
}

static enum err add(struct supervisor *s, enum scoreboard_program program, unsigned index,
		    unsigned generation, struct errmsg *why)
{
	AN_INVARIANT(s->child_count < CHILDREN_MAX);
	struct child *child = &s->children[s->child_count];
	*child = (struct child){
	    .program = program, .index = index, .generation = generation, .report_fd = -1};
	enum err err = start(s, child, why);
	s->child_count += err == ERR_OK;
	return err;
}

enum err children_start(struct supervisor *s, const struct generation *generation,
			struct errmsg *why)
{
	if (s->child_count + generation->workers + 1 > CHILDREN_MAX)
		return err_set(why, ERR_OVERLOADED,
			       "%zu processes of earlier generations are still draining",
			       s->child_count);
	enum err err = ERR_OK;
	for (unsigned i = 0; i < generation->workers && err == ERR_OK; i++)
		err = add(s, PROGRAM_WORKER, i, generation->number, why);
	if (err == ERR_OK)
		err = add(s, PROGRAM_JOBS, 0, generation->number, why);
	return err;
}

bool children_all_ready(const struct supervisor *s, unsigned generation)
{
	for (size_t i = 0; i < s->child_count; i++)
		if (s->children[i].generation == generation && !s->children[i].draining &&
		    !s->children[i].ready)
			return false;
	return true;
}

size_t children_alive(const struct supervisor *s)
{
	size_t alive = 0;
	for (size_t i = 0; i < s->child_count; i++)
		alive += s->children[i].pid > 0;
	return alive;
}

/* ---- telling them ---- */

static void tell(const struct child *child, int signal_number)
{
	if (child->pid > 0)
		kill(child->pid, signal_number);
}

static void drain(struct child *child, int64_t limit_ns)
{
	if (child->draining)
		return;
	child->draining = true;
	child->kill_at_ns = clock_mono_ns() + limit_ns;
	tell(child, SIGTERM);
}

static void remove_at(struct supervisor *s, size_t i)
{
	io_close(&s->children[i].report_fd);
	s->children[i] = s->children[--s->child_count];
}

/* Those that only waited to be started again are gone at once. */
static void forget_unstarted(struct supervisor *s)
{
	for (size_t i = s->child_count; i-- > 0;)
		if (s->children[i].draining && s->children[i].pid == 0)
			remove_at(s, i);
}

void children_drain(struct supervisor *s, unsigned generation, int64_t limit_ns)
{
	for (size_t i = 0; i < s->child_count; i++)
		if (s->children[i].generation == generation)
			drain(&s->children[i], limit_ns);
	forget_unstarted(s);
}

void children_drain_all(struct supervisor *s, int64_t limit_ns)
{
	for (size_t i = 0; i < s->child_count; i++)
		drain(&s->children[i], limit_ns);
	forget_unstarted(s);
}

void children_kill_all(struct supervisor *s)
{
	for (size_t i = 0; i < s->child_count; i++)
		tell(&s->children[i], SIGKILL);
}

void children_reopen_logs(struct supervisor *s)
{
	for (size_t i = 0; i < s->child_count; i++) {
		s->children[i].reopen_missed = !s->children[i].ready;
		if (s->children[i].ready)
			tell(&s->children[i], SIGUSR1);
	}
}

/* ---- what they report ---- */

static void became_ready(struct child *child)
{
	child->ready = true;
	child->ready_ns = clock_mono_ns();
	if (child->reopen_missed)
		tell(child, SIGUSR1);
	child->reopen_missed = false;
	LOG_EVENT(LOG_INFO, "child_ready",
		  LOG_STR("child", scoreboard_program_names[child->program]),
		  LOG_INT("index", child->index), LOG_INT("generation", child->generation),
		  LOG_INT("child_pid", child->pid),
		  LOG_MS("took_ms", child->ready_ns - child->started_ns));
}

void children_read_report(struct supervisor *s, size_t i)
{
	struct child *child = &s->children[i];
	struct errmsg why = ERRMSG_INIT;
	switch (child_read_report(child, &why)) {
	case REPORT_READY:
		became_ready(child);
		break;
	case REPORT_FAILED:
		LOG_EVENT(LOG_ERROR, "child_not_started",
			  LOG_STR("path", s->programs[child->program]),
			  LOG_STR("detail", why.text));
		break;
	case REPORT_NONE:
	case REPORT_CLOSED:
		break;
	}
}

/* ---- burying them ---- */

static int64_t backoff(unsigned failures)
{
	if (failures == 0)
		return 0;
	int64_t ns = BACKOFF_FIRST_NS;
	for (unsigned i = 1; i < failures && ns < BACKOFF_MAX_NS; i++)
		ns *= 2;
	return ns < BACKOFF_MAX_NS ? ns : BACKOFF_MAX_NS;
}

static void schedule_restart(struct child *child)
{
	int64_t now = clock_mono_ns();
	if (child->ready && now - child->ready_ns >= RAN_WELL_NS)
		child->failures = 0;
	child->restart_at_ns = now + backoff(child->failures);
	child->failures++;
	child->pid = 0;
	child->ready = false;
	io_close(&child->report_fd);
}

static void log_death(const struct child *child, int status)
{
	bool expected = child->draining && WIFEXITED(status) && WEXITSTATUS(status) == EX_OK;
	LOG_EVENT(expected ? LOG_INFO : LOG_WARNING, expected ? "child_ended" : "child_died",
		  LOG_STR("child", scoreboard_program_names[child->program]),
		  LOG_INT("index", child->index), LOG_INT("generation", child->generation),
		  LOG_INT("child_pid", child->pid),
		  LOG_INT("exit_code", WIFEXITED(status) ? WEXITSTATUS(status) : -1),
		  LOG_STR("signal", WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL),
		  LOG_MS("lived_ms", clock_mono_ns() - child->started_ns));
}

/* Before anything has ever served, settings that a child refuses won't get better. */
static bool is_hopeless(const struct supervisor *s, const struct child *child, int status)
{
	return !s->serving && !child->ready && WIFEXITED(status) &&
	       (WEXITSTATUS(status) == EX_CONFIG || WEXITSTATUS(status) == EX_USAGE);
}

static void bury(struct supervisor *s, size_t i, int status)
{
	struct child *child = &s->children[i];
	/* What it reported last must not be lost to its death. */
	if (child->report_fd >= 0)
		children_read_report(s, i);
	log_death(child, status);
	bool of_next = s->replacing && child->generation == s->next.number;
	if (child->draining) {
		remove_at(s, i);
	} else if (of_next) {
		remove_at(s, i);
		generation_abandon(s, "one of its processes died before all were ready");
	} else if (is_hopeless(s, child, status)) {
		s->exit_code = WEXITSTATUS(status);
		remove_at(s, i);
	} else {
		schedule_restart(child);
		LOG_EVENT(LOG_INFO, "child_restarts",
			  LOG_STR("child", scoreboard_program_names[child->program]),
			  LOG_INT("index", child->index),
			  LOG_MS("in_ms", child->restart_at_ns - clock_mono_ns()));
	}
}

static void bury_pid(struct supervisor *s, pid_t pid, int status)
{
	scoreboard_retire(s->board, pid);
	if (pid == s->preflight_pid) {
		upgrade_preflight_ended(s, status);
		return;
	}
	for (size_t i = 0; i < s->child_count; i++)
		if (s->children[i].pid == pid) {
			bury(s, i, status);
			return;
		}
}

void children_reap(struct supervisor *s)
{
	int status = 0;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		bury_pid(s, pid, status);
}

/* ---- timers ---- */

static void restart(struct supervisor *s, struct child *child)
{
	struct errmsg why = ERRMSG_INIT;
	scoreboard_count_restart(s->board, child->program);
	if (start(s, child, &why) == ERR_OK)
		return;
	LOG_EVENT(LOG_ERROR, "child_not_started", LOG_STR("path", s->programs[child->program]),
		  LOG_STR("detail", why.text));
	schedule_restart(child);
}

static void kill_overdue(struct child *child)
{
	LOG_EVENT(LOG_WARNING, "child_killed",
		  LOG_STR("child", scoreboard_program_names[child->program]),
		  LOG_INT("index", child->index), LOG_INT("generation", child->generation),
		  LOG_INT("child_pid", child->pid),
		  LOG_STR("detail", "it did not finish within drain_timeout"));
	child->killed = true;
	tell(child, SIGKILL);
}

/* When the child needs us next; INT64_MAX for never. */
static int64_t timer_of(const struct child *child)
{
	if (child->pid == 0)
		return child->restart_at_ns;
	return child->draining && !child->killed ? child->kill_at_ns : INT64_MAX;
}

void children_run_timers(struct supervisor *s, int64_t now)
{
	for (size_t i = 0; i < s->child_count; i++) {
		struct child *child = &s->children[i];
		if (timer_of(child) > now)
			continue;
		if (child->pid > 0)
			kill_overdue(child);
		else if (!s->stopping)
			restart(s, child);
	}
}

int64_t children_next_timer(const struct supervisor *s)
{
	int64_t next = INT64_MAX;
	for (size_t i = 0; i < s->child_count; i++)
		if (timer_of(&s->children[i]) < next)
			next = timer_of(&s->children[i]);
	return next;
}
