#!/bin/sh
# TAP: the texts made from the table of settings are up to date.
echo 1..1
if ZIGGIE_BUILD=$ZIGGIE_TEST_BUILDDIR "$ZIGGIE_TEST_SRCDIR/script/generate" --check; then
    echo "ok 1 - generated texts are up to date"
else
    echo "not ok 1 - generated texts are up to date"
fi
