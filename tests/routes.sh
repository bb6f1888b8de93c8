#!/bin/sh
# A route without a policy does not build: a row that leaves out a column, or has 0 in it.
top=$ZIGGIE_TEST_SRCDIR
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
. "$top/tests/tap.sh"

compiles() { # the row's columns
    printf '%s\n' '#include "http/route.h"' 'extern route_handler get;' \
        "extern const struct route rows[]; const struct route rows[] = {ROUTE($1)};" \
        >"$scratch/row.c"
    # shellcheck disable=SC2086  # it may be "ccache gcc"
    $ZIGGIE_TEST_CC -std=gnu11 -fsyntax-only -I"$top/lib" -I"$top/fcgi-app" \
        "$scratch/row.c" 2>"$scratch/said"
}

whole='HTTP_GET, "/x", ACCESS_USER, OTHERS_NONE, "x", RATE_READ, WEIGHT_LIGHT, BODY_NONE, get, "It"'
compiles "$whole"
status=$?
[ "$status" -eq 0 ] || sed 's/^/# /' "$scratch/said"
report "$status" "a whole row compiles"

for column in HTTP_GET '"/x"' ACCESS_USER OTHERS_NONE '"x"' RATE_READ WEIGHT_LIGHT BODY_NONE get '"It"'; do
    without=$(printf '%s' "$whole" | sed "s|$column, ||; s|, $column\$||")
    [ "$without" != "$whole" ] && ! compiles "$without"
    report $? "a row without $column does not compile"
done
for column in HTTP_GET '"/x"' ACCESS_USER OTHERS_NONE '"x"' RATE_READ WEIGHT_LIGHT BODY_NONE '"It"'; do
    ! compiles "$(printf '%s' "$whole" | sed "s|$column|0|")"
    report $? "a row with 0 for $column does not compile"
done
plan
