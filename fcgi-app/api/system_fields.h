/*
 * The fields of what api/system.c answers; lib/host renders it.
 */
#ifndef ZIGGIE_API_SYSTEM_FIELDS_H
#define ZIGGIE_API_SYSTEM_FIELDS_H

#include "json/schema.h"

extern const struct schema system_stats_schema;
extern const struct schema system_info_schema;
extern const struct schema system_processes_schema;
extern const struct schema system_ports_schema;
extern const struct schema system_network_schema;
extern const struct schema system_disk_schema;
extern const struct schema system_resources_schema;

#endif
