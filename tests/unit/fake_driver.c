/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "fake_driver.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/strbuf.h"
#include "db/driver.h"
#include "still_time.h"

enum { CONNECTIONS_MAX = 64 };

struct fake_conn {
	struct db_conn conn; /* first */
	bool disturbed;
	bool in_transaction;
};

struct fake_answers fake_answers;

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct strbuf journal;
	struct fake_conn *conns[CONNECTIONS_MAX]; /* by number; NULL when closed */
	unsigned opened;
	unsigned connects;
	bool hold;
	unsigned held;
} fake = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .changed = PTHREAD_COND_INITIALIZER,
    .journal = STRBUF_INIT,
};

void fake_driver_reset(void)
{
	fake_answers = (struct fake_answers){.connect = ERR_OK};
	strbuf_clear(&fake.journal);
	fake.opened = 0;
	fake.connects = 0;
	fake.hold = false;
}

void fake_driver_did(const char *expected)
{
	pthread_mutex_lock(&fake.lock);
	char *journal = strdup(fake.journal.data);
	assert_non_null(journal);
	strbuf_clear(&fake.journal);
	pthread_mutex_unlock(&fake.lock);
	if (strcmp(journal, expected) != 0)
		fail_msg("expected: %s\nbut did: %s", expected, journal);
	free(journal);
}

unsigned fake_driver_connects(void)
{
	pthread_mutex_lock(&fake.lock);
	unsigned connects = fake.connects;
	pthread_mutex_unlock(&fake.lock);
	return connects;
}

/* The caller holds the lock, as in all that follow. */
static void note(const struct deadline *limit, const char *what, unsigned long long number)
{
	strbuf_adds(&fake.journal, what);
	if (number > 0)
		strbuf_addf(&fake.journal, " %llu", number);
	if (limit != NULL)
		strbuf_addf(&fake.journal, " (%lld ms)", (long long)deadline_left_ms(limit));
	strbuf_adds(&fake.journal, "; ");
}

void fake_driver_hold(void)
{
	pthread_mutex_lock(&fake.lock);
	fake.hold = true;
	pthread_mutex_unlock(&fake.lock);
}

void fake_driver_await_held(unsigned count)
{
	const struct timespec patience = still_time_patience();
	pthread_mutex_lock(&fake.lock);
	while (fake.held != count)
		still_time_really_wait(&fake.changed, &fake.lock, &patience);
	pthread_mutex_unlock(&fake.lock);
}

void fake_driver_let_go(void)
{
	pthread_mutex_lock(&fake.lock);
	fake.hold = false;
	pthread_cond_broadcast(&fake.changed);
	pthread_mutex_unlock(&fake.lock);
}

static void wait_while_held(void)
{
	fake.held++;
	pthread_cond_broadcast(&fake.changed);
	while (fake.hold)
		pthread_cond_wait(&fake.changed, &fake.lock);
	fake.held--;
}

static struct db_conn *new_conn(const struct deadline *deadline)
{
	struct fake_conn *c = calloc(1, sizeof(*c));
	assert_non_null(c);
	AN_INVARIANT(fake.opened + 1 < CONNECTIONS_MAX);
	c->conn = (struct db_conn){.magic = DB_CONN_MAGIC,
				   .id = ++fake.opened,
				   .opened_ns = clock_mono_ns(),
				   .deadline = *deadline};
	fake.conns[c->conn.id] = c;
	return &c->conn;
}

enum err driver_connect(const struct db_server *server, const struct deadline *deadline,
			struct db_conn **out, struct errmsg *why)
{
	(void)server;
	pthread_mutex_lock(&fake.lock);
	int64_t left_ms = deadline_left_ms(deadline);
	wait_while_held();
	enum err err = fake_answers.connect;
	still_time_pass_ms(fake_answers.connect_takes_ms);
	fake.connects++;
	if (err == ERR_OK) {
		*out = new_conn(deadline);
		strbuf_addf(&fake.journal, "open %u (%lld ms); ", fake.opened, (long long)left_ms);
	} else {
		strbuf_addf(&fake.journal, "no connection (%lld ms); ", (long long)left_ms);
	}
	pthread_mutex_unlock(&fake.lock);
	return err == ERR_OK ? ERR_OK : err_set(why, err, "the fake has no connection");
}

void driver_close(struct db_conn *db)
{
	pthread_mutex_lock(&fake.lock);
	note(NULL, "close", db->id);
	fake.conns[db->id] = NULL;
	pthread_mutex_unlock(&fake.lock);
	free(db);
}

enum err driver_run(struct db_conn *db, struct arena *arena, const char *sql,
		    const struct db_value *values, size_t value_count, struct db_result *out,
		    struct errmsg *why)
{
	(void)arena;
	(void)values;
	(void)value_count;
	(void)out;
	return driver_command(db, sql, true, why);
}

enum err driver_finish(struct db_conn *db, const char *sql, const struct db_value *values,
		       size_t value_count, struct errmsg *why)
{
	(void)values;
	(void)value_count;
	return driver_command(db, sql, false, why);
}

enum err driver_command(struct db_conn *db, const char *sql, bool cancellable, struct errmsg *why)
{
	pthread_mutex_lock(&fake.lock);
	strbuf_addf(&fake.journal, "%s%s on", cancellable ? "cancellable " : "", sql);
	note(&db->deadline, "", db->id);
	enum err err = fake_answers.command;
	if (err != ERR_OK && fake_answers.command_breaks)
		db->broken = err;
	if (err == ERR_OK && strcmp(sql, "ROLLBACK") == 0)
		((struct fake_conn *)db)->in_transaction = false;
	pthread_mutex_unlock(&fake.lock);
	return err == ERR_OK ? ERR_OK : err_set(why, err, "the fake refuses");
}

enum err driver_ping(struct db_conn *db, struct errmsg *why)
{
	pthread_mutex_lock(&fake.lock);
	note(&db->deadline, "ping", db->id);
	enum err err = db->broken = fake_answers.ping;
	pthread_mutex_unlock(&fake.lock);
	return err == ERR_OK ? ERR_OK : err_set(why, err, "the fake does not answer");
}

bool driver_quiet(const struct db_conn *db)
{
	pthread_mutex_lock(&fake.lock);
	bool quiet = !((const struct fake_conn *)db)->disturbed;
	pthread_mutex_unlock(&fake.lock);
	return quiet;
}

bool driver_in_transaction(const struct db_conn *db)
{
	return ((const struct fake_conn *)db)->in_transaction;
}

uint64_t fake_conn_number(const struct db_conn *db)
{
	return db->id;
}

static struct fake_conn *numbered(uint64_t number)
{
	AN_INVARIANT(number < CONNECTIONS_MAX && fake.conns[number] != NULL);
	return fake.conns[number];
}

void fake_conn_disturb(uint64_t number)
{
	pthread_mutex_lock(&fake.lock);
	numbered(number)->disturbed = true;
	pthread_mutex_unlock(&fake.lock);
}

void fake_conn_begin_transaction(uint64_t number)
{
	pthread_mutex_lock(&fake.lock);
	numbered(number)->in_transaction = true;
	pthread_mutex_unlock(&fake.lock);
}

void fake_conn_interrupt(struct db_conn *db)
{
	db->broken = ERR_TIMEOUT;
	db->interrupted = true;
}

void fake_conn_break(struct db_conn *db)
{
	db->broken = ERR_UNAVAILABLE;
}
