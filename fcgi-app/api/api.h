/*
 * The rows that each file of this folder exports, for fcgi-app/routes.c.
 */
#ifndef ZIGGIE_API_API_H
#define ZIGGIE_API_API_H

#include <stddef.h>

#include "http/route.h"

extern const struct route about_routes[];
extern const size_t about_route_count;

extern const struct route account_routes[];
extern const size_t account_route_count;

extern const struct route agent_routes[];
extern const size_t agent_route_count;

extern const struct route legacy_agent_routes[];
extern const size_t legacy_agent_route_count;

extern const struct route legacy_agent_stats_routes[];
extern const size_t legacy_agent_stats_route_count;

extern const struct route api_key_routes[];
extern const size_t api_key_route_count;

extern const struct route audit_routes[];
extern const size_t audit_route_count;

extern const struct route auth_routes[];
extern const size_t auth_route_count;

extern const struct route cache_routes[];
extern const size_t cache_route_count;

extern const struct route description_routes[];
extern const size_t description_route_count;

extern const struct route health_routes[];
extern const size_t health_route_count;

extern const struct route host_routes[];
extern const size_t host_route_count;

extern const struct route goal_routes[];
extern const size_t goal_route_count;

extern const struct route performance_routes[];
extern const size_t performance_route_count;

extern const struct route job_routes[];
extern const size_t job_route_count;
extern const struct route plan_routes[];
extern const size_t plan_route_count;

extern const struct route project_routes[];
extern const size_t project_route_count;

extern const struct route task_routes[];
extern const size_t task_route_count;

extern const struct route system_routes[];
extern const size_t system_route_count;

extern const struct route user_routes[];
extern const size_t user_route_count;

#endif
