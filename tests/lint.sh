#!/bin/sh
# TAP: script/lint sees a fault of each kind, says so, and does not take it for clean the next time.
top=${ZIGGIE_TEST_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
build=${ZIGGIE_TEST_BUILDDIR:-$top/build}
for tool in clang-tidy cppcheck shellcheck pyflakes3; do
    if ! command -v "$tool" >/dev/null; then
        echo "1..0 # SKIP $tool is not installed"
        exit 0
    fi
done
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/script/lib" "$scratch/fcgi-app/supervisor" "$scratch/lib/base" "$scratch/build"
cp "$top/script/lint" "$scratch/script/"
cp "$top/script/lib/cppcheck.suppressions" "$scratch/script/lib/"
cp "$top/.clang-tidy" "$scratch/"
cp "$top/fcgi-app/supervisor/.clang-tidy" "$scratch/fcgi-app/supervisor/"
cp "$build/config.h" "$scratch/build/"
printf 'lint-flags:\n\t@echo -Wall\n' >"$scratch/build/Makefile"
cp "$top/autogen.sh" "$scratch/"
. "$top/tests/tap.sh"

run() { # tool
    said=$(/usr/bin/python3 -B "$scratch/script/lint" --build-dir "$scratch/build" --tool "$1" 2>&1)
}

sees() { # tool, path, text, words
    printf '%s\n' "$3" >"$scratch/$2"
    for time in first second; do
        run "$1"
        status=$?
        case "$status $said" in
        "1 "*"$4"*) report 0 "$1 sees a fault the $time time" ;;
        *)
            echo "# status $status: $said"
            report 1 "$1 sees a fault the $time time"
            ;;
        esac
    done
    rm "$scratch/$2"
}

sees gcc lib/base/x.c '#include <stdlib.h>
void f(void *p);
void f(void *p) { free(p); free(p); }' Wanalyzer-double-free
sees clang-tidy lib/base/x.c 'int f(int a);
int f(int a) { if (a > 1 && a > 1) return 1; return 0; }' misc-redundant-expression
sees cppcheck lib/base/x.c 'int f(int a);
int f(int a) { int b[2]; b[1] = a; return b[a / a + 1 > 0 ? 3 : 3]; }' arrayIndexOutOfBounds
# shellcheck disable=SC2016
sees shellcheck script/x.sh '#!/bin/sh
rm $1' SC2086
sees pyflakes script/x.py 'import os' 'imported but unused'

echo 'int f(int a); int f(int a) { return a; }' >"$scratch/lib/base/x.c"
run gcc
case "$? $said" in
"0 lint: 1 clean (0 since before), 0 not"*) report 0 "a clean file is clean" ;;
*) echo "# $said"; report 1 "a clean file is clean" ;;
esac
run gcc
case "$? $said" in
"0 lint: 1 clean (1 since before), 0 not"*) report 0 "and is known from then on" ;;
*) echo "# $said"; report 1 "and is known from then on" ;;
esac
echo 'int f(int a); int f(int a) { return a + 1; }' >"$scratch/lib/base/x.c"
run gcc
case "$? $said" in
"0 lint: 1 clean (0 since before), 0 not"*) report 0 "until it changes" ;;
*) echo "# $said"; report 1 "until it changes" ;;
esac
plan
