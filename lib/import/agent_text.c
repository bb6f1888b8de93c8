/*
 * What is said of one agent: names of what is said, ids, and what must hold.
 */
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "import/agent_file.h"
#include "store/agents.h"

/* The first name of each is the one that messages use. */
static const struct {
	const char *name;
	enum agent_key key;
} names[] = {
    {"id", AGENT_KEY_ID},
    {"level", AGENT_KEY_LEVEL},
    {"parent", AGENT_KEY_PARENT},
    {"parent_l1", AGENT_KEY_PARENT_L1},
    {"parent_l2", AGENT_KEY_PARENT_L2},
    {"name", AGENT_KEY_NAME},
    {"title", AGENT_KEY_TITLE},
    {"role", AGENT_KEY_ROLE},
    {"category", AGENT_KEY_CATEGORY},
    {"description", AGENT_KEY_DESCRIPTION},
    {"status", AGENT_KEY_STATUS},
    {"agent_id", AGENT_KEY_ID},
    {"parent_id", AGENT_KEY_PARENT},
    {"parent_agent", AGENT_KEY_PARENT},
};

static char plain_letter(char c)
{
	if (c == '-' || c == ' ')
		return '_';
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_named(const char *own, const char *given, size_t len)
{
	size_t same = 0;
	while (same < len && own[same] != '\0' && plain_letter(given[same]) == own[same])
		same++;
	return same == len && own[same] == '\0';
}

enum agent_key agent_key_named(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (is_named(names[i].name, name, len))
			return names[i].key;
	return AGENT_KEY_COUNT;
}

static const char *key_name(enum agent_key key)
{
	size_t i = 0;
	while (names[i].key != key)
		i++;
	return names[i].name;
}

bool agent_id_says_level(const char *id)
{
	return id[0] == 'L' && id[1] >= '1' && id[1] <= '3' && id[2] == '.';
}

/* Whether an id that says its level has as many numbers as that, of four digits at most. */
static bool is_whole(const char *id)
{
	int wanted = id[1] - '0';
	const char *at = id + 2;
	while (wanted > 0 && *at == '.') {
		size_t digits = strspn(++at, "0123456789");
		if (digits == 0 || digits > 4 || (at[0] == '0' && digits > 1))
			return false;
		at += digits;
		wanted--;
	}
	return wanted == 0 && *at == '\0';
}

bool agent_is_id(const char *id)
{
	static const char letters[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	static const char further[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t len = strlen(id);
	return strspn(id, letters) > 0 && strspn(id, further) == len && len <= AGENT_ID_MAX;
}

/* "L3.2.1.4" is below "L2.2.1": without the last number, and a level up. */
static const char *parent_of_id(struct arena *arena, const char *id)
{
	const char *last = strrchr(id, '.');
	return arena_printf(arena, "L%c%.*s", id[1] - 1, (int)(last - id - 2), id + 2);
}

static enum err check_id(const struct agent_text *agent, struct errmsg *why)
{
	const char *id = agent->values[AGENT_KEY_ID];
	if (id == NULL)
		return err_set(why, ERR_INVALID, "the id is missing");
	if (agent_id_says_level(id) && !is_whole(id))
		return err_set(why, ERR_INVALID,
			       "the id must be of the form L1.2, L2.1.3 or L3.2.1.4");
	if (!agent_is_id(id))
		return err_set(why, ERR_INVALID,
			       "the id must be letters, digits, \".\", \"-\" and \"_\", %d at most",
			       AGENT_ID_MAX);
	return ERR_OK;
}

/* "1", "l1" and "L1" are the same. */
static enum err check_level(struct arena *arena, struct agent_text *agent, struct errmsg *why)
{
	const char *id = agent->values[AGENT_KEY_ID], *level = agent->values[AGENT_KEY_LEVEL];
	bool says_level = agent_id_says_level(id);
	if (level == NULL && !says_level)
		return err_set(why, ERR_INVALID, "the level is missing");
	char digit = level == NULL ? id[1] : level[level[0] == 'L' || level[0] == 'l'];
	if (digit < '1' || digit > '3' || (level != NULL && strchr(level, digit)[1] != '\0'))
		return err_set(why, ERR_INVALID, "the level must be L1, L2 or L3");
	if (says_level && digit != id[1])
		return err_set(why, ERR_INVALID, "the level is L%c, but the id says L%c", digit,
			       id[1]);
	agent->values[AGENT_KEY_LEVEL] = arena_printf(arena, "L%c", digit);
	return ERR_OK;
}

/* "L1.2 Art Director" names L1.2. */
static const char *id_in(struct arena *arena, const char *parent)
{
	size_t len = strcspn(parent, " :,(");
	return agent_id_says_level(parent) ? arena_strndup(arena, parent, len) : parent;
}

static const char *said_parent(struct arena *arena, const struct agent_text *agent, char level)
{
	const char *parent = agent->values[AGENT_KEY_PARENT];
	if (parent == NULL && level > '1')
		parent = agent->values[level == '2' ? AGENT_KEY_PARENT_L1 : AGENT_KEY_PARENT_L2];
	return parent != NULL ? id_in(arena, parent) : NULL;
}

static enum err check_parent(struct arena *arena, struct agent_text *agent, struct errmsg *why)
{
	const char *id = agent->values[AGENT_KEY_ID];
	char level = agent->values[AGENT_KEY_LEVEL][1];
	const char *parent = said_parent(arena, agent, level);
	agent->values[AGENT_KEY_PARENT_L1] = agent->values[AGENT_KEY_PARENT_L2] = NULL;
	if (level == '1' && parent != NULL)
		return err_set(why, ERR_INVALID, "it has a parent, but its level is L1");
	if (level > '1' && agent_id_says_level(id)) {
		const char *wanted = parent_of_id(arena, id);
		if (wanted != NULL && parent != NULL && strcmp(parent, wanted) != 0)
			return err_set(why, ERR_INVALID, "the parent is %s, but the id says %s",
				       parent, wanted);
		parent = wanted;
	}
	if (level > '1' && parent == NULL && !arena->overflowed)
		return err_set(why, ERR_INVALID, "the parent is missing");
	if (parent != NULL && !agent_is_id(parent))
		return err_set(why, ERR_INVALID, "the parent is no id");
	agent->values[AGENT_KEY_PARENT] = parent;
	return ERR_OK;
}

static enum err check_length(const struct agent_text *agent, enum agent_key key, size_t most,
			     struct errmsg *why)
{
	const char *text = agent->values[key];
	if (text == NULL || utf8_count(text, strlen(text)) <= most)
		return ERR_OK;
	return err_set(why, ERR_INVALID, "the %s is longer than %zu characters", key_name(key),
		       most);
}

static enum err check_texts(const struct agent_text *agent, struct errmsg *why)
{
	enum err err = check_length(agent, AGENT_KEY_NAME, AGENT_NAME_MAX, why);
	if (err == ERR_OK)
		err = check_length(agent, AGENT_KEY_TITLE, AGENT_NAME_MAX, why);
	if (err == ERR_OK)
		err = check_length(agent, AGENT_KEY_ROLE, AGENT_ROLE_MAX, why);
	if (err == ERR_OK)
		err = check_length(agent, AGENT_KEY_CATEGORY, AGENT_CATEGORY_MAX, why);
	if (err == ERR_OK)
		err = check_length(agent, AGENT_KEY_DESCRIPTION, AGENT_DESCRIPTION_MAX, why);
	const char *status = agent->values[AGENT_KEY_STATUS];
	if (err == ERR_OK && status != NULL &&
	    !field_takes_text(&agent_fields[AGENT_STATUS], status))
		err = err_set(why, ERR_INVALID, "the status is none that agents have");
	return err;
}

/* What it is called, when nobody said: as its title, or else its id. */
static void fill_name(struct agent_text *agent)
{
	if (agent->values[AGENT_KEY_NAME] == NULL)
		agent->values[AGENT_KEY_NAME] = agent->values[AGENT_KEY_TITLE];
	if (agent->values[AGENT_KEY_NAME] == NULL)
		agent->values[AGENT_KEY_NAME] = agent->values[AGENT_KEY_ID];
}

enum err agent_text_check(struct arena *arena, struct agent_text *agent, struct errmsg *why)
{
	enum err err = check_id(agent, why);
	if (err == ERR_OK)
		err = check_level(arena, agent, why);
	if (err == ERR_OK)
		err = check_parent(arena, agent, why);
	fill_name(agent);
	if (err == ERR_OK)
		err = check_texts(agent, why);
	if (err == ERR_OK && arena->overflowed)
		err = err_set(why, ERR_NOMEM, "out of memory for an agent");
	return err;
}
