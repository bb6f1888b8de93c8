/*
 * What is ours here, and why: libfcgi's own loop accepts and reads without a time
 * limit, keeps a connection for as long as the web server likes while all others
 * wait, and looks at signals a moment before it sleeps.  So connections are accepted
 * here and given to libfcgi (ipcFd), each with time limits for reading and writing,
 * and closed after their answer.  Between them poll() waits for connections and
 * signals alike.
 */
#include "compat/libfcgi.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "conf/conf.h"
#include "program/program.h"
#include "shm/scoreboard.h"

enum { PAUSE_MS = 100 };

static void limit_wait(int fd, int option, int64_t ms)
{
	const struct timeval limit = {.tv_sec = ms / MS_PER_S,
				      .tv_usec = ms % MS_PER_S * US_PER_MS};
	setsockopt(fd, SOL_SOCKET, option, &limit, sizeof(limit));
}

/* False when the request did not come whole, or is not for a responder. */
static bool read_request(struct gateway *g, const FCGX_Request *request)
{
	char bytes[8192];
	int n;
	gateway_begin(g);
	/* The first entry is libfcgi's own. */
	if (strcmp(request->envp[0], "FCGI_ROLE=RESPONDER") != 0)
		return false;
	for (char **at = request->envp + 1; *at != NULL; at++)
		gateway_param(g, *at);
	while ((n = FCGX_GetStr(bytes, sizeof(bytes), request->in)) > 0)
		if (!gateway_body(g, bytes, (size_t)n))
			break;
	/* libfcgi takes a peer's end for the end of a stream, and tells so only here. */
	return FCGX_GetError(request->in) == 0;
}

static void count(const struct gateway *g, enum scoreboard_counter counter)
{
	scoreboard_count(g->app->scoreboard, g->thread.slot, counter, 1);
}

/* Here rather than in libfcgi, which would wait two seconds for the peer to close first. */
static void close_connection(FCGX_Request *request)
{
	io_close(&request->ipcFd);
	FCGX_Free(request, 0);
}

static void serve(struct gateway *g, FCGX_Request *request, int fd)
{
	request->ipcFd = fd;
	request->keepConnection = 1; /* else FCGX_Accept_r closes what it is given */
	if (FCGX_Accept_r(request) != 0) {
		count(g, COUNTER_protocol_errors); /* it has closed the connection */
		return;
	}
	bool whole = read_request(g, request);
	const struct http_output *out = whole ? gateway_answer(g, fd) : NULL;
	if (out != NULL) {
		request->keepConnection = 1;
		FCGX_PutStr(out->head.data, (int)out->head.len, request->out);
		FCGX_PutStr(out->body.data, (int)out->body.len, request->out);
		FCGX_Finish_r(request);
	} else if (!whole) {
		count(g, COUNTER_protocol_errors);
	}
	close_connection(request);
}

/* -1 with errno. */
static int accept_one(const struct gateway *g, int listen_fd)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return -1;
	limit_wait(fd, SO_RCVTIMEO, conf_number(g->app->conf, read_timeout));
	limit_wait(fd, SO_SNDTIMEO, conf_number(g->app->conf, write_timeout));
	count(g, COUNTER_accepted);
	return fd;
}

/* Whether accepting may work again; what is wrong with the socket itself stays wrong. */
static bool may_go_on(int error)
{
	switch (error) {
	case EAGAIN: /* another process on this socket was faster */
	case EINTR:
	case ECONNABORTED:
		return true;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		(void)poll(NULL, 0, PAUSE_MS); /* only time helps */
		return true;
	default:
		return false;
	}
}

static bool is_told_to_end(int signals)
{
	struct signalfd_siginfo told;
	while (read(signals, &told, sizeof(told)) == (ssize_t)sizeof(told)) {
		if (told.ssi_signo != SIGHUP)
			return true;
		program_reopen_log();
	}
	return false;
}

static enum err serve_all(struct gateway *g, FCGX_Request *request, int listen_fd, int signals,
			  struct errmsg *why)
{
	struct pollfd ready[] = {{.fd = signals, .events = POLLIN},
				 {.fd = listen_fd, .events = POLLIN}};
	for (;;) {
		if (poll(ready, sizeof(ready) / sizeof(ready[0]), -1) < 0 && errno != EINTR)
			return err_errno(why, "can't wait for connections");
		if (is_told_to_end(signals))
			return ERR_OK;
		int fd = ready[1].revents != 0 ? accept_one(g, listen_fd) : -1;
		if (fd >= 0)
			serve(g, request, fd);
		else if (ready[1].revents != 0 && !may_go_on(errno))
			return err_errno(why, "can't accept connections");
	}
}

enum err libfcgi_serve(struct gateway *g, int listen_fd, const sigset_t *taken, struct errmsg *why)
{
	FD_CLEANUP signals = signalfd(-1, taken, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		return err_errno(why, "can't wait for signals");
	/* Others may share the socket and take the connection that poll() told of. */
	if (fcntl(listen_fd, F_SETFL, fcntl(listen_fd, F_GETFL) | O_NONBLOCK) != 0)
		return err_errno(why, "can't make the listening socket non-blocking");
	FCGX_Request request;
	/* No listening socket: after a broken connection libfcgi can't accept one by itself. */
	if (FCGX_Init() != 0 || FCGX_InitRequest(&request, -1, 0) != 0)
		return err_set(why, ERR_INTERNAL, "libfcgi does not start");
	return serve_all(g, &request, listen_fd, signals, why);
}
