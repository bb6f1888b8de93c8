#include "user_change.h"

#include "base/arena.h"

enum { LIMIT_MS = 30000 };

const struct audit_entry ctl_origin = {.remote_addr = "ziggiectl"};

struct order {
	const char *name;
	const struct account_change *change; /* NULL to remove the user */
};

static enum err obey(struct db_conn *db, void *arg, struct errmsg *why)
{
	const struct order *order = arg;
	struct user user;
	struct arena arena;
	arena_init(&arena, 4096, 1 << 20);
	enum err err = users_by_name(db, &arena, order->name, &user, why);
	if (err == ERR_OK && order->change != NULL)
		err = accounts_change(db, &arena, &user.id, order->change, &ctl_origin, &user, why);
	else if (err == ERR_OK)
		err = accounts_remove(db, &arena, &user.id, &ctl_origin, why);
	arena_release(&arena);
	return err;
}

int ctl_change_user(const struct ctl *ctl, const char *name, const struct account_change *change)
{
	struct order order = {name, change};
	return ctl_transaction(ctl, LIMIT_MS, obey, &order);
}

int ctl_remove_user(const struct ctl *ctl, const char *name)
{
	struct order order = {name, NULL};
	return ctl_transaction(ctl, LIMIT_MS, obey, &order);
}
