/*
 * One child process and how it is started.
 *
 * Before fork everything is prepared that may allocate or fail; after it the child
 * makes system calls only: groups, user, death signal, descriptors, exec.  ziggied
 * has one thread, so the death signal, which fires when the thread that forked
 * ends, fires when ziggied ends.
 *
 * A child finds the listening socket on descriptor 3, the scoreboard on 4, the
 * pipe on which it reports on 5 and the settings of its generation on 6; no other
 * but standard input (/dev/null), output and error.
 */
#ifndef ZIGGIE_SUPERVISOR_CHILD_H
#define ZIGGIE_SUPERVISOR_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "shm/scoreboard.h"

struct child {
	enum scoreboard_program program;
	unsigned index; /* of the worker; 0 for jobs */
	unsigned generation;
	pid_t pid;     /* 0: not running, waits for restart_at_ns */
	int report_fd; /* -1 once it reported, or closed the pipe */
	bool ready;
	bool draining;      /* was told to end */
	bool reopen_missed; /* the log was reopened while it was starting */
	bool killed;
	unsigned failures; /* in a row, each before it had run well */
	int64_t started_ns;
	int64_t ready_ns;
	int64_t restart_at_ns; /* while pid is 0 */
	int64_t kill_at_ns;    /* while draining */
};

/* Who children run as; the numbers are looked up before anything is forked. */
struct identity {
	bool change; /* false: as ziggied itself */
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t group_count;
};

/* ERR_INVALID for an unknown user, and for another user than ours when we are not root. */
enum err identity_init(struct identity *who, const char *user, struct errmsg *why);
void identity_release(struct identity *who);

enum { CHILD_FIRST_UNUSED = 7 };

/*
 * Occupies what is free of descriptors 0 to 6, so that none of ours stands where a child
 * is to find one.  Call it before any other descriptor is opened.
 */
enum err child_reserve_descriptors(struct errmsg *why);

struct child_setup {
	const char *path; /* the program */
	const struct identity *identity;
	int listen_fd; /* -1: the child gets none */
	int scoreboard_fd;
	int conf_fd;
	unsigned worker_count;
};

/* Forks; fills pid, report_fd and started_ns.  That exec failed comes as a report. */
enum err child_start(struct child *child, const struct child_setup *setup, struct errmsg *why);

enum child_report {
	REPORT_NONE, /* nothing yet */
	REPORT_READY,
	REPORT_FAILED, /* it did not get as far as exec; *why says where */
	REPORT_CLOSED, /* it closed the pipe without a word */
};
/* Reads what the child reported, without waiting; closes the pipe unless there was nothing. */
enum child_report child_read_report(struct child *child, struct errmsg *why);

#endif
