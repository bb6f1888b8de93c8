#include "http/database.h"

#include "db/pool.h"
#include "http/router.h"

enum err http_db_borrow(struct http_request *r, struct db_conn **out, struct errmsg *why)
{
	http_phase_enter(r, PHASE_DB);
	enum err err = db_pool_borrow(r->app->pool, &r->deadline, r->route->path, out, why);
	if (err == ERR_OK)
		db_set_route(*out, r->app->route_ids[router_index(r->app->router, r->route)]);
	return err;
}

void http_db_return(struct http_request *r, struct db_conn *db)
{
	db_pool_return(r->app->pool, db);
	http_phase_enter(r, PHASE_HANDLER);
}

enum err http_db_transaction(struct http_request *r, db_work *fn, void *arg, struct errmsg *why)
{
	struct db_conn *db;
	enum err err = http_db_borrow(r, &db, why);
	if (err != ERR_OK)
		return err;
	err = db_transaction(db, fn, arg, why);
	http_db_return(r, db);
	return err;
}
