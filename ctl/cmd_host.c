#include <string.h>
#include <sysexits.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "ctl.h"
#include "json/writer.h"
#include "store/hosts.h"
#include "user_change.h"

enum { LIMIT_MS = 30000, ID_COLUMN = 24, HOSTS_MAX = 100000 };

static void add_row(struct strbuf *out, const char *id, const char *status, const char *last_seen,
		    const char *version, const char *hostname)
{
	size_t width = utf8_count(id, strlen(id));
	strbuf_addf(out, "%s%*s %-8s %-24s %-10s %s\n", id,
		    width < ID_COLUMN ? (int)(ID_COLUMN - width) : 0, "", status, last_seen,
		    version, hostname);
}

/* Runs again after a deadlock, so it starts with an empty text. */
static enum err list(struct db_conn *db, void *arg, struct errmsg *why)
{
	const struct host_page all = {.after = "", .limit = HOSTS_MAX};
	struct strbuf *out = arg;
	struct arena arena;
	struct host_entry *hosts;
	size_t count;
	uint64_t total;
	arena_init(&arena, 65536, 256 << 20);
	enum err err = hosts_list(db, &arena, &all, &hosts, &count, &total, why);
	if (err == ERR_OK) {
		strbuf_clear(out);
		add_row(out, "ID", "STATUS", "LAST SEEN", "VERSION", "HOSTNAME");
		for (size_t i = 0; i < count; i++) {
			char last_seen[CLOCK_TEXT_MAX];
			clock_format_utc(hosts[i].last_seen_us, last_seen);
			add_row(out, hosts[i].id, hosts[i].is_up ? "up" : "silent", last_seen,
				hosts[i].version, hosts[i].hostname);
		}
	}
	arena_release(&arena);
	return err;
}

static int run_list(struct ctl *ctl, int argc, char **argv)
{
	STRBUF_CLEANUP out = STRBUF_INIT;
	if (!ctl_arguments(ctl, argc, argv, NULL, 0, NULL, 0, 0))
		return EX_USAGE;
	int exit_code = ctl_transaction(ctl, LIMIT_MS, list, &out);
	return exit_code == EX_OK ? ctl_print(&out) : exit_code;
}

static enum err forget(struct db_conn *db, void *arg, struct errmsg *why)
{
	const char *const *id = arg;
	enum err err = hosts_remove(db, *id, why);
	if (err != ERR_OK)
		return err;
	STRBUF_CLEANUP before = STRBUF_INIT;
	struct json_writer w;
	json_init(&w, &before);
	json_object(&w);
	json_put_string(&w, "id", *id);
	json_end(&w);
	if (!json_ok(&w))
		return err_set(why, ERR_NOMEM, "out of memory for the audit");
	struct audit_entry entry = ctl_origin;
	entry.action = "delete";
	entry.resource = "host";
	entry.before = before.data;
	return audit_add(db, &entry, why);
}

static int run_remove(struct ctl *ctl, int argc, char **argv)
{
	const char *id;
	if (!ctl_arguments(ctl, argc, argv, NULL, 0, &id, 1, 1))
		return EX_USAGE;
	return ctl_transaction(ctl, LIMIT_MS, forget, &id);
}

const struct command command_host_list = {
    .name = "host list",
    .synopsis = "",
    .summary = "List the hosts that share the database, and which of them are silent.",
    .help = "",
    .reads_settings = true,
    .run = run_list,
};

const struct command command_host_remove = {
    .name = "host remove",
    .synopsis = "ID",
    .summary = "Forget a host that has been taken out of service.",
    .help = "A host that is still at work comes back with its next heartbeat.\n",
    .reads_settings = true,
    .run = run_remove,
};
