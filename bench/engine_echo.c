/*
 * The connection engine with an application that does nothing: every request gets
 * the same answer.  What is left is the cost of the engine itself, to be compared
 * with bare_fcgi.
 *
 *	engine_echo SOCKET [threads [bytes]]
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "worker/engine.h"

enum { BACKLOG = 4096, DRAIN_MS = 10000 };

static size_t body_bytes = 8192;

static void echo_thread_start(void *context, struct http_thread *thread, unsigned index)
{
	(void)context;
	thread->slot = index;
	strbuf_init(&thread->out.head);
	strbuf_init(&thread->out.body);
}

static void echo_thread_stop(void *context, struct http_thread *thread)
{
	(void)context;
	strbuf_release(&thread->out.head);
	strbuf_release(&thread->out.body);
}

static void echo_classify(void *context, struct http_input *in)
{
	(void)context;
	in->weight = WEIGHT_NORMAL;
	in->arrived_ns = in->received_ns;
	in->deadline_ns = in->received_ns + 10 * NS_PER_S;
}

static void echo_serve(void *context, struct http_thread *thread, const struct http_input *in)
{
	(void)context;
	(void)in;
	struct http_output *out = &thread->out;
	strbuf_clear(&out->head);
	strbuf_clear(&out->body);
	strbuf_adds(&out->head, "Content-Type: text/plain\r\nContent-Length: ");
	strbuf_addu(&out->head, body_bytes);
	strbuf_adds(&out->head, "\r\n\r\n");
	if (strbuf_reserve(&out->body, body_bytes)) {
		memset(out->body.data, 'x', body_bytes);
		out->body.len = body_bytes;
	}
}

static int listen_on(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address.sun_path))
		return -1;
	memcpy(address.sun_path, path, strlen(path));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unlink(path);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
	    chmod(path, 0666) != 0 || listen(fd, BACKLOG) != 0)
		return -1;
	return fd;
}

static int run(int listen_fd, unsigned threads)
{
	const struct engine_app app = {.thread_start = echo_thread_start,
				       .thread_stop = echo_thread_stop,
				       .classify = echo_classify,
				       .serve = echo_serve};
	const struct engine_config config = {.listen_fd = listen_fd,
					     .threads = threads,
					     .max_connections = 2048,
					     .max_body = 1 << 20,
					     .read_timeout_ms = 10000,
					     .write_timeout_ms = 30000,
					     .idle_timeout_ms = 60000,
					     .queue_target_ms = 100,
					     .queue_interval_ms = 500};
	struct errmsg why = ERRMSG_INIT;
	struct engine *engine;
	sigset_t ends;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	if (engine_start(&engine, &config, &app, &why) != ERR_OK) {
		fprintf(stderr, "engine_echo: %s\n", why.text);
		return EX_OSERR;
	}
	int signal;
	sigwait(&ends, &signal);
	engine_drain(engine, DRAIN_MS);
	engine_stop(engine);
	return EX_OK;
}

int main(int argc, char **argv)
{
	uint64_t threads = 16;
	uint64_t bytes = body_bytes;
	if (argc < 2 || argc > 4 ||
	    (argc > 2 && !num_u64s(argv[2], ENGINE_THREADS_MIN, ENGINE_THREADS_MAX, &threads)) ||
	    (argc > 3 && !num_u64s(argv[3], 0, 1 << 26, &bytes))) {
		fprintf(stderr, "usage: engine_echo SOCKET [threads [bytes]]\n");
		return EX_USAGE;
	}
	body_bytes = bytes;
	int fd = listen_on(argv[1]);
	if (fd < 0) {
		perror("engine_echo: can't listen");
		return EX_OSERR;
	}
	return run(fd, (unsigned)threads);
}
