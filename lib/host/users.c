#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "host/collector.h"

/* Accounts come and go while a collector lives. */
#define USERS_KEPT_NS (300 * NS_PER_S)

/* Returns the error with which the look-up failed; an account that does not exist is none. */
static int look_up(uint32_t uid, char name[USER_NAME_MAX])
{
	struct passwd entry, *found = NULL;
	char buffer[4096];
	int error = getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found);
	if (error == 0 && found != NULL && strlen(found->pw_name) < USER_NAME_MAX)
		memcpy(name, found->pw_name, strlen(found->pw_name) + 1);
	else
		snprintf(name, USER_NAME_MAX, "%u", uid);
	return error;
}

const char *users_name(struct host_collector *c, uint32_t uid)
{
	struct users *users = &c->users;
	int64_t now = clock_mono_ns();
	if (now - users->cleared_ns > USERS_KEPT_NS) {
		memset(users, 0, sizeof(*users));
		users->cleared_ns = now;
	}
	size_t slot = uid % USERS_CACHED;
	if (!users->slots[slot].used || users->slots[slot].uid != uid) {
		int error = look_up(uid, users->slots[slot].name);
		host_note_error(c, error);
		users->slots[slot].uid = uid;
		users->slots[slot].used = !io_is_shortage(error);
	}
	return users->slots[slot].name;
}
