#include <sysexits.h>

#include "user_change.h"

static int run(struct ctl *ctl, int argc, char **argv)
{
	const char *name;
	if (!ctl_arguments(ctl, argc, argv, NULL, 0, &name, 1, 1))
		return EX_USAGE;
	return ctl_remove_user(ctl, name);
}

const struct command command_user_remove = {
    .name = "user remove",
    .synopsis = "NAME",
    .summary = "Remove a user with all sessions and API keys; \"user disable\" keeps them.",
    .help = "The last active administrator can't be removed.\n",
    .reads_settings = true,
    .run = run,
};
