#include "worker/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/stack.h"
#include "worker/connection.h"

/* Three watchers were the best of 1, 2, 3, 4 and all; docs/decisions/0002. */
enum { OTHER_FILES = 128, WATCHERS = 3, EVENT_PAUSE_MS = 100 };
/* What most requests fit in: that much of a thread's buffer is taken at once. */
enum { USUAL_READ = 4096 };
#define STOP_KEY UINT64_MAX

void engine_wait_changed(struct engine *e, int64_t ms)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	int64_t ns = until.tv_nsec + ms * NS_PER_MS;
	until.tv_sec += ns / NS_PER_S;
	until.tv_nsec = ns % NS_PER_S;
	pthread_cond_timedwait(&e->changed, &e->lock, &until);
}

static void run_event(struct engine_thread *t, const struct epoll_event *event)
{
	struct connection *conn = connection_of_key(t->engine, event->data.u64);
	bool hung_up = (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
	uint64_t flags = CONN_READY | (hung_up ? (uint64_t)CONN_HUNG_UP : 0);
	if (connection_own(conn, event->data.u64, flags))
		connection_run(t, conn);
}

/* No error but EINTR is to be expected; whichever comes, the threads must not spin on it. */
static void pause_after(int error)
{
	const struct timespec pause = {.tv_nsec = EVENT_PAUSE_MS * NS_PER_MS};
	if (error == EINTR)
		return;
	LOG_EVENT(LOG_ERROR, "epoll_wait_failed", LOG_STR("error", strerrordesc_np(error)),
		  LOG_INT("pause_ms", EVENT_PAUSE_MS));
	nanosleep(&pause, NULL);
}

/* From its first request on a thread takes next to nothing more. */
static void say_warm(struct engine *e)
{
	pthread_mutex_lock(&e->lock);
	e->warm++;
	pthread_cond_broadcast(&e->changed);
	pthread_mutex_unlock(&e->lock);
}

static void *thread_main(void *thread)
{
	struct engine_thread *t = thread;
	struct engine *e = t->engine;
	stack_touch();
	memset(t->buffer, 0, USUAL_READ);
	e->app.thread_start(e->app.context, &t->http, t->index);
	codec_memory_init(&t->memory);
	say_warm(e);
	while (!atomic_load_explicit(&e->stopping, memory_order_relaxed) &&
	       watch_enter(&e->watch)) {
		struct epoll_event event;
		int n = epoll_wait(e->epoll_fd, &event, 1, -1);
		int error = errno;
		watch_leave(&e->watch);
		if (n < 0)
			pause_after(error);
		if (n == 1 && event.data.u64 != STOP_KEY)
			run_event(t, &event);
	}
	codec_memory_release(&t->memory);
	e->app.thread_stop(e->app.context, &t->http);
	return NULL;
}

static enum err check_config(const struct engine_config *c, struct errmsg *why)
{
	if (c->threads < ENGINE_THREADS_MIN || c->threads > ENGINE_THREADS_MAX)
		return err_set(why, ERR_INVALID, "threads must be from %d to %d, not %u",
			       ENGINE_THREADS_MIN, ENGINE_THREADS_MAX, c->threads);
	if (c->max_connections == 0 || c->max_body == 0 || c->read_timeout_ms <= 0 ||
	    c->write_timeout_ms <= 0 || c->idle_timeout_ms <= 0 || c->queue_target_ms <= 0 ||
	    c->queue_interval_ms <= 0)
		return err_set(why, ERR_INVALID,
			       "a limit of the connection engine is not positive");
	return ERR_OK;
}

static enum err check_open_files(const struct engine_config *c, struct errmsg *why)
{
	struct rlimit files;
	rlim_t need = (rlim_t)c->max_connections + OTHER_FILES;
	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return err_errno(why, "can't read the limit of open files");
	if (files.rlim_cur >= need)
		return ERR_OK;
	if (files.rlim_max < need)
		return err_set(why, ERR_INVALID,
			       "max_connections %u needs %llu open files, but the limit is %llu",
			       c->max_connections, (unsigned long long)need,
			       (unsigned long long)files.rlim_max);
	files.rlim_cur = need;
	if (setrlimit(RLIMIT_NOFILE, &files) != 0)
		return err_errno(why, "can't raise the limit of open files to %llu",
				 (unsigned long long)need);
	return ERR_OK;
}

/* The acceptor blocks in accept4: the kernel then deals connections out evenly to the workers. */
static enum err make_blocking(int fd, struct errmsg *why)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return err_errno(why, "can't make the listening socket blocking");
	return ERR_OK;
}

static void on_wake(int signal)
{
	(void)signal; /* only interrupts accept4 */
}

static enum err install_wake_signal(struct errmsg *why)
{
	struct sigaction action = {.sa_handler = on_wake}; /* no SA_RESTART */
	sigemptyset(&action.sa_mask);
	if (sigaction(ENGINE_WAKE_SIGNAL, &action, NULL) != 0)
		return err_errno(why, "can't install the acceptor's signal");
	return ERR_OK;
}

static enum err make_epoll_set(struct engine *e, struct errmsg *why)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = STOP_KEY};
	e->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	e->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (e->epoll_fd < 0 || e->stop_fd < 0 ||
	    epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, e->stop_fd, &event) != 0)
		return err_errno(why, "can't make the epoll set");
	return ERR_OK;
}

static void init_lock(struct engine *e)
{
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->changed, &attr);
	pthread_condattr_destroy(&attr);
}

static struct engine *engine_new(const struct engine_config *config, const struct engine_app *app)
{
	struct engine *e = calloc(1, sizeof(*e));
	if (e == NULL)
		return NULL;
	e->config = *config;
	e->app = *app;
	e->stats = config->stats != NULL ? config->stats : &e->own_stats;
	e->limits = (struct codec_limits){
	    .params_bytes = CODEC_PARAMS_BYTES,
	    .params_count = CODEC_PARAMS_COUNT,
	    .body_bytes = config->max_body,
	    .max_connections = config->max_connections,
	};
	e->epoll_fd = -1;
	e->stop_fd = -1;
	init_lock(e);
	watch_init(&e->watch, WATCHERS);
	admission_init(&e->admission, config->threads, e->stats);
	for (int class = 0; class < CLASS_COUNT; class ++)
		codel_init(&e->codel[class], config->queue_target_ms * NS_PER_MS,
			   config->queue_interval_ms * NS_PER_MS);
	return e;
}

static void engine_free(struct engine *e)
{
	connection_table_release(e);
	if (e->epoll_fd >= 0)
		close(e->epoll_fd);
	if (e->stop_fd >= 0)
		close(e->stop_fd);
	admission_release(&e->admission);
	watch_release(&e->watch);
	pthread_cond_destroy(&e->changed);
	pthread_mutex_destroy(&e->lock);
	free(e->threads);
	free(e);
}

static enum err start_thread(pthread_t *id, void *(*main)(void *), void *argument,
			     struct errmsg *why)
{
	sigset_t all;
	sigset_t before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(id, NULL, main, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error != 0)
		return err_set(why, ERR_IO, "can't start a thread: %s", strerrordesc_np(error));
	return ERR_OK;
}

static void wait_until_warm(struct engine *e)
{
	pthread_mutex_lock(&e->lock);
	while (e->warm < e->thread_count)
		pthread_cond_wait(&e->changed, &e->lock);
	pthread_mutex_unlock(&e->lock);
}

/* The acceptor comes last: from then on there are requests. */
static enum err start_threads(struct engine *e, struct errmsg *why)
{
	e->threads = calloc(e->config.threads, sizeof(*e->threads));
	if (e->threads == NULL)
		return err_set(why, ERR_NOMEM, "no memory for the threads");
	enum err err = start_thread(&e->sweeper, sweeper_main, e, why);
	e->has_sweeper = err == ERR_OK;
	while (err == ERR_OK && e->thread_count < e->config.threads) {
		struct engine_thread *t = &e->threads[e->thread_count];
		t->engine = e;
		t->index = e->thread_count;
		err = start_thread(&t->id, thread_main, t, why);
		if (err == ERR_OK)
			e->thread_count++;
	}
	wait_until_warm(e);
	if (err == ERR_OK)
		err = start_thread(&e->acceptor, acceptor_main, e, why);
	e->has_acceptor = err == ERR_OK;
	return err;
}

enum err engine_start(struct engine **out, const struct engine_config *config,
		      const struct engine_app *app, struct errmsg *why)
{
	enum err err = check_config(config, why);
	if (err == ERR_OK)
		err = check_open_files(config, why);
	if (err == ERR_OK)
		err = make_blocking(config->listen_fd, why);
	if (err == ERR_OK)
		err = install_wake_signal(why);
	if (err != ERR_OK)
		return err;

	struct engine *e = engine_new(config, app);
	if (e == NULL)
		return err_set(why, ERR_NOMEM, "no memory for the connection engine");
	if (connection_table_init(e) != ERR_OK)
		err = err_set(why, ERR_NOMEM, "no memory for %u connections",
			      config->max_connections);
	if (err == ERR_OK)
		err = make_epoll_set(e, why);
	if (err == ERR_OK)
		err = start_threads(e, why);
	if (err != ERR_OK) {
		engine_stop(e);
		return err;
	}
	*out = e;
	return ERR_OK;
}

static void stop_acceptor(struct engine *e)
{
	if (!e->has_acceptor)
		return;
	pthread_mutex_lock(&e->lock);
	pthread_cond_broadcast(&e->changed);
	/* A signal that comes just before accept4 blocks has no effect, so it is repeated. */
	while (!e->acceptor_done) {
		pthread_kill(e->acceptor, ENGINE_WAKE_SIGNAL);
		engine_wait_changed(e, 2);
	}
	pthread_mutex_unlock(&e->lock);
	pthread_join(e->acceptor, NULL);
	e->has_acceptor = false;
}

bool engine_drain(struct engine *engine, int64_t timeout_ms)
{
	int64_t until_ns = clock_mono_ns() + timeout_ms * NS_PER_MS;
	atomic_store(&engine->draining, true);
	stop_acceptor(engine);
	pthread_mutex_lock(&engine->lock);
	while (engine->open > 0) {
		int64_t left_ms = (until_ns - clock_mono_ns() + NS_PER_MS - 1) / NS_PER_MS;
		if (left_ms <= 0)
			break;
		engine_wait_changed(engine, left_ms);
	}
	bool is_empty = engine->open == 0;
	pthread_mutex_unlock(&engine->lock);
	return is_empty;
}

void engine_stop(struct engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	atomic_store(&engine->stopping, true);
	pthread_cond_broadcast(&engine->changed);
	pthread_mutex_unlock(&engine->lock);
	stop_acceptor(engine);
	if (engine->stop_fd >= 0)
		eventfd_write(engine->stop_fd, 1);
	watch_end(&engine->watch);
	for (unsigned i = 0; i < engine->thread_count; i++)
		pthread_join(engine->threads[i].id, NULL);
	if (engine->has_sweeper)
		pthread_join(engine->sweeper, NULL);
	engine_free(engine);
}

const struct engine_stats *engine_stats(const struct engine *engine)
{
	return engine->stats;
}
