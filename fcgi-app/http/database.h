/*
 * A handler's way to a database connection: it carries the request's deadline, is
 * booked to the route, and the time with it counts as that of the database.
 */
#ifndef ZIGGIE_HTTP_DATABASE_H
#define ZIGGIE_HTTP_DATABASE_H

#include "db/db.h"
#include "http/request.h"

/* Errors of db_pool_borrow(). */
enum err http_db_borrow(struct http_request *r, struct db_conn **out, struct errmsg *why);
void http_db_return(struct http_request *r, struct db_conn *db);
/* Borrows, runs db_transaction() and returns. */
enum err http_db_transaction(struct http_request *r, db_work *fn, void *arg, struct errmsg *why);

#endif
