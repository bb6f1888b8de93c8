"""The small changes: where in a text of C they apply, and what they make of it.

clang-format has laid the text out, so blanks tell a binary operator from a unary one:
`a * b` and `a & b` against `char *a` and `&b`.
"""

import bisect
import collections
import re

TOKEN = re.compile(r"""
      (?P<skip>    //[^\n]* | /\*.*?\*/ | ^[ \t]*\#(?:\\\n|[^\n])* | "(?:\\.|[^"\\])*" )
    | (?P<char>    '(?:\\[^\n]|[^'\\\n])+' )
    | (?P<number>  (?<![\w.])(?:0[xX][0-9a-fA-F]+|\d+)(?P<suffix>[uUlL]*)(?![\w.]) )
    | (?P<word>    [A-Za-z_]\w* )
    | (?P<mark>    <<=|>>=|\+\+|--|->|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|[-+*/%&|^!<>=~?:;,.(){}\[\]] )
    """, re.X | re.S | re.M)

COMPARISONS = {"<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<"),
               "==": ("!=",), "!=": ("==",)}
ARITHMETIC = {"+": "-", "-": "+", "*": "/", "/": "*", "%": "*", "<<": ">>", ">>": "<<",
              "&": "|", "|": "&", "^": "&"}
STEPS = {"++": "--", "--": "++"}
BOOLEAN = {"&&": "||", "||": "&&"}
TRUTH = {"true": "false", "false": "true"}
# What these say holds anyway: a change in it is no change in what the program does.
CLAIMS = ("AN_INVARIANT", "CHECK_MAGIC", "_Static_assert")
OPERATORS = ("comparison", "arithmetic", "boolean", "constant", "branch")

Token = collections.namedtuple("Token", "kind text start end")
Mutant = collections.namedtuple("Mutant", "path line operator before after text")


def tokens_of(text):
    """The tokens that a change may touch, without what stands in claims."""
    found = [Token(m.lastgroup if m.lastgroup != "suffix" else "number", m.group(), m.start(),
                   m.end()) for m in TOKEN.finditer(text)]
    found = [token for token in found if token.kind != "skip"]
    kept, at = [], 0
    while at < len(found):
        if found[at].text in CLAIMS:
            at = closing(found, at + 1) + 1
            continue
        kept.append(found[at])
        at += 1
    return kept


def closing(tokens, opening):
    """The index of the parenthesis that closes the one at `opening`."""
    depth = 0
    for at in range(opening, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[at].text, 0)
        if depth == 0:
            return at
    raise ValueError("a parenthesis is not closed")


def is_binary(text, token):
    return text[token.start - 1] == " " and text[token.end] in " \n"


def on_number(token):
    suffix = token.text[len(token.text.rstrip("uUlL")):]
    value = int(token.text[:len(token.text) - len(suffix)], 0)
    for other in {value + 1, max(value - 1, 0)} - {value}:
        yield "constant", f"{other}{suffix}"


def on_mark(text, token):
    mark = token.text
    if mark in COMPARISONS and is_binary(text, token):
        for other in COMPARISONS[mark]:
            yield "comparison", other
    elif mark in BOOLEAN:
        yield "boolean", BOOLEAN[mark]
    elif mark == "!":
        yield "boolean", ""
    elif mark in STEPS:
        yield "arithmetic", STEPS[mark]
    elif mark in ARITHMETIC and is_binary(text, token):
        yield "arithmetic", ARITHMETIC[mark]
    elif mark.endswith("=") and mark[:-1] in ARITHMETIC:
        yield "arithmetic", ARITHMETIC[mark[:-1]] + "="


def on_token(text, token):
    if token.kind == "number":
        yield from on_number(token)
    elif token.kind == "char":
        yield "constant", f"({token.text} + 1)"
    elif token.kind == "word" and token.text in TRUTH:
        yield "constant", TRUTH[token.text]
    elif token.kind == "mark":
        yield from on_mark(text, token)


def on_branches(text, tokens):
    """(start, end, new text) of conditions that always hold, and that never do."""
    for at, token in enumerate(tokens):
        if token.text not in ("if", "while"):
            continue
        start, end = tokens[at + 1].end, tokens[closing(tokens, at + 1)].start
        condition = text[start:end]
        yield start, end, f"false && ({condition})"
        if token.text == "if":
            yield start, end, f"true || ({condition})"


def changes(text):
    """(start, end, operator, new text)"""
    tokens = tokens_of(text)
    for token in tokens:
        for operator, new in on_token(text, token):
            yield token.start, token.end, operator, new
    for start, end, new in on_branches(text, tokens):
        yield start, end, "branch", new


def squeezed(text):
    return " ".join(text.split())


def mutants_of(path, text, operators=OPERATORS):
    starts = [0] + [m.end() for m in re.finditer("\n", text)] + [len(text)]
    for start, end, operator, new in sorted(changes(text)):
        if operator not in operators:
            continue
        first = bisect.bisect_right(starts, start) - 1
        last = bisect.bisect_right(starts, max(end - 1, start)) - 1
        head, tail = text[starts[first]:start], text[end:starts[last + 1]]
        yield Mutant(path, first + 1, operator, squeezed(head + text[start:end] + tail),
                     squeezed(head + new + tail), text[:start] + new + text[end:])
