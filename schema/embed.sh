#!/bin/sh
# Writes a C file that holds the migrations given as arguments, in their order.
#   embed.sh OUTPUT 0001_first.sql 0002_second.sql ...
set -eu

output=$1
shift

{
	printf '%s\n' '/* Made by schema/embed.sh from the numbered files of schema. */' \
		'#include "store/migrate.h"' '' 'const struct migration migrations[] = {'
	last=0
	for file in "$@"; do
		name=$(basename "$file" .sql)
		number=$(printf '%s' "${name%%_*}" | sed 's/^0*//')
		case $number in
		'' | *[!0-9]*)
			printf '%s\n' "$0: $file: the name must begin with a number and _" >&2
			exit 1
			;;
		esac
		if [ "$number" -le "$last" ]; then
			printf '%s\n' "$0: $file: numbers must ascend" >&2
			exit 1
		fi
		last=$number
		printf '\t{%s, "%s",\n' "$number" "${name#*_}"
		sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/	/\\t/g' -e 's/^/\t "/' -e 's/$/\\n"/' "$file"
		printf '\t},\n'
	done
	printf '%s\n' '	{0, NULL, NULL},' '};'
} >"$output.tmp"
mv "$output.tmp" "$output"
