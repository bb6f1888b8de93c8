/*
 * What the commands of ziggiectl share: messages and exit codes, arguments, the
 * connection to the database.
 */
#ifndef ZIGGIE_CTL_CTL_H
#define ZIGGIE_CTL_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strbuf.h"
#include "command.h"
#include "conf/conf.h"
#include "db/db.h"
#include "db/pool.h"

struct ctl {
	const struct command *command;
	const char *config_file; /* of --config; NULL when not given */
	struct conf conf;
};

/* Prints "ziggiectl: …" to standard error and returns the exit code (sysexits). */
int ctl_fail(int exit_code, const char *format, ...) __attribute__((format(printf, 2, 3)));
int ctl_fail_err(enum err err, const struct errmsg *why);
/* Texts of others for a terminal: what it would obey, or can't show, is a "?". */
void ctl_add_plain(struct strbuf *out, const char *text);
/* Prints to standard output; EX_OK, or EX_IOERR when it could not all be written. */
int ctl_print(const struct strbuf *text);

/* --name VALUE or --name=VALUE when value is set, --name alone when flag is. */
struct ctl_option {
	const char *name;
	const char **value;
	bool *flag;
};

/*
 * Sorts the arguments into options and operands.  False, with a message printed,
 * when one is unknown, lacks its value, or there are too few or too many operands.
 */
bool ctl_arguments(const struct ctl *ctl, int argc, char **argv, const struct ctl_option *options,
		   size_t option_count, const char **operands, size_t least, size_t most);

/* How to call a command, in one line. */
void ctl_usage(const struct command *command, struct strbuf *out);

/*
 * Runs work in a transaction on a connection of its own, within limit_ms; prints what
 * went wrong and returns the exit code.
 */
int ctl_transaction(const struct ctl *ctl, int64_t limit_ms, db_work *work, void *arg);

/* Where the database is, from the settings; released with db_pool_config_release(). */
enum err ctl_database(const struct ctl *ctl, struct db_pool_config *out, struct errmsg *why);

#endif
