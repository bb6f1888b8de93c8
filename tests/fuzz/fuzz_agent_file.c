/*
 * A Markdown file of agents.  What is read keeps the promises of import/agent_file.h;
 * each agent, written as front matter of its own, is read back as the same; the line of an
 * agent or a fault is one that the file has; and nothing but the bytes decides.
 */
#include <stdio.h>

#include "fuzz.h"
#include "import/agent_file.h"
#include "reference.h"

enum { ARENA_CHUNK = 65536, ARENA_LIMIT = 64 << 20, FILE_MAX = 1 << 16 };

static const char *const names[AGENT_KEY_COUNT] = {
    [AGENT_KEY_ID] = "id",
    [AGENT_KEY_LEVEL] = "level",
    [AGENT_KEY_PARENT] = "parent",
    [AGENT_KEY_PARENT_L1] = "parent_l1",
    [AGENT_KEY_PARENT_L2] = "parent_l2",
    [AGENT_KEY_NAME] = "name",
    [AGENT_KEY_TITLE] = "title",
    [AGENT_KEY_ROLE] = "role",
    [AGENT_KEY_CATEGORY] = "category",
    [AGENT_KEY_DESCRIPTION] = "description",
    [AGENT_KEY_STATUS] = "status",
};

static size_t count_characters(const char *text)
{
	size_t count = 0;
	for (const char *at = text; *at != '\0'; at++)
		count += ((unsigned char)*at >> 6) != 2;
	return count;
}

/* One line, not empty, without control characters. */
static void check_line(const char *text)
{
	size_t len = strlen(text);
	AN_INVARIANT(len > 0 && reference_utf8(text, len));
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		AN_INVARIANT(c >= 0x20 && c != 0x7f);
		AN_INVARIANT(c != 0xc2 || (unsigned char)text[i + 1] >= 0xa0);
	}
}

static unsigned count_dots(const char *text)
{
	unsigned dots = 0;
	for (; *text != '\0'; text++)
		dots += *text == '.';
	return dots;
}

/* An id that says its level has as many numbers, and its parent all of them but the last. */
static void check_id(const struct agent_text *agent)
{
	const char *id = agent->values[AGENT_KEY_ID], *parent = agent->values[AGENT_KEY_PARENT];
	if (!agent_id_says_level(id))
		return;
	unsigned level = (unsigned)(id[1] - '0');
	AN_INVARIANT(count_dots(id) == level);
	AN_INVARIANT(agent->values[AGENT_KEY_LEVEL][1] == id[1]);
	if (level == 1)
		return;
	size_t len = strlen(parent);
	AN_INVARIANT(parent[1] == id[1] - 1 && count_dots(parent) == level - 1);
	AN_INVARIANT(strncmp(parent + 2, id + 2, len - 2) == 0 && id[len] == '.');
}

static void check_agent(const struct agent_text *agent)
{
	static const size_t most[AGENT_KEY_COUNT] = {
	    [AGENT_KEY_ID] = AGENT_ID_MAX,
	    [AGENT_KEY_LEVEL] = 2,
	    [AGENT_KEY_PARENT] = AGENT_ID_MAX,
	    [AGENT_KEY_NAME] = AGENT_NAME_MAX,
	    [AGENT_KEY_TITLE] = AGENT_NAME_MAX,
	    [AGENT_KEY_ROLE] = AGENT_ROLE_MAX,
	    [AGENT_KEY_CATEGORY] = AGENT_CATEGORY_MAX,
	    [AGENT_KEY_DESCRIPTION] = AGENT_DESCRIPTION_MAX,
	    [AGENT_KEY_STATUS] = 16,
	};
	AN_INVARIANT(agent->values[AGENT_KEY_ID] != NULL && agent->values[AGENT_KEY_NAME] != NULL);
	const char *level = agent->values[AGENT_KEY_LEVEL];
	AN_INVARIANT(level != NULL && level[0] == 'L' && level[1] >= '1' && level[1] <= '3');
	AN_INVARIANT((agent->values[AGENT_KEY_PARENT] != NULL) == (level[1] != '1'));
	for (size_t key = 0; key < AGENT_KEY_COUNT; key++) {
		const char *value = agent->values[key];
		if (value == NULL)
			continue;
		check_line(value);
		AN_INVARIANT(count_characters(value) <= most[key]);
	}
	check_id(agent);
}

/* The code point at *at, which is moved behind it. */
static unsigned next_character(const char **at)
{
	unsigned char first = (unsigned char)*(*at)++;
	unsigned character = first < 0x80   ? first
			     : first < 0xe0 ? first & 31
			     : first < 0xf0 ? first & 15
					    : first & 7;
	while (((unsigned char)**at >> 6) == 2)
		character = character << 6 | ((unsigned char)*(*at)++ & 63);
	return character;
}

static void write_value(struct strbuf *out, const char *value)
{
	strbuf_addc(out, '"');
	while (*value != '\0')
		strbuf_addf(out, "\\U%08X", next_character(&value));
	strbuf_adds(out, "\"\n");
}

static void check_way_back(const struct agent_text *agent)
{
	STRBUF_CLEANUP text = STRBUF_INIT;
	strbuf_adds(&text, "---\n");
	for (size_t key = 0; key < AGENT_KEY_COUNT; key++) {
		if (agent->values[key] == NULL)
			continue;
		strbuf_addf(&text, "%s: ", names[key]);
		write_value(&text, agent->values[key]);
	}
	strbuf_adds(&text, "---\n");
	struct arena arena;
	struct agent_file file;
	arena_init(&arena, ARENA_CHUNK, ARENA_LIMIT);
	/* Escaped tenfold, front matter may be more than is taken. */
	AN_INVARIANT(agent_file_read(&arena, text.data, text.len, "x", &file, NULL) == ERR_OK);
	if (text.len < FILE_MAX) {
		AN_INVARIANT(file.faults == NULL && file.agents != NULL &&
			     file.agents->next == NULL);
		for (size_t key = 0; key < AGENT_KEY_COUNT; key++) {
			const char *a = agent->values[key], *b = file.agents->values[key];
			AN_INVARIANT((a == NULL) == (b == NULL));
			AN_INVARIANT(a == NULL || strcmp(a, b) == 0);
		}
	}
	arena_release(&arena);
}

static void check_same(const struct agent_file *a, const struct agent_file *b)
{
	const struct agent_text *x = a->agents, *y = b->agents;
	for (; x != NULL && y != NULL; x = x->next, y = y->next)
		AN_INVARIANT(x->line == y->line &&
			     strcmp(x->values[AGENT_KEY_ID], y->values[AGENT_KEY_ID]) == 0);
	AN_INVARIANT(x == NULL && y == NULL);
	const struct agent_fault *f = a->faults, *g = b->faults;
	for (; f != NULL && g != NULL; f = f->next, g = g->next)
		AN_INVARIANT(f->line == g->line && strcmp(f->reason, g->reason) == 0);
	AN_INVARIANT(f == NULL && g == NULL);
}

static unsigned count_lines(const uint8_t *data, size_t size)
{
	unsigned lines = 1;
	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	return lines;
}

/* A file says something, or what it does not; lines of agents grow. */
static void check_file(const struct agent_file *file, unsigned lines)
{
	unsigned before = 0;
	AN_INVARIANT(file->agents != NULL || file->faults != NULL);
	for (const struct agent_text *a = file->agents; a != NULL; a = a->next) {
		AN_INVARIANT(a->line > before && a->line <= lines);
		before = a->line;
		check_agent(a);
		check_way_back(a);
	}
	for (const struct agent_fault *f = file->faults; f != NULL; f = f->next) {
		AN_INVARIANT(f->line >= 1 && f->line <= lines);
		AN_INVARIANT(f->reason[0] != '\0' && reference_utf8(f->reason, strlen(f->reason)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena;
	struct agent_file file, again;
	if (size > FILE_MAX)
		return 0;
	char *text = exact_copy(data, size);
	arena_init(&arena, ARENA_CHUNK, ARENA_LIMIT);
	AN_INVARIANT(agent_file_read(&arena, text, size, "stem", &file, NULL) == ERR_OK);
	AN_INVARIANT(agent_file_read(&arena, text, size, "stem", &again, NULL) == ERR_OK);
	free(text);
	check_same(&file, &again);
	check_file(&file, count_lines(data, size));
	arena_release(&arena);
	return 0;
}
