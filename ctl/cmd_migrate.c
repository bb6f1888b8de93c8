#include <stdio.h>
#include <sysexits.h>

#include "base/clock.h"
#include "base/deadline.h"
#include "ctl.h"
#include "store/migrate.h"

enum { CHECK_LIMIT_MS = 10000, WAIT_LIMIT_MS = 300000 };

static void report(const struct migration *migration, int64_t took_ns, void *arg)
{
	(void)arg;
	printf("applied %04u %s (%lld ms)\n", migration->version, migration->name,
	       (long long)(took_ns / NS_PER_MS));
	fflush(stdout);
}

static enum err count_pending(const struct db_server *server, unsigned *pending, struct errmsg *why)
{
	struct deadline deadline = deadline_in_ms(CHECK_LIMIT_MS);
	struct db_conn *db;
	enum err err = db_connect(server, &deadline, &db, why);
	if (err != ERR_OK)
		return err;
	err = migrate_pending(db, migrations, pending, why);
	db_close(db);
	return err;
}

static int check(const struct db_server *server)
{
	unsigned pending = 0;
	struct errmsg why = ERRMSG_INIT;
	enum err err = count_pending(server, &pending, &why);
	if (err != ERR_OK)
		return ctl_fail_err(err, &why);
	if (pending > 0)
		return ctl_fail(EX_CONFIG, "%u migrations are missing; run: ziggiectl migrate",
				pending);
	STRBUF_CLEANUP out = STRBUF_INIT;
	strbuf_adds(&out, "the schema is up to date\n");
	return ctl_print(&out);
}

static int apply(const struct db_server *server)
{
	struct errmsg why = ERRMSG_INIT;
	struct deadline deadline = deadline_in_ms(WAIT_LIMIT_MS);
	enum err err = migrate_apply(server, migrations, &deadline, report, NULL, &why);
	return err == ERR_OK ? EX_OK : ctl_fail_err(err, &why);
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	bool only_check = false;
	struct db_pool_config config;
	struct errmsg why = ERRMSG_INIT;
	const struct ctl_option options[] = {{.name = "check", .flag = &only_check}};
	if (!ctl_arguments(ctl, argc, argv, options, 1, NULL, 0, 0))
		return EX_USAGE;
	if (ctl_database(ctl, &config, &why) != ERR_OK)
		return ctl_fail(EX_CONFIG, "%s", why.text);
	int exit_code = only_check ? check(&config.server) : apply(&config.server);
	db_pool_config_release(&config);
	return exit_code;
}

const struct command command_migrate = {
    .name = "migrate",
    .synopsis = "[--check]",
    .summary = "Bring the database's schema up to date.",
    .help = "With --check nothing is changed; the exit code is 78 when migrations are missing.\n"
	    "It may run on several hosts at once and while older workers run.\n",
    .reads_settings = true,
    .run = run,
};
