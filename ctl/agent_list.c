#include "agent_list.h"

#include <stdlib.h>
#include <string.h>

#include "user_change.h"

enum { ARENA_CHUNK = 1 << 18, ARENA_LIMIT = 1 << 30 };

void agent_list_init(struct agent_list *list)
{
	*list = (struct agent_list){.count = 0};
	arena_init(&list->arena, ARENA_CHUNK, ARENA_LIMIT);
}

void agent_list_release(struct agent_list *list)
{
	free(list->items);
	arena_release(&list->arena);
}

bool agent_list_add(struct agent_list *list, struct listed_agent agent)
{
	if (list->count == list->room) {
		size_t room = list->room > 0 ? 2 * list->room : 256;
		struct listed_agent *items = reallocarray(list->items, room, sizeof(*items));
		if (items == NULL)
			return false;
		list->items = items;
		list->room = room;
	}
	list->items[list->count++] = agent;
	return true;
}

/* ---- order ---- */

/* By level, then by id, L1.10 behind L1.9. */
static int by_level_and_id(const void *a, const void *b)
{
	const struct listed_agent *x = a, *y = b;
	int order = strcmp(x->text->values[AGENT_KEY_LEVEL], y->text->values[AGENT_KEY_LEVEL]);
	if (order == 0)
		order = strverscmp(x->text->values[AGENT_KEY_ID], y->text->values[AGENT_KEY_ID]);
	if (order == 0)
		order = strcmp(x->place, y->place);
	return order != 0 ? order
			  : (x->text->line > y->text->line) - (x->text->line < y->text->line);
}

static int by_id(const void *a, const void *b)
{
	const struct listed_agent *x = a, *y = b;
	int order = strcmp(x->text->values[AGENT_KEY_ID], y->text->values[AGENT_KEY_ID]);
	return order != 0 ? order : by_level_and_id(a, b);
}

/* Of those with the same id the first stays. */
static void leave_out_doubles(struct agent_list *f, struct import *im)
{
	size_t kept = 0;
	qsort(f->items, f->count, sizeof(*f->items), by_id);
	for (size_t i = 0; i < f->count; i++) {
		const struct listed_agent *this = &f->items[i],
					  *last = &f->items[kept - (kept > 0)];
		const char *id = this->text->values[AGENT_KEY_ID];
		if (kept == 0 || strcmp(id, last->text->values[AGENT_KEY_ID]) != 0) {
			f->items[kept++] = *this;
			continue;
		}
		const char *reason = arena_printf(&f->arena, "%s: stands in %s:%u already", id,
						  last->place, last->text->line);
		import_skip(im, this->place, this->text->line, reason != NULL ? reason : id);
	}
	f->count = kept;
}

/* ---- writing ---- */

static enum err write_agent(struct db_conn *db, struct arena *arena, void *arg, size_t which,
			    enum import_outcome *outcome, struct errmsg *why)
{
	const struct agent_list *list = arg;
	const struct listed_agent *found = &list->items[which];
	const char *const *said = found->text->values;
	const struct agent_source source = {
	    .id = said[AGENT_KEY_ID],
	    .level = said[AGENT_KEY_LEVEL],
	    .parent = said[AGENT_KEY_PARENT],
	    .name = said[AGENT_KEY_NAME],
	    .title = said[AGENT_KEY_TITLE],
	    .role = said[AGENT_KEY_ROLE],
	    .category = said[AGENT_KEY_CATEGORY],
	    .description = said[AGENT_KEY_DESCRIPTION],
	    .status = said[AGENT_KEY_STATUS],
	    .filename = found->filename,
	    .modified_us = found->modified_us,
	    .keeps_what_is_newer = list->keeps_what_is_newer,
	};
	enum err err = agent_import(db, arena, &source, &ctl_origin, outcome, why);
	if (err == ERR_INVALID || err == ERR_CONFLICT) {
		struct errmsg reason = *why;
		return err_set(why, err, "%s: %s", source.id, reason.text);
	}
	return err;
}

static const char *place_of(void *arg, size_t which, unsigned *line)
{
	const struct agent_list *list = arg;
	const struct listed_agent *found = &list->items[which];
	*line = found->text->line;
	return found->place;
}

int agent_list_import(struct agent_list *list, struct import *im)
{
	if (list->count > 0) {
		leave_out_doubles(list, im);
		qsort(list->items, list->count, sizeof(*list->items), by_level_and_id);
	}
	const struct import_kind kind = {.name = "agents",
					 .count = list->count,
					 .arg = list,
					 .write = write_agent,
					 .place = place_of};
	return import_run(im, &kind);
}
