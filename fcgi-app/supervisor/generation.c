#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "supervisor/notify.h"
#include "supervisor/supervisor.h"

/* How long a new generation may take to become ready, and children to end past their limit. */
#define READY_LIMIT_NS (60 * NS_PER_S)
#define DRAIN_GRACE_NS (2 * NS_PER_S)

/* ---- settings made ready ---- */

/*
 * Children read the settings of their generation, not the file as it is by then: a
 * worker that dies after a bad edit must come back as it was.  So each generation
 * has its settings in a sealed file in memory.
 */
static enum err write_settings(const struct conf *conf, struct strbuf *out, struct errmsg *why)
{
	for (int id = 0; id < CONF_COUNT; id++) {
		const struct conf_value *value = &conf->values[id];
		if (strcmp(value->source, "default") == 0)
			continue;
		if (strpbrk(value->text, "\"\n") != NULL)
			return err_set(why, ERR_INVALID, "%s: %s: quotes are not allowed",
				       value->source, conf_rows[id].name);
		strbuf_addf(out, "%s = ", conf_rows[id].name);
		conf_format(conf, (enum conf_id)id, out);
		strbuf_addc(out, '\n');
	}
	return out->failed ? err_set(why, ERR_NOMEM, "out of memory for the settings") : ERR_OK;
}

static enum err make_conf_file(const struct strbuf *text, int *out, struct errmsg *why)
{
	FD_CLEANUP fd = memfd_create("ziggie-settings", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return err_errno(why, "can't make a file for the settings");
	/* Children open it anew, as their own user. */
	if (fchmod(fd, 0444) < 0 || io_write_all(fd, text->data, text->len) != ERR_OK ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		return err_errno(why, "can't write the settings for children");
	*out = io_take(&fd);
	return ERR_OK;
}

enum err generation_prepare(struct generation *generation, const struct conf *conf, unsigned number,
			    struct errmsg *why)
{
	STRBUF_CLEANUP text = STRBUF_INIT;
	*generation = (struct generation){
	    .number = number,
	    .workers = conf_workers(conf),
	    .conf_fd = -1,
	    .drain_ns = conf_number(conf, drain_timeout) * NS_PER_MS + DRAIN_GRACE_NS,
	};
	enum err err = write_settings(conf, &text, why);
	return err == ERR_OK ? make_conf_file(&text, &generation->conf_fd, why) : err;
}

void generation_release(struct generation *generation)
{
	io_close(&generation->conf_fd);
}

/* ---- the log ---- */

static enum err give_log_away(const char *path, const struct identity *who, struct errmsg *why)
{
	if (path[0] == '\0' || strcmp(path, "-") == 0 || !who->change)
		return ERR_OK;
	FD_CLEANUP fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd < 0 || fchown(fd, who->uid, (gid_t)-1) < 0)
		return err_errno(why, "can't give the log %s to the workers' user", path);
	return ERR_OK;
}

enum err generation_open_log(const struct supervisor *s, const struct conf *conf,
			     struct errmsg *why)
{
	enum log_level level = LOG_INFO;
	log_level_parse(conf_text(conf, log_level), &level);
	enum err err = give_log_away(conf_text(conf, log_file), &s->identity, why);
	if (err != ERR_OK)
		return err;
	return log_open("ziggied", conf_text(conf, log_file), level, why);
}

/* ---- replacing ---- */

static void free_conf(struct conf **conf)
{
	if (*conf == NULL)
		return;
	conf_release(*conf);
	free(*conf);
	*conf = NULL;
}

static void log_needs_restart(const struct conf *now, const struct conf *wanted)
{
	for (int id = 0; id < CONF_COUNT; id++)
		if (!conf_rows[id].reloads &&
		    strcmp(now->values[id].text, wanted->values[id].text) != 0)
			LOG_EVENT(LOG_WARNING, "setting_needs_restart",
				  LOG_STR("setting", conf_rows[id].name),
				  LOG_STR("source", wanted->values[id].source));
}

static void say_ready(const struct supervisor *s)
{
	notify_send("READY=1\nSTATUS=%u workers serve, generation %u", s->current.workers,
		    s->current.number);
}

void generation_abandon(struct supervisor *s, const char *reason)
{
	LOG_EVENT(LOG_ERROR, "reload_failed", LOG_INT("generation", s->next.number),
		  LOG_STR("detail", reason));
	children_drain(s, s->next.number, s->next.drain_ns);
	generation_release(&s->next);
	free_conf(&s->next_conf);
	s->replacing = false;
	if (s->serving)
		say_ready(s);
}

void generation_replace(struct supervisor *s, struct conf *conf)
{
	struct errmsg why = ERRMSG_INIT;
	unsigned number = s->next.number > s->current.number ? s->next.number : s->current.number;
	notify_reloading("starting a new generation");
	s->next_conf = conf;
	s->replacing = true;
	s->replace_until_ns = clock_mono_ns() + READY_LIMIT_NS;
	enum err err = generation_prepare(&s->next, conf, number + 1, &why);
	if (err == ERR_OK)
		err = children_start(s, &s->next, &why);
	if (err != ERR_OK)
		generation_abandon(s, why.text);
}

void generation_reload(struct supervisor *s)
{
	struct errmsg why = ERRMSG_INIT;
	if (s->replacing) {
		s->reload_wanted = true;
		return;
	}
	struct conf *conf = calloc(1, sizeof(*conf));
	enum err err = conf == NULL ? err_set(&why, ERR_NOMEM, "out of memory")
				    : options_load_conf(s->options, conf, &why);
	if (conf == NULL || err != ERR_OK) {
		free(conf);
		LOG_EVENT(LOG_ERROR, "reload_failed", LOG_STR("detail", why.text));
		notify_send("STATUS=the settings can't be used: %.300s", why.text);
		return;
	}
	LOG_EVENT(LOG_INFO, "reloading", LOG_STR("file", conf->file));
	log_needs_restart(s->conf, conf);
	generation_replace(s, conf);
}

static void promote(struct supervisor *s)
{
	struct errmsg why = ERRMSG_INIT;
	unsigned old = s->current.number;
	int64_t drain_ns = s->current.drain_ns;
	generation_release(&s->current);
	s->current = s->next;
	s->next.conf_fd = -1;
	free_conf(&s->conf);
	s->conf = s->next_conf;
	s->next_conf = NULL;
	s->replacing = false;
	s->serving = true;
	scoreboard_set_generation(s->board, s->current.number);
	if (generation_open_log(s, s->conf, &why) != ERR_OK)
		LOG_EVENT(LOG_ERROR, "log_not_opened", LOG_STR("detail", why.text));
	LOG_EVENT(LOG_INFO, "generation_serves", LOG_INT("generation", s->current.number),
		  LOG_INT("workers", s->current.workers));
	children_drain(s, old, drain_ns);
	say_ready(s);
}

static void check_next(struct supervisor *s)
{
	if (children_all_ready(s, s->next.number))
		promote(s);
	else if (clock_mono_ns() >= s->replace_until_ns)
		generation_abandon(s, "it did not become ready in time");
}

void generation_check(struct supervisor *s)
{
	if (s->stopping)
		return;
	if (s->replacing) {
		check_next(s);
	} else if (!s->serving && children_all_ready(s, s->current.number)) {
		s->serving = true;
		LOG_EVENT(LOG_INFO, "generation_serves", LOG_INT("generation", s->current.number),
			  LOG_INT("workers", s->current.workers));
		say_ready(s);
	}
	if (s->reload_wanted && !s->replacing) {
		s->reload_wanted = false;
		generation_reload(s);
	}
}
