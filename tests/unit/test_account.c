/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <string.h>

#include "auth/account.h"
#include "base/assert.h"

typedef enum err check(const char *text, struct errmsg *why);

static void assert_allowed(check *is_allowed, const char *text)
{
	struct errmsg why = ERRMSG_INIT;
	if (is_allowed(text, &why) != ERR_OK)
		fail_msg("\"%s\" %s", text, why.text);
	assert_string_equal(why.text, "");
}

static void assert_refused(check *is_allowed, const char *text, const char *reason)
{
	struct errmsg why = ERRMSG_INIT;
	assert_int_equal(is_allowed(text, &why), ERR_INVALID);
	assert_string_equal(why.text, reason);
}

/* So many times a character of two bytes: it is characters that are counted. */
static const char *many(size_t count)
{
	static char text[2 * 300 + 1];
	AN_INVARIANT(count <= 300);
	for (size_t i = 0; i < count; i++)
		memcpy(text + 2 * i, "é", 2);
	text[2 * count] = '\0';
	return text;
}

static void test_usernames_have_3_to_100_characters(void **state)
{
	(void)state;
	assert_allowed(account_check_username, many(3));
	assert_allowed(account_check_username, many(100));
	assert_refused(account_check_username, many(2), "must have 3 to 100 characters, has 2");
	assert_refused(account_check_username, many(101), "must have 3 to 100 characters, has 101");
	assert_refused(account_check_username, "", "must have 3 to 100 characters, has 0");
}

static void test_a_username_has_blanks_inside_only(void **state)
{
	(void)state;
	static const char reason[] = "must not begin or end with a blank";
	assert_allowed(account_check_username, "Ada L");
	assert_refused(account_check_username, " Ada", reason);
	assert_refused(account_check_username, "Ada ", reason);
}

static void test_no_field_has_control_characters_or_broken_text(void **state)
{
	(void)state;
	static check *const checks[] = {account_check_username, account_check_email,
					account_check_full_name};
	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		assert_refused(checks[i], "a@b\x1b[2J", "must not hold control characters");
		assert_refused(checks[i], "a@b\xff", "must be valid UTF-8");
	}
}

static void test_an_address_has_something_on_both_sides_of_one_at(void **state)
{
	(void)state;
	static const char reason[] = "must be an e-mail address";
	static const char *const refused[] = {"ada",   "ada@",     "@example.org", "@@@", "a@@b",
					      "a@b@c", "a@b c.de", "a b@c.de",     "a@b@"};
	assert_allowed(account_check_email, "a@b");
	assert_allowed(account_check_email, "ada+lists@example.org");
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		assert_refused(account_check_email, refused[i], reason);
}

static void test_an_address_has_up_to_254_characters(void **state)
{
	(void)state;
	char text[256];
	memset(text, 'a', sizeof(text));
	text[1] = '@';
	text[254] = '\0';
	assert_allowed(account_check_email, text);
	text[254] = 'a';
	text[255] = '\0';
	assert_refused(account_check_email, text, "must have 3 to 254 characters, has 255");
	assert_refused(account_check_email, "@a", "must have 3 to 254 characters, has 2");
}

static void test_a_full_name_has_1_to_200_characters(void **state)
{
	(void)state;
	assert_allowed(account_check_full_name, many(1));
	assert_allowed(account_check_full_name, many(200));
	assert_refused(account_check_full_name, "", "must have 1 to 200 characters, has 0");
	assert_refused(account_check_full_name, many(201),
		       "must have 1 to 200 characters, has 201");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_usernames_have_3_to_100_characters),
	    cmocka_unit_test(test_a_username_has_blanks_inside_only),
	    cmocka_unit_test(test_no_field_has_control_characters_or_broken_text),
	    cmocka_unit_test(test_an_address_has_something_on_both_sides_of_one_at),
	    cmocka_unit_test(test_an_address_has_up_to_254_characters),
	    cmocka_unit_test(test_a_full_name_has_1_to_200_characters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
