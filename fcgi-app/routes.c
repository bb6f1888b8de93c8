/*
 * The one visible list of all routes: a table from each file in api/.
 */
#include "api/api.h"
#include "http/route.h"

const struct route_table route_tables[] = {
    {about_routes, &about_route_count, "about", "This service itself."},
    {description_routes, &description_route_count, "description", "This description."},
    {health_routes, &health_route_count, "health", "Whether it is alive, ready and well."},
    {auth_routes, &auth_route_count, "auth", "Signing in and out."},
    {account_routes, &account_route_count, "account", "The own account."},
    {user_routes, &user_route_count, "users", "All accounts, for administrators."},
    {api_key_routes, &api_key_route_count, "api-keys", "Keys for programs."},
    {audit_routes, &audit_route_count, "audit", "Who did what, when and from where."},
    {system_routes, &system_route_count, "system", "What a host is doing."},
    {host_routes, &host_route_count, "hosts", "The hosts that share the database."},
    {agent_routes, &agent_route_count, "agents", "Agents: who works, and under whom."},
    {legacy_agent_routes, &legacy_agent_route_count, "agents-legacy",
     "Agents as the old dashboard reads them."},
    {legacy_agent_stats_routes, &legacy_agent_stats_route_count, "agents-counted",
     "How many agents there are, and how fresh that is."},
    {project_routes, &project_route_count, "projects", "What goals belong to."},
    {goal_routes, &goal_route_count, "goals", "What is to be reached, and by whom."},
    {plan_routes, &plan_route_count, "plans", "The tasks that are to reach a goal."},
    {task_routes, &task_route_count, "tasks", "Work that agents take, each by one at a time."},
    {job_routes, &job_route_count, "jobs", "Background work: how far it is, and what came of it."},
    {cache_routes, &cache_route_count, "cache", "What is cached, and dropping it."},
    {performance_routes, &performance_route_count, "performance",
     "How long requests and statements take."},
};
const size_t route_table_count = sizeof(route_tables) / sizeof(route_tables[0]);
