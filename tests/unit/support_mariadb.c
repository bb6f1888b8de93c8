#include "support_mariadb.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/strbuf.h"
#include "store/migrate.h"

enum {
	START_MS = 30000,
	PATIENCE_MS = 10000,
	SESSION_MS = 60000,
	PATH_LEN = 256,
	SYSTEM_SQL_MAX = 4 * 1024 * 1024
};

static struct {
	char dir[64];
	char socket[PATH_LEN];
	char data[PATH_LEN];
	char log[PATH_LEN];
	pid_t pid;
	pid_t owner;
	struct db_server server;
	struct db_server root;
} mariadb;

static void die(const char *what)
{
	fprintf(stderr, "support_mariadb: %s: %s\n", what, strerror(errno));
	abort();
}

static const char *find(const char *const candidates[], const char *what)
{
	for (size_t i = 0; candidates[i] != NULL; i++)
		if (access(candidates[i], R_OK) == 0)
			return candidates[i];
	die(what);
	return NULL;
}

static const char *server_program(void)
{
	static const char *const candidates[] = {"/usr/sbin/mariadbd", "/usr/libexec/mariadbd",
						 "/usr/local/sbin/mariadbd", NULL};
	return find(candidates, "mariadbd not found");
}

static const char *share_dir(void)
{
	static const char *const candidates[] = {"/usr/share/mysql/mysql_system_tables.sql",
						 "/usr/share/mariadb/mysql_system_tables.sql",
						 NULL};
	static char dir[PATH_LEN];
	const char *file = find(candidates, "the server's system tables not found");
	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(file, '/') - file), file);
	return dir;
}

/* In the child. */
static void exec_server(int in, const char *extra)
{
	char data[PATH_LEN + 16], socket[PATH_LEN + 16], scratch[PATH_LEN + 16];
	snprintf(data, sizeof(data), "--datadir=%s", mariadb.data);
	snprintf(socket, sizeof(socket), "--socket=%s", mariadb.socket);
	/* A server that starts removes what looks like temporary tables, others' too. */
	snprintf(scratch, sizeof(scratch), "--tmpdir=%s", mariadb.dir);
	int log = open(mariadb.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	dup2(in, STDIN_FILENO);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	const char *argv[] = {server_program(),
			      "--no-defaults",
			      data,
			      socket,
			      scratch,
			      extra,
			      "--skip-networking",
			      "--max-connections=100",
			      "--innodb-buffer-pool-size=16M",
			      "--innodb-log-file-size=4M",
			      "--innodb-use-native-aio=0",
			      "--key-buffer-size=1M",
			      "--aria-pagecache-buffer-size=1M",
			      geteuid() == 0 ? "--user=root" : NULL,
			      NULL};
	execv(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

static pid_t spawn(int in, const char *extra)
{
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(127);
		exec_server(in, extra);
	}
	return pid;
}

static void write_bootstrap(const char *path)
{
	static const char *const files[] = {"mysql_system_tables.sql",
					    "mysql_system_tables_data.sql"};
	STRBUF_CLEANUP sql = STRBUF_INIT;
	strbuf_adds(&sql, "CREATE DATABASE mysql;\nUSE mysql;\n");
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char file[PATH_LEN * 2];
		snprintf(file, sizeof(file), "%s/%s", share_dir(), files[i]);
		if (io_read_file(file, SYSTEM_SQL_MAX, &sql, NULL) != ERR_OK)
			die(file);
		strbuf_addc(&sql, '\n');
	}
	strbuf_adds(&sql, "CREATE DATABASE ziggie;\nFLUSH PRIVILEGES;\n"
			  "CREATE USER ziggie@localhost IDENTIFIED BY 'secret';\n"
			  "GRANT ALL ON ziggie.* TO ziggie@localhost;\n");
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || sql.failed || io_write_all(fd, sql.data, sql.len) != ERR_OK)
		die(path);
	close(fd);
}

static void bootstrap(void)
{
	char path[PATH_LEN];
	snprintf(path, sizeof(path), "%s/bootstrap.sql", mariadb.dir);
	write_bootstrap(path);
	int in = open(path, O_RDONLY | O_CLOEXEC);
	if (in < 0)
		die(path);
	pid_t pid = spawn(in, "--bootstrap");
	close(in);
	int status;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die("waitpid");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		die("mariadbd --bootstrap failed");
}

static void show_log(void)
{
	STRBUF_CLEANUP text = STRBUF_INIT;
	if (io_read_file(mariadb.log, SYSTEM_SQL_MAX, &text, NULL) == ERR_OK)
		fprintf(stderr, "%s\n", text.data);
}

static void wait_until_it_answers(void)
{
	struct deadline limit = deadline_in_ms(START_MS);
	for (;;) {
		struct db_conn *db = NULL;
		if (db_connect(&mariadb.root, &limit, &db, NULL) == ERR_OK) {
			db_close(db);
			return;
		}
		int status;
		if (waitpid(mariadb.pid, &status, WNOHANG) != 0 || deadline_passed(&limit)) {
			show_log();
			die("mariadbd does not come up");
		}
		usleep(20000);
	}
}

void test_mariadb_revive(void)
{
	AN_INVARIANT(mariadb.pid == 0);
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	mariadb.pid = spawn(in, "--innodb-flush-log-at-trx-commit=1");
	close(in);
	wait_until_it_answers();
}

void test_mariadb_migrate(void)
{
	struct deadline limit = deadline_in_ms(START_MS);
	struct errmsg why = ERRMSG_INIT;
	if (migrate_apply(&mariadb.server, migrations, &limit, NULL, NULL, &why) != ERR_OK)
		die(why.text);
}

int test_mariadb_set_up(void **state)
{
	(void)state;
	test_mariadb_start();
	test_mariadb_migrate();
	return 0;
}

int test_mariadb_tear_down(void **state)
{
	(void)state;
	test_mariadb_stop();
	return 0;
}

void test_mariadb_kill(void)
{
	AN_INVARIANT(mariadb.pid > 0);
	kill(mariadb.pid, SIGKILL);
	while (waitpid(mariadb.pid, NULL, 0) < 0 && errno == EINTR)
		;
	mariadb.pid = 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

void test_mariadb_stop(void)
{
	if (mariadb.dir[0] == '\0' || mariadb.owner != getpid())
		return;
	if (mariadb.pid > 0)
		test_mariadb_kill();
	nftw(mariadb.dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	mariadb.dir[0] = '\0';
}

void test_mariadb_start(void)
{
	/* Elsewhere for who removes what a test leaves behind that broke off. */
	const char *scratch = getenv("ZIGGIE_TEST_SCRATCH");
	snprintf(mariadb.dir, sizeof(mariadb.dir), "%s/zdb.XXXXXX",
		 scratch != NULL ? scratch : "/tmp");
	if (mkdtemp(mariadb.dir) == NULL)
		die("mkdtemp");
	mariadb.owner = getpid();
	atexit(test_mariadb_stop);
	snprintf(mariadb.socket, sizeof(mariadb.socket), "%s/s", mariadb.dir);
	snprintf(mariadb.data, sizeof(mariadb.data), "%s/data", mariadb.dir);
	snprintf(mariadb.log, sizeof(mariadb.log), "%s/log", mariadb.dir);
	if (mkdir(mariadb.data, 0700) != 0)
		die(mariadb.data);
	mariadb.root = (struct db_server){.socket = mariadb.socket, .user = "root"};
	mariadb.server = (struct db_server){.socket = mariadb.socket,
					    .user = "ziggie",
					    .password = "secret",
					    .database = "ziggie",
					    .statement_ms = 10000};
	bootstrap();
	test_mariadb_revive();
}

void test_mariadb_freeze(void)
{
	int status;
	kill(mariadb.pid, SIGSTOP);
	/* Until then some of its threads still answer. */
	while (waitpid(mariadb.pid, &status, WUNTRACED) < 0)
		if (errno != EINTR)
			die("waitpid");
	AN_INVARIANT(WIFSTOPPED(status));
}

void test_mariadb_thaw(void)
{
	kill(mariadb.pid, SIGCONT);
}

const char *test_mariadb_dir(void)
{
	return mariadb.dir;
}

const struct db_server *test_mariadb_server(void)
{
	return &mariadb.server;
}

const struct db_server *test_mariadb_root(void)
{
	return &mariadb.root;
}

struct db_conn *test_mariadb_connect(const struct db_server *server)
{
	struct deadline limit = deadline_in_ms(PATIENCE_MS);
	struct errmsg why = ERRMSG_INIT;
	struct db_conn *db = NULL;
	if (db_connect(server, &limit, &db, &why) != ERR_OK) {
		fprintf(stderr, "support_mariadb: %s\n", why.text);
		abort();
	}
	return db;
}

void test_session_open(struct test_session *session)
{
	const struct deadline limit = deadline_in_ms(SESSION_MS);
	session->db = test_mariadb_connect(&mariadb.server);
	db_set_deadline(session->db, &limit);
	arena_init(&session->arena, 65536, 64 << 20);
}

void test_session_close(struct test_session *session)
{
	db_close(session->db);
	arena_release(&session->arena);
}

void test_mariadb_sql(const char *sql)
{
	const struct deadline limit = deadline_in_ms(SESSION_MS);
	struct db_conn *db = test_mariadb_connect(&mariadb.root);
	db_set_deadline(db, &limit);
	struct errmsg why = ERRMSG_INIT;
	if (db_command(db, sql, &why) != ERR_OK) {
		fprintf(stderr, "support_mariadb: %s: %s\n", sql, why.text);
		abort();
	}
	db_close(db);
}

int64_t test_mariadb_number(const char *sql)
{
	struct db_conn *db = test_mariadb_connect(&mariadb.root);
	struct arena arena;
	arena_init(&arena, 4096, 65536);
	struct errmsg why = ERRMSG_INIT;
	struct db_result rows;
	if (db_query(db, &arena, sql, DB_NO_BINDS, &rows, &why) != ERR_OK || rows.row_count != 1) {
		fprintf(stderr, "support_mariadb: %s: %s\n", sql, why.text);
		abort();
	}
	int64_t number = db_col_i64(&rows, 0, 0);
	arena_release(&arena);
	db_close(db);
	return number;
}

int64_t test_mariadb_running(void)
{
	return test_mariadb_number("SELECT COUNT(*) FROM information_schema.processlist "
				   "WHERE user = 'ziggie' AND command <> 'Sleep'");
}
