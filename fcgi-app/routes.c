/*
 * The one visible list of all routes: a table from each file in api/.
 */
#include "api/api.h"
#include "http/route.h"

const struct route_table route_tables[] = {
    {about_routes, &about_route_count}, {health_routes, &health_route_count},
    {auth_routes, &auth_route_count},   {account_routes, &account_route_count},
    {user_routes, &user_route_count},   {system_routes, &system_route_count},
    {host_routes, &host_route_count},   {agent_routes, &agent_route_count},
};
const size_t route_table_count = sizeof(route_tables) / sizeof(route_tables[0]);
