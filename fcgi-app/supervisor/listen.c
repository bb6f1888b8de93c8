#include "supervisor/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/num.h"

enum { LISTEN_FDS_START = 3, BUSY_ATTEMPTS = 30, BUSY_PAUSE_MS = 100 };

static bool make_address(const char *path, struct sockaddr_un *out)
{
	size_t len = strlen(path);
	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (len == 0 || len >= sizeof(out->sun_path))
		return false;
	memcpy(out->sun_path, path, len);
	return true;
}

/* ---- taken over ---- */

static bool given_by_manager(void)
{
	const char *pid_text = getenv("LISTEN_PID");
	const char *fds_text = getenv("LISTEN_FDS");
	uint64_t pid = 0, fds = 0;
	return pid_text != NULL && fds_text != NULL && num_u64s(pid_text, 1, INT32_MAX, &pid) &&
	       (pid_t)pid == getpid() && num_u64s(fds_text, 1, INT32_MAX, &fds);
}

static enum err take_over(struct listener *l, struct errmsg *why)
{
	int listening = 0;
	socklen_t len = sizeof(listening);
	if (getsockopt(LISTEN_FDS_START, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0)
		return err_errno(why, "LISTEN_FDS is set, but descriptor 3 is not a socket");
	if (!listening)
		return err_set(why, ERR_INVALID,
			       "LISTEN_FDS is set, but descriptor 3 does not listen");
	/* Descriptor 3 itself is where children get theirs. */
	int fd = fcntl(LISTEN_FDS_START, F_DUPFD_CLOEXEC, LISTEN_FDS_START + 1);
	if (fd < 0 || fcntl(LISTEN_FDS_START, F_SETFD, FD_CLOEXEC) < 0)
		return err_errno(why, "can't keep the listening socket to this process");
	*l = (struct listener){.fd = fd, .own = false};
	return ERR_OK;
}

/* ---- bound by us ---- */

enum occupant { NOBODY, STALE, LISTENING, NOT_A_SOCKET };

static enum occupant look_at(const struct sockaddr_un *address)
{
	struct stat st;
	if (lstat(address->sun_path, &st) < 0)
		return NOBODY;
	if (!S_ISSOCK(st.st_mode))
		return NOT_A_SOCKET;
	FD_CLEANUP fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return LISTENING;
	int failed = connect(fd, (const struct sockaddr *)address, sizeof(*address));
	return failed && errno == ECONNREFUSED ? STALE : LISTENING;
}

/*
 * The workers of a ziggied that was just killed die with it, but not in the same
 * instant, so a socket in use gets some time to become free.
 */
static enum err make_way(const struct sockaddr_un *address, struct errmsg *why)
{
	enum occupant found = look_at(address);
	for (int i = 0; i < BUSY_ATTEMPTS && found == LISTENING; i++) {
		nanosleep(&(struct timespec){.tv_nsec = BUSY_PAUSE_MS * NS_PER_MS}, NULL);
		found = look_at(address);
	}
	if (found == LISTENING)
		return err_set(why, ERR_CONFLICT, "another program listens on %s",
			       address->sun_path);
	if (found == NOT_A_SOCKET)
		return err_set(why, ERR_FORBIDDEN, "%s exists and is not a socket",
			       address->sun_path);
	if (found == STALE && unlink(address->sun_path) < 0 && errno != ENOENT)
		return err_errno(why, "can't remove the stale socket %s", address->sun_path);
	return ERR_OK;
}

static enum err bind_and_listen(int fd, const struct sockaddr_un *address, int group, int backlog,
				struct errmsg *why)
{
	mode_t before = umask(0117);
	int failed = bind(fd, (const struct sockaddr *)address, sizeof(*address));
	umask(before);
	if (failed)
		return err_errno(why, "can't bind the socket %s", address->sun_path);
	if (group >= 0 && lchown(address->sun_path, (uid_t)-1, (gid_t)group) < 0)
		return err_errno(why, "can't give the socket %s to group %d", address->sun_path,
				 group);
	if (listen(fd, backlog) < 0)
		return err_errno(why, "can't listen on %s", address->sun_path);
	return ERR_OK;
}

static enum err bind_path(struct listener *l, const char *path, int group, int backlog,
			  struct errmsg *why)
{
	struct sockaddr_un address;
	if (!make_address(path, &address))
		return err_set(why, ERR_INVALID, "the socket's path is too long: %s", path);
	enum err err = make_way(&address, why);
	if (err != ERR_OK)
		return err;
	FD_CLEANUP fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(why, "can't make a socket");
	err = bind_and_listen(fd, &address, group, backlog, why);
	if (err != ERR_OK)
		return err;
	listener_adopt(l, io_take(&fd), true);
	return ERR_OK;
}

enum err listener_open(struct listener *l, const char *path, int group, int backlog,
		       struct errmsg *why)
{
	if (given_by_manager())
		return take_over(l, why);
	return bind_path(l, path, group, backlog, why);
}

/* The path that the socket is bound to; false when there is none. */
static bool path_of(int fd, struct sockaddr_un *out)
{
	socklen_t len = sizeof(*out) - 1;
	*out = (struct sockaddr_un){0};
	return getsockname(fd, (struct sockaddr *)out, &len) == 0 && out->sun_path[0] != '\0';
}

void listener_adopt(struct listener *l, int fd, bool own)
{
	struct sockaddr_un address;
	struct stat st;
	*l = (struct listener){.fd = fd};
	if (!own || !path_of(fd, &address) || lstat(address.sun_path, &st) < 0)
		return;
	l->own = true;
	l->device = st.st_dev;
	l->inode = st.st_ino;
}

void listener_release(struct listener *l)
{
	struct sockaddr_un address;
	struct stat st;
	if (l->fd < 0)
		return;
	if (l->own && path_of(l->fd, &address) && lstat(address.sun_path, &st) == 0 &&
	    st.st_dev == l->device && st.st_ino == l->inode)
		unlink(address.sun_path);
	io_close(&l->fd);
}
