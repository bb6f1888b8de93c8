/*
 * The peer of POST /api/v1/tasks/claim: the statements of a claim and nothing else.  No web
 * server, no FastCGI, no JSON; each connection has a thread that claims as fast as the
 * database answers.  The statements are those of lib/store/task_claims.c, record.c, audit.c
 * and agent_tasks.c, prepared once for each connection.
 */
#include <getopt.h>
#include <mysql.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/uuid.h"

enum {
	CONNECTIONS_MAX = 256,
	AGENTS_MAX = 256,
	PARAMS_MAX = 16,
	COLUMNS_MAX = 32,
	TEXT_MAX = 256, /* of a column; what is longer is cut off */
	LEASE_MS = 60000,
};

static const char usage[] = "Usage: claims --socket PATH --user NAME --database NAME --type TYPE\n"
			    "              {--fill N | --connections N --seconds N AGENT...}\n"
			    "The password is taken from ZIGGIE_BENCH_PASSWORD; an AGENT is an id.\n"
			    "Prints {\"claims\": N, \"retries\": N, \"seconds\": S}.\n";

static struct {
	const char *socket, *user, *database, *type;
	uint64_t connections, seconds;
	struct uuid agents[AGENTS_MAX];
	size_t agent_count;
} given;

static _Atomic bool over;
static _Atomic uint64_t claims, retries;

/* A statement with texts and bytes for parameters; the server converts them. */
struct statement {
	MYSQL_STMT *stmt;
	MYSQL_BIND params[PARAMS_MAX], columns[COLUMNS_MAX];
	char texts[COLUMNS_MAX][TEXT_MAX];
	unsigned long lengths[COLUMNS_MAX];
	my_bool nulls[COLUMNS_MAX];
};

struct claimer {
	MYSQL *db;
	unsigned number;
	struct statement own, any, now, update, audit, tally;
};

static void die(const char *what, const char *why)
{
	fprintf(stderr, "claims: %s: %s\n", what, why);
	exit(EX_SOFTWARE);
}

static MYSQL *connect_database(void)
{
	MYSQL *db = mysql_init(NULL);
	if (db == NULL || mysql_real_connect(db, NULL, given.user, getenv("ZIGGIE_BENCH_PASSWORD"),
					     given.database, 0, given.socket, 0) == NULL)
		die("connect", db == NULL ? "no memory" : mysql_error(db));
	if (mysql_query(db, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED") != 0)
		die("isolation", mysql_error(db));
	return db;
}

static void prepare(MYSQL *db, struct statement *s, const char *sql)
{
	s->stmt = mysql_stmt_init(db);
	if (s->stmt == NULL || mysql_stmt_prepare(s->stmt, sql, strlen(sql)) != 0)
		die(sql, mysql_error(db));
	unsigned count = mysql_stmt_field_count(s->stmt);
	for (unsigned i = 0; i < count; i++)
		s->columns[i] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_STRING,
					     .buffer = s->texts[i],
					     .buffer_length = TEXT_MAX,
					     .length = &s->lengths[i],
					     .is_null = &s->nulls[i]};
	if (count > 0 && mysql_stmt_bind_result(s->stmt, s->columns) != 0)
		die(sql, mysql_stmt_error(s->stmt));
}

static void bind_bytes(struct statement *s, unsigned i, const void *bytes, size_t len)
{
	s->params[i] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_BLOB,
				    .buffer = (void *)(uintptr_t)bytes,
				    .buffer_length = len,
				    .length_value = len};
	s->params[i].length = &s->params[i].length_value;
}

static void bind_text(struct statement *s, unsigned i, const char *text)
{
	bind_bytes(s, i, text, strlen(text));
	s->params[i].buffer_type = MYSQL_TYPE_STRING;
}

/* How many rows came, of which the first is kept; -1 when the transaction has to begin again. */
static int run(struct statement *s)
{
	static const unsigned deadlock = 1213, lock_wait = 1205;
	int rows = 0;
	if (mysql_stmt_bind_param(s->stmt, s->params) != 0 || mysql_stmt_execute(s->stmt) != 0) {
		unsigned number = mysql_stmt_errno(s->stmt);
		if (number != deadlock && number != lock_wait)
			die("execute", mysql_stmt_error(s->stmt));
		return -1;
	}
	if (mysql_stmt_field_count(s->stmt) == 0)
		return 0;
	while (mysql_stmt_fetch(s->stmt) != MYSQL_NO_DATA)
		rows++;
	mysql_stmt_free_result(s->stmt);
	return rows;
}

#define SELECT                                                                                     \
	"SELECT id, owner_id, version, created_at, updated_at, plan_id, goal_id, agent_id,"        \
	" description, task_type, status, input_data, output_data, error, priority, attempts,"     \
	" started_at, completed_at, lease_ms, lease_until, waiting_on, depends_on, id FROM tasks"  \
	" FORCE INDEX (tasks_ready_of_type) WHERE status = 'ready' AND agent_id "
#define FIRST " AND task_type = ? ORDER BY urgency, id LIMIT 1 FOR UPDATE SKIP LOCKED"

static void prepare_all(struct claimer *c)
{
	prepare(c->db, &c->own, SELECT "= ?" FIRST);
	prepare(c->db, &c->any, SELECT "IS NULL" FIRST);
	prepare(c->db, &c->now, "SELECT UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) + INTERVAL 60 SECOND");
	prepare(c->db, &c->update,
		"UPDATE tasks SET version = version + 1, updated_at = ?, agent_id = ?,"
		" status = 'running', started_at = ?, lease_ms = ?, lease_until = ?"
		" WHERE id = ? AND version = ?");
	prepare(
	    c->db, &c->audit,
	    "INSERT INTO audit (id, at, username, user_id, key_id, agent_id, action, resource,"
	    " record_id, before_json, after_json, remote_address, request_id)"
	    " VALUES (?, ?, 'admin', ?, NULL, NULL, 'update', 'task', ?, ?, ?, '127.0.0.1', ?)");
	prepare(c->db, &c->tally,
		"INSERT INTO agent_tasks (agent_id, running) VALUES (?, 1)"
		" ON DUPLICATE KEY UPDATE running = running + VALUES(running)");
}

/* As long as what Ziggie writes of a claim. */
static void audit(struct claimer *c, const struct uuid *agent, struct uuid *id)
{
	static const char before[] =
	    "{\"version\":1,\"updated_at\":\"2026-01-31T23:59:59.123Z\",\"agent_id\":null,"
	    "\"status\":\"ready\",\"started_at\":null,\"lease_ms\":null,\"lease_until\":null}";
	static const char after[] =
	    "{\"version\":2,\"updated_at\":\"2026-01-31T23:59:59.123Z\","
	    "\"agent_id\":\"019abcde-0000-7000-8000-000000000000\",\"status\":\"running\","
	    "\"started_at\":\"2026-01-31T23:59:59.123Z\",\"lease_ms\":60000,"
	    "\"lease_until\":\"2026-01-31T23:59:59.123Z\"}";
	uuid_new(id);
	bind_bytes(&c->audit, 0, id->bytes, sizeof(id->bytes));
	bind_text(&c->audit, 1, c->now.texts[0]);
	bind_bytes(&c->audit, 2, agent->bytes, sizeof(agent->bytes));
	bind_bytes(&c->audit, 3, c->any.texts[0], sizeof(agent->bytes));
	bind_text(&c->audit, 4, before);
	bind_text(&c->audit, 5, after);
	bind_text(&c->audit, 6, "awdg6g9yToqG-HkxYCX7ewAAAGk");
}

static void bind_change(struct claimer *c, const struct uuid *agent)
{
	static const char lease[] = "60000";
	_Static_assert(LEASE_MS == 60000, "as in the statements");
	bind_text(&c->update, 0, c->now.texts[0]);
	bind_bytes(&c->update, 1, agent->bytes, sizeof(agent->bytes));
	bind_text(&c->update, 2, c->now.texts[0]);
	bind_text(&c->update, 3, lease);
	bind_text(&c->update, 4, c->now.texts[1]);
	bind_bytes(&c->update, 5, c->any.texts[0], sizeof(agent->bytes));
	bind_bytes(&c->update, 6, c->any.texts[2], c->any.lengths[2]);
	bind_bytes(&c->tally, 0, agent->bytes, sizeof(agent->bytes));
}

/* False when it has to be done again. */
static bool claim(struct claimer *c, const struct uuid *agent)
{
	struct uuid id;
	bind_bytes(&c->own, 0, agent->bytes, sizeof(agent->bytes));
	bind_text(&c->own, 1, given.type);
	bind_text(&c->any, 0, given.type);
	int own = run(&c->own);
	if (own > 0)
		die("claim", "a task was there for an agent already");
	int found = own < 0 ? -1 : run(&c->any);
	if (found == 0)
		die("claim", "no task is left");
	if (found < 0 || run(&c->now) < 0)
		return false;
	bind_change(c, agent);
	audit(c, agent, &id);
	return run(&c->update) == 0 && run(&c->audit) == 0 && run(&c->tally) == 0;
}

static void command(struct claimer *c, const char *sql)
{
	if (mysql_query(c->db, sql) != 0)
		die(sql, mysql_error(c->db));
}

static void *claimer_main(void *arg)
{
	struct claimer *c = arg;
	for (size_t turn = c->number; !atomic_load(&over); turn++) {
		command(c, "START TRANSACTION");
		bool done = claim(c, &given.agents[turn % given.agent_count]);
		command(c, done ? "COMMIT" : "ROLLBACK");
		atomic_fetch_add(done ? &claims : &retries, 1);
	}
	mysql_close(c->db);
	return NULL;
}

static void claim_for_a_while(void)
{
	static struct claimer claimers[CONNECTIONS_MAX];
	pthread_t threads[CONNECTIONS_MAX] = {0};
	for (unsigned i = 0; i < given.connections; i++) {
		claimers[i].number = i;
		claimers[i].db = connect_database();
		prepare_all(&claimers[i]);
	}
	int64_t began = clock_mono_ns();
	for (size_t i = 0; i < given.connections; i++)
		if (pthread_create(&threads[i], NULL, claimer_main, &claimers[i]) != 0)
			die("start", "no thread");
	const struct timespec pause = {.tv_sec = (time_t)given.seconds};
	nanosleep(&pause, NULL);
	uint64_t made = atomic_load(&claims);
	double seconds = (double)(clock_mono_ns() - began) / NS_PER_S;
	atomic_store(&over, true);
	for (size_t i = 0; i < given.connections; i++)
		pthread_join(threads[i], NULL);
	printf("{\"claims\": %llu, \"retries\": %llu, \"seconds\": %.6f}\n",
	       (unsigned long long)made, (unsigned long long)atomic_load(&retries), seconds);
}

static void read_arguments(int argc, char **argv)
{
	static const struct option options[] = {
	    {"socket", required_argument, NULL, 's'},
	    {"user", required_argument, NULL, 'u'},
	    {"database", required_argument, NULL, 'd'},
	    {"type", required_argument, NULL, 't'},
	    {"connections", required_argument, NULL, 'c'},
	    {"seconds", required_argument, NULL, 'n'},
	    {NULL, 0, NULL, 0},
	};
	int option;
	bool good = true;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 's')
			given.socket = optarg;
		else if (option == 'u')
			given.user = optarg;
		else if (option == 'd')
			given.database = optarg;
		else if (option == 't')
			given.type = optarg;
		else if (option == 'c')
			good &= num_u64s(optarg, 1, CONNECTIONS_MAX, &given.connections);
		else
			good &= option == 'n' && num_u64s(optarg, 1, 3600, &given.seconds);
	}
	for (; optind < argc && given.agent_count < AGENTS_MAX; optind++)
		good &= uuid_parse(argv[optind], &given.agents[given.agent_count++]);
	bool complete = given.connections > 0 && given.seconds > 0 && given.agent_count > 0;
	if (!good || given.socket == NULL || given.user == NULL || given.database == NULL ||
	    given.type == NULL || optind < argc || !complete) {
		fputs(usage, stderr);
		exit(EX_USAGE);
	}
}

int main(int argc, char **argv)
{
	read_arguments(argc, argv);
	if (mysql_library_init(0, NULL, NULL) != 0)
		die("start", "no library");
	claim_for_a_while();
	return EX_OK;
}
