/* What must hold for the server before work is trusted to it. */
#include "base/assert.h"
#include "db/db.h"

enum { CHECK_ARENA = 16 * 1024 };

static uint64_t connections_of(const struct db_demand *d)
{
	uint64_t of_generation = (uint64_t)d->pool_max + d->job_threads + DB_JOBS_BESIDE;
	return 2 * of_generation * d->hosts + d->reserve;
}

enum err db_check_capacity(struct db_conn *db, const struct db_demand *demand, struct errmsg *why)
{
	struct arena arena;
	arena_init(&arena, CHECK_ARENA, CHECK_ARENA);
	struct db_result rows;
	enum err err =
	    db_query(db, &arena, "SELECT @@GLOBAL.max_connections", DB_NO_BINDS, &rows, why);
	if (err == ERR_OK) {
		uint64_t allowed = db_col_u64(&rows, 0, 0);
		uint64_t needed = connections_of(demand);
		if (needed > allowed)
			err = err_set(why, ERR_INVALID,
				      "db_hosts %u x 2 generations x (db_pool_max %u + job_threads "
				      "%u + %d) + db_reserve %u = %llu connections, but the "
				      "server's max_connections is %llu",
				      demand->hosts, demand->pool_max, demand->job_threads,
				      DB_JOBS_BESIDE, demand->reserve, (unsigned long long)needed,
				      (unsigned long long)allowed);
	}
	arena_release(&arena);
	return err;
}

enum err db_check_durability(struct db_conn *db, struct errmsg *why)
{
	static const char sql[] = "SELECT @@GLOBAL.innodb_flush_log_at_trx_commit, "
				  "@@GLOBAL.log_bin, @@GLOBAL.sync_binlog";
	struct arena arena;
	arena_init(&arena, CHECK_ARENA, CHECK_ARENA);
	struct db_result rows;
	enum err err = db_query(db, &arena, sql, DB_NO_BINDS, &rows, why);
	if (err == ERR_OK) {
		uint64_t flush = db_col_u64(&rows, 0, 0);
		bool log_bin = db_col_bool(&rows, 0, 1);
		uint64_t sync = db_col_u64(&rows, 0, 2);
		if (flush != 1)
			err = err_set(why, ERR_INVALID,
				      "the server's innodb_flush_log_at_trx_commit is %llu; only 1 "
				      "keeps every commit",
				      (unsigned long long)flush);
		else if (log_bin && sync != 1)
			err = err_set(why, ERR_INVALID,
				      "the server's sync_binlog is %llu; with a binary log only 1 "
				      "keeps every commit",
				      (unsigned long long)sync);
	}
	arena_release(&arena);
	return err;
}
