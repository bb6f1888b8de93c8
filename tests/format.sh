#!/bin/sh
# clang-format decides layout: every file of C is as it would write it.
top=${ZIGGIE_TEST_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
if ! command -v clang-format >/dev/null; then
    echo "1..0 # SKIP clang-format is not installed"
    exit 0
fi
cd "$top" || exit 1
said=$(find lib fcgi-app jobs ctl bench tests \( -name '*.c' -o -name '*.h' \) -print0 |
    xargs -0 clang-format --dry-run -Werror --ferror-limit=1 2>&1)
status=$?
echo "1..1"
if [ "$status" -eq 0 ]; then
    echo "ok 1 - clang-format has nothing to change"
else
    printf '%s\n' "$said" | grep 'error:' | sed 's/^/# /'
    echo "not ok 1 - clang-format has nothing to change"
fi
