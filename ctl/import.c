#include "import.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/deadline.h"
#include "json/writer.h"
#include "user_change.h"

enum {
	BATCH = 100,
	BATCH_LIMIT_MS = 60000,
	DRY_RUN_LIMIT_MS = 3600000,
	ARENA_CHUNK = 1 << 16,
	ARENA_LIMIT = 256 << 20, /* of a batch */
	BAR_WIDTH = 30,
};

/* A dry run ends its transaction with this; no statement does. */
static const enum err TAKEN_BACK = ERR_PRECONDITION;

static void clear_bar(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

static void say(struct strbuf *line)
{
	strbuf_addc(line, '\n');
	clear_bar();
	fputs(line->data, stderr);
}

void import_skip(struct import *im, const char *place, unsigned line, const char *reason)
{
	STRBUF_CLEANUP out = STRBUF_INIT;
	im->skipped++;
	ctl_add_plain(&out, place);
	if (line > 0)
		strbuf_addf(&out, ":%u", line);
	strbuf_adds(&out, ": left out: ");
	ctl_add_plain(&out, reason);
	say(&out);
}

void import_note(const char *place, const char *format, ...)
{
	STRBUF_CLEANUP text = STRBUF_INIT;
	STRBUF_CLEANUP out = STRBUF_INIT;
	va_list args;
	va_start(args, format);
	strbuf_addv(&text, format, args);
	va_end(args);
	ctl_add_plain(&out, place);
	strbuf_adds(&out, ": ");
	ctl_add_plain(&out, text.data);
	say(&out);
}

static void draw_bar(const struct import_kind *kind, size_t done)
{
	char bar[BAR_WIDTH + 1];
	if (!isatty(STDERR_FILENO))
		return;
	size_t full = BAR_WIDTH * done / kind->count;
	memset(bar, '.', BAR_WIDTH);
	memset(bar, '#', full);
	bar[BAR_WIDTH] = '\0';
	fprintf(stderr, "\r\033[K%s [%s] %zu of %zu", kind->name, bar, done, kind->count);
	fflush(stderr);
}

struct fault {
	size_t which;
	struct errmsg why;
};

/* A part of them, in one transaction, which may run again from its beginning. */
struct batch {
	const struct import *im;
	const struct import_kind *kind;
	size_t from, to;
	size_t counts[IMPORT_OUTCOMES];
	struct fault *faults;
	size_t fault_count;
};

static enum err write_one(struct db_conn *db, struct arena *arena, struct batch *b, size_t which,
			  struct errmsg *why)
{
	struct fault *fault = &b->faults[b->fault_count];
	enum import_outcome outcome;
	fault->why = (struct errmsg)ERRMSG_INIT;
	enum err err = b->kind->write(db, arena, b->kind->arg, which, &outcome, &fault->why);
	if (err == ERR_OK) {
		b->counts[outcome]++;
		return ERR_OK;
	}
	if (err != ERR_INVALID && err != ERR_CONFLICT)
		return err_set(why, err, "%s", fault->why.text);
	fault->which = which;
	b->fault_count++;
	return ERR_OK;
}

static enum err note_batch(struct db_conn *db, const struct batch *b, struct errmsg *why)
{
	STRBUF_CLEANUP after = STRBUF_INIT;
	struct json_writer w;
	if (b->kind->audited_as == NULL ||
	    b->counts[IMPORT_CREATED] + b->counts[IMPORT_UPDATED] == 0)
		return ERR_OK;
	json_init(&w, &after);
	json_object(&w);
	json_put_string(&w, "file", b->kind->file);
	json_put_uint(&w, "created", b->counts[IMPORT_CREATED]);
	json_put_uint(&w, "updated", b->counts[IMPORT_UPDATED]);
	json_end(&w);
	if (!json_ok(&w))
		return err_set(why, ERR_NOMEM, "out of memory for the audit");
	struct audit_entry entry = ctl_origin;
	entry.action = "import";
	entry.resource = b->kind->audited_as;
	entry.after = after.data;
	return audit_add(db, &entry, why);
}

static enum err write_batch(struct db_conn *db, void *arg, struct errmsg *why)
{
	struct batch *b = arg;
	struct arena arena;
	enum err err = ERR_OK;
	memset(b->counts, 0, sizeof(b->counts));
	b->fault_count = 0;
	arena_init(&arena, ARENA_CHUNK, ARENA_LIMIT);
	for (size_t i = b->from; i < b->to && err == ERR_OK; i++) {
		err = write_one(db, &arena, b, i, why);
		if ((i + 1 - b->from) % BATCH == 0) {
			draw_bar(b->kind, i + 1);
			arena_reset(&arena);
		}
	}
	arena_release(&arena);
	if (err == ERR_OK)
		err = note_batch(db, b, why);
	return err == ERR_OK && b->im->dry_run ? TAKEN_BACK : err;
}

static enum err run_batch(struct db_conn *db, struct import *im, struct batch *b,
			  struct errmsg *why)
{
	struct deadline deadline = deadline_in_ms(im->dry_run ? DRY_RUN_LIMIT_MS : BATCH_LIMIT_MS);
	db_set_deadline(db, &deadline);
	enum err err = db_transaction(db, write_batch, b, why);
	if (err != ERR_OK && !(im->dry_run && err == TAKEN_BACK))
		return err;
	for (size_t i = 0; i < b->fault_count; i++) {
		unsigned line = 0;
		const char *place = b->kind->place(b->kind->arg, b->faults[i].which, &line);
		import_skip(im, place, line, b->faults[i].why.text);
	}
	return ERR_OK;
}

static enum err run_batches(struct db_conn *db, struct import *im, const struct import_kind *kind,
			    size_t size, struct fault *faults, size_t *counts, struct errmsg *why)
{
	enum err err = ERR_OK;
	for (size_t at = 0; at < kind->count && err == ERR_OK; at += size) {
		size_t left = kind->count - at;
		struct batch b = {.im = im,
				  .kind = kind,
				  .from = at,
				  .to = at + (left < size ? left : size),
				  .faults = faults};
		draw_bar(kind, at);
		err = run_batch(db, im, &b, why);
		for (size_t i = 0; i < IMPORT_OUTCOMES && err == ERR_OK; i++)
			counts[i] += b.counts[i];
	}
	clear_bar();
	return err;
}

static enum err connect_and_run(struct import *im, const struct import_kind *kind,
				const struct db_server *server, size_t *counts, struct errmsg *why)
{
	size_t size = im->dry_run ? kind->count : BATCH;
	struct fault *faults = calloc(size, sizeof(*faults));
	if (faults == NULL)
		return err_set(why, ERR_NOMEM, "out of memory for an import");
	struct deadline deadline = deadline_in_ms(BATCH_LIMIT_MS);
	struct db_conn *db;
	enum err err = db_connect(server, &deadline, &db, why);
	if (err == ERR_OK) {
		err = run_batches(db, im, kind, size, faults, counts, why);
		db_close(db);
	}
	free(faults);
	return err;
}

/* One line for a kind. */
static int report(struct import *im, const struct import_kind *kind, const size_t *counts)
{
	STRBUF_CLEANUP out = STRBUF_INIT;
	size_t taken = 0;
	for (size_t i = 0; i < IMPORT_OUTCOMES; i++)
		taken += counts[i];
	im->changed += counts[IMPORT_CREATED] + counts[IMPORT_UPDATED];
	strbuf_addf(&out, "%s: %zu created, %zu updated, %zu unchanged", kind->name,
		    counts[IMPORT_CREATED], counts[IMPORT_UPDATED], counts[IMPORT_UNCHANGED]);
	if (counts[IMPORT_KEPT] > 0)
		strbuf_addf(&out, ", %zu newer here and kept", counts[IMPORT_KEPT]);
	strbuf_addf(&out, ", %zu left out\n", kind->count - taken);
	return ctl_print(&out);
}

int import_run(struct import *im, const struct import_kind *kind)
{
	struct db_pool_config config;
	struct errmsg why = ERRMSG_INIT;
	size_t counts[IMPORT_OUTCOMES] = {0};
	if (ctl_database(im->ctl, &config, &why) != ERR_OK)
		return ctl_fail(EX_CONFIG, "%s", why.text);
	enum err err = ERR_OK;
	if (kind->count > 0)
		err = connect_and_run(im, kind, &config.server, counts, &why);
	db_pool_config_release(&config);
	if (err != ERR_OK)
		return ctl_fail_err(err, &why);
	return report(im, kind, counts);
}

int import_end(const struct import *im)
{
	STRBUF_CLEANUP out = STRBUF_INIT;
	if (im->changed == 0)
		strbuf_adds(&out, "nothing changed\n");
	else if (im->dry_run)
		strbuf_adds(&out, "this was a dry run: nothing has been changed\n");
	int exit_code = ctl_print(&out);
	return exit_code == EX_OK && im->strict && im->skipped > 0 ? EX_DATAERR : exit_code;
}
