#include "conf/conf_value.h"

#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/num.h"
#include "base/utf8.h"

struct suffix {
	const char *text;
	int64_t factor;
};

/* Largest first, so that formatting finds the shortest text. */
static const struct suffix durations[] = {
    {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0}};
static const struct suffix sizes[] = {
    {"G", 1 << 30}, {"M", 1 << 20}, {"k", 1 << 10}, {"", 1}, {NULL, 0}};

static const struct suffix *suffixes_of(enum conf_type type)
{
	return type == CONF_DURATION ? durations : type == CONF_SIZE ? sizes : NULL;
}

void conf_value_format(const struct conf_row *row, int64_t number, struct strbuf *out)
{
	const struct suffix *suffix = suffixes_of(row->type);
	if (row->type == CONF_BOOL) {
		strbuf_adds(out, number ? "yes" : "no");
		return;
	}
	if (suffix == NULL) {
		strbuf_addi(out, number);
		return;
	}
	while (suffix->factor > 1 && (number == 0 || number % suffix->factor != 0))
		suffix++;
	strbuf_addi(out, number / suffix->factor);
	strbuf_adds(out, suffix->text);
}

void conf_value_allowed(const struct conf_row *row, struct strbuf *out)
{
	switch (row->type) {
	case CONF_BOOL:
		strbuf_adds(out, "yes or no");
		return;
	case CONF_TEXT:
	case CONF_PATH:
		if (row->min > 0)
			strbuf_addf(out, "%d to %d characters", (int)row->min, (int)row->max);
		else
			strbuf_addf(out, "at most %d characters", (int)row->max);
		return;
	case CONF_UINT:
	case CONF_DURATION:
	case CONF_SIZE:
		conf_value_format(row, row->min, out);
		strbuf_adds(out, " to ");
		conf_value_format(row, row->max, out);
		if (row->unit[0] != '\0')
			strbuf_addf(out, " %s", row->unit);
	}
}

static bool parse_bool(const char *text, int64_t *number)
{
	static const char *const words[][2] = {
	    {"no", "yes"}, {"false", "true"}, {"off", "on"}, {"0", "1"}};
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		for (int64_t value = 0; value < 2; value++)
			if (strcasecmp(text, words[i][value]) == 0) {
				*number = value;
				return true;
			}
	return false;
}

static bool parse_with_suffix(const struct suffix *suffix, const char *text, int64_t *number)
{
	size_t digits = strspn(text, "0123456789");
	for (; suffix->text != NULL; suffix++) {
		if (strcasecmp(text + digits, suffix->text) != 0)
			continue;
		int64_t count;
		return num_i64(text, digits, 0, INT64_MAX / suffix->factor, &count) &&
		       !__builtin_mul_overflow(count, suffix->factor, number);
	}
	return false;
}

static bool parse_number(const struct conf_row *row, const char *text, int64_t *number)
{
	if (row->type == CONF_BOOL)
		return parse_bool(text, number);
	const struct suffix *suffix = suffixes_of(row->type);
	if (suffix != NULL)
		return parse_with_suffix(suffix, text, number);
	return num_i64(text, strlen(text), 0, INT64_MAX, number);
}

static enum err refuse(const struct conf_row *row, const char *text, struct errmsg *why)
{
	STRBUF_CLEANUP allowed = STRBUF_INIT;
	conf_value_allowed(row, &allowed);
	static const char *const forms[] = {
	    [CONF_UINT] = "",
	    [CONF_BOOL] = "",
	    [CONF_TEXT] = "",
	    [CONF_PATH] = "",
	    [CONF_DURATION] = " (a number with ms, s, m or h)",
	    [CONF_SIZE] = " (bytes, or a number with k, M or G)",
	};
	return err_set(why, ERR_INVALID, "\"%.60s\" is not allowed; allowed: %s%s", text,
		       allowed.data, forms[row->type]);
}

enum err conf_value_parse(const struct conf_row *row, const char *text, int64_t *number,
			  struct errmsg *why)
{
	if (row->type == CONF_TEXT || row->type == CONF_PATH) {
		int64_t len = (int64_t)strlen(text);
		if (len < row->min || len > row->max || !utf8_valid(text, (size_t)len))
			return refuse(row, text, why);
		return ERR_OK;
	}
	int64_t value;
	if (!parse_number(row, text, &value) || value < row->min || value > row->max)
		return refuse(row, text, why);
	*number = value;
	return ERR_OK;
}
