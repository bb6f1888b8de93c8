#!/bin/sh
# The tree keeps script/check-rules, and script/check-rules catches each kind of violation.
top=${ZIGGIE_TEST_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
check="python3 -B $top/script/check-rules"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
. "$top/tests/tap.sh"

# A file with the given text must be refused, with a message that has the given words.
refuses() { # name, path, text, words
    rm -rf "$scratch/tree"
    mkdir -p "$scratch/tree/$(dirname "$2")"
    printf '%s\n' "$3" >"$scratch/tree/$2"
    said=$($check "$scratch/tree")
    status=$?
    case "$status $said" in
    "1 $2:"*"$4"*) report 0 "$1 is caught" ;;
    *)
        echo "# status $status: $said"
        report 1 "$1 is caught"
        ;;
    esac
}

accepts() { # name, path, text
    rm -rf "$scratch/tree"
    mkdir -p "$scratch/tree/$(dirname "$2")"
    printf '%s\n' "$3" >"$scratch/tree/$2"
    said=$($check "$scratch/tree")
    status=$?
    [ -z "$said" ] || echo "# $said"
    report "$status" "$1 is accepted"
}

said=$($check "$top")
status=$?
[ -z "$said" ] || printf '%s\n' "$said" | sed 's/^/# /'
report "$status" "the tree keeps the rules"

refuses "an upward include" lib/db/x.c '#include "store/users.h"' 'may include only'
refuses "HTTP in lib" lib/store/x.c '#include "http/request.h"' 'may include only'
refuses "a program in the API" fcgi-app/api/x.c '#include "worker/app.h"' 'may include only'
refuses "the database in the supervisor" fcgi-app/supervisor/x.c '#include "db/db.h"' 'may include'
refuses "mysql.h in the API" fcgi-app/api/x.c '#include <mysql.h>' 'behind lib/db'
refuses "mysql.h in a second file of lib/db" lib/db/pool.c '#include <mariadb/mysql.h>' 'behind lib/db'
refuses "libmemcached outside" lib/host/x.c '#include <libmemcached/memcached.h>' 'behind lib/cache'
refuses "json-c outside" fcgi-app/http/x.c '#include <json-c/json.h>' 'behind lib/json'
refuses "the wire format outside" fcgi-app/worker/x.c '#include <fastcgi.h>' 'codec'
refuses "libfcgi in the worker" fcgi-app/worker/x.c '#include <fcgiapp.h>' 'libfcgi'
refuses "libfcgi in a second file of ziggie-fcgi" fcgi-app/compat/main.c '#include <fcgiapp.h>' 'libfcgi'
refuses "the engine in ziggie-fcgi" fcgi-app/compat/x.c '#include "worker/engine.h"' 'may include only'
refuses "HTTP in ziggiectl" ctl/x.c '#include "http/request.h"' 'know no HTTP'
refuses "an include without folder" lib/base/x.c '#include "strbuf.h"' 'folder'
refuses "strcpy" lib/base/x.c 'void f(char *a) { strcpy(a, "b"); }' 'calls strcpy()'
refuses "sprintf across blanks" lib/base/x.c 'int g(char *a) { return sprintf (a, "b"); }' 'sprintf'
refuses "atoi" tests/unit/x.c 'int g(char *a) { return atoi(a); }' 'calls atoi()'
refuses "SQL in the API" fcgi-app/api/x.c \
    'const char *q = "SELECT id, name " "FROM users WHERE id = ?";' 'lib/store'
refuses "a handmade row of routes" fcgi-app/api/x.c \
    'const struct route rows[] = {{.path = "/x", .handler = get_x}};' 'no ROUTE()'
refuses "a handmade row without names" fcgi-app/api/x.c \
    'const struct route rows[] = {{HTTP_GET, "/x"}};' 'no ROUTE()'
refuses "a table that its users would wait for" schema/0100_x.sql \
    'ALTER TABLE agents ADD COLUMN IF NOT EXISTS a INT NULL;' 'LOCK=NONE'
refuses "a leftover note" lib/base/x.c '/* TODO: later */' 'TODO'

rm -rf "$scratch/tree"
mkdir -p "$scratch/tree/lib/cache"
echo '#include <libmemcached/memcached.h>' >"$scratch/tree/lib/cache/a.c"
cp "$scratch/tree/lib/cache/a.c" "$scratch/tree/lib/cache/b.c"
said=$($check "$scratch/tree")
[ "$said" = "lib/cache/b.c:1: is a second file that includes libmemcached: keep it to one" ]
report $? "a second file with libmemcached is caught"

accepts "a downward include" lib/store/x.c '#include "db/db.h"'
accepts "the rows in ziggiectl routes" ctl/cmd_routes.c '#include "http/route.h"'
accepts "a banned name in a comment or a string" lib/base/x.c \
    '/* strcpy(a) */ const char *s = "sprintf(x)"; // atoi(y)'
accepts "snprintf" lib/base/x.c 'void f(char *a) { snprintf(a, 2, "b"); }'
accepts "SQL in a store" lib/store/x.c 'const char *q = "DELETE FROM tokens WHERE hash = ?";'

plan
