/*
 * The listening socket.  It is bound once, or taken over from a service manager
 * that bound it (LISTEN_FDS), and inherited by every worker of every generation.
 */
#ifndef ZIGGIE_SUPERVISOR_LISTEN_H
#define ZIGGIE_SUPERVISOR_LISTEN_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

struct listener {
	int fd;       /* close-on-exec */
	bool own;     /* we bound it, so we remove its name */
	dev_t device; /* of the name, when it is our own */
	ino_t inode;
};

#define LISTENER_INIT                                                                              \
	{                                                                                          \
		.fd = -1                                                                           \
	}

/*
 * Takes the socket given by LISTEN_FDS when there is one.  Else binds path, mode 0660, with
 * the group's number (-1 leaves it).  A socket file on which nobody listens any more is
 * removed; ERR_CONFLICT when somebody still does after three seconds.
 */
enum err listener_open(struct listener *l, const char *path, int group, int backlog,
		       struct errmsg *why);
/* Goes on with a descriptor that came through exec; own as it was before. */
void listener_adopt(struct listener *l, int fd, bool own);
/* Closes it, and removes the name if it is still ours. */
void listener_release(struct listener *l);

#endif
