#include "auth/account.h"

#include <string.h>

#include "base/utf8.h"

static enum err check_text(const char *text, size_t least, size_t most, struct errmsg *why)
{
	size_t len = strlen(text);
	if (!utf8_valid(text, len))
		return err_set(why, ERR_INVALID, "must be valid UTF-8");
	if (utf8_has_control(text))
		return err_set(why, ERR_INVALID, "must not hold control characters");
	size_t count = utf8_count(text, len);
	if (count < least || count > most)
		return err_set(why, ERR_INVALID, "must have %zu to %zu characters, has %zu", least,
			       most, count);
	return ERR_OK;
}

enum err account_check_username(const char *text, struct errmsg *why)
{
	enum err err = check_text(text, USERNAME_MIN, USERNAME_MAX, why);
	if (err == ERR_OK && (text[0] == ' ' || text[strlen(text) - 1] == ' '))
		err = err_set(why, ERR_INVALID, "must not begin or end with a blank");
	return err;
}

/* One @ with something on both sides and no blanks; whether mail arrives is another question. */
static bool looks_like_email(const char *text)
{
	const char *at = strchr(text, '@');
	return at != NULL && at != text && at[1] != '\0' && strchr(at + 1, '@') == NULL &&
	       strchr(text, ' ') == NULL;
}

enum err account_check_email(const char *text, struct errmsg *why)
{
	enum err err = check_text(text, EMAIL_MIN, EMAIL_MAX, why);
	if (err == ERR_OK && !looks_like_email(text))
		err = err_set(why, ERR_INVALID, "must be an e-mail address");
	return err;
}

enum err account_check_full_name(const char *text, struct errmsg *why)
{
	return check_text(text, FULL_NAME_MIN, FULL_NAME_MAX, why);
}
