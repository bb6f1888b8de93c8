#!/bin/sh
# A test program that hangs is ended and named; one that ends is left alone.
top=${ZIGGIE_TEST_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
. "$top/tests/tap.sh"

program() { # name; its text is on stdin
    { echo '#!/bin/sh'; cat; } >"$scratch/$1"
    chmod +x "$scratch/$1"
}

# Bailing out is the last that is said of a program.
hangs() { # name
    "$top/tests/bounded.sh" 1 "$scratch/$1" >"$scratch/out"
    status=$?
    said=$(tail -n 1 "$scratch/out")
    echo "# $status: $said"
    [ "$status" -ge 124 ] && [ "$said" = "Bail out! $scratch/$1 hangs: it was ended after 1 s" ]
    report $? "a program that $1 is ended and named"
}

program waits <<'TEXT'
echo "ok 1 - it began"
sleep 100
TEXT
hangs waits
grep -qx "ok 1 - it began" "$scratch/out"
report $? "what it said before is kept"

program "hears no signal" <<'TEXT'
trap '' TERM
while :; do sleep 1; done
TEXT
hangs "hears no signal"

program ends <<'TEXT'
echo "ok 1"
exit 3
TEXT
said=$("$top/tests/bounded.sh" 60 "$scratch/ends")
[ "$? $said" = "3 ok 1" ]
report $? "one that ends is left alone"

plan
