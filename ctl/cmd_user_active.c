#include <sysexits.h>

#include "user_change.h"

static int change_active(struct ctl *ctl, int argc, char **argv, bool active)
{
	const char *name;
	const struct account_change change = {.user = {.sets_active = true, .active = active}};
	if (!ctl_arguments(ctl, argc, argv, NULL, 0, &name, 1, 1))
		return EX_USAGE;
	return ctl_change_user(ctl, name, &change);
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
    .help = "The last active administrator can't be disabled.\n",
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
