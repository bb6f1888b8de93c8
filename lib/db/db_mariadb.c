/*
 * The one file that knows MariaDB's client library.
 *
 * Every call into the library that may wait goes through enter() and leave().
 * In between, the library asks io_wait() instead of blocking; it has no context
 * argument, so the connection whose call is under way stands in a thread-local.
 *
 * Prepared statements are kept in a small set-associative table per connection,
 * found by the hash of their text.
 *
 * The server's own limit, max_statement_time, is the net below the cancelling
 * that the pool does: it holds when this process dies.  It is a session variable,
 * set once, because setting it for each request would cost a round trip.  A
 * statement that starts late in its request is prepared a second time with a
 * SET STATEMENT prefix for the next power of two of seconds.
 */
#include <errno.h>
#include <mysql.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/date.h"
#include "base/strbuf.h"
#include "db/db.h"
#include "db/driver.h"
#include "db/mariadb_errors.h"

enum {
	STATEMENT_SETS = 16,
	STATEMENT_WAYS = 4,
	ROWS_FIRST = 4, /* room for rows at first; doubled when full */
};

/* Where the library puts one column of the row that it fetches. */
struct column {
	enum db_type type;
	my_bool is_null;
	unsigned long len;
	union {
		int64_t i64;
		double f64;
		MYSQL_TIME time;
		char bytes[sizeof(MYSQL_TIME)]; /* the beginning of a text */
	} value;
};

struct statement {
	char *sql; /* NULL: the place is free */
	uint64_t hash;
	unsigned limit_s; /* of the SET STATEMENT prefix; 0 without one */
	uint64_t last_used;
	MYSQL_STMT *stmt;
	unsigned column_count;
	MYSQL_BIND *binds;
	struct column *columns;
};

struct mariadb_conn {
	struct db_conn base; /* first: a struct db_conn * is one of these */
	MYSQL *mysql;
	int fd;
	int64_t statement_ms;
	uint64_t tick;
	enum err gave_up; /* why io_wait() ended the call; ERR_OK when it did not */
	bool cancellable; /* whether the client's hang-up ends the call */
	struct statement statements[STATEMENT_SETS][STATEMENT_WAYS];
};

static _Thread_local struct mariadb_conn *waiting;

static struct mariadb_conn *mariadb(struct db_conn *db)
{
	CHECK_MAGIC(db, DB_CONN_MAGIC);
	return (struct mariadb_conn *)db;
}

/* Returns 1 when the descriptor is ready; otherwise the library gives up with error 2013. */
static int io_wait(my_socket handle, my_bool is_read, int unused_timeout)
{
	(void)unused_timeout;
	struct mariadb_conn *c = waiting;
	AN_INVARIANT(c != NULL);
	struct pollfd fds[2] = {
	    {.fd = handle, .events = is_read ? POLLIN : POLLOUT},
	    {.fd = c->cancellable ? c->base.deadline.client_fd : -1, .events = POLLRDHUP},
	};
	for (;;) {
		int64_t left = deadline_left_ms(&c->base.deadline);
		int ready = poll(fds, 2, left > INT32_MAX ? INT32_MAX : (int)left);
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready < 0) {
			c->gave_up = ERR_UNAVAILABLE;
			return -1;
		}
		if (fds[0].revents != 0)
			return 1;
		if (ready > 0) {
			c->gave_up = ERR_CANCELLED;
			errno = ECANCELED;
			return -1;
		}
		if (deadline_passed(&c->base.deadline)) {
			c->gave_up = ERR_TIMEOUT;
			errno = ETIMEDOUT;
			return -1;
		}
	}
}

/* Refuses what can't be started any more; nothing is sent then. */
static enum err enter(struct mariadb_conn *c, bool cancellable, struct errmsg *why)
{
	c->base.sent = false;
	if (c->base.broken != ERR_OK)
		return err_set(why, c->base.broken, "the database connection is broken");
	if (deadline_passed(&c->base.deadline))
		return err_set(why, ERR_TIMEOUT, "the time ran out before the statement");
	c->gave_up = ERR_OK;
	c->cancellable = cancellable;
	AN_INVARIANT(waiting == NULL);
	waiting = c;
	return ERR_OK;
}

/* Turns what the library says about a call that failed into ours. */
static enum err failed(struct mariadb_conn *c, unsigned number, const char *sqlstate,
		       const char *text, struct errmsg *why)
{
	c->base.sent = !mariadb_error_before_send(number);
	if (c->gave_up != ERR_OK) {
		c->base.broken = c->gave_up;
		c->base.interrupted = true;
		return err_set(why, c->gave_up, "%s while waiting for the database",
			       c->gave_up == ERR_CANCELLED ? "the client went away"
			       : c->gave_up == ERR_TIMEOUT ? "the time ran out"
							   : "poll failed");
	}
	enum err err = mariadb_error(number, sqlstate);
	if (mariadb_error_breaks(number))
		c->base.broken = err == ERR_TOO_LARGE ? ERR_UNAVAILABLE : err;
	return err_set(why, err, "database: %s (error %u)", text, number);
}

/* Every enter() has its leave(); ok tells whether the library's calls between succeeded. */
static enum err leave(struct mariadb_conn *c, bool ok, struct errmsg *why)
{
	AN_INVARIANT(waiting == c);
	waiting = NULL;
	if (ok)
		return ERR_OK;
	return failed(c, mysql_errno(c->mysql), mysql_sqlstate(c->mysql), mysql_error(c->mysql),
		      why);
}

/* After a failure.  What goes wrong between two rows is only told by the connection. */
static enum err leave_statement(struct mariadb_conn *c, MYSQL_STMT *stmt, struct errmsg *why)
{
	if (mysql_stmt_errno(stmt) == 0)
		return leave(c, false, why);
	AN_INVARIANT(waiting == c);
	waiting = NULL;
	return failed(c, mysql_stmt_errno(stmt), mysql_stmt_sqlstate(stmt), mysql_stmt_error(stmt),
		      why);
}

/* Connecting */

static void initialise_library(void)
{
	AN_INVARIANT(mysql_library_init(0, NULL, NULL) == 0);
}

static void set_options(MYSQL *mysql, const struct deadline *deadline)
{
	my_bool off = 0;
	unsigned int no_infile = 0;
	unsigned int seconds = (unsigned)((deadline_left_ms(deadline) + 999) / 1000);
	mysql_optionsv(mysql, MYSQL_OPT_RECONNECT, &off);
	mysql_optionsv(mysql, MYSQL_OPT_LOCAL_INFILE, &no_infile);
	mysql_optionsv(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &seconds);
	mysql_optionsv(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	mysql_optionsv(mysql, MARIADB_OPT_IO_WAIT, (void *)io_wait);
}

static const char *text_or_null(const char *text)
{
	return text == NULL || text[0] == '\0' ? NULL : text;
}

static bool open_connection(struct mariadb_conn *c, const struct db_server *server)
{
	const char *socket = text_or_null(server->socket);
	const char *host = socket != NULL ? NULL : text_or_null(server->host);
	return mysql_real_connect(c->mysql, host, text_or_null(server->user),
				  text_or_null(server->password), text_or_null(server->database),
				  socket != NULL ? 0 : server->port, socket,
				  CLIENT_FOUND_ROWS) != NULL;
}

static bool set_session(struct mariadb_conn *c)
{
	char sql[512];
	int len =
	    snprintf(sql, sizeof(sql),
		     "SET SESSION time_zone = '+00:00', autocommit = 1, "
		     "sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ZERO_DATE,"
		     "NO_ZERO_IN_DATE,NO_ENGINE_SUBSTITUTION', max_statement_time = %lld.%03lld",
		     (long long)(c->statement_ms / 1000), (long long)(c->statement_ms % 1000));
	static const char isolation[] = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
	return mysql_real_query(c->mysql, sql, (unsigned long)len) == 0 &&
	       mysql_real_query(c->mysql, isolation, sizeof(isolation) - 1) == 0;
}

/* Whatever the reason, to the caller a database that can't be reached is unavailable. */
static enum err connect_failed(enum err err)
{
	return err == ERR_TIMEOUT || err == ERR_CANCELLED || err == ERR_NOMEM ? err
									      : ERR_UNAVAILABLE;
}

enum err driver_connect(const struct db_server *server, const struct deadline *deadline,
			struct db_conn **out, struct errmsg *why)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, initialise_library);

	struct mariadb_conn *c = calloc(1, sizeof(*c));
	MYSQL *mysql = c == NULL ? NULL : mysql_init(NULL);
	if (mysql == NULL) {
		free(c);
		return err_set(why, ERR_NOMEM, "out of memory opening a database connection");
	}
	c->base.magic = DB_CONN_MAGIC;
	c->base.deadline = *deadline;
	c->base.opened_ns = clock_mono_ns();
	c->mysql = mysql;
	c->statement_ms = server->statement_ms;
	enum err err = enter(c, true, why);
	if (err == ERR_OK) {
		set_options(mysql, deadline);
		err = leave(c, open_connection(c, server) && set_session(c), why);
	}
	if (err != ERR_OK) {
		driver_close(&c->base);
		return connect_failed(err);
	}
	c->base.id = mysql_thread_id(mysql);
	c->fd = mysql_get_socket(mysql);
	*out = &c->base;
	return ERR_OK;
}

static void statement_release(struct statement *s)
{
	if (s->stmt != NULL)
		mysql_stmt_close(s->stmt);
	free(s->binds);
	free(s->columns);
	free(s->sql);
	*s = (struct statement){0};
}

/* The server forgets its statements with the connection: closing that first saves telling it. */
void driver_close(struct db_conn *db)
{
	struct mariadb_conn *c = mariadb(db);
	AN_INVARIANT(waiting == NULL);
	c->base.deadline = deadline_in_ms(0);
	c->cancellable = false;
	waiting = c;
	mysql_close(c->mysql);
	for (size_t set = 0; set < STATEMENT_SETS; set++)
		for (size_t way = 0; way < STATEMENT_WAYS; way++)
			statement_release(&c->statements[set][way]);
	waiting = NULL;
	c->base.magic = 0;
	free(c);
}

bool driver_quiet(const struct db_conn *db)
{
	CHECK_MAGIC(db, DB_CONN_MAGIC);
	struct pollfd fd = {.fd = ((const struct mariadb_conn *)db)->fd,
			    .events = POLLIN | POLLRDHUP};
	return poll(&fd, 1, 0) == 0;
}

bool driver_in_transaction(const struct db_conn *db)
{
	CHECK_MAGIC(db, DB_CONN_MAGIC);
	unsigned int status = 0;
	mariadb_get_infov(((const struct mariadb_conn *)db)->mysql,
			  MARIADB_CONNECTION_SERVER_STATUS, &status);
	return (status & SERVER_STATUS_IN_TRANS) != 0;
}

enum err driver_ping(struct db_conn *db, struct errmsg *why)
{
	struct mariadb_conn *c = mariadb(db);
	enum err err = enter(c, true, why);
	if (err != ERR_OK)
		return err;
	return leave(c, mysql_ping(c->mysql) == 0, why);
}

/* A statement that unexpectedly brings rows would leave them in the way of the next one. */
enum err driver_command(struct db_conn *db, const char *sql, bool cancellable, struct errmsg *why)
{
	struct mariadb_conn *c = mariadb(db);
	enum err err = enter(c, cancellable, why);
	if (err != ERR_OK)
		return err;
	bool ok = mysql_real_query(c->mysql, sql, strlen(sql)) == 0;
	err = leave(c, ok, why);
	if (err == ERR_OK)
		AN_INVARIANT(mysql_field_count(c->mysql) == 0);
	return err;
}

/* Preparing */

/* FNV-1a, 64 bits: the texts are our own, so nobody looks for collisions. */
static uint64_t hash_text(const char *text)
{
	uint64_t hash = UINT64_C(14695981039346656037);
	for (; *text != '\0'; text++)
		hash = (hash ^ (uint8_t)*text) * UINT64_C(1099511628211);
	return hash ^ (hash >> 32);
}

static enum db_type column_type(const MYSQL_FIELD *field)
{
	switch (field->type) {
	case MYSQL_TYPE_TINY:
	case MYSQL_TYPE_SHORT:
	case MYSQL_TYPE_INT24:
	case MYSQL_TYPE_LONG:
	case MYSQL_TYPE_LONGLONG:
	case MYSQL_TYPE_YEAR:
		return (field->flags & UNSIGNED_FLAG) != 0 ? DB_U64 : DB_I64;
	case MYSQL_TYPE_FLOAT:
	case MYSQL_TYPE_DOUBLE:
	case MYSQL_TYPE_DECIMAL:
	case MYSQL_TYPE_NEWDECIMAL:
		return DB_F64;
	case MYSQL_TYPE_DATE:
	case MYSQL_TYPE_NEWDATE:
	case MYSQL_TYPE_DATETIME:
	case MYSQL_TYPE_TIMESTAMP:
		return DB_TIME;
	case MYSQL_TYPE_NULL:
		return DB_NULL;
	default: {
		enum { BINARY_CHARSET = 63 };
		return field->charsetnr == BINARY_CHARSET ? DB_BLOB : DB_TEXT;
	}
	}
}

static void bind_column(MYSQL_BIND *bind, struct column *column)
{
	bind->is_null = &column->is_null;
	bind->length = &column->len;
	switch (column->type) {
	case DB_I64:
	case DB_U64:
		bind->buffer_type = MYSQL_TYPE_LONGLONG;
		bind->is_unsigned = column->type == DB_U64;
		bind->buffer = &column->value.i64;
		break;
	case DB_F64:
		bind->buffer_type = MYSQL_TYPE_DOUBLE;
		bind->buffer = &column->value.f64;
		break;
	case DB_TIME:
		bind->buffer_type = MYSQL_TYPE_DATETIME;
		bind->buffer = &column->value.time;
		break;
	case DB_NULL:
	case DB_TEXT:
	case DB_BLOB:
		/* The fetch says how long it is; what is longer then goes where it stays. */
		bind->buffer_type = MYSQL_TYPE_BLOB;
		bind->buffer = column->value.bytes;
		bind->buffer_length = sizeof(column->value.bytes);
		break;
	}
}

static bool make_columns(struct statement *s)
{
	s->column_count = mysql_stmt_field_count(s->stmt);
	if (s->column_count == 0)
		return true;
	s->columns = calloc(s->column_count, sizeof(*s->columns));
	s->binds = calloc(s->column_count, sizeof(*s->binds));
	return s->columns != NULL && s->binds != NULL;
}

/* Each time anew: a column that is a parameter or was altered changes its type. */
static bool bind_columns(struct statement *s)
{
	const MYSQL_FIELD *fields = mariadb_stmt_fetch_fields(s->stmt);
	AN_INVARIANT(fields != NULL);
	memset(s->binds, 0, s->column_count * sizeof(*s->binds));
	for (unsigned i = 0; i < s->column_count; i++) {
		s->columns[i].type = column_type(&fields[i]);
		bind_column(&s->binds[i], &s->columns[i]);
	}
	return mysql_stmt_bind_result(s->stmt, s->binds) == 0;
}

/* The place for a new statement: a free one, or that of the one unused for longest. */
static struct statement *statement_place(struct statement set[STATEMENT_WAYS])
{
	struct statement *place = &set[0];
	for (size_t way = 0; way < STATEMENT_WAYS; way++) {
		if (set[way].sql == NULL)
			return &set[way];
		if (set[way].last_used < place->last_used)
			place = &set[way];
	}
	statement_release(place);
	return place;
}

/* Between enter() and leave(), and does the latter when it fails. */
static enum err statement_prepare(struct mariadb_conn *c, struct statement *s, const char *sql,
				  struct errmsg *why)
{
	STRBUF_CLEANUP text = STRBUF_INIT;
	if (s->limit_s > 0)
		strbuf_addf(&text, "SET STATEMENT max_statement_time=%u FOR ", s->limit_s);
	strbuf_adds(&text, sql);
	s->sql = strdup(sql);
	s->stmt = mysql_stmt_init(c->mysql);
	bool made = !text.failed && s->sql != NULL && s->stmt != NULL;
	enum err err = ERR_OK;
	if (made && mysql_stmt_prepare(s->stmt, text.data, text.len) != 0) {
		err = leave_statement(c, s->stmt, why);
		c->base.sent = false; /* sent to be prepared, not to be carried out */
	} else if (!made || !make_columns(s)) {
		waiting = NULL;
		err = err_set(why, ERR_NOMEM, "out of memory preparing a statement");
	}
	if (err != ERR_OK)
		statement_release(s);
	return err;
}

static enum err statement_find(struct mariadb_conn *c, const char *sql, unsigned limit_s,
			       struct statement **out, struct errmsg *why)
{
	uint64_t hash = hash_text(sql);
	struct statement *set = c->statements[hash % STATEMENT_SETS];
	c->tick++;
	for (size_t way = 0; way < STATEMENT_WAYS; way++) {
		struct statement *s = &set[way];
		if (s->sql != NULL && s->hash == hash && s->limit_s == limit_s &&
		    strcmp(s->sql, sql) == 0) {
			s->last_used = c->tick;
			*out = s;
			return ERR_OK;
		}
	}
	struct statement *s = statement_place(set);
	*s = (struct statement){.hash = hash, .limit_s = limit_s, .last_used = c->tick};
	*out = s;
	return statement_prepare(c, s, sql, why);
}

/* Seconds for the SET STATEMENT prefix: 0 while the session's limit is near enough. */
static unsigned statement_limit(const struct mariadb_conn *c)
{
	if (c->statement_ms == 0)
		return 0;
	int64_t left = deadline_left_ms(&c->base.deadline);
	for (unsigned seconds = 1; INT64_C(2) * seconds * MS_PER_S <= c->statement_ms; seconds *= 2)
		if (left <= (int64_t)seconds * MS_PER_S)
			return seconds;
	return 0;
}

/* Values in */

static void time_to_mysql(int64_t wall_us, MYSQL_TIME *out)
{
	struct date date;
	date_of(wall_us, &date);
	*out = (MYSQL_TIME){
	    .year = (unsigned)date.year,
	    .month = date.month,
	    .day = date.day,
	    .hour = date.hour,
	    .minute = date.minute,
	    .second = date.second,
	    .second_part = date.micros,
	    .time_type = MYSQL_TIMESTAMP_DATETIME,
	};
}

static int64_t time_from_mysql(const MYSQL_TIME *t)
{
	const struct date date = {
	    .year = t->year,
	    .month = t->month,
	    .day = t->day,
	    .hour = t->hour,
	    .minute = t->minute,
	    .second = t->second,
	    .micros = (unsigned)t->second_part,
	};
	return date_wall_us(&date);
}

/* The library only reads what a parameter's buffer points at. */
static void *unconst(const void *pointer)
{
	return (void *)(uintptr_t)pointer;
}

static void bind_value(MYSQL_BIND *bind, MYSQL_TIME *time, const struct db_value *value)
{
	switch (value->type) {
	case DB_NULL:
		bind->buffer_type = MYSQL_TYPE_NULL;
		break;
	case DB_I64:
	case DB_U64:
		bind->buffer_type = MYSQL_TYPE_LONGLONG;
		bind->is_unsigned = value->type == DB_U64;
		bind->buffer = unconst(&value->as.i64);
		break;
	case DB_F64:
		bind->buffer_type = MYSQL_TYPE_DOUBLE;
		bind->buffer = unconst(&value->as.f64);
		break;
	case DB_TEXT:
	case DB_BLOB:
		bind->buffer_type =
		    value->type == DB_TEXT ? MYSQL_TYPE_STRING : MYSQL_TYPE_LONG_BLOB;
		bind->buffer = unconst(value->as.bytes.data);
		bind->buffer_length = value->as.bytes.len;
		bind->length_value = value->as.bytes.len;
		bind->length = &bind->length_value;
		break;
	case DB_TIME:
		time_to_mysql(value->as.i64, time);
		bind->buffer_type = MYSQL_TYPE_DATETIME;
		bind->buffer = time;
		break;
	}
}

/* Values out */

static enum err copy_bytes(struct statement *s, unsigned i, struct arena *arena,
			   struct db_value *out)
{
	size_t len = s->columns[i].len;
	char *bytes = arena_alloc(arena, len + 1);
	if (bytes == NULL)
		return ERR_NOMEM;
	bytes[len] = '\0';
	*out = (struct db_value){.type = s->columns[i].type, .as.bytes = {bytes, len}};
	if (len <= sizeof(s->columns[i].value.bytes)) {
		memcpy(bytes, s->columns[i].value.bytes, len);
		return ERR_OK;
	}
	unsigned long copied;
	my_bool null;
	MYSQL_BIND bind = {.buffer_type = MYSQL_TYPE_BLOB,
			   .buffer = bytes,
			   .buffer_length = len,
			   .length = &copied,
			   .is_null = &null};
	return mysql_stmt_fetch_column(s->stmt, &bind, i, 0) == 0 ? ERR_OK : ERR_INTERNAL;
}

static enum err copy_row(struct statement *s, struct arena *arena, struct db_value *row)
{
	for (unsigned i = 0; i < s->column_count; i++) {
		const struct column *column = &s->columns[i];
		row[i] = (struct db_value){.type = column->is_null ? DB_NULL : column->type};
		enum err err = ERR_OK;
		switch (row[i].type) {
		case DB_NULL:
			break;
		case DB_I64:
		case DB_U64:
			row[i].as.i64 = column->value.i64;
			break;
		case DB_F64:
			row[i].as.f64 = column->value.f64;
			break;
		case DB_TIME:
			row[i].as.i64 = time_from_mysql(&column->value.time);
			break;
		case DB_TEXT:
		case DB_BLOB:
			err = copy_bytes(s, i, arena, &row[i]);
			break;
		}
		if (err != ERR_OK)
			return err;
	}
	return ERR_OK;
}

struct rows {
	struct db_value *values;
	size_t count;
	size_t room;
};

static bool rows_grow(struct rows *rows, struct arena *arena, size_t columns)
{
	if (rows->count < rows->room)
		return true;
	size_t room = rows->room == 0 ? ROWS_FIRST : rows->room * 2;
	/* Not cleared: copy_row() sets all of a row. */
	struct db_value *values = arena_alloc(arena, room * columns * sizeof(*values));
	if (values == NULL)
		return false;
	if (rows->count > 0)
		memcpy(values, rows->values, rows->count * columns * sizeof(*values));
	rows->values = values;
	rows->room = room;
	return true;
}

/* Between enter() and leave(), which it does. */
static enum err fetch_rows(struct mariadb_conn *c, struct statement *s, struct arena *arena,
			   struct db_result *out, struct errmsg *why)
{
	struct rows rows = {0};
	enum err err = ERR_OK;
	int fetched;
	if (!bind_columns(s))
		return leave_statement(c, s->stmt, why);
	while (err == ERR_OK &&
	       ((fetched = mysql_stmt_fetch(s->stmt)) == 0 || fetched == MYSQL_DATA_TRUNCATED)) {
		if (!rows_grow(&rows, arena, s->column_count))
			err = ERR_NOMEM;
		else
			err = copy_row(s, arena, &rows.values[rows.count * s->column_count]);
		rows.count++;
	}
	if (err == ERR_OK && fetched != MYSQL_NO_DATA)
		return leave_statement(c, s->stmt, why);
	/* Reads what is left after an error, too, so that the next statement finds its answer. */
	if (mysql_stmt_free_result(s->stmt) != 0)
		return leave_statement(c, s->stmt, why);
	waiting = NULL;
	if (err == ERR_NOMEM)
		return err_set(why, err, "the answer of the database is too large");
	if (err != ERR_OK)
		return err_set(why, err, "the database client can't give out a column");
	out->row_count = rows.count;
	out->column_count = s->column_count;
	out->values = rows.values;
	return ERR_OK;
}

/* An answer nobody expected is a wrong call; it is still read, to stay in step. */
static enum err finish(struct mariadb_conn *c, struct statement *s, struct arena *arena,
		       struct db_result *out, struct errmsg *why)
{
	out->affected = s->column_count > 0 ? 0 : mysql_stmt_affected_rows(s->stmt);
	if (s->column_count == 0) {
		waiting = NULL;
		return ERR_OK;
	}
	AN_INVARIANT(arena != NULL);
	return fetch_rows(c, s, arena, out, why);
}

/* Between enter() and leave(), and does the latter when it fails. */
static enum err execute(struct mariadb_conn *c, struct statement *s, const struct db_value *values,
			size_t value_count, struct errmsg *why)
{
	MYSQL_BIND binds[DRIVER_BINDS_MAX];
	MYSQL_TIME times[DRIVER_BINDS_MAX];
	AN_INVARIANT(value_count <= DRIVER_BINDS_MAX);
	AN_INVARIANT(mysql_stmt_param_count(s->stmt) == value_count);
	memset(binds, 0, value_count * sizeof(binds[0]));
	for (size_t i = 0; i < value_count; i++)
		bind_value(&binds[i], &times[i], &values[i]);
	if ((value_count > 0 && mysql_stmt_bind_param(s->stmt, binds) != 0) ||
	    mysql_stmt_execute(s->stmt) != 0)
		return leave_statement(c, s->stmt, why);
	return ERR_OK;
}

/* What is not cancellable has no nearer limit on the server than the session's either. */
static enum err carry_out(struct mariadb_conn *c, bool cancellable, struct arena *arena,
			  const char *sql, const struct db_value *values, size_t value_count,
			  struct db_result *out, struct errmsg *why)
{
	struct statement *s = NULL;
	*out = (struct db_result){0};
	enum err err = enter(c, cancellable, why);
	if (err == ERR_OK)
		err = statement_find(c, sql, cancellable ? statement_limit(c) : 0, &s, why);
	if (err == ERR_OK)
		err = execute(c, s, values, value_count, why);
	return err == ERR_OK ? finish(c, s, arena, out, why) : err;
}

enum err driver_run(struct db_conn *db, struct arena *arena, const char *sql,
		    const struct db_value *values, size_t value_count, struct db_result *out,
		    struct errmsg *why)
{
	return carry_out(mariadb(db), true, arena, sql, values, value_count, out, why);
}

enum err driver_finish(struct db_conn *db, const char *sql, const struct db_value *values,
		       size_t value_count, struct errmsg *why)
{
	struct db_result nothing;
	return carry_out(mariadb(db), false, NULL, sql, values, value_count, &nothing, why);
}
