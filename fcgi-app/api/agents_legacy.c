/*
 * /api/agents: the agents as the old dashboard reads them.  They are the records of
 * /api/v1/agents, which is where they are changed.
 */
#include <string.h>

#include "api/api.h"
#include "base/assert.h"
#include "http/database.h"
#include "http/legacy_paging.h"
#include "store/agent_profiles.h"
#include "store/knowledge.h"

static const char *const levels[] = {"L1", "L2", "L3", NULL};

/* Agents */

#define AGENT_FIELDS_OF_ALL                                                                        \
	{"id", FIELD_STRING, FIELD_REQUIRED,                                                       \
	 1,    64,           .summary = "What its source calls it: L2.1.3; else its UUID"},        \
	    {"uuid", FIELD_ID, FIELD_REQUIRED, .summary = "Its id in /api/v1/agents"},             \
	    {"level", FIELD_WORD, FIELD_REQUIRED | FIELD_NULL, .words = levels,                    \
	     .summary = "Where it stands in the hierarchy; L1 is the top"},                        \
	    {"name", FIELD_STRING, FIELD_REQUIRED, 1, 200, .summary = "What people call it"},      \
	    {"title", FIELD_STRING, FIELD_REQUIRED, 0, 200, .summary = "Its title, or its name"},  \
	    {"role", FIELD_STRING, FIELD_REQUIRED, 0, 2000, .summary = "What it does"},            \
	    {"category", FIELD_STRING, FIELD_REQUIRED, 0, 100, .summary = "What it belongs to"},   \
	    {"description", FIELD_STRING, FIELD_REQUIRED, 0, 8000, .summary = "More about it"},    \
	    {"parent_l1", FIELD_STRING, FIELD_REQUIRED | FIELD_NULL,                               \
	     1,           64,           .summary = "The agent of level L1 above it"},              \
	    {"parent_l2", FIELD_STRING, FIELD_REQUIRED | FIELD_NULL,                               \
	     1,           64,           .summary = "The agent of level L2 above it"},              \
	    {"status", FIELD_STRING, FIELD_REQUIRED, 1, 16, .summary = "What it is doing"},        \
	    {"filename", FIELD_STRING, FIELD_REQUIRED,                                             \
	     0,          4096,         .summary = "The file that it was imported from"},           \
	{                                                                                          \
		"modified", FIELD_TIME, FIELD_REQUIRED | FIELD_ZONELESS,                           \
		    .summary = "When that file, or else the agent, last changed"                   \
	}

static const struct field agent_of_list_fields[] = {AGENT_FIELDS_OF_ALL};
static const struct schema agent_of_list_schema = SCHEMA("LegacyAgent", agent_of_list_fields);

/* The id of the agent of that level above, among the two that are known. */
static const char *above(const struct agent_profile *agent, const char *level)
{
	if (agent->parent_level != NULL && strcmp(agent->parent_level, level) == 0)
		return agent->parent_id;
	if (agent->grandparent_level != NULL && strcmp(agent->grandparent_level, level) == 0)
		return agent->grandparent_id;
	return NULL;
}

static const char *or_empty(const char *text)
{
	return text != NULL ? text : "";
}

/* The members, into an object that is open. */
static void put_members(struct json_writer *w, const struct agent_profile *agent)
{
	json_put_string(w, "id", agent->id);
	json_put_uuid(w, "uuid", &agent->uuid);
	json_put_string(w, "level", agent->level);
	json_put_string(w, "name", agent->name);
	json_put_string(w, "title", agent->title != NULL ? agent->title : agent->name);
	json_put_string(w, "role", or_empty(agent->role));
	json_put_string(w, "category", or_empty(agent->category));
	json_put_string(w, "description", or_empty(agent->description));
	json_put_string(w, "parent_l1", above(agent, "L1"));
	json_put_string(w, "parent_l2", above(agent, "L2"));
	json_put_string(w, "status", agent->status);
	json_put_string(w, "filename", or_empty(agent->filename));
	json_put_time_legacy(w, "modified", agent->modified_us);
}

static void put_agents(struct json_writer *w, const char *key, const struct agent_profile *agents,
		       size_t count)
{
	json_key(w, key);
	json_array(w);
	for (size_t i = 0; i < count; i++) {
		json_object(w);
		put_members(w, &agents[i]);
		json_end(w);
	}
	json_end(w);
}

/* What those below an agent are called. */
static const char *below_key(const struct agent_profile *agent)
{
	bool micro = agent->level != NULL && strcmp(agent->level, "L1") != 0;
	return micro ? "micro_agents" : "sub_agents";
}

/* Lists */

enum { QUERY_LEVEL, QUERY_PARENT, QUERY_SEARCH, QUERY_COUNT };

static const struct field query_fields[] = {
    [QUERY_LEVEL] = {"level", FIELD_WORD, .words = levels, .summary = "Only those of this level"},
    [QUERY_PARENT] = {"parent", FIELD_STRING, 0, 1, 64,
		      .summary = "Only those right below this agent: its id or UUID"},
    [QUERY_SEARCH] = {"search", FIELD_STRING, 0, 1, 200,
		      .summary = "Only those with this text in id, name, title, role, category or"
				 " description, in any case"},
    LEGACY_PAGE_TAKES,
};
static const struct schema query_schema = SCHEMA("LegacyAgentQuery", query_fields);

static const struct field list_fields[] = {
    {"agents", FIELD_LIST, FIELD_REQUIRED, 0, 200, .item = FIELD_OBJECT,
     .of = &agent_of_list_schema, .summary = "The page"},
    {"total", FIELD_INT, FIELD_REQUIRED, 0, INT64_MAX, .summary = "Agents of all pages"},
    {"total_is_min", FIELD_BOOL, FIELD_REQUIRED,
     .summary = "Whether there may be more: 20000 are counted, 10000 searched"},
    {"meta", FIELD_OBJECT, FIELD_REQUIRED, .of = &legacy_meta_schema, .summary = "Which page"},
    {"cached", FIELD_BOOL, FIELD_REQUIRED, .summary = "Always false"},
};
static const struct schema list_schema = SCHEMA("LegacyAgentList", list_fields);

static const struct field active_fields[] = {
    {"agents", FIELD_LIST, FIELD_REQUIRED, 0, 200, .item = FIELD_OBJECT,
     .of = &agent_of_list_schema, .summary = "The page"},
    {"count", FIELD_INT, FIELD_REQUIRED, 0, 200, .summary = "Agents on the page"},
    {"total", FIELD_INT, FIELD_REQUIRED, 0, INT64_MAX, .summary = "Agents of all pages"},
    {"total_is_min", FIELD_BOOL, FIELD_REQUIRED,
     .summary = "Whether there may be more: 20000 are counted of each status"},
    {"meta", FIELD_OBJECT, FIELD_REQUIRED, .of = &legacy_meta_schema, .summary = "Which page"},
    {"cached", FIELD_BOOL, FIELD_REQUIRED, .summary = "Always false"},
};
static const struct schema active_schema = SCHEMA("LegacyActiveAgents", active_fields);

/* Deep pages cost what is left out before them; /api/v1 has cursors. */
static enum err read_page(const struct http_request *r, struct legacy_page *page,
			  struct errmsg *why)
{
	enum err err = legacy_page_read(r, page, why);
	if (err == ERR_OK && page->skip > PROFILE_SKIP_MAX)
		return err_set(why, ERR_INVALID,
			       "%s: begins behind %d agents; /api/v1/agents goes on", page->asked,
			       PROFILE_SKIP_MAX);
	return err;
}

static enum err read_text(const struct http_request *r, const struct field *field, const char **out,
			  struct errmsg *why)
{
	enum err err = http_query(r, field->name, out, why);
	if (err == ERR_OK && *out != NULL && !field_takes_text(field, *out))
		return err_set(why, ERR_INVALID, "%s: is not a value that it can have",
			       field->name);
	return err;
}

/* A list with what stands before the page's members. */
static void put_list(struct json_writer *w, const struct profile_list *list)
{
	json_object(w);
	put_agents(w, "agents", list->items, list->count);
	json_put_bool(w, "total_is_min", list->total_is_min);
}

/* Nobody is below an agent that is not there. */
static enum err find_list(struct http_request *r, struct db_conn *db, const char *parent,
			  const struct profile_query *asked, struct profile_list *out,
			  struct errmsg *why)
{
	struct agent_profile top;
	struct profile_query query = *asked;
	struct errmsg message = ERRMSG_INIT;
	if (parent == NULL)
		return profiles_list(db, r->arena, &query, out, why);
	enum err err = profiles_find(db, r->arena, parent, &top, &message);
	if (err == ERR_NOT_FOUND)
		return ERR_OK;
	if (err != ERR_OK)
		return err_set(why, err, "%s", message.text);
	query.parent = &top.uuid;
	return profiles_list(db, r->arena, &query, out, why);
}

static enum err read_list(struct http_request *r, const char *parent,
			  const struct profile_query *query, struct profile_list *out,
			  struct errmsg *why)
{
	struct db_conn *db;
	*out = (struct profile_list){.count = 0};
	enum err err = http_db_borrow(r, &db, why);
	if (err != ERR_OK)
		return err;
	err = find_list(r, db, parent, query, out, why);
	http_db_return(r, db);
	return err;
}

static enum err get_agents(struct http_request *r, struct http_response *response,
			   struct errmsg *why)
{
	const char *said[QUERY_COUNT] = {NULL};
	struct legacy_page page;
	struct profile_list list;
	enum err err = read_page(r, &page, why);
	for (size_t i = 0; i < QUERY_COUNT && err == ERR_OK; i++)
		err = read_text(r, &query_fields[i], &said[i], why);
	if (err != ERR_OK)
		return err;
	struct profile_query query = {.level = said[QUERY_LEVEL],
				      .search = said[QUERY_SEARCH],
				      .skip = page.skip,
				      .limit = page.size};
	err = read_list(r, said[QUERY_PARENT], &query, &list, why);
	if (err != ERR_OK)
		return err;
	struct json_writer w;
	json_init(&w, &response->body);
	put_list(&w, &list);
	legacy_page_put(&w, &page, list.total, false);
	json_end(&w);
	return ERR_OK;
}

static enum err get_active(struct http_request *r, struct http_response *response,
			   struct errmsg *why)
{
	struct legacy_page page;
	struct profile_list list;
	enum err err = read_page(r, &page, why);
	if (err != ERR_OK)
		return err;
	struct profile_query query = {.at_work = true, .skip = page.skip, .limit = page.size};
	err = read_list(r, NULL, &query, &list, why);
	if (err != ERR_OK)
		return err;
	struct json_writer w;
	json_init(&w, &response->body);
	put_list(&w, &list);
	json_put_uint(&w, "count", list.count);
	legacy_page_put(&w, &page, list.total, false);
	json_end(&w);
	return ERR_OK;
}

/* One agent and its tree */

static const struct field agent_with_below_fields[] = {
    AGENT_FIELDS_OF_ALL,
    {"sub_agents", FIELD_LIST, 0, 0, PROFILE_BELOW_MAX, .item = FIELD_OBJECT,
     .of = &agent_of_list_schema, .summary = "Those right below it, unless its level is L2 or L3"},
    {"micro_agents", FIELD_LIST, 0, 0, PROFILE_BELOW_MAX, .item = FIELD_OBJECT,
     .of = &agent_of_list_schema, .summary = "The same, when its level is L2 or L3"},
};
static const struct schema agent_with_below_schema =
    SCHEMA("LegacyAgentWithBelow", agent_with_below_fields);

static const struct field hierarchy_fields[] = {
    {"agent", FIELD_OBJECT, FIELD_REQUIRED, .of = &agent_of_list_schema, .summary = "Itself"},
    {"parents", FIELD_LIST, FIELD_REQUIRED, 0, 2, .item = FIELD_OBJECT, .of = &agent_of_list_schema,
     .summary = "Those above it, the top first"},
    {"sub_agents", FIELD_LIST, 0, 0, PROFILE_BELOW_MAX, .item = FIELD_OBJECT,
     .of = &agent_with_below_schema,
     .summary = "Those right below it, each with micro_agents, unless its level is L2 or L3"},
    {"micro_agents", FIELD_LIST, 0, 0, PROFILE_BELOW_MAX, .item = FIELD_OBJECT,
     .of = &agent_with_below_schema, .summary = "The same, when its level is L2 or L3"},
    {"complete", FIELD_BOOL, FIELD_REQUIRED,
     .summary = "Whether that is all: 200 are shown below it, and 2000 below those"},
};
static const struct schema hierarchy_schema = SCHEMA("LegacyAgentHierarchy", hierarchy_fields);

/* An agent with those around it. */
struct family {
	struct agent_profile agent;
	struct agent_profile parents[2]; /* from the top */
	size_t parent_count;
	struct profile_list below;
	struct agent_profile *two_below;
	size_t two_below_count;
};

static enum err read_below(struct db_conn *db, struct arena *arena, struct family *family,
			   struct errmsg *why)
{
	const struct profile_query query = {.parent = &family->agent.uuid,
					    .limit = PROFILE_BELOW_MAX};
	return profiles_list(db, arena, &query, &family->below, why);
}

static enum err read_parents(struct db_conn *db, struct arena *arena, struct family *family,
			     struct errmsg *why)
{
	struct agent_profile direct;
	if (uuid_is_nil(&family->agent.parent))
		return ERR_OK;
	enum err err = profiles_by_uuid(db, arena, &family->agent.parent, &direct, why);
	if (err == ERR_OK && !uuid_is_nil(&direct.parent))
		err = profiles_by_uuid(db, arena, &direct.parent,
				       &family->parents[family->parent_count++], why);
	family->parents[family->parent_count++] = direct;
	return err;
}

static enum err read_family(struct http_request *r, bool whole, struct family *out,
			    struct errmsg *why)
{
	struct db_conn *db;
	*out = (struct family){.parent_count = 0};
	enum err err = http_db_borrow(r, &db, why);
	if (err != ERR_OK)
		return err;
	err = profiles_find(db, r->arena, http_path_arg(r, "id"), &out->agent, why);
	if (err == ERR_OK)
		err = read_below(db, r->arena, out, why);
	if (err == ERR_OK && whole)
		err = read_parents(db, r->arena, out, why);
	if (err == ERR_OK && whole)
		err = profiles_two_below(db, r->arena, &out->agent.uuid, &out->two_below,
					 &out->two_below_count, why);
	http_db_return(r, db);
	return err;
}

static enum err get_agent(struct http_request *r, struct http_response *response,
			  struct errmsg *why)
{
	struct family family;
	enum err err = read_family(r, false, &family, why);
	if (err != ERR_OK)
		return err;
	struct json_writer w;
	json_init(&w, &response->body);
	json_object(&w);
	put_members(&w, &family.agent);
	put_agents(&w, below_key(&family.agent), family.below.items, family.below.count);
	json_end(&w);
	return ERR_OK;
}

/* Those right below, each with those below it, which stand together in two_below. */
static void put_tree(struct json_writer *w, const struct family *family)
{
	json_key(w, below_key(&family->agent));
	json_array(w);
	for (size_t i = 0; i < family->below.count; i++) {
		const struct agent_profile *child = &family->below.items[i];
		size_t from = 0, count = 0;
		while (from < family->two_below_count &&
		       !uuid_equal(&family->two_below[from].parent, &child->uuid))
			from++;
		while (from + count < family->two_below_count &&
		       uuid_equal(&family->two_below[from + count].parent, &child->uuid))
			count++;
		json_object(w);
		put_members(w, child);
		put_agents(w, "micro_agents", family->two_below + from, count);
		json_end(w);
	}
	json_end(w);
}

static enum err get_hierarchy(struct http_request *r, struct http_response *response,
			      struct errmsg *why)
{
	struct family family;
	enum err err = read_family(r, true, &family, why);
	if (err != ERR_OK)
		return err;
	struct json_writer w;
	json_init(&w, &response->body);
	json_object(&w);
	json_key(&w, "agent");
	json_object(&w);
	put_members(&w, &family.agent);
	json_end(&w);
	put_agents(&w, "parents", family.parents, family.parent_count);
	put_tree(&w, &family);
	json_put_bool(&w, "complete",
		      family.below.total == family.below.count &&
			  family.two_below_count < PROFILE_TREE_MAX);
	json_end(&w);
	return ERR_OK;
}

/* What an agent knows */

static const struct field file_fields[] = {
    {"id", FIELD_ID, .flags = FIELD_REQUIRED},
    {"name", FIELD_STRING, FIELD_REQUIRED, 1, 255, .summary = "The file's name"},
    {"path", FIELD_STRING, FIELD_REQUIRED, 1, 700, .summary = "Where it is"},
    {"agent", FIELD_STRING, FIELD_REQUIRED | FIELD_NULL, 1, 64, .summary = "Whose it is"},
    {"size", FIELD_INT, FIELD_REQUIRED, 0, INT64_MAX, .summary = "Bytes"},
    {"modified", FIELD_TIME, FIELD_REQUIRED | FIELD_ZONELESS, .summary = "When it last changed"},
    {"category", FIELD_STRING, FIELD_REQUIRED | FIELD_NULL, 1, 100,
     .summary = "What it belongs to"},
};
static const struct schema file_schema = SCHEMA("LegacyKnowledgeFile", file_fields);
static const struct field knowledge_fields[] = {
    {"agent_id", FIELD_STRING, FIELD_REQUIRED, 1, 64, .summary = "Whose files these are"},
    {"files", FIELD_LIST, FIELD_REQUIRED, 0, 200, .item = FIELD_OBJECT, .of = &file_schema,
     .summary = "The page"},
    {"total", FIELD_INT, FIELD_REQUIRED, 0, INT64_MAX, .summary = "Files of all pages"},
    {"meta", FIELD_OBJECT, FIELD_REQUIRED, .of = &legacy_meta_schema, .summary = "Which page"},
    {"cached", FIELD_BOOL, FIELD_REQUIRED, .summary = "Always false"},
};
static const struct schema knowledge_schema = SCHEMA("LegacyAgentKnowledge", knowledge_fields);

struct known_files {
	const char *agent;
	struct knowledge_file *items;
	size_t count;
	uint64_t total;
};

static enum err read_files(struct http_request *r, const struct legacy_page *page,
			   struct known_files *out, struct errmsg *why)
{
	struct db_conn *db;
	struct agent_profile agent;
	enum err err = http_db_borrow(r, &db, why);
	if (err != ERR_OK)
		return err;
	err = profiles_find(db, r->arena, http_path_arg(r, "id"), &agent, why);
	if (err == ERR_OK)
		err = knowledge_of(db, r->arena, agent.id, page->skip, page->size, &out->items,
				   &out->count, &out->total, why);
	http_db_return(r, db);
	out->agent = err == ERR_OK ? agent.id : NULL;
	return err;
}

static void put_file(struct json_writer *w, const struct knowledge_file *file)
{
	json_object(w);
	json_put_uuid(w, "id", &file->id);
	json_put_string(w, "name", file->name);
	json_put_string(w, "path", file->path);
	json_put_string(w, "agent", file->agent);
	json_put_uint(w, "size", file->size);
	json_put_time_legacy(w, "modified", file->modified_us);
	json_put_string(w, "category", file->category);
	json_end(w);
}

static enum err get_knowledge(struct http_request *r, struct http_response *response,
			      struct errmsg *why)
{
	struct legacy_page page;
	struct known_files files;
	enum err err = read_page(r, &page, why);
	if (err == ERR_OK)
		err = read_files(r, &page, &files, why);
	if (err != ERR_OK)
		return err;
	struct json_writer w;
	json_init(&w, &response->body);
	json_object(&w);
	json_put_string(&w, "agent_id", files.agent);
	json_key(&w, "files");
	json_array(&w);
	for (size_t i = 0; i < files.count; i++)
		put_file(&w, &files.items[i]);
	json_end(&w);
	legacy_page_put(&w, &page, files.total, false);
	json_end(&w);
	return ERR_OK;
}

const struct route legacy_agent_routes[] = {
    ROUTE(HTTP_GET, "/api/agents", ACCESS_READONLY, OTHERS_READ, "agents", RATE_READ, WEIGHT_NORMAL,
	  BODY_NONE, get_agents, "Agents in the order of their hierarchy, found by a text",
	  .takes = &query_schema, .answers = &list_schema),
    ROUTE(HTTP_GET, "/api/agents/active", ACCESS_READONLY, OTHERS_READ, "agents", RATE_READ,
	  WEIGHT_NORMAL, BODY_NONE, get_active, "Agents that are active, idle or busy",
	  .takes = &legacy_page_schema, .answers = &active_schema),
    ROUTE(HTTP_GET, "/api/agents/{id}", ACCESS_READONLY, OTHERS_READ, "agents", RATE_READ,
	  WEIGHT_NORMAL, BODY_NONE, get_agent, "An agent and those right below it",
	  .answers = &agent_with_below_schema),
    ROUTE(HTTP_GET, "/api/agents/{id}/knowledge", ACCESS_READONLY, OTHERS_READ, "agents", RATE_READ,
	  WEIGHT_NORMAL, BODY_NONE, get_knowledge, "The files that an agent knows",
	  .takes = &legacy_page_schema, .answers = &knowledge_schema),
    ROUTE(HTTP_GET, "/api/agents/{id}/hierarchy", ACCESS_READONLY, OTHERS_READ, "agents", RATE_READ,
	  WEIGHT_NORMAL, BODY_NONE, get_hierarchy, "An agent, those above it and two levels below",
	  .answers = &hierarchy_schema),
};
const size_t legacy_agent_route_count = ARRAY_LEN(legacy_agent_routes);
