/*
 * The one visible list of all commands, in the order in which --help shows them.
 */
#include "command.h"

#include "base/assert.h"

const struct command *const commands[] = {
    &command_user_add,      &command_user_passwd,    &command_user_disable,
    &command_user_enable,   &command_user_role,      &command_user_remove,
    &command_user_list,     &command_token,          &command_host_list,
    &command_host_remove,   &command_job_list,       &command_job_show,
    &command_job_retry,     &command_job_cancel,     &command_import_agents,
    &command_import_sqlite, &command_migrate,        &command_check_config,
    &command_print_config,  &command_config_example, &command_config_reference,
    &command_config_manual, &command_routes,
};
const size_t command_count = ARRAY_LEN(commands);
