#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "host/collector.h"

/* Accounts come and go while a collector lives. */
#define USERS_KEPT_NS (300 * NS_PER_S)

static void look_up(uint32_t uid, char name[USER_NAME_MAX])
{
	struct passwd entry, *found = NULL;
	char buffer[4096];
	if (getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found) == 0 && found != NULL &&
	    strlen(found->pw_name) < USER_NAME_MAX)
		memcpy(name, found->pw_name, strlen(found->pw_name) + 1);
	else
		snprintf(name, USER_NAME_MAX, "%u", uid);
}

const char *users_name(struct users *users, uint32_t uid)
{
	int64_t now = clock_mono_ns();
	if (now - users->cleared_ns > USERS_KEPT_NS) {
		memset(users, 0, sizeof(*users));
		users->cleared_ns = now;
	}
	size_t slot = uid % USERS_CACHED;
	if (!users->slots[slot].used || users->slots[slot].uid != uid) {
		look_up(uid, users->slots[slot].name);
		users->slots[slot].uid = uid;
		users->slots[slot].used = true;
	}
	return users->slots[slot].name;
}
