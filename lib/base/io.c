#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static enum err read_all(int fd, size_t max, struct strbuf *out)
{
	size_t start = out->len;
	for (;;) {
		if (!strbuf_reserve(out, 4096))
			return ERR_NOMEM;
		ssize_t got = read(fd, out->data + out->len, out->cap - out->len - 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return ERR_IO;
		if (got == 0)
			return ERR_OK;
		out->len += (size_t)got;
		out->data[out->len] = '\0';
		if (out->len - start > max)
			return ERR_TOO_LARGE;
	}
}

enum err io_read_file_at(int dir, const char *name, size_t max, struct strbuf *out)
{
	FD_CLEANUP fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
	return read_all(fd, max, out);
}

enum err io_read_file(const char *path, size_t max, struct strbuf *out, struct errmsg *why)
{
	enum err err = io_read_file_at(AT_FDCWD, path, max, out);
	if (err == ERR_OK)
		return ERR_OK;
	if (err == ERR_TOO_LARGE)
		return err_set(why, err, "%s is larger than %zu bytes", path, max);
	if (err == ERR_NOMEM)
		return err_set(why, err, "out of memory reading %s", path);
	err_errno(why, "can't read %s", path);
	return err;
}

enum err io_write_all(int fd, const void *bytes, size_t len)
{
	const char *from = bytes;
	while (len > 0) {
		ssize_t wrote = write(fd, from, len);
		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0)
			return ERR_IO;
		from += wrote;
		len -= (size_t)wrote;
	}
	return ERR_OK;
}

bool io_is_shortage(int error)
{
	return error == ENOMEM || error == EMFILE || error == ENFILE;
}

void io_close(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;
		close(*fd);
		errno = saved;
	}
	*fd = -1;
}

int io_take(int *fd)
{
	int taken = *fd;
	*fd = -1;
	return taken;
}
