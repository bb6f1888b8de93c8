#include "libfcgi_child.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"

/* Long enough for a child on a machine that is busy with other things. */
enum { LIMIT_MS = 5000, NO_REQUEST = 3 };

void libfcgi_view_init(struct libfcgi_view *v)
{
	*v = (struct libfcgi_view){.end = LIBFCGI_DIED};
	strbuf_init(&v->params);
	strbuf_init(&v->body);
}

void libfcgi_view_release(struct libfcgi_view *v)
{
	strbuf_release(&v->params);
	strbuf_release(&v->body);
}

/* The child's report: this, the parameters, the body. */
struct report {
	size_t params_len;
	size_t body_len;
	bool cut_short;
};

static void take_request(const FCGX_Request *request, struct strbuf *params, struct strbuf *body)
{
	char bytes[4096];
	int n;
	/* The first entry is libfcgi's own: FCGI_ROLE. */
	for (char **at = request->envp + 1; *at != NULL; at++)
		strbuf_add(params, *at, strlen(*at) + 1);
	while ((n = FCGX_GetStr(bytes, sizeof(bytes), request->in)) > 0)
		strbuf_add(body, bytes, (size_t)n);
}

static _Noreturn void run_child(int connection, int report_to)
{
	const struct rlimit no_core = {0, 0};
	setrlimit(RLIMIT_CORE, &no_core);
	/* What it says when it aborts is expected, and no concern of the test's output. */
	int nowhere = open("/dev/null", O_WRONLY);
	dup2(nowhere, STDERR_FILENO);
	FCGX_Request request;
	if (FCGX_Init() != 0 || FCGX_InitRequest(&request, -1, 0) != 0)
		_exit(NO_REQUEST);
	request.ipcFd = connection;
	request.keepConnection = 1; /* else FCGX_Accept_r closes what it is given */
	if (FCGX_Accept_r(&request) != 0)
		_exit(NO_REQUEST);
	struct strbuf params = STRBUF_INIT, body = STRBUF_INIT;
	take_request(&request, &params, &body);
	const struct report report = {.params_len = params.len,
				      .body_len = body.len,
				      .cut_short = FCGX_GetError(request.in) != 0};
	io_write_all(report_to, &report, sizeof(report));
	io_write_all(report_to, params.data, params.len);
	io_write_all(report_to, body.data, body.len);
	_exit(0);
}

struct exchange {
	int connection;
	int report;
	const char *bytes;
	size_t left;
	struct strbuf said;
	bool ended;
};

static void send_some(struct exchange *x)
{
	ssize_t n = send(x->connection, x->bytes, x->left, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0) {
		x->bytes += n;
		x->left -= (size_t)n;
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		x->left = 0; /* it has closed */
	}
	if (x->left == 0)
		shutdown(x->connection, SHUT_WR);
}

static void drain(int fd)
{
	char replies[4096];
	while (recv(fd, replies, sizeof(replies), MSG_DONTWAIT) > 0)
		;
}

static void hear(struct exchange *x)
{
	char bytes[65536];
	ssize_t n = read(x->report, bytes, sizeof(bytes));
	if (n > 0)
		strbuf_add(&x->said, bytes, (size_t)n);
	else
		x->ended = n == 0 || errno != EINTR;
}

/* Until the child has closed its report, or the time is over. */
static void converse(struct exchange *x)
{
	int64_t until = clock_mono_ns() + LIMIT_MS * NS_PER_MS;
	if (x->left == 0)
		shutdown(x->connection, SHUT_WR);
	while (!x->ended) {
		int64_t left_ms = (until - clock_mono_ns()) / NS_PER_MS;
		if (left_ms <= 0)
			return;
		struct pollfd ready[] = {
		    {.fd = x->report, .events = POLLIN},
		    {.fd = x->left > 0 ? x->connection : -1, .events = POLLOUT},
		};
		poll(ready, 2, (int)left_ms);
		if (ready[1].revents != 0)
			send_some(x);
		drain(x->connection);
		if (ready[0].revents != 0)
			hear(x);
	}
}

static void take_report(struct libfcgi_view *v, const struct strbuf *said)
{
	struct report report;
	assert_true(said->len >= sizeof(report));
	memcpy(&report, said->data, sizeof(report));
	assert_int_equal(said->len, sizeof(report) + report.params_len + report.body_len);
	strbuf_add(&v->params, said->data + sizeof(report), report.params_len);
	strbuf_add(&v->body, said->data + sizeof(report) + report.params_len, report.body_len);
	v->cut_short = report.cut_short;
}

static pid_t start_child(int connection[2], int report[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, connection), 0);
	assert_int_equal(pipe(report), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(connection[0]);
		close(report[0]);
		run_child(connection[1], report[1]);
	}
	close(connection[1]);
	close(report[1]);
	return pid;
}

void libfcgi_read(struct libfcgi_view *v, const void *bytes, size_t len)
{
	int connection[2], report[2], status;
	pid_t pid = start_child(connection, report);
	struct exchange x = {
	    .connection = connection[0], .report = report[0], .bytes = bytes, .left = len};
	strbuf_init(&x.said);
	converse(&x);
	if (!x.ended)
		kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(connection[0]);
	close(report[0]);
	if (!x.ended) {
		v->end = LIBFCGI_HUNG;
	} else if (WIFEXITED(status) && WEXITSTATUS(status) == NO_REQUEST) {
		v->end = LIBFCGI_CLOSED;
	} else if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		v->end = LIBFCGI_REQUEST;
		take_report(v, &x.said);
	} else {
		v->end = LIBFCGI_DIED;
	}
	strbuf_release(&x.said);
}
