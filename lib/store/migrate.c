#include "store/migrate.h"

#include <ctype.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/strbuf.h"

enum { LOCK_PAUSE_MS = 1000 };
enum { CHECKSUM_LEN = 32, ARENA_LIMIT = 1024 * 1024, ARENA_CHUNK = 16 * 1024 };

static const char create_migrations[] =
    "CREATE TABLE IF NOT EXISTS schema_migrations ("
    "version INT UNSIGNED NOT NULL, name VARCHAR(100) NOT NULL, "
    "checksum BINARY(32) NOT NULL, applied_at DATETIME(6) NOT NULL, PRIMARY KEY (version)"
    ") ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_nopad_ci";

/* One row; whoever holds its lock migrates. */
static const char create_guard[] =
    "CREATE TABLE IF NOT EXISTS schema_guard (id TINYINT UNSIGNED NOT NULL, PRIMARY KEY (id)"
    ") ENGINE=InnoDB";

static const char select_known[] =
    "SELECT COUNT(*) FROM information_schema.tables "
    "WHERE table_schema = DATABASE() AND table_name = 'schema_migrations'";
static const char select_applied[] =
    "SELECT version, checksum FROM schema_migrations ORDER BY version";
static const char insert_applied[] =
    "INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (?, ?, ?, ?)";

/*
 * A statement that changes a table waits until no transaction uses it, and everybody who comes
 * later waits behind that statement.  So it waits for a second and then lets the others go on.
 */
static const char wait_briefly[] =
    "SET SESSION lock_wait_timeout = 1, innodb_lock_wait_timeout = 1";

struct work {
	struct db_conn *db; /* DDL goes here, the lock is held by another */
	const struct migration *list;
	struct deadline limit; /* of waiting for others */
	migrate_progress *progress;
	void *arg;
};

static void checksum(const struct migration *m, unsigned char out[CHECKSUM_LEN])
{
	_Static_assert(CHECKSUM_LEN == crypto_hash_sha256_BYTES, "the column holds a SHA-256");
	crypto_hash_sha256(out, (const unsigned char *)m->sql, strlen(m->sql));
}

/* Whether m stands among the applied ones; ERR_CONFLICT with another text. */
static enum err find_applied(const struct db_result *applied, const struct migration *m,
			     bool *found, struct errmsg *why)
{
	unsigned char ours[CHECKSUM_LEN];
	checksum(m, ours);
	*found = false;
	for (size_t row = 0; row < applied->row_count; row++) {
		if (db_col_u64(applied, row, 0) != m->version)
			continue;
		size_t len;
		const void *theirs = db_col_blob(applied, row, 1, &len);
		if (len != CHECKSUM_LEN || memcmp(theirs, ours, CHECKSUM_LEN) != 0)
			return err_set(why, ERR_CONFLICT,
				       "migration %04u_%s was applied with another text than "
				       "this program has",
				       m->version, m->name);
		*found = true;
	}
	return ERR_OK;
}

static enum err read_applied(struct db_conn *db, struct arena *arena, struct db_result *out,
			     struct errmsg *why)
{
	enum err err = db_query(db, arena, select_known, DB_NO_BINDS, out, why);
	if (err != ERR_OK)
		return err;
	if (db_col_i64(out, 0, 0) == 0) {
		*out = (struct db_result){0};
		return ERR_OK;
	}
	return db_query(db, arena, select_applied, DB_NO_BINDS, out, why);
}

enum err migrate_pending(struct db_conn *db, const struct migration *list, unsigned *pending,
			 struct errmsg *why)
{
	struct arena arena;
	arena_init(&arena, ARENA_CHUNK, ARENA_LIMIT);
	struct db_result applied;
	enum err err = read_applied(db, &arena, &applied, why);
	unsigned count = 0;
	for (const struct migration *m = list; err == ERR_OK && m->name != NULL; m++) {
		bool found;
		err = find_applied(&applied, m, &found, why);
		count += err == ERR_OK && !found;
	}
	if (err == ERR_OK)
		*pending = count;
	arena_release(&arena);
	return err;
}

/* Copies the next statement, without comment lines and its semicolon; empty at the end. */
static const char *next_statement(const char *sql, struct strbuf *out)
{
	strbuf_clear(out);
	while (*sql != '\0') {
		size_t len = strcspn(sql, "\n");
		const char *line = sql;
		sql += len + (sql[len] == '\n');
		while (len > 0 && isspace((unsigned char)line[len - 1]))
			len--;
		if (len == 0 || (len >= 2 && line[0] == '-' && line[1] == '-'))
			continue;
		if (line[len - 1] == ';') {
			strbuf_add(out, line, len - 1);
			return sql;
		}
		strbuf_add(out, line, len);
		strbuf_addc(out, '\n');
	}
	return sql;
}

/* Again and again while others use what it changes, with pauses in which they do. */
static enum err run_statement(const struct work *w, const char *sql, struct errmsg *why)
{
	for (;;) {
		struct errmsg reason = ERRMSG_INIT;
		enum err err = db_command(w->db, sql, &reason);
		if (err == ERR_OK)
			return ERR_OK;
		if (err != ERR_OVERLOADED)
			return err_set(why, err, "%s", reason.text);
		if (deadline_left_ms(&w->limit) <= LOCK_PAUSE_MS)
			return err_set(why, ERR_TIMEOUT,
				       "transactions use what it changes for too long; "
				       "run it again when they have ended");
		nanosleep(&(struct timespec){.tv_sec = LOCK_PAUSE_MS / MS_PER_S}, NULL);
	}
}

static enum err run_statements(const struct work *w, const struct migration *m, struct errmsg *why)
{
	STRBUF_CLEANUP statement = STRBUF_INIT;
	const char *rest = m->sql;
	for (;;) {
		rest = next_statement(rest, &statement);
		if (statement.failed)
			return err_set(why, ERR_NOMEM, "out of memory migrating");
		if (statement.len == 0)
			return ERR_OK;
		struct errmsg reason = ERRMSG_INIT;
		enum err err = run_statement(w, statement.data, &reason);
		if (err != ERR_OK)
			return err_set(why, err, "migration %04u_%s: %.400s", m->version, m->name,
				       reason.text);
	}
}

static enum err apply_one(const struct work *w, const struct migration *m, struct errmsg *why)
{
	int64_t began = clock_mono_ns();
	enum err err = run_statements(w, m, why);
	if (err != ERR_OK)
		return err;
	unsigned char sum[CHECKSUM_LEN];
	checksum(m, sum);
	err = db_exec(w->db, insert_applied,
		      DB_BINDS(db_u64(m->version), db_text(m->name), db_blob(sum, sizeof(sum)),
			       db_time(clock_wall_us())),
		      NULL, why);
	if (err == ERR_OK && w->progress != NULL)
		w->progress(m, clock_mono_ns() - began, w->arg);
	return err;
}

static enum err apply_missing(struct db_conn *guard, const struct work *w, struct arena *arena,
			      struct errmsg *why)
{
	struct db_result applied;
	enum err err = read_applied(w->db, arena, &applied, why);
	/* All are checked before the first one runs. */
	for (const struct migration *m = w->list; err == ERR_OK && m->name != NULL; m++) {
		bool found;
		err = find_applied(&applied, m, &found, why);
	}
	for (const struct migration *m = w->list; err == ERR_OK && m->name != NULL; m++) {
		bool found;
		err = find_applied(&applied, m, &found, why);
		if (err != ERR_OK || found)
			continue;
		err = apply_one(w, m, why);
		/* Without the lock another migrator may be at work by now. */
		if (err == ERR_OK)
			err = db_ping(guard, why);
	}
	return err;
}

/* The transaction that holds the lock.  Only waiting for it obeys the deadline. */
static enum err with_lock(struct db_conn *guard, void *arg, struct errmsg *why)
{
	const struct work *w = arg;
	struct arena arena;
	arena_init(&arena, ARENA_CHUNK, ARENA_LIMIT);
	struct db_result row;
	enum err err =
	    db_query(guard, &arena, "SELECT id FROM schema_guard WHERE id = 1 FOR UPDATE",
		     DB_NO_BINDS, &row, why);
	if (err == ERR_OK) {
		struct deadline forever = {.at_ns = INT64_MAX, .client_fd = -1};
		db_set_deadline(guard, &forever);
		db_set_deadline(w->db, &forever);
		err = apply_missing(guard, w, &arena, why);
	}
	arena_release(&arena);
	return err;
}

static enum err prepare(struct db_conn *db, struct errmsg *why)
{
	enum err err = db_command(db, create_migrations, why);
	if (err == ERR_OK)
		err = db_command(db, create_guard, why);
	if (err == ERR_OK)
		err = db_exec(db, "INSERT IGNORE INTO schema_guard (id) VALUES (1)", DB_NO_BINDS,
			      NULL, why);
	return err;
}

enum err migrate_apply(const struct db_server *server, const struct migration *list,
		       const struct deadline *deadline, migrate_progress *progress, void *arg,
		       struct errmsg *why)
{
	struct db_server unlimited = *server;
	unlimited.statement_ms = 0;
	struct db_conn *guard = NULL;
	struct work w = {.list = list, .limit = *deadline, .progress = progress, .arg = arg};
	enum err err = db_connect(&unlimited, deadline, &guard, why);
	if (err == ERR_OK)
		err = db_connect(&unlimited, deadline, &w.db, why);
	if (err == ERR_OK)
		err = db_command(w.db, wait_briefly, why);
	if (err == ERR_OK)
		err = prepare(w.db, why);
	if (err == ERR_OK)
		err = db_transaction(guard, with_lock, &w, why);
	db_close(w.db);
	db_close(guard);
	return err;
}
