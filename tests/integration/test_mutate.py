"""script/mutate: what it changes, and what it leaves alone."""

import os
import sys

import pytest

from harness import SOURCE

sys.path.insert(0, os.path.join(SOURCE, "script", "lib", "mutate"))

from mutants import mutants_of


def after(line, operator=None):
    """What becomes of a line, without its indentation."""
    return [m.after for m in mutants_of("x.c", f"\t{line}\n", operator or (
        "comparison", "arithmetic", "boolean", "constant", "branch"))]


@pytest.mark.parametrize("line, became", [
    ("a = b < c;", ["a = b <= c;", "a = b >= c;"]),
    ("a = b == c;", ["a = b != c;"]),
    ("a = b - c;", ["a = b + c;"]),
    ("a |= b;", ["a &= b;"]),
    ("a++;", ["a--;"]),
    ("a = b && !c;", ["a = b || !c;", "a = b && c;"]),
    ("a = 7u;", ["a = 6u;", "a = 8u;"]),
    ("a = 0;", ["a = 1;"]),
    ("a = 'x';", ["a = ('x' + 1);"]),
    ("return true;", ["return false;"]),
    ("if (a)", ["if (false && (a))", "if (true || (a))"]),
    ("while (a)", ["while (false && (a))"]),
])
def test_each_operator(line, became):
    assert sorted(after(line)) == sorted(became)


@pytest.mark.parametrize("line", [
    "char *a = &b;",
    "a = (char *)b;",
    "a->b = c;",
    'a = "1 < 2 && 3";',
    "/* a < 1 */",
    "// a + 1",
    "#define A (1 + 1)",
    "AN_INVARIANT(a < 1 && (b + 1 > c));",
    "_Static_assert(sizeof(a) == 8, \"\");",
])
def test_what_is_no_operator_or_only_a_claim_stays(line):
    assert after(line) == []


def test_a_mutant_says_where_it_is_and_is_the_whole_file():
    text = "int f(int a)\n{\n\tif (a &&\n\t    b < c)\n\t\treturn a;\n}\n"
    mutant, = (m for m in mutants_of("lib/x.c", text) if m.after == "b <= c)")
    assert (mutant.path, mutant.line, mutant.before) == ("lib/x.c", 4, "b < c)")
    assert mutant.text == text.replace("b < c", "b <= c")
    # A condition over two lines is shown as one.
    assert "if (false && (a && b < c))" in [m.after for m in mutants_of("lib/x.c", text)]
