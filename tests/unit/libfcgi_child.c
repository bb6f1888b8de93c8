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
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"

/* For one stream, on a machine that is busy with other things. */
enum { LIMIT_MS = 5000 };

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

/* What the child says of a stream: this, the parameters, the body. */
struct report {
	size_t params_len;
	size_t body_len;
	bool has_request;
	bool cut_short;
};

/* The child */

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

static void read_stream(int connection, int reports)
{
	FCGX_Request request;
	STRBUF_CLEANUP params = STRBUF_INIT;
	STRBUF_CLEANUP body = STRBUF_INIT;
	struct report report = {0};
	FCGX_InitRequest(&request, -1, 0);
	request.ipcFd = connection;
	request.keepConnection = 1; /* else FCGX_Accept_r closes what it is given */
	if (FCGX_Accept_r(&request) == 0) {
		take_request(&request, &params, &body);
		report = (struct report){.params_len = params.len,
					 .body_len = body.len,
					 .has_request = true,
					 .cut_short = FCGX_GetError(request.in) != 0};
	}
	FCGX_Free(&request, 1);
	io_write_all(reports, &report, sizeof(report));
	io_write_all(reports, params.data, params.len);
	io_write_all(reports, body.data, body.len);
}

static _Noreturn void run_child(int listener, int reports)
{
	const struct rlimit no_core = {0, 0};
	setrlimit(RLIMIT_CORE, &no_core);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* What it says when it aborts is expected, and no concern of the test's output. */
	dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
	FCGX_Init();
	for (;;) {
		int connection = accept(listener, NULL, NULL);
		if (connection < 0)
			_exit(1);
		read_stream(connection, reports);
	}
}

/* On an address that the kernel chooses. */
static int listen_anywhere(void)
{
	const struct sockaddr_un any = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&any, sizeof(any.sun_family)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void start_child(struct libfcgi_child *child)
{
	int reports[2];
	assert_int_equal(pipe(reports), 0);
	child->listener = listen_anywhere();
	child->reports = reports[0];
	child->pid = fork();
	assert_true(child->pid >= 0);
	if (child->pid == 0) {
		close(reports[0]);
		run_child(child->listener, reports[1]);
	}
	close(reports[1]);
}

void libfcgi_child_end(struct libfcgi_child *child)
{
	if (child->pid == 0)
		return;
	kill(child->pid, SIGKILL);
	assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
	close(child->listener);
	close(child->reports);
	*child = (struct libfcgi_child){0};
}

/* One stream */

struct exchange {
	int connection;
	int reports;
	const char *bytes;
	size_t left;
	struct strbuf said;
	bool died;
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
	ssize_t n = read(x->reports, bytes, sizeof(bytes));
	if (n > 0)
		strbuf_add(&x->said, bytes, (size_t)n);
	else
		x->died = n == 0 || errno != EINTR;
}

static bool is_complete(const struct strbuf *said)
{
	struct report report;
	if (said->len < sizeof(report))
		return false;
	memcpy(&report, said->data, sizeof(report));
	return said->len == sizeof(report) + report.params_len + report.body_len;
}

/* Until the report is complete, the child has died, or the time is over. */
static void converse(struct exchange *x)
{
	int64_t until = clock_mono_ns() + LIMIT_MS * NS_PER_MS;
	if (x->left == 0)
		shutdown(x->connection, SHUT_WR);
	while (!x->died && !is_complete(&x->said)) {
		int64_t left_ms = (until - clock_mono_ns()) / NS_PER_MS;
		if (left_ms <= 0)
			return;
		struct pollfd ready[] = {
		    {.fd = x->reports, .events = POLLIN},
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
	memcpy(&report, said->data, sizeof(report));
	strbuf_add(&v->params, said->data + sizeof(report), report.params_len);
	strbuf_add(&v->body, said->data + sizeof(report) + report.params_len, report.body_len);
	v->cut_short = report.cut_short;
	v->end = report.has_request ? LIBFCGI_REQUEST : LIBFCGI_CLOSED;
}

static int connect_to(int listener)
{
	struct sockaddr_un address;
	socklen_t len = sizeof(address);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, len), 0);
	return fd;
}

void libfcgi_read(struct libfcgi_child *child, struct libfcgi_view *v, const void *bytes,
		  size_t len)
{
	if (child->pid == 0)
		start_child(child);
	struct exchange x = {.connection = connect_to(child->listener),
			     .reports = child->reports,
			     .bytes = bytes,
			     .left = len};
	strbuf_init(&x.said);
	converse(&x);
	close(x.connection);
	if (is_complete(&x.said)) {
		take_report(v, &x.said);
	} else {
		v->end = x.died ? LIBFCGI_DIED : LIBFCGI_HUNG;
		libfcgi_child_end(child);
	}
	strbuf_release(&x.said);
}
