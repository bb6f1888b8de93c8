/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <string.h>

#include "auth/scope.h"

static void test_a_scope_allows_what_it_names(void **state)
{
	(void)state;
	struct scopes scopes = scopes_parse("[\"agents:read\",\"tasks:write\"]");
	assert_true(scopes_allow(&scopes, "agents", false));
	assert_false(scopes_allow(&scopes, "agents", true));
	assert_true(scopes_allow(&scopes, "tasks", true));
	assert_false(scopes_allow(&scopes, "tasks", false));
	assert_false(scopes_allow(&scopes, "goals", false));
	assert_false(scopes_allow(&scopes, "nonsense", false));
}

static void test_a_star_allows_every_resource(void **state)
{
	(void)state;
	struct scopes scopes = scopes_parse("[\"*:read\"]");
	assert_true(scopes_allow(&scopes, "agents", false));
	assert_true(scopes_allow(&scopes, "usage", false));
	assert_false(scopes_allow(&scopes, "agents", true));
	/* What is no resource is opened by nothing. */
	assert_false(scopes_allow(&scopes, "nonsense", false));
}

static void test_other_words_are_passed_over(void **state)
{
	(void)state;
	static const char *const nothing[] = {"",
					      "[]",
					      "agents",
					      "agents:",
					      ":read",
					      "agents:reads",
					      "agentsread",
					      "agent:read",
					      "agents:write:x",
					      "AGENTS:READ",
					      "later:read",
					      "**:read",
					      "a:read",
					      "agents:reed"};
	for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
		struct scopes scopes = scopes_parse(nothing[i]);
		assert_int_equal(scopes.read, 0);
		assert_int_equal(scopes.write, 0);
	}
}

static void expect_text(const char *from, const char *to)
{
	STRBUF_CLEANUP out = STRBUF_INIT;
	struct scopes scopes = scopes_parse(from);
	scopes_format(&scopes, &out);
	assert_string_equal(out.data, to);
}

static void test_the_text_names_each_once(void **state)
{
	(void)state;
	expect_text("[]", "[]");
	expect_text("[\"usage:write\",\"goals:read\"]", "[\"goals:read\",\"usage:write\"]");
	expect_text("[\"tasks:write\", \"agents:read\",\"tasks:write\"]",
		    "[\"agents:read\",\"tasks:write\"]");
	expect_text("[\"*:read\",\"goals:read\",\"goals:write\"]", "[\"*:read\",\"goals:write\"]");
	expect_text("[\"*:write\",\"*:read\"]", "[\"*:read\",\"*:write\"]");
}

static void test_each_word_is_a_scope(void **state)
{
	(void)state;
	for (size_t i = 0; scope_words[i] != NULL; i++) {
		struct scopes scopes = scopes_parse(scope_words[i]);
		assert_true((scopes.read != 0) != (scopes.write != 0));
		if (scope_words[i][0] == '*')
			continue;
		char resource[32] = "";
		strncat(resource, scope_words[i], strcspn(scope_words[i], ":"));
		assert_true(scope_known(resource));
	}
	assert_false(scope_known("*"));
	assert_false(scope_known(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_scope_allows_what_it_names),
	    cmocka_unit_test(test_a_star_allows_every_resource),
	    cmocka_unit_test(test_other_words_are_passed_over),
	    cmocka_unit_test(test_the_text_names_each_once),
	    cmocka_unit_test(test_each_word_is_a_scope),
	};
	return cmocka_run_group_tests_name("auth_scope", tests, NULL, NULL);
}
