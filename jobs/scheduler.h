/*
 * What has to be done in the database now and then, whoever asks for nothing, and by one host
 * only: the one that holds the lease "scheduler".  Each second it makes tasks ready again whose
 * agent has fallen silent, and jobs whose host has; and makes the jobs that are due.  The others
 * try to get the lease each second, and one of them does when its holder has gone.
 */
#ifndef ZIGGIE_JOBS_SCHEDULER_H
#define ZIGGIE_JOBS_SCHEDULER_H

#include "base/error.h"

struct conf;
struct scheduler;
struct scoreboard;

/* A thread with a connection of its own (DB_JOBS_BESIDE).  All is borrowed; it counts in this slot
 * of the scoreboard. */
enum err scheduler_start(const struct conf *conf, struct scoreboard *board, unsigned slot,
			 struct scheduler **out, struct errmsg *why);
/* Gives the lease up, so that another host takes over at once.  NULL is fine. */
void scheduler_stop(struct scheduler *s);

#endif
