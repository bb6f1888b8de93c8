/*
 * The host's sign of life in the database: a thread that writes this host's row at
 * the start and every heartbeat_interval.  A database that is away costs nobody
 * anything; it is tried again each second, and said once.
 *
 * Each time opens a connection of its own, so that nothing has to be kept alive or
 * repaired; db_reserve has room for it.
 */
#ifndef ZIGGIE_JOBS_PRESENCE_H
#define ZIGGIE_JOBS_PRESENCE_H

#include "base/error.h"

struct conf;
struct presence;

/* conf is borrowed.  Reads the database's password file. */
enum err presence_start(const struct conf *conf, struct presence **out, struct errmsg *why);
/* Waits for what is being written, two seconds at most.  NULL is fine. */
void presence_stop(struct presence *p);

#endif
