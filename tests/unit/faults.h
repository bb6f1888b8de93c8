/*
 * Faults on purpose: calls to the allocator and to the kernel that fail when a test
 * says so.
 *
 * A test program that links with $(FAULTS_WRAP) sends those calls of our own code
 * through faults.c (the linker's --wrap).  Allocations are different: in a build
 * without sanitizers this program is the allocator's front for the libraries too, so
 * that what json-c, libsodium or Connector/C ask for fails as well.
 *
 *	fault_spare_this_thread();		the test's own calls never fail
 *	fault_arm(&(struct fault){FAULT_RECV, ECONNRESET, 2, FAULT_ONCE});
 *	… one request …
 *	unsigned calls = fault_lift();		how many such calls there were
 *	if (calls < 2) …			the second never came: nothing has failed
 */
#ifndef ZIGGIE_TESTS_FAULTS_H
#define ZIGGIE_TESTS_FAULTS_H

#include <stdbool.h>
#include <stddef.h>

enum fault_call {
	FAULT_NONE,
	FAULT_MEMORY, /* malloc and its kin */
	FAULT_ACCEPT,
	FAULT_BIND,
	FAULT_CLOSE, /* closes all the same, as the kernel does */
	FAULT_CONNECT,
	FAULT_EPOLL_CREATE,
	FAULT_EPOLL_CTL,
	FAULT_EPOLL_WAIT,
	FAULT_EVENTFD,
	FAULT_FACCESSAT,
	FAULT_FCNTL,
	FAULT_FDOPENDIR,
	FAULT_FSTATAT,
	FAULT_FTRUNCATE,
	FAULT_GETPWUID,
	FAULT_GETRANDOM,
	FAULT_GETRLIMIT,
	FAULT_LISTEN,
	FAULT_MEMFD,
	FAULT_MMAP,
	FAULT_OPEN, /* open, openat */
	FAULT_POLL,
	FAULT_PWRITE,
	FAULT_READ,
	FAULT_READDIR,
	FAULT_READLINK,
	FAULT_RECV,
	FAULT_SEND, /* send, sendmsg */
	FAULT_SHUTDOWN,
	FAULT_SOCKET,
	FAULT_STATVFS,
	FAULT_THREAD, /* pthread_create */
	FAULT_WRITE,
	FAULT_CALLS
};

extern const char *const fault_names[FAULT_CALLS];

/* Instead of an errno: the call works, but on one byte. */
#define FAULT_SHORT (-1)

enum fault_mode { FAULT_ONCE, FAULT_FROM_THEN_ON };

struct fault {
	enum fault_call call;
	int error;   /* an errno, or FAULT_SHORT */
	unsigned at; /* the first call to fail, from 1 */
	enum fault_mode mode;
};

/* From now on calls are counted, and fail as told.  One fault at a time. */
void fault_arm(const struct fault *f);
/* Ends that; how many calls of its kind were made meanwhile. */
unsigned fault_lift(void);

/* The calling thread's calls neither count nor fail. */
void fault_spare_this_thread(void);

/* What the program and its libraries have allocated and not freed, to the byte. */
size_t fault_heap_bytes(void);

#endif
