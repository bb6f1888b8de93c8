/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "support.h"

#include <dirent.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START_TRIES = 500, START_PAUSE_MS = 20 };

void test_sleep_ms(unsigned ms)
{
	struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
	while (nanosleep(&left, &left) != 0)
		continue;
}

int64_t test_best_ms(int64_t (*measure)(void *context), void *context, int64_t limit_ms)
{
	enum { TRIES = 40 };
	int64_t ms = measure(context);
	for (int try = 1; try < TRIES && ms > limit_ms; try++)
		ms = measure(context);
	return ms;
}

static int answers(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	int good = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
	close(fd);
	return good;
}

void test_memcached_restart(struct test_memcached *m)
{
	assert_int_equal(m->pid, 0);
	unlink(m->socket);
	m->pid = fork();
	assert_true(m->pid >= 0);
	if (m->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (geteuid() == 0)
			execlp("memcached", "memcached", "-u", "root", "-s", m->socket, "-m", "64",
			       "-t", "1", (char *)NULL);
		else
			execlp("memcached", "memcached", "-s", m->socket, "-m", "64", "-t", "1",
			       (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < START_TRIES; i++) {
		if (answers(m->socket))
			return;
		test_sleep_ms(START_PAUSE_MS);
	}
	fail_msg("memcached did not start on %s", m->socket);
}

void test_memcached_start(struct test_memcached *m)
{
	*m = (struct test_memcached){.dir = "/tmp/ziggie-mc-XXXXXX"};
	assert_non_null(mkdtemp(m->dir));
	snprintf(m->socket, sizeof(m->socket), "%s/mc.sock", m->dir);
	test_memcached_restart(m);
}

void test_memcached_kill(struct test_memcached *m)
{
	assert_true(m->pid > 0);
	kill(m->pid, SIGKILL);
	assert_int_equal(waitpid(m->pid, NULL, 0), m->pid);
	m->pid = 0;
}

void test_memcached_stall(struct test_memcached *m)
{
	int status;
	kill(m->pid, SIGSTOP);
	assert_int_equal(waitpid(m->pid, &status, WUNTRACED), m->pid);
	assert_true(WIFSTOPPED(status));
}

void test_memcached_resume(struct test_memcached *m)
{
	kill(m->pid, SIGCONT);
}

void test_memcached_stop(struct test_memcached *m)
{
	if (m->pid > 0)
		test_memcached_kill(m);
	unlink(m->socket);
	rmdir(m->dir);
}

unsigned test_open_files(void)
{
	unsigned count = 0;
	DIR *dir = opendir("/proc/self/fd");
	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

size_t test_heap_bytes(void)
{
	return mallinfo2().uordblks;
}
