/*
 * The PID file, and with it the promise that one ziggied runs per file.
 *
 * What counts is a lock on the file, never its content: the kernel drops the lock
 * with the process however that ends, so a file left behind by kill -9, a number
 * that now belongs to another program, and garbage all mean nothing.  The lock is
 * fcntl's F_SETLK rather than flock or an open-file-description lock, because
 * the kernel then tells who holds it, it is kept over exec (upgrades), and no
 * child shares it.  Its known trap, that closing any descriptor of the file drops
 * it, is avoided by opening the file in this place only.
 *
 * The content, the number and a newline, is for people and scripts.
 */
#ifndef ZIGGIE_SUPERVISOR_PIDFILE_H
#define ZIGGIE_SUPERVISOR_PIDFILE_H

#include "base/error.h"

struct pidfile {
	char *path;
	int fd;
};

#define PIDFILE_INIT                                                                               \
	{                                                                                          \
		.fd = -1                                                                           \
	}

/*
 * Takes the lock and writes our number.  ERR_CONFLICT when another process holds it;
 * the message has its number and the command that stops it.  ERR_FORBIDDEN when the
 * file is not ours to trust: a link, not a regular file, or somebody else's.  ERR_IO
 * when it can't be opened, read, locked or written.
 */
enum err pidfile_acquire(struct pidfile *file, const char *path, struct errmsg *why);
/* Goes on with the descriptor of the locked file that came through exec. */
enum err pidfile_adopt(struct pidfile *file, const char *path, int fd, struct errmsg *why);
/* Removes the file and gives the lock up. */
void pidfile_release(struct pidfile *file);

#endif
