#include <sysexits.h>

#include "base/arena.h"
#include "ctl.h"
#include "store/tokens.h"
#include "store/users.h"

enum { LIMIT_MS = 30000 };

struct change {
	const char *name;
	bool active;
};

static enum err set_active(struct db_conn *db, void *arg, struct errmsg *why)
{
	const struct change *change = arg;
	struct user user;
	struct arena arena;
	arena_init(&arena, 4096, 65536);
	enum err err = users_by_name(db, &arena, change->name, &user, why);
	if (err == ERR_OK)
		err = users_set_active(db, &user.id, change->active, why);
	if (err == ERR_OK && !change->active)
		err = tokens_remove_all_of(db, &user.id, why);
	arena_release(&arena);
	return err;
}

static int change_active(struct ctl *ctl, int argc, char **argv, bool active)
{
	struct change change = {.active = active};
	if (!ctl_arguments(ctl, argc, argv, NULL, 0, &change.name, 1, 1))
		return EX_USAGE;
	return ctl_transaction(ctl, LIMIT_MS, set_active, &change);
}

static int run_disable(struct ctl *ctl, int argc, char **argv)
{
	return change_active(ctl, argc, argv, false);
}

static int run_enable(struct ctl *ctl, int argc, char **argv)
{
	return change_active(ctl, argc, argv, true);
}

const struct command command_user_disable = {
    .name = "user disable",
    .synopsis = "NAME",
    .summary = "Refuse a user from now on and end all of the user's sessions.",
    .help = "",
    .reads_settings = true,
    .run = run_disable,
};

const struct command command_user_enable = {
    .name = "user enable",
    .synopsis = "NAME",
    .summary = "Let a disabled user sign in again.",
    .help = "",
    .reads_settings = true,
    .run = run_enable,
};
