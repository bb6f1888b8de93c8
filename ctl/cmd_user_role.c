#include <sysexits.h>

#include "user_change.h"

static int run(struct ctl *ctl, int argc, char **argv)
{
	const char *operands[2];
	if (!ctl_arguments(ctl, argc, argv, NULL, 0, operands, 2, 2))
		return EX_USAGE;
	const struct account_change change = {.user = {.role = role_parse(operands[1])}};
	if (change.user.role == ROLE_NONE)
		return ctl_fail(EX_USAGE, "the role must be admin, user or readonly");
	return ctl_change_user(ctl, operands[0], &change);
}

const struct command command_user_role = {
    .name = "user role",
    .synopsis = "NAME ROLE",
    .summary = "Give a user another role: admin, user or readonly.",
    .help = "The last active administrator stays one.\n",
    .reads_settings = true,
    .run = run,
};
