/*
 * What has to be done in the database now and then, whoever asks for nothing: tasks
 * whose agent has fallen silent become ready again, each second; answers that were
 * kept for an Idempotency-Key are forgotten after a day.
 *
 * Every host does it.  Each chore is one statement that takes a bounded number of rows and is
 * right whoever else does the same, so hosts need not agree on who does it.
 */
#ifndef ZIGGIE_JOBS_CHORES_H
#define ZIGGIE_JOBS_CHORES_H

#include "base/error.h"

struct conf;
struct chores;

/* A thread with a connection of its own, from db_reserve.  conf is borrowed. */
enum err chores_start(const struct conf *conf, struct chores **out, struct errmsg *why);
/* Waits for what is under way, two seconds at most.  NULL is fine. */
void chores_stop(struct chores *c);

#endif
