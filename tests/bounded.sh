#!/bin/sh
# bounded.sh SECONDS PROGRAM: runs a test program for so long at most, then ends it and what it
# started, and says in TAP which one hung.
limit=$1
shift
begun=$(date +%s)
timeout --kill-after=5 "$limit" "$@"
status=$?
case $status in
124 | 137) # ended, or killed as it would not end; by others too
    if [ $(($(date +%s) - begun)) -ge "$limit" ]; then
        echo "Bail out! $1 hangs: it was ended after $limit s"
    fi
    ;;
esac
exit $status
