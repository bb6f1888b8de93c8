#include "supervisor/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"

/* Each attempt after the first means that another ziggied ended between two of our calls. */
enum { ATTEMPTS = 100 };

static struct flock whole_file(void)
{
	return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
}

/* 0 when nobody holds it, -1 when somebody does whose number the kernel can't tell us. */
static pid_t holder(int fd)
{
	struct flock lock = whole_file();
	if (fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
		return 0;
	return lock.l_pid > 0 ? lock.l_pid : -1;
}

static enum err refuse(const char *path, pid_t pid, struct errmsg *why)
{
	if (pid < 0)
		return err_set(why, ERR_CONFLICT,
			       "it runs already, outside this container: %s is locked", path);
	return err_set(why, ERR_CONFLICT,
		       "it runs already, as process %d (%s is locked); stop it with: kill %d",
		       (int)pid, path, (int)pid);
}

/* A file that we may not write can still tell who runs. */
static enum err refuse_unwritable(const char *path, struct errmsg *why)
{
	FD_CLEANUP fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	pid_t pid = fd >= 0 ? holder(fd) : 0;
	if (pid != 0)
		return refuse(path, pid, why);
	errno = EACCES;
	return err_errno(why, "can't open the PID file %s", path);
}

static enum err open_file(const char *path, int *out, struct errmsg *why)
{
	int fd =
	    open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644);
	if (fd >= 0) {
		*out = fd;
		return ERR_OK;
	}
	if (errno == ELOOP)
		return err_set(why, ERR_FORBIDDEN, "the PID file %s is a symbolic link; remove it",
			       path);
	if (errno == EACCES)
		return refuse_unwritable(path, why);
	return err_errno(why, "can't open the PID file %s", path);
}

static enum err check_file(const char *path, const struct stat *st, struct errmsg *why)
{
	if (!S_ISREG(st->st_mode))
		return err_set(why, ERR_FORBIDDEN, "the PID file %s is not a regular file", path);
	if (st->st_uid != geteuid())
		return err_set(why, ERR_FORBIDDEN,
			       "the PID file %s belongs to user %u, not to %u; remove it", path,
			       (unsigned)st->st_uid, (unsigned)geteuid());
	if (st->st_nlink > 1)
		return err_set(why, ERR_FORBIDDEN, "the PID file %s has other names; remove it",
			       path);
	return ERR_OK;
}

static bool same_file(const struct stat *a, const char *path)
{
	struct stat b;
	return lstat(path, &b) == 0 && a->st_dev == b.st_dev && a->st_ino == b.st_ino;
}

static enum err lock_file(const char *path, int fd, struct errmsg *why)
{
	struct flock lock = whole_file();
	if (fcntl(fd, F_SETLK, &lock) == 0)
		return ERR_OK;
	if (errno != EACCES && errno != EAGAIN)
		return err_errno(why, "can't lock the PID file %s", path);
	pid_t pid = holder(fd);
	return pid == 0 ? ERR_RETRY : refuse(path, pid, why);
}

/* ERR_RETRY when the file was removed, or its holder ended, while we looked. */
static enum err try_once(const char *path, int *out, struct errmsg *why)
{
	FD_CLEANUP fd = -1;
	enum err err = open_file(path, &fd, why);
	if (err != ERR_OK)
		return err;
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_errno(why, "can't look at the PID file %s", path);
	if (st.st_nlink == 0)
		return ERR_RETRY;
	err = check_file(path, &st, why);
	if (err == ERR_OK)
		err = lock_file(path, fd, why);
	if (err == ERR_OK && !same_file(&st, path))
		err = ERR_RETRY;
	if (err != ERR_OK)
		return err;
	*out = fd;
	fd = -1;
	return ERR_OK;
}

static enum err write_number(const struct pidfile *file, struct errmsg *why)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	/* Whoever may not stop us may still know which process we are. */
	if (fchmod(file->fd, 0644) < 0 || ftruncate(file->fd, 0) < 0 ||
	    pwrite(file->fd, text, (size_t)len, 0) != len)
		return err_errno(why, "can't write the PID file %s", file->path);
	return ERR_OK;
}

enum err pidfile_acquire(struct pidfile *file, const char *path, struct errmsg *why)
{
	int fd = -1;
	enum err err = ERR_RETRY;
	for (int i = 0; i < ATTEMPTS && err == ERR_RETRY; i++)
		err = try_once(path, &fd, why);
	if (err == ERR_RETRY)
		return err_set(why, ERR_IO, "the PID file %s keeps changing", path);
	if (err != ERR_OK)
		return err;
	err = pidfile_adopt(file, path, fd, why);
	if (err != ERR_OK) {
		close(fd);
		return err;
	}
	err = write_number(file, why);
	if (err != ERR_OK)
		pidfile_release(file);
	return err;
}

enum err pidfile_adopt(struct pidfile *file, const char *path, int fd, struct errmsg *why)
{
	char *copy = strdup(path);
	if (copy == NULL)
		return err_set(why, ERR_NOMEM, "out of memory for the PID file's name");
	*file = (struct pidfile){.path = copy, .fd = fd};
	return ERR_OK;
}

void pidfile_release(struct pidfile *file)
{
	struct stat st;
	if (file->fd < 0)
		return;
	/* Removed while it is locked: who opened it before will find that it has no name. */
	if (fstat(file->fd, &st) == 0 && same_file(&st, file->path))
		unlink(file->path);
	io_close(&file->fd);
	free(file->path);
	file->path = NULL;
}
