/*
 * The named limit of the benchmarks: as little as a FastCGI program on libfcgi can do
 * with connections that the web server keeps.  It parses the parameters, which is
 * libfcgi's part, and answers constant bytes, whatever was asked.
 *
 * One thread accepts.  A connection waits for its next request in epoll
 * (EPOLLONESHOT), not in a thread; libfcgi takes a ready one because its ipcFd is set
 * before FCGX_Accept_r.  The connection goes back to epoll when FCGX_Finish_r left it
 * open.  Whoever starts this program ends it with a signal.
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include <fcgiapp.h>

#include "base/num.h"

enum { BODY_MIN = 16, BODY_MAX = 1 << 24, THREADS_MAX = 1024, BACKLOG = 4096 };

struct bare {
	int listener;
	int epoll;
	char *response; /* CGI header and body */
	int response_len;
};

static const char usage[] =
    "Usage: bare_fcgi --socket PATH [--size BYTES] [--threads N]\n"
    "Answer every FastCGI request on a unix socket with the same JSON body.\n"
    "\n"
    "  --socket PATH  where to listen; must not exist\n"
    "  --size BYTES   size of the body, 16 to 16777216 (default 8192)\n"
    "  --threads N    threads that answer, 1 to 1024 (default 16)\n"
    "  --help         this text\n";

static void die(const char *what)
{
	fprintf(stderr, "bare_fcgi: %s: %s\n", what, strerror(errno));
	exit(EX_OSERR);
}

/* {"filling":"xxx…"} of exactly size bytes, behind its header. */
static void bare_compose(struct bare *bare, size_t size)
{
	static const char head[] = "{\"filling\":\"";
	static const char tail[] = "\"}";
	char header[128];
	int header_len = snprintf(header, sizeof(header),
				  "Status: 200 OK\r\nContent-Type: application/json\r\n"
				  "Content-Length: %zu\r\n\r\n",
				  size);
	size_t len = (size_t)header_len + size;
	char *response = malloc(len);

	if (response == NULL)
		die("malloc");
	memset(response, 'x', len);
	memcpy(response, header, (size_t)header_len);
	memcpy(response + header_len, head, sizeof(head) - 1);
	memcpy(response + len - (sizeof(tail) - 1), tail, sizeof(tail) - 1);
	bare->response = response;
	bare->response_len = (int)len;
}

static int bare_listen(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = strlen(path);
	int fd;

	if (len >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		die(path);
	}
	memcpy(address.sun_path, path, len + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
	    listen(fd, BACKLOG) != 0)
		die(path);
	return fd;
}

static void *acceptor_main(void *arg)
{
	struct bare *bare = arg;

	for (;;) {
		struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT};
		int fd = accept4(bare->listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0)
			die("accept4");
		event.data.fd = fd;
		if (epoll_ctl(bare->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
			die("epoll_ctl");
	}
	return NULL;
}

/* Answers the one request that waits on fd; returns fd, or -1 when libfcgi closed it. */
static int bare_answer(struct bare *bare, FCGX_Request *request, int fd)
{
	request->ipcFd = fd;
	request->keepConnection = 1; /* else FCGX_Accept_r closes what it is given */
	if (FCGX_Accept_r(request) != 0)
		return -1;
	FCGX_PutStr(bare->response, bare->response_len, request->out);
	FCGX_Finish_r(request);
	fd = request->ipcFd;
	request->ipcFd = -1;
	return fd;
}

static void *worker_main(void *arg)
{
	struct bare *bare = arg;
	FCGX_Request request;

	/* No listening socket: after a broken connection libfcgi can't accept one by itself. */
	if (FCGX_InitRequest(&request, -1, 0) != 0)
		die("FCGX_InitRequest");
	for (;;) {
		struct epoll_event event;
		int ready = epoll_wait(bare->epoll, &event, 1, -1);
		int fd;

		if (ready < 0 && errno != EINTR)
			die("epoll_wait");
		if (ready <= 0)
			continue;
		if ((event.events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)) != 0) {
			close(event.data.fd);
			continue;
		}
		fd = bare_answer(bare, &request, event.data.fd);
		event.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT;
		event.data.fd = fd;
		if (fd >= 0 && epoll_ctl(bare->epoll, EPOLL_CTL_MOD, fd, &event) != 0)
			die("epoll_ctl");
	}
	return NULL;
}

static uint64_t number(const char *option, const char *text, uint64_t min, uint64_t max)
{
	uint64_t value;

	if (!num_u64s(text, min, max, &value)) {
		fprintf(stderr, "bare_fcgi: --%s takes a number\n%s", option, usage);
		exit(EX_USAGE);
	}
	return value;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"socket", required_argument, NULL, 'u'},
	    {"size", required_argument, NULL, 's'},
	    {"threads", required_argument, NULL, 't'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	const char *path = NULL;
	size_t size = 8192;
	size_t threads = 16;
	struct bare bare = {0};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'u':
			path = optarg;
			break;
		case 's':
			size = number("size", optarg, BODY_MIN, BODY_MAX);
			break;
		case 't':
			threads = number("threads", optarg, 1, THREADS_MAX);
			break;
		case 'h':
			fputs(usage, stdout);
			return EX_OK;
		default:
			fputs(usage, stderr);
			return EX_USAGE;
		}
	}
	if (path == NULL || optind != argc) {
		fputs(usage, stderr);
		return EX_USAGE;
	}

	/* libfcgi's start-up makes SIGTERM set a flag that only its own accept loop reads. */
	if (FCGX_Init() != 0 || signal(SIGTERM, SIG_DFL) == SIG_ERR ||
	    signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		die("start");
	bare_compose(&bare, size);
	bare.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (bare.epoll < 0)
		die("epoll_create1");
	bare.listener = bare_listen(path);
	for (size_t i = 0; i < threads; i++) {
		pthread_t thread;

		errno = pthread_create(&thread, NULL, worker_main, &bare);
		if (errno != 0)
			die("pthread_create");
	}
	acceptor_main(&bare);
	return EX_OK;
}
