/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "whole_worker.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "db/db.h"
#include "shm/scoreboard.h"
#include "store/tokens.h"
#include "store/users.h"
#include "support_mariadb.h"
#include "worker/calls.h"

enum { TOKEN_LIFE_S = 100 * 24 * 3600 };

static void add_account(struct whole_worker *w)
{
	char hash[crypto_pwhash_argon2id_STRBYTES];
	uint8_t digest[TOKEN_DIGEST_LEN];
	struct db_conn *db = test_mariadb_connect(test_mariadb_server());
	assert_int_equal(crypto_pwhash_argon2id_str(hash, WHOLE_PASSWORD, strlen(WHOLE_PASSWORD),
						    crypto_pwhash_argon2id_OPSLIMIT_MIN,
						    crypto_pwhash_argon2id_MEMLIMIT_MIN),
			 0);
	struct user user = {.username = WHOLE_USERNAME,
			    .role = ROLE_ADMIN,
			    .is_active = true,
			    .password_hash = hash,
			    .created_us = clock_wall_us()};
	uuid_new(&user.id);
	assert_int_equal(users_add(db, &user, NULL), ERR_OK);
	token_mint(TOKEN_SESSION, w->token, digest);
	assert_int_equal(tokens_add(db, digest, &user.id, "test",
				    clock_wall_us() + TOKEN_LIFE_S * US_PER_S, NULL),
			 ERR_OK);
	db_close(db);
}

static void prepare_database(struct whole_worker *w)
{
	test_mariadb_start();
	test_mariadb_migrate();
	add_account(w);
}

void whole_worker_set(struct whole_worker *w, enum conf_id id, const char *text)
{
	struct errmsg why = ERRMSG_INIT;
	if (conf_set(&w->conf, id, text, "the test", &why) != ERR_OK)
		fail_msg("%s", why.text);
}

/* A file of w->dir; its path is in path afterwards. */
static void write_file(const struct whole_worker *w, const char *name, const char *text,
		       char path[128])
{
	snprintf(path, 128, "%s/%s", w->dir, name);
	FD_CLEANUP fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, text, strlen(text)), ERR_OK);
}

static void prepare_settings(struct whole_worker *w)
{
	char path[256], password[128];
	const char *source = getenv("ZIGGIE_TEST_SRCDIR");
	const struct db_server *server = test_mariadb_server();
	assert_int_equal(conf_init(&w->conf, NULL), ERR_OK);
	write_file(w, "password", server->password, password);
	whole_worker_set(w, CONF_db_socket, server->socket);
	whole_worker_set(w, CONF_db_user, server->user);
	whole_worker_set(w, CONF_db_password_file, password);
	whole_worker_set(w, CONF_db_pool_min, "2");
	whole_worker_set(w, CONF_db_pool_max, "2");
	whole_worker_set(w, CONF_memcached, w->memcached.socket);
	whole_worker_set(w, CONF_host_id, "here");
	whole_worker_set(w, CONF_threads, "4");
	whole_worker_set(w, CONF_max_connections, "64");
	/* Nothing runs out of time because the test moves the clock. */
	whole_worker_set(w, CONF_db_connect_timeout, "60s");
	whole_worker_set(w, CONF_request_timeout, "60s");
	/* Nor because the machine is slow. */
	whole_worker_set(w, CONF_memcached_timeout, "10s");
	whole_worker_set(w, CONF_queue_target, "60s");
	/* Requests are counted, and never too many. */
	whole_worker_set(w, CONF_ratelimit_read, "1000000");
	whole_worker_set(w, CONF_ratelimit_logs, "1000000");
	whole_worker_set(w, CONF_ratelimit_login, "1000000");
	whole_worker_set(w, CONF_ratelimit_login_account, "1000000");
	whole_worker_set(w, CONF_ratelimit_total, "1000000");
	/* What is one step old is asked for anew. */
	whole_worker_set(w, CONF_l1_ttl, "100ms");
	whole_worker_set(w, CONF_token_cache_ttl, "100ms");
	whole_worker_set(w, CONF_sample_interval, "100ms");
	whole_worker_set(w, CONF_processes_interval, "100ms");
	whole_worker_set(w, CONF_ports_interval, "100ms");
	snprintf(path, sizeof(path), "%s/tests/fixtures/host/proc", source != NULL ? source : ".");
	whole_worker_set(w, CONF_proc_root, path);
	snprintf(path, sizeof(path), "%s/tests/fixtures/host/sys", source != NULL ? source : ".");
	whole_worker_set(w, CONF_sys_root, path);
}

static void open_socket(struct whole_worker *w)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(w->socket, sizeof(w->socket), "%s/s", w->dir);
	memcpy(address.sun_path, w->socket, strlen(w->socket));
	w->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(w->listen_fd >= 0);
	assert_int_equal(bind(w->listen_fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(w->listen_fd, 1024), 0);
}

void whole_worker_prepare(struct whole_worker *w)
{
	*w = (struct whole_worker){.dir = "/tmp/zw.XXXXXX"};
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->log, sizeof(w->log), "%s/log", w->dir);
	test_memcached_start(&w->memcached);
	prepare_database(w);
	prepare_settings(w);
	open_socket(w);
}

static struct engine_config engine_config_of(const struct whole_worker *w)
{
	return (struct engine_config){
	    .listen_fd = w->listen_fd,
	    .threads = (unsigned)conf_number(&w->conf, threads),
	    .max_connections = (unsigned)conf_number(&w->conf, max_connections),
	    .max_body = (size_t)conf_number(&w->conf, max_body),
	    .read_timeout_ms = conf_number(&w->conf, read_timeout),
	    .write_timeout_ms = conf_number(&w->conf, write_timeout),
	    /* Nobody's idle time ends because the test moves the clock. */
	    .idle_timeout_ms = 24 * 3600 * MS_PER_S,
	    .queue_target_ms = conf_number(&w->conf, queue_target),
	    .queue_interval_ms = conf_number(&w->conf, queue_interval),
	};
}

enum err whole_worker_start(struct whole_worker *w, struct errmsg *why)
{
	const struct app_place alone = {.count = 1,
					.threads = (unsigned)conf_number(&w->conf, threads)};
	const struct engine_config config = engine_config_of(w);
	enum err err = app_parts_init(&w->app, &w->conf, &alone, why);
	if (err == ERR_OK) {
		struct engine_app calls = worker_engine_calls;
		calls.context = &w->app;
		err = engine_start(&w->engine, &config, &calls, why);
	}
	if (err != ERR_OK) {
		app_parts_release(&w->app);
		return err;
	}
	atomic_store(&w->app.app.ready, true);
	atomic_store(&w->app.app.database_trusted, true);
	scoreboard_set_state(w->app.app.scoreboard, STATE_READY);
	return ERR_OK;
}

void whole_worker_stop(struct whole_worker *w)
{
	if (w->engine == NULL)
		return;
	engine_stop(w->engine);
	app_parts_release(&w->app);
	w->engine = NULL;
}

void whole_worker_remove(struct whole_worker *w)
{
	static const char *const files[] = {"password", "s", "log"};
	close(w->listen_fd);
	conf_release(&w->conf);
	test_mariadb_stop();
	test_memcached_stop(&w->memcached);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[128];
		snprintf(path, sizeof(path), "%s/%s", w->dir, files[i]);
		unlink(path);
	}
	rmdir(w->dir);
}
