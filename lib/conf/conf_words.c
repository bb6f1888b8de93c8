#include "conf/conf_words.h"

#include <string.h>

#include "base/assert.h"
#include "base/log.h"

static enum err check_level(const char *text, struct errmsg *why)
{
	enum log_level level;
	if (log_level_parse(text, &level))
		return ERR_OK;
	return err_set(why, ERR_INVALID,
		       "\"%.60s\" is not allowed; allowed: debug, info, warning, error", text);
}

static enum err check_scope(const char *text, struct errmsg *why)
{
	if (strcmp(text, "host") == 0 || strcmp(text, "fleet") == 0)
		return ERR_OK;
	return err_set(why, ERR_INVALID, "\"%.60s\" is not allowed; allowed: host, fleet", text);
}

/* As browsers write it: scheme://host[:port], in small letters, without a path. */
static bool is_origin(const char *text, size_t len)
{
	static const char *const schemes[] = {"https://", "http://"};
	static const char marks[] = "abcdefghijklmnopqrstuvwxyz0123456789.-:[]";
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		size_t scheme = strlen(schemes[i]);
		if (len > scheme && memcmp(text, schemes[i], scheme) == 0)
			return strspn(text + scheme, marks) >= len - scheme;
	}
	return false;
}

static enum err check_origins(const char *text, struct errmsg *why)
{
	static const char separators[] = ", ";
	for (text += strspn(text, separators); *text != '\0'; text += strspn(text, separators)) {
		size_t len = strcspn(text, separators);
		if (!is_origin(text, len))
			return err_set(why, ERR_INVALID,
				       "\"%.*s\" is not allowed; allowed: origins as browsers "
				       "write them, https://host or http://host:port in small "
				       "letters, separated by commas",
				       len > 60 ? 60 : (int)len, text);
		text += len;
	}
	return ERR_OK;
}

enum err conf_check_words(enum conf_id id, const char *text, struct errmsg *why)
{
	switch (id) {
	case CONF_log_level:
		return check_level(text, why);
	case CONF_ratelimit_scope:
		return check_scope(text, why);
	case CONF_cors_origins:
		return check_origins(text, why);
	default:
		return ERR_OK;
	}
}
