#include "import/front_matter.h"

#include <stdbool.h>
#include <string.h>
#include <yaml.h>

struct reader {
	yaml_parser_t parser;
	front_matter_pair *pair;
	void *arg;
	unsigned line; /* of the event that was read last */
	struct errmsg *why;
};

static enum err next(struct reader *r, yaml_event_t *event)
{
	if (!yaml_parser_parse(&r->parser, event)) {
		r->line = (unsigned)r->parser.problem_mark.line + 1;
		if (r->parser.error == YAML_MEMORY_ERROR)
			return err_set(r->why, ERR_NOMEM, "out of memory for front matter");
		return err_set(r->why, ERR_INVALID, "the front matter is not YAML: %s",
			       r->parser.problem);
	}
	r->line = (unsigned)event->start_mark.line + 1;
	return ERR_OK;
}

/* What the depth is behind an event. */
static int depth_change(yaml_event_type_t type)
{
	if (type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT)
		return 1;
	return type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_END_EVENT ? -1 : 0;
}

/* Reads on to the end of what began with the event. */
static enum err skip(struct reader *r, yaml_event_type_t first)
{
	enum err err = ERR_OK;
	for (int depth = depth_change(first); depth > 0 && err == ERR_OK;) {
		yaml_event_t event;
		err = next(r, &event);
		if (err != ERR_OK)
			break;
		depth += depth_change(event.type);
		yaml_event_delete(&event);
	}
	return err;
}

static bool is_null(const yaml_event_t *event)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
	if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	for (size_t i = 0; i < sizeof(nulls) / sizeof(nulls[0]); i++)
		if (strcmp((const char *)event->data.scalar.value, nulls[i]) == 0)
			return true;
	return false;
}

/* The value of a key; one that is null says as much as one that is not there. */
static enum err read_value(struct reader *r, const yaml_event_t *key, unsigned line)
{
	yaml_event_t value;
	enum err err = next(r, &value);
	if (err != ERR_OK)
		return err;
	const char *name = (const char *)key->data.scalar.value;
	size_t name_len = key->data.scalar.length;
	if (value.type != YAML_SCALAR_EVENT)
		err = r->pair(r->arg, line, name, name_len, NULL, 0, r->why);
	else if (!is_null(&value))
		err = r->pair(r->arg, line, name, name_len, (const char *)value.data.scalar.value,
			      value.data.scalar.length, r->why);
	if (err == ERR_OK)
		err = skip(r, value.type);
	yaml_event_delete(&value);
	return err;
}

static enum err read_pairs(struct reader *r)
{
	for (;;) {
		yaml_event_t key;
		enum err err = next(r, &key);
		if (err != ERR_OK)
			return err;
		bool end = key.type == YAML_MAPPING_END_EVENT;
		if (!end && key.type != YAML_SCALAR_EVENT)
			err = err_set(r->why, ERR_INVALID, "a key of the front matter is no text");
		else if (!end)
			err = read_value(r, &key, r->line);
		yaml_event_delete(&key);
		if (end || err != ERR_OK)
			return err;
	}
}

/* Reads the beginning of the stream, up to the mapping; *empty when there is none. */
static enum err read_start(struct reader *r, bool *empty)
{
	for (;;) {
		yaml_event_t event;
		enum err err = next(r, &event);
		if (err != ERR_OK)
			return err;
		yaml_event_type_t type = event.type;
		bool null = type == YAML_SCALAR_EVENT && is_null(&event);
		yaml_event_delete(&event);
		*empty = type == YAML_STREAM_END_EVENT || null;
		if (*empty || type == YAML_MAPPING_START_EVENT)
			return ERR_OK;
		if (type != YAML_STREAM_START_EVENT && type != YAML_DOCUMENT_START_EVENT)
			return err_set(r->why, ERR_INVALID, "the front matter is no YAML mapping");
	}
}

/* What stands behind the mapping must be YAML too, since it ends where the mapping says. */
static enum err read_end(struct reader *r)
{
	bool end = false;
	enum err err = ERR_OK;
	while (!end && err == ERR_OK) {
		yaml_event_t event;
		err = next(r, &event);
		if (err != ERR_OK)
			break;
		end = event.type == YAML_STREAM_END_EVENT;
		if (event.type == YAML_DOCUMENT_START_EVENT)
			err = err_set(r->why, ERR_INVALID, "the front matter has two documents");
		yaml_event_delete(&event);
	}
	return err;
}

enum err front_matter_read(const char *text, size_t len, front_matter_pair *pair, void *arg,
			   unsigned *line, struct errmsg *why)
{
	struct reader r = {.pair = pair, .arg = arg, .line = 1, .why = why};
	bool empty;
	*line = 1;
	if (len > FRONT_MATTER_MAX)
		return err_set(why, ERR_TOO_LARGE, "the front matter is longer than %d bytes",
			       FRONT_MATTER_MAX);
	if (!yaml_parser_initialize(&r.parser))
		return err_set(why, ERR_NOMEM, "out of memory for front matter");
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
	enum err err = read_start(&r, &empty);
	if (err == ERR_OK && !empty)
		err = read_pairs(&r);
	if (err == ERR_OK && !empty)
		err = read_end(&r);
	*line = r.line;
	yaml_parser_delete(&r.parser);
	return err;
}
