/*
 * Small helpers over file descriptors.  All retry on EINTR.
 */
#ifndef ZIGGIE_BASE_IO_H
#define ZIGGIE_BASE_IO_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/strbuf.h"

/* Appends the whole file; ERR_TOO_LARGE past max bytes, ERR_NOT_FOUND when it does not exist. */
enum err io_read_file(const char *path, size_t max, struct strbuf *out, struct errmsg *why);
/* The same below a directory descriptor. */
enum err io_read_file_at(int dir, const char *name, size_t max, struct strbuf *out);
/* Writes all of it or fails. */
enum err io_write_all(int fd, const void *bytes, size_t len);

/* Whether an errno tells of this process's want of memory or descriptors, not of a file. */
bool io_is_shortage(int error);

void io_close(int *fd); /* closes and sets to -1; for the cleanup attribute */
#define FD_CLEANUP __attribute__((cleanup(io_close))) int
int io_take(int *fd); /* gives it to the caller: the attribute then closes nothing */

#endif
