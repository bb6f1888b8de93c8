/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "still_pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum { LOG_MAX = 65536 };

struct db_pool_config still_config;
int still_random_bits;
unsigned still_calloc_fails;
bool still_thread_fails;

static int log_fd = -1;

void *__real_calloc(size_t count, size_t size);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
			  void *arg);
void *__wrap_calloc(size_t count, size_t size);
ssize_t __wrap_getrandom(void *out, size_t len, unsigned flags);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
			  void *arg);

void *__wrap_calloc(size_t count, size_t size)
{
	if (still_calloc_fails > 0 && --still_calloc_fails == 0)
		return NULL;
	return __real_calloc(count, size);
}

ssize_t __wrap_getrandom(void *out, size_t len, unsigned flags)
{
	assert_int_equal(flags, 0); /* it may wait for entropy */
	if (still_random_bits < 0)
		return -1;
	uint16_t bits = (uint16_t)still_random_bits;
	assert_int_equal(len, sizeof(bits));
	memcpy(out, &bits, sizeof(bits));
	return (ssize_t)len;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
			  void *arg)
{
	return still_thread_fails ? EAGAIN : __real_pthread_create(thread, attr, start, arg);
}

static void open_log(void)
{
	char path[64];
	log_fd = memfd_create("log", MFD_CLOEXEC);
	assert_true(log_fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", log_fd);
	assert_int_equal(log_open("test", path, LOG_INFO, NULL), ERR_OK);
}

int still_pool_set_up(void **state)
{
	(void)state;
	if (still_time_next_ns() >= 0) {
		/* Its threads would go on in this one. */
		fprintf(stderr, "still_pool: the test before has left its pool\n");
		abort();
	}
	fake_driver_reset();
	still_config = (struct db_pool_config){
	    .min = 1,
	    .max = 3,
	    .wait_ms = STILL_WAIT_MS,
	    .recycle_ms = STILL_RECYCLE_MS,
	    .validate_ms = STILL_VALIDATE_MS,
	    .leak_ms = STILL_LEAK_MS,
	    .connect_timeout_ms = STILL_CONNECT_MS,
	};
	still_random_bits = UINT16_MAX;
	still_calloc_fails = 0;
	still_thread_fails = false;
	if (log_fd < 0)
		open_log();
	assert_int_equal(ftruncate(log_fd, 0), 0);
	return 0;
}

int still_pool_tear_down(void **state)
{
	(void)state;
	fake_driver_reset();
	return log_open("test", NULL, LOG_INFO, NULL) != ERR_OK || close(log_fd) != 0;
}

unsigned still_logged(const char *text)
{
	char lines[LOG_MAX];
	ssize_t len = pread(log_fd, lines, sizeof(lines) - 1, 0);
	assert_true(len >= 0);
	lines[len] = '\0';
	unsigned count = 0;
	for (const char *at = strstr(lines, text); at != NULL; at = strstr(at + 1, text))
		count++;
	return count;
}

struct db_pool *still_pool_new(void)
{
	struct errmsg why = ERRMSG_INIT;
	struct db_pool *pool = NULL;
	if (db_pool_new(&still_config, &pool, &why) != ERR_OK)
		fail_msg("%s", why.text);
	still_time_await(1);
	return pool;
}

struct db_pool_stats still_stats(const struct db_pool *pool)
{
	struct db_pool_stats stats;
	db_pool_stats(pool, &stats);
	return stats;
}

struct db_conn *still_borrow(struct db_pool *pool)
{
	struct errmsg why = ERRMSG_INIT;
	struct deadline limit = deadline_in_ms(STILL_WAIT_MS);
	struct db_conn *db = NULL;
	enum err err = db_pool_borrow(pool, &limit, "/test", &db, &why);
	if (err != ERR_OK)
		fail_msg("%s: %s", err_name(err), why.text);
	return db;
}

enum err still_borrow_fails(struct db_pool *pool, int64_t ms, struct errmsg *why)
{
	struct deadline limit = deadline_in_ms(ms);
	struct db_conn *db = NULL;
	enum err err = db_pool_borrow(pool, &limit, "/test", &db, why);
	assert_null(db);
	return err;
}

static void *borrow(void *arg)
{
	struct borrower *b = arg;
	b->err = db_pool_borrow(b->pool, &b->limit, "/borrower", &b->db, &b->why);
	return NULL;
}

void borrower_start_for(struct borrower *b, struct db_pool *pool, const struct deadline *limit,
			unsigned asleep)
{
	*b = (struct borrower){.pool = pool, .limit = *limit};
	assert_int_equal(pthread_create(&b->thread, NULL, borrow, b), 0);
	if (asleep > 0)
		still_time_await(asleep);
}

void borrower_start(struct borrower *b, struct db_pool *pool, int64_t ms, unsigned asleep)
{
	struct deadline limit = deadline_in_ms(ms);
	borrower_start_for(b, pool, &limit, asleep);
}

static void join(pthread_t thread)
{
	const struct timespec patience = still_time_patience();
	if (pthread_timedjoin_np(thread, NULL, &patience) != 0) {
		fprintf(stderr, "still_pool: a thread does not end\n");
		abort();
	}
}

enum err borrower_end(struct borrower *b)
{
	join(b->thread);
	return b->err;
}

static void *close_pool(void *arg)
{
	struct closer *c = arg;
	db_pool_free(c->pool);
	return NULL;
}

void closer_start(struct closer *c, struct db_pool *pool)
{
	c->pool = pool;
	assert_int_equal(pthread_create(&c->thread, NULL, close_pool, c), 0);
}

void closer_end(struct closer *c)
{
	join(c->thread);
}
