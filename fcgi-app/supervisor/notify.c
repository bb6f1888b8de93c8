#include "supervisor/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/num.h"

enum { MESSAGE_MAX = 512 };

static void send_message(const char *path, const char *message, size_t len)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t path_len = strlen(path);
	if (path_len == 0 || path_len >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, path_len);
	/* A leading @ means Linux's abstract names, which begin with a NUL. */
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	FD_CLEANUP fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_len);
	sendto(fd, message, len, MSG_NOSIGNAL, (const struct sockaddr *)&address, size);
}

void notify_send(const char *format, ...)
{
	const char *path = getenv("NOTIFY_SOCKET");
	if (path == NULL)
		return;
	char message[MESSAGE_MAX];
	va_list args;
	va_start(args, format);
	int len = vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (len > 0 && len < (int)sizeof(message))
		send_message(path, message, (size_t)len);
}

void notify_reloading(const char *status)
{
	notify_send("RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=%s",
		    (long long)(clock_mono_ns() / NS_PER_US), status);
}

int64_t notify_watchdog_interval(void)
{
	const char *us_text = getenv("WATCHDOG_USEC");
	const char *pid_text = getenv("WATCHDOG_PID");
	uint64_t us = 0, pid = 0;
	if (us_text == NULL || !num_u64s(us_text, 1, INT64_MAX / 1000, &us))
		return 0;
	if (pid_text != NULL && (!num_u64s(pid_text, 1, INT32_MAX, &pid) || (pid_t)pid != getpid()))
		return 0;
	return (int64_t)us * NS_PER_US / 2;
}
