"""Aims, and the page that says which of them are met."""

from dataclasses import dataclass
from statistics import median


@dataclass
class Judgement:
    """One aim beside what was measured."""

    what: str
    measured: str
    aim: str
    met: bool


@dataclass
class Table:
    """The figures behind one or more judgements."""

    title: str
    heads: tuple
    rows: list


def ratio_of(mine, others):
    """The median of the rounds' ratios: both sides of one ratio ran within seconds."""
    return median(a / b for a, b in zip(mine, others))


def _latency(values):
    """Programs that take no time of what they ask have none."""
    return f"{median(values):.1f}" if any(values) else "–"


def load_table(title, runs):
    """runs: name → its rounds, the first of them the peer that the ratios refer to."""
    base = next(iter(runs.values()))
    rows = []
    for name, loads in runs.items():
        rates = [load.rate for load in loads]
        rows.append((
            name, f"{median(rates):,.0f}", f"{min(rates):,.0f}–{max(rates):,.0f}",
            f"{ratio_of(rates, [load.rate for load in base]):.2f}",
            _latency([load.p50_ms for load in loads]),
            _latency([load.p99_ms for load in loads]),
            str(sum(load.errors for load in loads))))
    return Table(title, ("", "answers/s", "range", f"× {next(iter(runs))}", "P50 ms", "P99 ms",
                         "errors"), rows)


def _text(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def _markdown(rows):
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" + "---:|" * (len(rows[0]) - 1))
    return "\n".join(lines)


def _judged(judgements):
    rows = [("", "measured", "aim", "")]
    rows += [(j.what, j.measured, j.aim, "met" if j.met else "**not met**") for j in judgements]
    return rows


def print_table(table):
    print(f"\n{table.title}\n{_text([table.heads, *table.rows])}", flush=True)


def print_judgements(judgements):
    rows = [tuple(cell.replace("**", "") for cell in row) for row in _judged(judgements)]
    print(f"\nAims\n{_text(rows)}\n", flush=True)


def page(command, machine, method, tables, judgements):
    """docs/benchmarks.md."""
    parts = [
        "# Benchmarks",
        f"Made by `{command}`; do not edit.  How it is measured and why:\n"
        "[decisions/0001-what-is-measured.md](decisions/0001-what-is-measured.md).",
        "## Aims", _markdown(_judged(judgements)),
        "## Machine", _markdown([("", ""), *machine]).replace("---:|", "---|"),
        "## Figures", method,
    ]
    for table in tables:
        parts += [f"### {table.title}", _markdown([table.heads, *table.rows])]
    return "\n\n".join(parts) + "\n"
