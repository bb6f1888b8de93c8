#include "api/system_fields.h"

#include "base/assert.h"

/* What every answer begins with. */
#define STALE_FIELD                                                                                \
	{                                                                                          \
		"stale", FIELD_BOOL,                                                               \
		    .summary = "True when no newer figures could be read; else not there"          \
	}
#define HEAD_FIELDS                                                                                \
	STALE_FIELD, {"success", FIELD_BOOL, .flags = FIELD_REQUIRED},                             \
	{                                                                                          \
		"timestamp", FIELD_TIME, FIELD_REQUIRED | FIELD_ZONELESS,                          \
		    .summary = "When the figures were read"                                        \
	}

static const struct field frequency_fields[] = {
    {"current", FIELD_REAL, FIELD_REQUIRED, .summary = "MHz"},
    {"min", FIELD_REAL, FIELD_REQUIRED | FIELD_NULL, .summary = "MHz"},
    {"max", FIELD_REAL, FIELD_REQUIRED | FIELD_NULL, .summary = "MHz"},
};
static const struct schema frequency_schema = SCHEMA("CpuFrequency", frequency_fields);

static const struct field cpu_fields[] = {
    {"usage_percent", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"count", FIELD_INT, FIELD_REQUIRED, .summary = "Logical processors"},
    {"frequency", FIELD_OBJECT, FIELD_REQUIRED | FIELD_NULL, .of = &frequency_schema},
    {"per_cpu", FIELD_LIST, FIELD_REQUIRED, .item = FIELD_REAL, .summary = "usage_percent of each"},
};
static const struct schema cpu_schema = SCHEMA("Cpu", cpu_fields);

static const struct field memory_fields[] = {
    {"total", FIELD_INT, FIELD_REQUIRED, .summary = "Bytes"},
    {"available", FIELD_INT, FIELD_REQUIRED, .summary = "Bytes"},
    {"used", FIELD_INT, FIELD_REQUIRED, .summary = "Bytes"},
    {"percent", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"total_gb", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"used_gb", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"available_gb", FIELD_REAL, .flags = FIELD_REQUIRED},
};
static const struct schema memory_schema = SCHEMA("Memory", memory_fields);

static const struct field root_disk_fields[] = {
    {"total", FIELD_INT, FIELD_REQUIRED, .summary = "Bytes"},
    {"used", FIELD_INT, FIELD_REQUIRED, .summary = "Bytes"},
    {"free", FIELD_INT, FIELD_REQUIRED, .summary = "Bytes"},
    {"percent", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"total_gb", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"used_gb", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"free_gb", FIELD_REAL, .flags = FIELD_REQUIRED},
};
static const struct schema root_disk_schema = SCHEMA("RootDisk", root_disk_fields);

static const struct field swap_fields[] = {
    {"total", FIELD_INT, FIELD_REQUIRED, .summary = "Bytes"},
    {"used", FIELD_INT, FIELD_REQUIRED, .summary = "Bytes"},
    {"free", FIELD_INT, FIELD_REQUIRED, .summary = "Bytes"},
    {"percent", FIELD_REAL, .flags = FIELD_REQUIRED},
};
static const struct schema swap_schema = SCHEMA("Swap", swap_fields);

static const struct field pressure_line_fields[] = {
    {"avg10", FIELD_REAL, FIELD_REQUIRED, .summary = "Percent of the last 10 s"},
    {"avg60", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"avg300", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"total_us", FIELD_INT, FIELD_REQUIRED, .summary = "Microseconds since the start"},
};
static const struct schema pressure_line_schema = SCHEMA("PressureLine", pressure_line_fields);

static const struct field pressure_of_fields[] = {
    {"some", FIELD_OBJECT, FIELD_REQUIRED, .of = &pressure_line_schema,
     .summary = "Some tasks waited for it"},
    {"full", FIELD_OBJECT, .of = &pressure_line_schema, .summary = "All tasks waited for it"},
};
static const struct schema pressure_of_schema = SCHEMA("PressureOf", pressure_of_fields);

static const struct field pressure_fields[] = {
    {"cpu", FIELD_OBJECT, FIELD_REQUIRED | FIELD_NULL, .of = &pressure_of_schema},
    {"memory", FIELD_OBJECT, FIELD_REQUIRED | FIELD_NULL, .of = &pressure_of_schema},
    {"io", FIELD_OBJECT, FIELD_REQUIRED | FIELD_NULL, .of = &pressure_of_schema},
};
static const struct schema pressure_schema = SCHEMA("Pressure", pressure_fields);

static const struct field stats_fields[] = {
    HEAD_FIELDS,
    {"cpu", FIELD_OBJECT, FIELD_REQUIRED, .of = &cpu_schema},
    {"memory", FIELD_OBJECT, FIELD_REQUIRED, .of = &memory_schema},
    {"disk", FIELD_OBJECT, FIELD_REQUIRED, .of = &root_disk_schema,
     .summary = "The root file system"},
    {"load", FIELD_LIST, FIELD_REQUIRED | FIELD_NULL, .item = FIELD_REAL,
     .summary = "Averages of 1, 5 and 15 minutes"},
    {"swap", FIELD_OBJECT, FIELD_REQUIRED, .of = &swap_schema},
    {"pressure", FIELD_OBJECT, FIELD_REQUIRED | FIELD_NULL, .of = &pressure_schema,
     .summary = "Pressure stall information; null where the kernel has none"},
};
const struct schema system_stats_schema = SCHEMA("SystemStats", stats_fields);

static const struct field info_fields[] = {
    STALE_FIELD,
    {"success", FIELD_BOOL, .flags = FIELD_REQUIRED},
    {"os", FIELD_STRING, .flags = FIELD_REQUIRED},
    {"hostname", FIELD_STRING, .flags = FIELD_REQUIRED},
    {"platform", FIELD_STRING, .flags = FIELD_REQUIRED},
    {"platform_release", FIELD_STRING, .flags = FIELD_REQUIRED},
    {"platform_version", FIELD_STRING, .flags = FIELD_REQUIRED},
    {"arch", FIELD_STRING, .flags = FIELD_REQUIRED},
    {"uptime", FIELD_INT, FIELD_REQUIRED, .summary = "Seconds"},
    {"processor", FIELD_STRING, .flags = FIELD_REQUIRED},
    {"totalMemory", FIELD_INT, FIELD_REQUIRED, .summary = "Bytes"},
    {"cpuCores", FIELD_INT, FIELD_REQUIRED, .summary = "Logical processors"},
    {"cpuCoresPhysical", FIELD_INT, .flags = FIELD_REQUIRED | FIELD_NULL},
    {"boot_time", FIELD_INT, FIELD_REQUIRED, .summary = "Seconds since 1970"},
};
const struct schema system_info_schema = SCHEMA("SystemInfo", info_fields);

static const char *const process_words[] = {
    "running", "sleeping", "disk-sleep", "stopped", "tracing-stop",
    "zombie",  "dead",     "wake-kill",  "waking",  "idle",
    "parked",  "?",        NULL};
static const struct field process_fields[] = {
    {"pid", FIELD_INT, .flags = FIELD_REQUIRED},
    {"ppid", FIELD_INT, .flags = FIELD_REQUIRED},
    {"name", FIELD_STRING, .flags = FIELD_REQUIRED},
    {"username", FIELD_STRING, .flags = FIELD_REQUIRED},
    {"status", FIELD_WORD, FIELD_REQUIRED, .words = process_words},
    {"cpu_percent", FIELD_REAL, FIELD_REQUIRED, .summary = "Of one processor"},
    {"memory_percent", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"rss", FIELD_INT, FIELD_REQUIRED, .summary = "Bytes"},
    {"threads", FIELD_INT, .flags = FIELD_REQUIRED},
    {"started", FIELD_TIME, .flags = FIELD_REQUIRED | FIELD_ZONELESS},
};
static const struct schema process_schema = SCHEMA("Process", process_fields);

static const struct field processes_fields[] = {
    HEAD_FIELDS,
    {"count", FIELD_INT, FIELD_REQUIRED, .summary = "Processes of the host"},
    {"matched", FIELD_INT, .summary = "Those that `search` found"},
    {"processes", FIELD_LIST, FIELD_REQUIRED, .item = FIELD_OBJECT, .of = &process_schema},
};
const struct schema system_processes_schema = SCHEMA("SystemProcesses", processes_fields);

static const char *const protocol_words[] = {"tcp", "udp", NULL};
static const char *const port_words[] = {"LISTEN", "NONE", NULL};
static const struct field port_fields[] = {
    {"port", FIELD_INT, .flags = FIELD_REQUIRED},
    {"pid", FIELD_INT, FIELD_REQUIRED | FIELD_NULL,
     .summary = "Null when the process is not known"},
    {"process_name", FIELD_STRING, .flags = FIELD_REQUIRED | FIELD_NULL},
    {"process", FIELD_STRING, FIELD_REQUIRED | FIELD_NULL, .summary = "The same"},
    {"service", FIELD_STRING, FIELD_REQUIRED | FIELD_NULL,
     .summary = "What the port is registered for"},
    {"protocol", FIELD_WORD, FIELD_REQUIRED, .words = protocol_words},
    {"status", FIELD_WORD, FIELD_REQUIRED, .words = port_words},
    {"address", FIELD_STRING, .flags = FIELD_REQUIRED},
};
static const struct schema port_schema = SCHEMA("Port", port_fields);

static const struct field ports_fields[] = {
    HEAD_FIELDS,
    {"count", FIELD_INT, .flags = FIELD_REQUIRED},
    {"ports", FIELD_LIST, FIELD_REQUIRED, .item = FIELD_OBJECT, .of = &port_schema},
};
const struct schema system_ports_schema = SCHEMA("SystemPorts", ports_fields);

static const struct field traffic_fields[] = {
    {"bytes_sent", FIELD_INT, .flags = FIELD_REQUIRED},
    {"bytes_recv", FIELD_INT, .flags = FIELD_REQUIRED},
    {"packets_sent", FIELD_INT, .flags = FIELD_REQUIRED},
    {"packets_recv", FIELD_INT, .flags = FIELD_REQUIRED},
    {"errin", FIELD_INT, .flags = FIELD_REQUIRED},
    {"errout", FIELD_INT, .flags = FIELD_REQUIRED},
    {"dropin", FIELD_INT, .flags = FIELD_REQUIRED},
    {"dropout", FIELD_INT, .flags = FIELD_REQUIRED},
    {"bytes_sent_per_sec", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"bytes_recv_per_sec", FIELD_REAL, .flags = FIELD_REQUIRED},
};
static const struct schema traffic_schema = SCHEMA("Traffic", traffic_fields);

static const struct field interface_fields[] = {
    {"name", FIELD_STRING, .flags = FIELD_REQUIRED},
    {"bytes_sent", FIELD_INT, .flags = FIELD_REQUIRED},
    {"bytes_recv", FIELD_INT, .flags = FIELD_REQUIRED},
    {"packets_sent", FIELD_INT, .flags = FIELD_REQUIRED},
    {"packets_recv", FIELD_INT, .flags = FIELD_REQUIRED},
    {"errin", FIELD_INT, .flags = FIELD_REQUIRED},
    {"errout", FIELD_INT, .flags = FIELD_REQUIRED},
    {"dropin", FIELD_INT, .flags = FIELD_REQUIRED},
    {"dropout", FIELD_INT, .flags = FIELD_REQUIRED},
    {"bytes_sent_per_sec", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"bytes_recv_per_sec", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"is_up", FIELD_BOOL, .flags = FIELD_REQUIRED},
    {"speed", FIELD_INT, FIELD_REQUIRED, .summary = "Mbit/s; 0 when it is not known"},
    {"mtu", FIELD_INT, .flags = FIELD_REQUIRED},
    {"addresses", FIELD_LIST, FIELD_REQUIRED, .item = FIELD_STRING},
};
static const struct schema interface_schema = SCHEMA("Interface", interface_fields);

static const struct field network_fields[] = {
    HEAD_FIELDS,
    {"interfaces", FIELD_LIST, FIELD_REQUIRED, .item = FIELD_OBJECT, .of = &interface_schema},
    {"total", FIELD_OBJECT, FIELD_REQUIRED, .of = &traffic_schema, .summary = "Of all interfaces"},
    {"connections", FIELD_OBJECT, FIELD_REQUIRED, .summary = "How many, by state"},
};
const struct schema system_network_schema = SCHEMA("SystemNetwork", network_fields);

static const struct field partition_fields[] = {
    {"device", FIELD_STRING, .flags = FIELD_REQUIRED},
    {"mountpoint", FIELD_STRING, .flags = FIELD_REQUIRED},
    {"fstype", FIELD_STRING, .flags = FIELD_REQUIRED},
    {"total", FIELD_INT, FIELD_REQUIRED, .summary = "Bytes"},
    {"used", FIELD_INT, FIELD_REQUIRED, .summary = "Bytes"},
    {"free", FIELD_INT, FIELD_REQUIRED, .summary = "Bytes"},
    {"percent", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"inodes_percent", FIELD_REAL, FIELD_REQUIRED | FIELD_NULL,
     .summary = "Null where there are no inodes"},
};
static const struct schema partition_schema = SCHEMA("Partition", partition_fields);

static const struct field disk_io_fields[] = {
    {"device", FIELD_STRING, .flags = FIELD_REQUIRED},
    {"read_bytes", FIELD_INT, .flags = FIELD_REQUIRED},
    {"write_bytes", FIELD_INT, .flags = FIELD_REQUIRED},
    {"read_count", FIELD_INT, .flags = FIELD_REQUIRED},
    {"write_count", FIELD_INT, .flags = FIELD_REQUIRED},
    {"read_bytes_per_sec", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"write_bytes_per_sec", FIELD_REAL, .flags = FIELD_REQUIRED},
    {"busy_percent", FIELD_REAL, .flags = FIELD_REQUIRED},
};
static const struct schema disk_io_schema = SCHEMA("DiskIo", disk_io_fields);

static const struct field disk_fields[] = {
    HEAD_FIELDS,
    {"partitions", FIELD_LIST, FIELD_REQUIRED, .item = FIELD_OBJECT, .of = &partition_schema},
    {"io", FIELD_LIST, FIELD_REQUIRED, .item = FIELD_OBJECT, .of = &disk_io_schema},
};
const struct schema system_disk_schema = SCHEMA("SystemDisk", disk_fields);

static const struct field resources_fields[] = {
    HEAD_FIELDS,
    {"cpu", FIELD_OBJECT, FIELD_REQUIRED, .of = &cpu_schema},
    {"memory", FIELD_OBJECT, FIELD_REQUIRED, .of = &memory_schema},
    {"disk", FIELD_OBJECT, FIELD_REQUIRED, .of = &root_disk_schema,
     .summary = "The root file system"},
    {"network", FIELD_OBJECT, FIELD_REQUIRED, .of = &traffic_schema,
     .summary = "Of all interfaces"},
};
const struct schema system_resources_schema = SCHEMA("SystemResources", resources_fields);
