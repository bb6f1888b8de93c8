/*
 * What the server's and the client library's error numbers mean to us.  Numbers
 * are stable across MariaDB's releases, names are not.
 */
#ifndef ZIGGIE_DB_MARIADB_ERRORS_H
#define ZIGGIE_DB_MARIADB_ERRORS_H

#include <stdbool.h>

#include "base/error.h"

/* Anything unknown is ERR_INTERNAL. */
enum err mariadb_error(unsigned number, const char *sqlstate);
/* Whether the connection is gone or no longer in step. */
bool mariadb_error_breaks(unsigned number);
/* Whether the statement can't have reached the server. */
bool mariadb_error_before_send(unsigned number);

#endif
