#include <sysexits.h>

#include "base/arena.h"
#include "ctl.h"
#include "password_input.h"
#include "store/tokens.h"
#include "store/users.h"

enum { LIMIT_MS = 30000 };

struct change {
	const char *name;
	char hash[PASSWORD_HASH_SIZE];
};

/* The user's record first: a sign-in that is under way waits for it, then finds another
 * password, or has left a token to take away. */
static enum err change_password(struct db_conn *db, void *arg, struct errmsg *why)
{
	const struct change *change = arg;
	struct user user;
	struct arena arena;
	arena_init(&arena, 4096, 65536);
	enum err err = users_by_name(db, &arena, change->name, &user, why);
	if (err == ERR_OK)
		err = users_set_password(db, &user.id, change->hash, why);
	if (err == ERR_OK)
		err = tokens_remove_all_of(db, &user.id, why);
	arena_release(&arena);
	return err;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	const char *file = NULL;
	struct change change;
	struct errmsg why = ERRMSG_INIT;
	const struct ctl_option options[] = {{.name = "password-file", .value = &file}};
	if (!ctl_arguments(ctl, argc, argv, options, 1, &change.name, 1, 1))
		return EX_USAGE;
	enum err err = password_input(file, change.name, change.hash, &why);
	if (err != ERR_OK)
		return ctl_fail_err(err, &why);
	return ctl_transaction(ctl, LIMIT_MS, change_password, &change);
}

const struct command command_user_passwd = {
    .name = "user passwd",
    .synopsis = "NAME [--password-file FILE]",
    .summary = "Set a user's password and end all of the user's sessions.",
    .help = "The password is read as by \"user add\".\n",
    .reads_settings = true,
    .run = run,
};
