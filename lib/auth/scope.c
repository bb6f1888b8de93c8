#include "auth/scope.h"

#include <stddef.h>
#include <string.h>

#include "base/assert.h"

/* clang-format off */
#define RESOURCES(X) \
	X(agents) X(alerts) X(audit) X(cache) X(goals) X(hosts) X(jobs) X(knowledge) X(performance) \
	X(plans) X(projects) X(search) X(services) X(system) X(tasks) X(usage)
/* clang-format on */

#define NAME(resource) #resource,
static const char *const resources[] = {RESOURCES(NAME)};
#define WORDS(resource) #resource ":read", #resource ":write",
const char *const scope_words[] = {"*:read", "*:write", RESOURCES(WORDS) NULL};

_Static_assert(ARRAY_LEN(resources) < 32, "a bit is left for what does not exist yet");

static int find(const char *resource, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(resources); i++)
		if (strlen(resources[i]) == len && memcmp(resources[i], resource, len) == 0)
			return (int)i;
	return -1;
}

bool scope_known(const char *resource)
{
	return find(resource, strlen(resource)) >= 0;
}

bool scopes_allow(const struct scopes *scopes, const char *resource, bool write)
{
	int bit = find(resource, strlen(resource));
	return bit >= 0 && ((write ? scopes->write : scopes->read) >> bit & 1) != 0;
}

/* The bits of "agents" or "*"; 0 for what is neither. */
static uint32_t bits_of(const char *resource, size_t len)
{
	if (len == 1 && *resource == '*')
		return UINT32_MAX;
	int bit = find(resource, len);
	return bit < 0 ? 0 : UINT32_C(1) << bit;
}

static void add_word(struct scopes *scopes, const char *word, size_t len)
{
	const char *colon = memchr(word, ':', len);
	if (colon == NULL)
		return;
	uint32_t bits = bits_of(word, (size_t)(colon - word));
	size_t rest = len - (size_t)(colon - word);
	if (rest == strlen(":read") && memcmp(colon, ":read", rest) == 0)
		scopes->read |= bits;
	else if (rest == strlen(":write") && memcmp(colon, ":write", rest) == 0)
		scopes->write |= bits;
}

struct scopes scopes_parse(const char *text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz*:";
	struct scopes scopes = {0, 0};
	for (text += strcspn(text, letters); *text != '\0'; text += strcspn(text, letters)) {
		size_t len = strspn(text, letters);
		add_word(&scopes, text, len);
		text += len;
	}
	return scopes;
}

static void put(struct strbuf *out, const char *resource, const char *action)
{
	strbuf_addf(out, "%s\"%s:%s\"", out->data[out->len - 1] == '[' ? "" : ",", resource,
		    action);
}

void scopes_format(const struct scopes *scopes, struct strbuf *out)
{
	bool all_read = scopes->read == UINT32_MAX, all_write = scopes->write == UINT32_MAX;
	strbuf_adds(out, "[");
	if (all_read)
		put(out, "*", "read");
	if (all_write)
		put(out, "*", "write");
	for (size_t i = 0; i < ARRAY_LEN(resources); i++) {
		if (!all_read && (scopes->read >> i & 1))
			put(out, resources[i], "read");
		if (!all_write && (scopes->write >> i & 1))
			put(out, resources[i], "write");
	}
	strbuf_adds(out, "]");
}
