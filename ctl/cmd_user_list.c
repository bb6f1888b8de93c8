#include <sysexits.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "ctl.h"
#include "store/users.h"

#include <string.h>

enum { LIMIT_MS = 30000, NAME_COLUMN = 24, USERS_MAX = 1000000 };

static void add_row(struct strbuf *out, const char *name, const char *role, const char *state,
		    const char *last_login, const char *email)
{
	size_t width = utf8_count(name, strlen(name));
	strbuf_addf(out, "%s%*s %-8s %-8s %-24s %s\n", name,
		    width < NAME_COLUMN ? (int)(NAME_COLUMN - width) : 0, "", role, state,
		    last_login, email);
}

static void add_user(struct strbuf *out, const struct user *user)
{
	char last_login[CLOCK_TEXT_MAX] = "never";
	if (user->last_login_us != 0)
		clock_format_utc(user->last_login_us, last_login);
	add_row(out, user->username, role_name(user->role), user->is_active ? "active" : "disabled",
		last_login, user->email != NULL ? user->email : "-");
}

/* Runs again after a deadlock, so it starts with an empty text. */
static enum err list(struct db_conn *db, void *arg, struct errmsg *why)
{
	struct strbuf *out = arg;
	struct arena arena;
	struct user *users;
	size_t count;
	arena_init(&arena, 65536, 256 << 20);
	enum err err = users_list(db, &arena, 0, USERS_MAX, &users, &count, why);
	if (err == ERR_OK) {
		strbuf_clear(out);
		add_row(out, "NAME", "ROLE", "STATE", "LAST LOGIN", "E-MAIL");
		for (size_t i = 0; i < count; i++)
			add_user(out, &users[i]);
	}
	arena_release(&arena);
	return err;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	STRBUF_CLEANUP out = STRBUF_INIT;
	if (!ctl_arguments(ctl, argc, argv, NULL, 0, NULL, 0, 0))
		return EX_USAGE;
	int exit_code = ctl_transaction(ctl, LIMIT_MS, list, &out);
	return exit_code == EX_OK ? ctl_print(&out) : exit_code;
}

const struct command command_user_list = {
    .name = "user list",
    .synopsis = "",
    .summary = "List all users.",
    .help = "",
    .reads_settings = true,
    .run = run,
};
