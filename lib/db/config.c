/* The database's part of the settings. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/io.h"
#include "base/strbuf.h"
#include "conf/conf.h"
#include "db/pool.h"

enum { PASSWORD_MAX = 1024 };

static enum err read_password(const char *path, const char **out, struct errmsg *why)
{
	STRBUF_CLEANUP text = STRBUF_INIT;
	enum err err = io_read_file(path, PASSWORD_MAX, &text, why);
	if (err != ERR_OK)
		return err;
	strbuf_truncate(&text, strcspn(text.data, "\r\n"));
	*out = strdup(text.data);
	return *out != NULL ? ERR_OK : err_set(why, ERR_NOMEM, "out of memory reading %s", path);
}

enum err db_server_load(const struct conf *conf, struct db_server *out, struct errmsg *why)
{
	*out = (struct db_server){
	    .socket = conf_text(conf, db_socket),
	    .host = conf_text(conf, db_host),
	    .port = (unsigned)conf_number(conf, db_port),
	    .user = conf_text(conf, db_user),
	    .database = conf_text(conf, db_name),
	    .statement_ms = conf_number(conf, request_timeout),
	};
	const char *path = conf_text(conf, db_password_file);
	if (path == NULL || path[0] == '\0')
		return ERR_OK;
	return read_password(path, &out->password, why);
}

void db_server_release(struct db_server *server)
{
	/* Const for its users, ours to free. */
	char *password = (char *)(uintptr_t)server->password;
	if (password != NULL)
		explicit_bzero(password, strlen(password));
	free(password);
	*server = (struct db_server){0};
}

/* The index-th of count shares that add up to total. */
static unsigned share(int64_t total, unsigned index, unsigned count)
{
	unsigned whole = (unsigned)total / count;
	return whole + (index < (unsigned)total % count ? 1 : 0);
}

enum err db_pool_config_load(const struct conf *conf, unsigned index, unsigned count,
			     struct db_pool_config *out, struct errmsg *why)
{
	AN_INVARIANT(count > 0 && index < count);
	*out = (struct db_pool_config){
	    .min = share(conf_number(conf, db_pool_min), index, count),
	    .max = share(conf_number(conf, db_pool_max), index, count),
	    .wait_ms = conf_number(conf, db_pool_wait),
	    .recycle_ms = conf_number(conf, db_pool_recycle),
	    .validate_ms = conf_number(conf, db_pool_validate),
	    .leak_ms = conf_number(conf, db_pool_leak),
	    .connect_timeout_ms = conf_number(conf, db_connect_timeout),
	};
	if (out->max == 0)
		out->max = 1;
	if (out->min > out->max)
		out->min = out->max;
	return db_server_load(conf, &out->server, why);
}

struct db_demand db_demand_load(const struct conf *conf)
{
	return (struct db_demand){
	    .hosts = (unsigned)conf_number(conf, db_hosts),
	    .pool_max = (unsigned)conf_number(conf, db_pool_max),
	    .job_threads = (unsigned)conf_number(conf, job_threads),
	    .reserve = (unsigned)conf_number(conf, db_reserve),
	};
}

void db_pool_config_release(struct db_pool_config *config)
{
	db_server_release(&config->server);
}
