#include "import/agent_file.h"

#include <string.h>

#include "base/assert.h"
#include "base/strbuf.h"
#include "base/utf8.h"
#include "import/front_matter.h"

/* What the lines that follow belong to. */
enum place {
	PLACE_INTRODUCTION, /* right below the agent's beginning: the description */
	PLACE_FIELD,        /* below a heading such as "Role": its first paragraph */
	PLACE_ELSEWHERE,
};

struct reading {
	struct arena *arena;
	const struct agent_text **last_agent;
	const struct agent_fault **last_fault;
	const char *stem;
	unsigned line; /* the current one, from 1 */

	bool open; /* an agent is being read */
	bool from_front_matter;
	struct agent_text agent;

	enum place place;
	enum agent_key field; /* of PLACE_FIELD */
	struct strbuf paragraph;
	bool fenced; /* between two lines of ``` */
	char fence;
};

struct piece {
	const char *text;
	size_t len;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct piece trim(struct piece p)
{
	while (p.len > 0 && is_blank(p.text[0]))
		p = (struct piece){p.text + 1, p.len - 1};
	while (p.len > 0 && is_blank(p.text[p.len - 1]))
		p.len--;
	return p;
}

static struct piece behind(struct piece p, size_t len)
{
	return (struct piece){p.text + len, p.len - len};
}

static bool begins(struct piece p, const char *with)
{
	size_t len = strlen(with);
	return p.len >= len && memcmp(p.text, with, len) == 0;
}

/* ---- texts ---- */

/* One line without the marks of bold and code; NULL when nothing is left. */
static const char *plain(struct arena *arena, struct piece p)
{
	char *out = arena_alloc(arena, p.len + 1);
	size_t len = 0;
	if (out == NULL)
		return NULL;
	for (size_t i = 0; i < p.len; i++) {
		char c = is_blank(p.text[i]) ? ' ' : p.text[i];
		char last = len > 0 ? out[len - 1] : ' ';
		if (c == '*' && last == '*')
			len--;
		else if (c != '`' && (c != ' ' || last != ' '))
			out[len++] = c;
	}
	while (len > 0 && out[len - 1] == ' ')
		len--;
	out[len] = '\0';
	return len > 0 ? out : NULL;
}

/* With the id that the fault is about, when it is one. */
static void add_fault(struct reading *r, unsigned line, const char *id, const char *reason)
{
	bool named = id != NULL && agent_is_id(id);
	struct agent_fault *fault = arena_calloc(r->arena, 1, sizeof(*fault));
	const char *text =
	    arena_printf(r->arena, "%s%s%s", named ? id : "", named ? ": " : "", reason);
	if (fault == NULL || text == NULL)
		return;
	*fault = (struct agent_fault){.line = line, .reason = text};
	*r->last_fault = fault;
	r->last_fault = &fault->next;
}

const char *agent_plain_text(struct arena *arena, const char *text)
{
	const char *line = text != NULL ? plain(arena, (struct piece){text, strlen(text)}) : NULL;
	return line != NULL && !utf8_has_control(line) ? line : NULL;
}

/* What is said first holds. */
static void say(struct reading *r, enum agent_key key, struct piece value)
{
	if (r->open && r->agent.values[key] == NULL)
		r->agent.values[key] = plain(r->arena, value);
}

/* ---- agents ---- */

static void keep_agent(struct reading *r)
{
	struct agent_text *agent = arena_calloc(r->arena, 1, sizeof(*agent));
	if (agent == NULL)
		return;
	*agent = r->agent;
	*r->last_agent = agent;
	r->last_agent = &agent->next;
}

/* Front matter that has a level and no id is about the agent that the file is named after. */
static void name_by_file(struct reading *r)
{
	if (r->from_front_matter && r->agent.values[AGENT_KEY_ID] == NULL &&
	    r->agent.values[AGENT_KEY_LEVEL] != NULL && agent_is_id(r->stem))
		r->agent.values[AGENT_KEY_ID] = arena_strdup(r->arena, r->stem);
}

static void end_agent(struct reading *r)
{
	struct errmsg why = ERRMSG_INIT;
	if (!r->open)
		return;
	r->open = false;
	name_by_file(r);
	enum err err = agent_text_check(r->arena, &r->agent, &why);
	if (err == ERR_OK)
		keep_agent(r);
	else
		add_fault(r, r->agent.line, r->agent.values[AGENT_KEY_ID], why.text);
}

static void begin_agent(struct reading *r, bool from_front_matter)
{
	end_agent(r);
	r->agent = (struct agent_text){.line = r->line};
	r->open = true;
	r->from_front_matter = from_front_matter;
	r->place = PLACE_INTRODUCTION;
}

/* ---- front matter ---- */

static enum err take_pair(void *arg, unsigned line, const char *key, size_t key_len,
			  const char *value, size_t value_len, struct errmsg *why)
{
	struct reading *r = arg;
	enum agent_key which = agent_key_named(key, key_len);
	(void)line;
	if (which == AGENT_KEY_COUNT)
		return ERR_OK;
	if (value == NULL)
		return err_set(why, ERR_INVALID, "the value of %.*s is no text", (int)key_len, key);
	if (r->agent.values[which] != NULL)
		return err_set(why, ERR_INVALID, "%.*s is said twice", (int)key_len, key);
	/* An escape may stand for any character. */
	say(r, which, (struct piece){value, value_len});
	const char *said = r->agent.values[which];
	if (memchr(value, '\0', value_len) != NULL || (said != NULL && utf8_has_control(said)))
		return err_set(why, ERR_INVALID, "a control character stands in %.*s", (int)key_len,
			       key);
	return ERR_OK;
}

/* The next line of the text, without its end; false behind the last one. */
static bool next_line(struct piece *rest, struct piece *line)
{
	if (rest->len == 0)
		return false;
	const char *end = memchr(rest->text, '\n', rest->len);
	size_t len = end != NULL ? (size_t)(end - rest->text) : rest->len;
	*line = (struct piece){rest->text, len};
	*rest = behind(*rest, end != NULL ? len + 1 : len);
	return true;
}

static bool is_line(struct piece line, const char *text)
{
	line = trim(line);
	return line.len == strlen(text) && begins(line, text);
}

/* Reads the front matter, if there is any; false when the file is no use because of it. */
static bool read_front_matter(struct reading *r, struct piece *rest)
{
	struct piece at = *rest, line;
	struct errmsg why = ERRMSG_INIT;
	unsigned lines = 1, fault_line;
	if (!next_line(&at, &line) || !begins(line, "---") || !is_line(line, "---"))
		return true;
	const char *begin = at.text;
	do {
		if (!next_line(&at, &line)) {
			add_fault(r, 1, NULL, "the front matter has no end");
			return false;
		}
		lines++;
	} while (!(begins(line, "---") && is_line(line, "---")) &&
		 !(begins(line, "...") && is_line(line, "...")));
	begin_agent(r, true);
	enum err err =
	    front_matter_read(begin, (size_t)(line.text - begin), take_pair, r, &fault_line, &why);
	r->line = lines;
	*rest = at;
	if (err == ERR_OK)
		return true;
	r->open = false;
	/* YAML ends lines at a lone carriage return and at some other characters too. */
	if (err != ERR_NOMEM)
		add_fault(r, fault_line < lines ? fault_line + 1 : lines, NULL, why.text);
	else
		r->arena->overflowed = true;
	return false;
}

/* ---- Markdown ---- */

static void end_paragraph(struct reading *r)
{
	if (r->paragraph.failed)
		r->arena->overflowed = true;
	struct piece text = {r->paragraph.data, r->paragraph.len};
	if (r->paragraph.len > 0 && r->place != PLACE_ELSEWHERE) {
		say(r, r->place == PLACE_FIELD ? r->field : AGENT_KEY_DESCRIPTION, text);
		r->place = PLACE_ELSEWHERE;
	}
	strbuf_clear(&r->paragraph);
}

/* The length of the id that a heading's text begins with, 0 for none. */
static size_t id_length(struct piece text)
{
	if (text.len < 4 || text.text[0] != 'L' || text.text[1] < '1' || text.text[1] > '3' ||
	    text.text[2] != '.' || text.text[3] < '0' || text.text[3] > '9')
		return 0;
	size_t len = 3;
	while (len < text.len &&
	       (text.text[len] == '.' || (text.text[len] >= '0' && text.text[len] <= '9')))
		len++;
	while (text.text[len - 1] == '.') /* the end of a sentence */
		len--;
	return len;
}

/* Without pictures, marks and brackets before the first letter. */
static struct piece undecorated(struct piece text)
{
	while (text.len > 0 &&
	       ((unsigned char)text.text[0] >= 0x80 || strchr(" \t*`[(#:", text.text[0]) != NULL))
		text = behind(text, 1);
	return text;
}

/* What follows the id: "L1.2: Art Director", "L1.2 - Art Director", "L1.2 Art Director". */
static struct piece name_behind(struct piece text)
{
	static const char *const signs[] = {
	    " ", "\t", ":", "-", ".", "*", "`", ")", "]", "|", "\xe2\x80\x93", "\xe2\x80\x94"};
	for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
		if (begins(text, signs[i])) {
			text = behind(text, strlen(signs[i]));
			i = (size_t)-1;
		}
	}
	return text;
}

/* A heading with an id begins an agent, or goes on with that of the front matter. */
static void take_agent_heading(struct reading *r, struct piece text, size_t id_len)
{
	const char *id = arena_strndup(r->arena, text.text, id_len);
	if (id == NULL)
		return;
	const char *known = r->open ? r->agent.values[AGENT_KEY_ID] : NULL;
	bool same = r->open && r->from_front_matter && (known == NULL || strcmp(known, id) == 0);
	if (!same)
		begin_agent(r, false);
	r->place = PLACE_INTRODUCTION;
	say(r, AGENT_KEY_ID, (struct piece){id, id_len});
	say(r, AGENT_KEY_NAME, name_behind(behind(text, id_len)));
}

/* Headings below an agent: a field's name, or the end of what is said of it. */
static void take_heading(struct reading *r, struct piece text, unsigned level)
{
	text = undecorated(trim(text));
	while (text.len > 0 &&
	       (text.text[text.len - 1] == '#' || is_blank(text.text[text.len - 1])))
		text.len--;
	size_t id_len = id_length(text);
	if (id_len > 0) {
		take_agent_heading(r, text, id_len);
		return;
	}
	while (text.len > 0 && strchr(":*` ", text.text[text.len - 1]) != NULL)
		text.len--;
	r->field = agent_key_named(text.text, text.len);
	bool is_title = level == 1 && r->from_front_matter && r->place == PLACE_INTRODUCTION;
	if (r->field != AGENT_KEY_COUNT)
		r->place = PLACE_FIELD;
	else if (is_title)
		say(r, AGENT_KEY_NAME, text);
	else
		r->place = PLACE_ELSEWHERE;
}

/* "**Role:** text", "- Role: text", "Role: text"; false when the line is none of them. */
static bool take_field(struct reading *r, struct piece line)
{
	if (begins(line, "- ") || begins(line, "* ") || begins(line, "> "))
		line = trim(behind(line, 2));
	while (line.len > 0 && (line.text[0] == '*' || line.text[0] == '_'))
		line = behind(line, 1);
	const char *colon = line.len > 0 ? memchr(line.text, ':', line.len) : NULL;
	if (colon == NULL)
		return false;
	struct piece name = {line.text, (size_t)(colon - line.text)};
	struct piece value = behind(line, name.len + 1);
	while (name.len > 0 && strchr("*_ ", name.text[name.len - 1]) != NULL)
		name.len--;
	enum agent_key key = agent_key_named(name.text, name.len);
	if (key == AGENT_KEY_COUNT)
		return false;
	while (value.len > 0 && (value.text[0] == '*' || value.text[0] == '_'))
		value = behind(value, 1);
	say(r, key, trim(value));
	return true;
}

/* A line that is no part of a paragraph: of a list, a table, a quotation, or a rule. */
static bool is_apart(struct piece line)
{
	static const char *const starts[] = {"- ",  "* ",  "+ ",  "|", ">", "---",
					     "***", "___", "===", "<", "!["};
	for (size_t i = 0; i < ARRAY_LEN(starts); i++)
		if (begins(line, starts[i]))
			return true;
	size_t digits = 0;
	while (digits < line.len && line.text[digits] >= '0' && line.text[digits] <= '9')
		digits++;
	return digits > 0 && digits + 1 < line.len &&
	       (line.text[digits] == '.' || line.text[digits] == ')') &&
	       line.text[digits + 1] == ' ';
}

/* Whether the line begins or ends a block of code, which says nothing of agents. */
static bool is_fence(struct reading *r, struct piece line)
{
	bool mark = begins(line, "```") || begins(line, "~~~");
	if (mark && (!r->fenced || line.text[0] == r->fence)) {
		r->fence = line.text[0];
		r->fenced = !r->fenced;
		return true;
	}
	return false;
}

static unsigned heading_level(struct piece line)
{
	unsigned level = 0;
	while (level < line.len && line.text[level] == '#')
		level++;
	bool ends = level == line.len || is_blank(line.text[level]);
	return level <= 6 && ends ? level : 0;
}

static void take_line(struct reading *r, struct piece line)
{
	line = trim(line);
	bool fence = is_fence(r, line);
	if (r->fenced && !fence)
		return;
	unsigned level = heading_level(line);
	if (fence || level > 0 || line.len == 0 || take_field(r, line) || is_apart(line)) {
		end_paragraph(r);
		if (level > 0)
			take_heading(r, behind(line, level), level);
		return;
	}
	if (r->paragraph.len > 0)
		strbuf_addc(&r->paragraph, ' ');
	strbuf_add(&r->paragraph, line.text, line.len);
}

static void read_lines(struct reading *r, struct piece rest)
{
	struct piece line;
	while (next_line(&rest, &line) && !r->arena->overflowed) {
		r->line++;
		take_line(r, line);
	}
	end_paragraph(r);
	end_agent(r);
}

/* ---- bytes ---- */

/* The length of the good beginning: UTF-8 without control characters but tabs and line ends. */
static size_t good_length(const char *text, size_t len, const char **reason)
{
	size_t at = 0;
	while (at < len) {
		size_t step = utf8_sequence(text + at, len - at);
		unsigned char c = (unsigned char)text[at];
		bool c1 = step == 2 && c == 0xc2 && (unsigned char)text[at + 1] < 0xa0;
		*reason = step == 0 ? "the file is not UTF-8 here" : "a control character";
		if (step == 0 || c1 || c == 0x7f || (c < 0x20 && !is_blank(text[at])))
			return at;
		at += step;
	}
	return len;
}

static bool is_good(struct reading *r, const char *text, size_t len)
{
	const char *reason;
	size_t good = good_length(text, len, &reason);
	unsigned line = 1;
	for (size_t i = 0; i < good; i++)
		line += text[i] == '\n';
	if (good < len)
		add_fault(r, line, NULL, reason);
	return good == len;
}

enum err agent_file_read(struct arena *arena, const char *text, size_t len, const char *stem,
			 struct agent_file *out, struct errmsg *why)
{
	static const char byte_order_mark[] = "\xef\xbb\xbf";
	struct reading r = {.arena = arena, .stem = stem, .paragraph = STRBUF_INIT};
	struct piece rest = {text, len};
	*out = (struct agent_file){.agents = NULL};
	r.last_agent = &out->agents;
	r.last_fault = &out->faults;
	if (begins(rest, byte_order_mark))
		rest = behind(rest, sizeof(byte_order_mark) - 1);
	r.line = 1;
	if (is_good(&r, text, len) && read_front_matter(&r, &rest)) {
		r.line = r.line > 1 ? r.line : 0;
		read_lines(&r, rest);
		if (out->agents == NULL && out->faults == NULL)
			add_fault(&r, 1, NULL, "there is no agent in it");
	}
	strbuf_release(&r.paragraph);
	return arena->overflowed ? err_set(why, ERR_NOMEM, "out of memory for the file") : ERR_OK;
}
