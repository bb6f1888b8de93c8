/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "import/agent_file.h"
#include "import/front_matter.h"

/* What a text reads as, for each test; released behind it. */
static struct arena arena;
static struct agent_file file;

static int begin(void **state)
{
	(void)state;
	arena_init(&arena, 65536, 16 << 20);
	return 0;
}

static int end(void **state)
{
	(void)state;
	arena_release(&arena);
	return 0;
}

static void read_bytes(const char *text, size_t len)
{
	struct errmsg why = ERRMSG_INIT;
	assert_int_equal(agent_file_read(&arena, text, len, "art-director", &file, &why), ERR_OK);
	assert_string_equal(why.text, "");
}

static void read_text(const char *text)
{
	read_bytes(text, strlen(text));
}

static void assert_value(const struct agent_text *agent, enum agent_key key, const char *wanted)
{
	if (wanted == NULL)
		assert_null(agent->values[key]);
	else if (agent->values[key] == NULL)
		fail_msg("there is no value; wanted \"%s\"", wanted);
	else
		assert_string_equal(agent->values[key], wanted);
}

static void assert_agent(const struct agent_text *agent, unsigned line, const char *id,
			 const char *level, const char *parent, const char *name)
{
	assert_non_null(agent);
	assert_int_equal(agent->line, line);
	assert_value(agent, AGENT_KEY_ID, id);
	assert_value(agent, AGENT_KEY_LEVEL, level);
	assert_value(agent, AGENT_KEY_PARENT, parent);
	assert_value(agent, AGENT_KEY_NAME, name);
}

/* The only agent, with nothing left out. */
static const struct agent_text *only(void)
{
	if (file.faults != NULL)
		fail_msg("line %u: %s", file.faults->line, file.faults->reason);
	assert_non_null(file.agents);
	assert_null(file.agents->next);
	return file.agents;
}

static void assert_one_fault(const char *text, unsigned line, const char *reason)
{
	read_text(text);
	assert_non_null(file.faults);
	assert_null(file.faults->next);
	assert_string_equal(file.faults->reason, reason);
	assert_int_equal(file.faults->line, line);
}

static void test_front_matter_says_all_of_an_agent(void **state)
{
	(void)state;
	read_text("---\n"
		  "id: L2.1.3\n"
		  "name: \"Rig: legs\"\n"
		  "title: Senior Rigger # a comment\n"
		  "role: Makes legs\n"
		  "category: art\n"
		  "status: idle\n"
		  "description: >\n"
		  "  Folded over\n"
		  "  two lines.\n"
		  "tools: [a, {b: c}]\n"
		  "---\n"
		  "Not the description.\n");
	const struct agent_text *agent = only();
	assert_agent(agent, 1, "L2.1.3", "L2", "L1.1", "Rig: legs");
	assert_value(agent, AGENT_KEY_TITLE, "Senior Rigger");
	assert_value(agent, AGENT_KEY_ROLE, "Makes legs");
	assert_value(agent, AGENT_KEY_CATEGORY, "art");
	assert_value(agent, AGENT_KEY_STATUS, "idle");
	assert_value(agent, AGENT_KEY_DESCRIPTION, "Folded over two lines.");
}

static void test_an_id_without_levels_needs_both_said(void **state)
{
	(void)state;
	read_text("---\nlevel: L3\nparent: painter\n---\n");
	assert_agent(only(), 1, "art-director", "L3", "painter", "art-director");
	read_text("---\nid: brush\nlevel: 3\nparent_l1: lead\nparent_l2: painter\n---\n");
	assert_agent(only(), 1, "brush", "L3", "painter", "brush");
	assert_one_fault("---\nid: brush\n---\n", 1, "brush: the level is missing");
	assert_one_fault("---\nid: brush\nlevel: L2\n---\n", 1, "brush: the parent is missing");
	assert_one_fault("---\nid: brush\nlevel: L4\n---\n", 1,
			 "brush: the level must be L1, L2 or L3");
}

static void test_headings_with_ids_begin_agents(void **state)
{
	(void)state;
	read_text("Agents of the studio.\n"
		  "\n"
		  "# \xf0\x9f\x8e\xa8 L1.2: **Art** Director #\n"
		  "## L2.2.1 \xe2\x80\x94 Painter\n"
		  "#### L3.2.1.4 - `Brush`\n"
		  "## L1 agents\n");
	assert_null(file.faults);
	assert_agent(file.agents, 3, "L1.2", "L1", NULL, "Art Director");
	assert_agent(file.agents->next, 4, "L2.2.1", "L2", "L1.2", "Painter");
	assert_agent(file.agents->next->next, 5, "L3.2.1.4", "L3", "L2.2.1", "Brush");
	assert_null(file.agents->next->next->next);
}

static void test_what_stands_below_a_heading(void **state)
{
	(void)state;
	read_text("# L1.2 Art Director\n"
		  "**Title:** Director\n"
		  "- **Category**: art\n"
		  "\n"
		  "Sees to it that\n"
		  "all looks alike.\n"
		  "\n"
		  "A second paragraph.\n"
		  "## Role\n"
		  "\n"
		  "Leads.\n"
		  "## History\n"
		  "Long.\n");
	const struct agent_text *agent = only();
	assert_value(agent, AGENT_KEY_TITLE, "Director");
	assert_value(agent, AGENT_KEY_CATEGORY, "art");
	assert_value(agent, AGENT_KEY_DESCRIPTION, "Sees to it that all looks alike.");
	assert_value(agent, AGENT_KEY_ROLE, "Leads.");
}

static void test_lists_and_tables_are_no_description(void **state)
{
	(void)state;
	read_text("# L1.2 Art Director\n- a point\n1. another\n| a | table |\n\nThis is.\n");
	assert_value(only(), AGENT_KEY_DESCRIPTION, "This is.");
	read_text("# L1.2 Art Director\n## Tools\nNot this.\n");
	assert_value(only(), AGENT_KEY_DESCRIPTION, NULL);
}

static void test_code_says_nothing(void **state)
{
	(void)state;
	read_text("# L1.2 Art Director\n```\n# L1.3 Other\n~~~\nRole: none\n```\nThis is.\n");
	assert_value(only(), AGENT_KEY_DESCRIPTION, "This is.");
	assert_value(only(), AGENT_KEY_ROLE, NULL);
}

static void test_a_heading_goes_on_with_the_front_matter(void **state)
{
	(void)state;
	read_text("---\ncategory: art\n---\n# L1.2 Art Director\n\nText.\n");
	assert_agent(only(), 1, "L1.2", "L1", NULL, "Art Director");
	assert_value(only(), AGENT_KEY_CATEGORY, "art");
	assert_value(only(), AGENT_KEY_DESCRIPTION, "Text.");
	read_text("---\nid: L1.2\nname: First\n---\n# L1.2 Second\n# L1.3 Third\n");
	assert_agent(file.agents, 1, "L1.2", "L1", NULL, "First");
	assert_agent(file.agents->next, 6, "L1.3", "L1", NULL, "Third");
}

static void test_the_title_of_a_file_is_a_name(void **state)
{
	(void)state;
	read_text("---\nlevel: 1\n---\n# Art Director\n\nText.\n");
	assert_agent(only(), 1, "art-director", "L1", NULL, "Art Director");
	assert_value(only(), AGENT_KEY_DESCRIPTION, "Text.");
}

static void test_what_contradicts_the_id_is_left_out(void **state)
{
	(void)state;
	assert_one_fault("# L1.2 A\nLevel: L2\n", 1, "L1.2: the level is L2, but the id says L1");
	assert_one_fault("# L2.1.3 A\nParent: L1.2 Other\n", 1,
			 "L2.1.3: the parent is L1.2, but the id says L1.1");
	assert_one_fault("# L1.2 A\nParent: L1.1\n", 1,
			 "L1.2: it has a parent, but its level is L1");
}

static void test_ids_have_as_many_numbers_as_their_level(void **state)
{
	(void)state;
	static const char *const wrong[] = {"L2.1", "L1.2.3", "L1.01", "L1.12345", "L3.1.2.3.4"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char text[64], reason[128];
		snprintf(text, sizeof(text), "\n# %s A\n", wrong[i]);
		snprintf(reason, sizeof(reason),
			 "%s: the id must be of the form L1.2, L2.1.3 or L3.2.1.4", wrong[i]);
		assert_one_fault(text, 2, reason);
	}
	read_text("# L3.9999.10.0 A\n");
	assert_agent(only(), 1, "L3.9999.10.0", "L3", "L2.9999.10", "A");
}

static void test_the_good_agents_of_a_file_stay(void **state)
{
	(void)state;
	read_text("# L1.1 A\n# L2.1 B\n# L1.3 C\n");
	assert_agent(file.agents, 1, "L1.1", "L1", NULL, "A");
	assert_agent(file.agents->next, 3, "L1.3", "L1", NULL, "C");
	assert_int_equal(file.faults->line, 2);
}

static void test_front_matter_that_can_not_be_read(void **state)
{
	(void)state;
	assert_one_fault("---\nid: L1.1\n", 1, "the front matter has no end");
	assert_one_fault("---\n- a\n---\n", 2, "the front matter is no YAML mapping");
	assert_one_fault("---\nid: L1.1\nid: L1.2\n---\n", 3, "id is said twice");
	assert_one_fault("---\nid: L1.1\n\nrole: [a]\n---\n", 4, "the value of role is no text");
	assert_one_fault("---\nid: &a L1.1\nname: *a\n---\n", 3, "the value of name is no text");
	assert_one_fault("---\nid: L1.1\nname: \"a\\eb\"\n---\n", 3,
			 "a control character stands in name");
	read_text("---\nid: L1.1\nname: \"a\n---\n");
	assert_null(file.agents);
	assert_non_null(strstr(file.faults->reason, "the front matter is not YAML: "));
}

static void test_long_front_matter_is_not_looked_at(void **state)
{
	(void)state;
	STRBUF_CLEANUP text = STRBUF_INIT;
	strbuf_adds(&text, "---\nid: L1.1\n#");
	for (int i = 0; i < FRONT_MATTER_MAX; i++)
		strbuf_addc(&text, 'x');
	strbuf_adds(&text, "\n---\n");
	assert_one_fault(text.data, 2, "the front matter is longer than 65536 bytes");
}

static void test_bytes_that_are_no_text(void **state)
{
	(void)state;
	assert_one_fault("# L1.1 A\n\nx\xff\n", 3, "the file is not UTF-8 here");
	assert_one_fault("# L1.1 A\n\x1b[2J\n", 2, "a control character");
	assert_one_fault("# L1.1 A\n\xc2\x9b\n", 2, "a control character");
	read_bytes("# L1.1 A\n\0", 10);
	assert_null(file.agents);
	assert_string_equal(file.faults->reason, "a control character");
}

static void test_lines_may_end_as_on_other_systems(void **state)
{
	(void)state;
	read_text("\xef\xbb\xbf---\r\nid: L1.1\r\nname: A\r\n---\r\n\r\nText.\r\nMore.\r\n");
	assert_agent(only(), 1, "L1.1", "L1", NULL, "A");
	assert_value(only(), AGENT_KEY_DESCRIPTION, "Text. More.");
}

static void test_a_file_without_agents_says_so(void **state)
{
	(void)state;
	assert_one_fault("", 1, "there is no agent in it");
	assert_one_fault("# Read me\n\nText.\n", 1, "there is no agent in it");
	assert_one_fault("---\nname: A\n---\n", 1, "the id is missing");
}

static void test_texts_have_lengths(void **state)
{
	(void)state;
	STRBUF_CLEANUP text = STRBUF_INIT;
	strbuf_adds(&text, "# L1.1 ");
	for (int i = 0; i < AGENT_NAME_MAX; i++)
		strbuf_adds(&text, "\xc3\xa9");
	read_text(text.data);
	assert_non_null(only());
	strbuf_addc(&text, 'x');
	assert_one_fault(text.data, 1, "L1.1: the name is longer than 200 characters");
}

static void test_a_status_is_one_of_those_that_agents_have(void **state)
{
	(void)state;
	assert_one_fault("# L1.1 A\nStatus: sleepy\n", 1,
			 "L1.1: the status is none that agents have");
}

static void test_without_memory_it_is_an_error(void **state)
{
	(void)state;
	struct arena small;
	struct errmsg why = ERRMSG_INIT;
	arena_init(&small, 64, 64);
	assert_int_equal(agent_file_read(&small, "# L1.1 A\n", 9, "x", &file, &why), ERR_NOMEM);
	arena_release(&small);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_front_matter_says_all_of_an_agent),
	    TEST(test_an_id_without_levels_needs_both_said),
	    TEST(test_headings_with_ids_begin_agents),
	    TEST(test_what_stands_below_a_heading),
	    TEST(test_lists_and_tables_are_no_description),
	    TEST(test_code_says_nothing),
	    TEST(test_a_heading_goes_on_with_the_front_matter),
	    TEST(test_the_title_of_a_file_is_a_name),
	    TEST(test_what_contradicts_the_id_is_left_out),
	    TEST(test_ids_have_as_many_numbers_as_their_level),
	    TEST(test_the_good_agents_of_a_file_stay),
	    TEST(test_front_matter_that_can_not_be_read),
	    TEST(test_long_front_matter_is_not_looked_at),
	    TEST(test_bytes_that_are_no_text),
	    TEST(test_lines_may_end_as_on_other_systems),
	    TEST(test_a_file_without_agents_says_so),
	    TEST(test_texts_have_lengths),
	    TEST(test_a_status_is_one_of_those_that_agents_have),
	    TEST(test_without_memory_it_is_an_error),
	};
	return cmocka_run_group_tests_name("agent_file", tests, NULL, NULL);
}
