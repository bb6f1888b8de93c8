#include "faults.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

const char *const fault_names[FAULT_CALLS] = {
    [FAULT_NONE] = "none",
    [FAULT_MEMORY] = "malloc",
    [FAULT_ACCEPT] = "accept4",
    [FAULT_BIND] = "bind",
    [FAULT_CLOSE] = "close",
    [FAULT_CONNECT] = "connect",
    [FAULT_EPOLL_CREATE] = "epoll_create1",
    [FAULT_EPOLL_CTL] = "epoll_ctl",
    [FAULT_EPOLL_WAIT] = "epoll_wait",
    [FAULT_EVENTFD] = "eventfd",
    [FAULT_FACCESSAT] = "faccessat",
    [FAULT_FCNTL] = "fcntl",
    [FAULT_FDOPENDIR] = "fdopendir",
    [FAULT_FSTATAT] = "fstatat",
    [FAULT_FTRUNCATE] = "ftruncate",
    [FAULT_GETPWUID] = "getpwuid_r",
    [FAULT_GETRANDOM] = "getrandom",
    [FAULT_GETRLIMIT] = "getrlimit",
    [FAULT_LISTEN] = "listen",
    [FAULT_MEMFD] = "memfd_create",
    [FAULT_MMAP] = "mmap",
    [FAULT_OPEN] = "open",
    [FAULT_POLL] = "poll",
    [FAULT_PWRITE] = "pwrite",
    [FAULT_READ] = "read",
    [FAULT_READDIR] = "readdir",
    [FAULT_READLINK] = "readlinkat",
    [FAULT_RECV] = "recv",
    [FAULT_SEND] = "send",
    [FAULT_SHUTDOWN] = "shutdown",
    [FAULT_SOCKET] = "socket",
    [FAULT_STATVFS] = "statvfs",
    [FAULT_THREAD] = "pthread_create",
    [FAULT_WRITE] = "write",
};

static struct {
	_Atomic unsigned call; /* enum fault_call */
	_Atomic unsigned count;
	_Atomic unsigned at;
	_Atomic unsigned mode;
	_Atomic int error;
} armed;

static _Thread_local bool spared;

void fault_arm(const struct fault *f)
{
	atomic_store(&armed.count, 0);
	atomic_store(&armed.at, f->at);
	atomic_store(&armed.mode, (unsigned)f->mode);
	atomic_store(&armed.error, f->error);
	atomic_store(&armed.call, (unsigned)f->call);
}

unsigned fault_lift(void)
{
	atomic_store(&armed.call, FAULT_NONE);
	return atomic_load(&armed.count);
}

void fault_spare_this_thread(void)
{
	spared = true;
}

/* 0: let it happen; else what shall go wrong. */
static int strike(enum fault_call call)
{
	if (spared || atomic_load_explicit(&armed.call, memory_order_acquire) != call)
		return 0;
	unsigned number = atomic_fetch_add(&armed.count, 1) + 1;
	unsigned at = atomic_load(&armed.at);
	bool now = atomic_load(&armed.mode) == FAULT_ONCE ? number == at : number >= at;
	return now ? atomic_load(&armed.error) : 0;
}

/* True when the call shall fail, with errno set. */
static bool fails(enum fault_call call)
{
	int error = strike(call);
	if (error > 0)
		errno = error;
	return error > 0;
}

/* The same for a call that moves len bytes, and may be told to move one. */
static bool fails_or_shrinks(enum fault_call call, size_t *len)
{
	int error = strike(call);
	if (error > 0)
		errno = error;
	if (error == FAULT_SHORT && *len > 1)
		*len = 1;
	return error > 0;
}

/*
 * The linker turns a call of name() into one of __wrap_name(), and __real_name() into
 * the original.
 */
#define WRAPPED(type, name, ...)                                                                   \
	type __real_##name(__VA_ARGS__);                                                           \
	type __wrap_##name(__VA_ARGS__);                                                           \
	type __wrap_##name(__VA_ARGS__)

/* Memory */

#ifdef ZIGGIE_SANITIZED

/* The sanitizer owns malloc, so only our own code's calls are seen; but it counts them all. */
#define FRONT(type, name, ...) WRAPPED(type, name, __VA_ARGS__)
#define BACK(name) __real_##name
size_t __sanitizer_get_current_allocated_bytes(void); /* its header is not always installed */

size_t fault_heap_bytes(void)
{
	return __sanitizer_get_current_allocated_bytes();
}

#else

/*
 * This program's malloc stands before glibc's for every library.  Our own code's calls come
 * here through the linker's names.
 */
#define FRONT(type, name, ...) type name(__VA_ARGS__)
#define BACK(name) back_##name
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

static _Atomic size_t heap_bytes;

size_t fault_heap_bytes(void)
{
	return atomic_load(&heap_bytes);
}

static void *counted(void *block)
{
	atomic_fetch_add_explicit(&heap_bytes, malloc_usable_size(block), memory_order_relaxed);
	return block;
}

static void *back_malloc(size_t size)
{
	return counted(__libc_malloc(size));
}

static void *back_calloc(size_t count, size_t size)
{
	return counted(__libc_calloc(count, size));
}

static void *back_realloc(void *old, size_t size)
{
	size_t before = malloc_usable_size(old);
	void *block = __libc_realloc(old, size);
	if (block == NULL && size > 0)
		return NULL; /* the old one is as it was */
	atomic_fetch_sub_explicit(&heap_bytes, before, memory_order_relaxed);
	return counted(block);
}

static void *back_reallocarray(void *old, size_t count, size_t size)
{
	size_t total;
	if (!__builtin_mul_overflow(count, size, &total))
		return back_realloc(old, total);
	errno = ENOMEM;
	return NULL;
}

static void *back_aligned_alloc(size_t alignment, size_t size)
{
	return counted(__libc_memalign(alignment, size));
}

WRAPPED(void *, malloc, size_t size)
{
	return __real_malloc(size);
}

WRAPPED(void *, calloc, size_t count, size_t size)
{
	return __real_calloc(count, size);
}

WRAPPED(void *, realloc, void *old, size_t size)
{
	return __real_realloc(old, size);
}

WRAPPED(void *, reallocarray, void *old, size_t count, size_t size)
{
	return __real_reallocarray(old, count, size);
}

WRAPPED(void *, aligned_alloc, size_t alignment, size_t size)
{
	return __real_aligned_alloc(alignment, size);
}

#endif

/*
 * What a library does not survive is spared, here and below: libmemcached 1.1 aborts when
 * it has no memory to note an error.
 */
static bool is_spared(const void *caller)
{
	Dl_info info;
	return dladdr(caller, &info) != 0 && strstr(info.dli_fname, "libmemcached") != NULL;
}

static bool no_memory(const void *caller)
{
	return !spared && atomic_load_explicit(&armed.call, memory_order_acquire) == FAULT_MEMORY &&
	       !is_spared(caller) && fails(FAULT_MEMORY);
}

FRONT(void *, malloc, size_t size)
{
	return no_memory(__builtin_return_address(0)) ? NULL : BACK(malloc)(size);
}

FRONT(void *, calloc, size_t count, size_t size)
{
	return no_memory(__builtin_return_address(0)) ? NULL : BACK(calloc)(count, size);
}

FRONT(void *, realloc, void *old, size_t size)
{
	return no_memory(__builtin_return_address(0)) ? NULL : BACK(realloc)(old, size);
}

FRONT(void *, reallocarray, void *old, size_t count, size_t size)
{
	return no_memory(__builtin_return_address(0)) ? NULL : BACK(reallocarray)(old, count, size);
}

FRONT(void *, aligned_alloc, size_t alignment, size_t size)
{
	return no_memory(__builtin_return_address(0)) ? NULL : BACK(aligned_alloc)(alignment, size);
}

#ifndef ZIGGIE_SANITIZED

/* The rest of the family, so that all is counted that is freed here. */
void *memalign(size_t alignment, size_t size)
{
	return no_memory(__builtin_return_address(0)) ? NULL : back_aligned_alloc(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
	void *block =
	    no_memory(__builtin_return_address(0)) ? NULL : back_aligned_alloc(alignment, size);
	if (block == NULL)
		return ENOMEM;
	*out = block;
	return 0;
}

void free(void *block)
{
	atomic_fetch_sub_explicit(&heap_bytes, malloc_usable_size(block), memory_order_relaxed);
	__libc_free(block);
}

#endif

WRAPPED(char *, strdup, const char *text)
{
	return fails(FAULT_MEMORY) ? NULL : __real_strdup(text);
}

#ifndef ZIGGIE_SANITIZED

/* json-c 0.16 does not look whether it got a copy of a member's name. */
char *strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = back_malloc(size);
	return copy != NULL ? memcpy(copy, text, size) : NULL;
}

#endif

/* Connector/C 3.3 crashes without memory while it connects. */
WRAPPED(void *, mysql_real_connect, void *mysql, const char *host, const char *user,
	const char *password, const char *database, unsigned port, const char *path,
	unsigned long flags)
{
	bool before = spared;
	spared = true;
	void *connected =
	    __real_mysql_real_connect(mysql, host, user, password, database, port, path, flags);
	spared = before;
	return connected;
}

WRAPPED(char *, strndup, const char *text, size_t len)
{
	return fails(FAULT_MEMORY) ? NULL : __real_strndup(text, len);
}

/* Connections */

WRAPPED(int, accept4, int fd, struct sockaddr *address, socklen_t *len, int flags)
{
	return fails(FAULT_ACCEPT) ? -1 : __real_accept4(fd, address, len, flags);
}

WRAPPED(int, socket, int domain, int type, int protocol)
{
	return fails(FAULT_SOCKET) ? -1 : __real_socket(domain, type, protocol);
}

WRAPPED(int, bind, int fd, const struct sockaddr *address, socklen_t len)
{
	return fails(FAULT_BIND) ? -1 : __real_bind(fd, address, len);
}

WRAPPED(int, listen, int fd, int backlog)
{
	return fails(FAULT_LISTEN) ? -1 : __real_listen(fd, backlog);
}

WRAPPED(int, connect, int fd, const struct sockaddr *address, socklen_t len)
{
	return fails(FAULT_CONNECT) ? -1 : __real_connect(fd, address, len);
}

WRAPPED(int, shutdown, int fd, int how)
{
	return fails(FAULT_SHUTDOWN) ? -1 : __real_shutdown(fd, how);
}

WRAPPED(ssize_t, recv, int fd, void *bytes, size_t len, int flags)
{
	return fails_or_shrinks(FAULT_RECV, &len) ? -1 : __real_recv(fd, bytes, len, flags);
}

WRAPPED(ssize_t, send, int fd, const void *bytes, size_t len, int flags)
{
	return fails_or_shrinks(FAULT_SEND, &len) ? -1 : __real_send(fd, bytes, len, flags);
}

/* A short one moves a byte of the first piece that has one. */
WRAPPED(ssize_t, sendmsg, int fd, const struct msghdr *message, int flags)
{
	size_t len = SIZE_MAX, piece = 0;
	if (fails_or_shrinks(FAULT_SEND, &len))
		return -1;
	if (len == SIZE_MAX)
		return __real_sendmsg(fd, message, flags);
	while (piece + 1 < message->msg_iovlen && message->msg_iov[piece].iov_len == 0)
		piece++;
	return __real_send(fd, message->msg_iov[piece].iov_base, len, flags);
}

WRAPPED(int, epoll_create1, int flags)
{
	return fails(FAULT_EPOLL_CREATE) ? -1 : __real_epoll_create1(flags);
}

WRAPPED(int, epoll_ctl, int set, int what, int fd, struct epoll_event *event)
{
	return fails(FAULT_EPOLL_CTL) ? -1 : __real_epoll_ctl(set, what, fd, event);
}

WRAPPED(int, epoll_wait, int set, struct epoll_event *events, int most, int ms)
{
	return fails(FAULT_EPOLL_WAIT) ? -1 : __real_epoll_wait(set, events, most, ms);
}

WRAPPED(int, eventfd, unsigned value, int flags)
{
	return fails(FAULT_EVENTFD) ? -1 : __real_eventfd(value, flags);
}

WRAPPED(int, poll, struct pollfd *fds, nfds_t count, int ms)
{
	return fails(FAULT_POLL) ? -1 : __real_poll(fds, count, ms);
}

/* Files */

static mode_t mode_of(int flags, va_list rest)
{
	return (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
}

WRAPPED(int, open, const char *path, int flags, ...)
{
	va_list rest;
	va_start(rest, flags);
	mode_t mode = mode_of(flags, rest);
	va_end(rest);
	return fails(FAULT_OPEN) ? -1 : __real_open(path, flags, mode);
}

WRAPPED(int, openat, int dir, const char *path, int flags, ...)
{
	va_list rest;
	va_start(rest, flags);
	mode_t mode = mode_of(flags, rest);
	va_end(rest);
	return fails(FAULT_OPEN) ? -1 : __real_openat(dir, path, flags, mode);
}

WRAPPED(int, close, int fd)
{
	int result = __real_close(fd);
	return fails(FAULT_CLOSE) ? -1 : result;
}

WRAPPED(ssize_t, read, int fd, void *bytes, size_t len)
{
	return fails(FAULT_READ) ? -1 : __real_read(fd, bytes, len);
}

WRAPPED(ssize_t, write, int fd, const void *bytes, size_t len)
{
	return fails_or_shrinks(FAULT_WRITE, &len) ? -1 : __real_write(fd, bytes, len);
}

WRAPPED(ssize_t, pwrite, int fd, const void *bytes, size_t len, off_t at)
{
	return fails(FAULT_PWRITE) ? -1 : __real_pwrite(fd, bytes, len, at);
}

WRAPPED(int, fcntl, int fd, int what, ...)
{
	va_list rest;
	va_start(rest, what);
	void *argument = va_arg(rest, void *);
	va_end(rest);
	return fails(FAULT_FCNTL) ? -1 : __real_fcntl(fd, what, argument);
}

WRAPPED(int, ftruncate, int fd, off_t size)
{
	return fails(FAULT_FTRUNCATE) ? -1 : __real_ftruncate(fd, size);
}

WRAPPED(int, memfd_create, const char *name, unsigned flags)
{
	return fails(FAULT_MEMFD) ? -1 : __real_memfd_create(name, flags);
}

WRAPPED(void *, mmap, void *at, size_t len, int access, int flags, int fd, off_t offset)
{
	return fails(FAULT_MMAP) ? MAP_FAILED : __real_mmap(at, len, access, flags, fd, offset);
}

WRAPPED(int, fstatat, int dir, const char *path, struct stat *out, int flags)
{
	return fails(FAULT_FSTATAT) ? -1 : __real_fstatat(dir, path, out, flags);
}

WRAPPED(int, faccessat, int dir, const char *path, int mode, int flags)
{
	return fails(FAULT_FACCESSAT) ? -1 : __real_faccessat(dir, path, mode, flags);
}

WRAPPED(int, statvfs, const char *path, struct statvfs *out)
{
	return fails(FAULT_STATVFS) ? -1 : __real_statvfs(path, out);
}

WRAPPED(ssize_t, readlinkat, int dir, const char *path, char *out, size_t size)
{
	return fails(FAULT_READLINK) ? -1 : __real_readlinkat(dir, path, out, size);
}

WRAPPED(DIR *, fdopendir, int fd)
{
	return fails(FAULT_FDOPENDIR) ? NULL : __real_fdopendir(fd);
}

WRAPPED(struct dirent *, readdir, DIR *dir)
{
	return fails(FAULT_READDIR) ? NULL : __real_readdir(dir);
}

/* The rest */

/* Gives its error back instead of setting errno. */
WRAPPED(int, getpwuid_r, uid_t uid, struct passwd *entry, char *buffer, size_t size,
	struct passwd **found)
{
	*found = NULL;
	return fails(FAULT_GETPWUID) ? errno : __real_getpwuid_r(uid, entry, buffer, size, found);
}

WRAPPED(ssize_t, getrandom, void *bytes, size_t len, unsigned flags)
{
	return fails(FAULT_GETRANDOM) ? -1 : __real_getrandom(bytes, len, flags);
}

WRAPPED(int, getrlimit, __rlimit_resource_t what, struct rlimit *out)
{
	return fails(FAULT_GETRLIMIT) ? -1 : __real_getrlimit(what, out);
}

/* The same. */
WRAPPED(int, pthread_create, pthread_t *id, const pthread_attr_t *attributes, void *(*main)(void *),
	void *argument)
{
	return fails(FAULT_THREAD) ? errno : __real_pthread_create(id, attributes, main, argument);
}
