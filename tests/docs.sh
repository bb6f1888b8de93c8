#!/bin/sh
# TAP: the documentation agrees with the code, and script/check-docs catches where it does not.
top=${ZIGGIE_TEST_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
check="python3 -B $top/script/check-docs"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
. "$top/tests/tap.sh"

# A small tree in which everything agrees.
plant() {
    rm -rf "$scratch/tree"
    mkdir -p "$scratch/tree/lib/shm" "$scratch/tree/lib/metrics" "$scratch/tree/docs"
    cd "$scratch/tree" || exit 1
    cat >lib/shm/values.h <<'TEXT'
COUNTER(waits, "ziggie_waits_total", "", "Waits.")
TEXT
    echo 'static void f(void) { family(p, "ziggie_threads", "gauge", "Threads."); }' \
        >lib/metrics/metrics.c
    cat >lib/code.c <<'TEXT'
void f(void) {
	LOG_EVENT(LOG_INFO, "born", LOG_STR("name", "not_an_event"));
	LOG_EVENT(good ? LOG_INFO : LOG_ERROR, good ? "ended" : "died",
		  LOG_STR("name", x));
	set(COUNTER_waits);
}
TEXT
    cat >docs/operating.md <<'TEXT'
# Operating
See [events](#events), [this](../lib/code.c), `ziggie_waits_total` and `ziggie_threads`.
### Events
| event | meaning |
|---|---|
| `born` | it began |
| `died` | badly |
| `ended` | well |
TEXT
}

# The planted tree, changed by a command, must be refused with these words.
refuses() { # name, words, command
    plant
    sh -c "$3" || exit 1
    said=$($check "$scratch/tree")
    status=$?
    case "$status $said" in
    "1 "*"$2"*) report 0 "$1 is caught" ;;
    *)
        echo "# status $status: $said"
        report 1 "$1 is caught"
        ;;
    esac
}

said=$($check "$top")
status=$?
[ -z "$said" ] || printf '%s\n' "$said" | sed 's/^/# /'
report "$status" "the documentation agrees with the code"

plant
said=$($check "$scratch/tree")
status=$?
[ -z "$said" ] || echo "# $said"
report "$status" "a tree in which all agrees is accepted"

refuses "an event without a row" 'no row for the event "died"' "sed -i '/died/d' docs/operating.md"
refuses "a row without an event" 'no program logs the event "ended"' \
    "sed -i 's/\"ended\"/\"finished\"/' lib/code.c"
refuses "an event in a comment only" 'no program logs the event "born"' \
    "sed -i 's|.*\"born\".*|// LOG_EVENT(LOG_INFO, \"born\", x);|' lib/code.c"
refuses "a table out of order" 'not sorted' "sed -i '/born/{h;d};\$G' docs/operating.md"
refuses "a metric that nothing sets" 'nothing sets counter waits' "sed -i '/COUNTER_/d' lib/code.c"
refuses "a metric that does not exist" 'no metric ziggie_waits_seconds' \
    "echo ziggie_waits_seconds >>docs/operating.md"
refuses "a broken link" 'leads nowhere' "rm lib/code.c; echo '[x](code.c)' >>docs/operating.md"
refuses "a link to no heading" 'no heading #nowhere' "echo '[x](#nowhere)' >>docs/operating.md"

plan
