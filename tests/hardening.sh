#!/bin/sh
# TAP: every installed program is hardened as configure promises.  Not a test of builds that
# were asked to go without (sanitizers, --disable-hardening, -O0).
cd "$ZIGGIE_TEST_BUILDDIR" || exit 1
programs="ziggied ziggie-worker ziggie-jobs ziggiectl"
[ ! -e ziggie-fcgi ] || programs="$programs ziggie-fcgi" # not made without libfcgi
echo "1..$(($(echo "$programs" | wc -w) * 5))"
number=0
check() { # program, what, command …
    number=$((number + 1))
    program=$1 what=$2
    shift 2
    if "$@"; then
        echo "ok $number - $program: $what"
    else
        echo "not ok $number - $program: $what"
    fi
}
has() { # readelf option, program, pattern
    readelf -W "$1" "$2" | grep -q -- "$3"
}
for program in $programs; do
    check "$program" "position independent" has -h "$program" 'DYN '
    check "$program" "relocations read-only" has -l "$program" GNU_RELRO
    check "$program" "bound at start" has -d "$program" 'BIND_NOW\|FLAGS.*NOW'
    check "$program" "stack protector" has -s "$program" __stack_chk_fail
    check "$program" "fortified" has -s "$program" '__[a-z]*_chk'
done
