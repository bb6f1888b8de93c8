# shellcheck shell=sh
# For the tests that are shell scripts: TAP's lines, numbered.  Ends with `plan`.
number=0

report() { # status, name
    number=$((number + 1))
    [ "$1" -eq 0 ] || printf 'not '
    echo "ok $number - $2"
}

plan() {
    echo "1..$number"
}
