/*
 * The commands of ziggiectl: a const row each, listed in commands.c.
 */
#ifndef ZIGGIE_CTL_COMMAND_H
#define ZIGGIE_CTL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

struct ctl;

struct command {
	const char *name;     /* one word or two: "user add" */
	const char *synopsis; /* what follows the name, "" for nothing */
	const char *summary;  /* one line */
	const char *help;     /* further lines of its --help, each ended; "" for none */
	bool reads_settings;  /* whether ctl->conf is filled before */
	/* argv holds what follows the name, without the settings; returns the exit code. */
	int (*run)(struct ctl *ctl, int argc, char **argv);
};

extern const struct command command_user_add;
extern const struct command command_user_passwd;
extern const struct command command_user_disable;
extern const struct command command_user_enable;
extern const struct command command_user_list;
extern const struct command command_user_remove;
extern const struct command command_user_role;
extern const struct command command_host_list;
extern const struct command command_host_remove;
extern const struct command command_job_list;
extern const struct command command_job_show;
extern const struct command command_job_retry;
extern const struct command command_job_cancel;
extern const struct command command_token;
extern const struct command command_import_agents;
extern const struct command command_import_sqlite;
extern const struct command command_migrate;
extern const struct command command_check_config;
extern const struct command command_print_config;
extern const struct command command_config_example;
extern const struct command command_config_reference;
extern const struct command command_config_manual;
extern const struct command command_routes;

extern const struct command *const commands[];
extern const size_t command_count;

#endif
