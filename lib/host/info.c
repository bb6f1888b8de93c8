/*
 * GET /api/system/info: what rarely changes.
 */
#include <sys/utsname.h>

#include "host/collector.h"

static void put_platform(struct json_writer *w)
{
	struct utsname name;
	uname(&name);
	json_put_string(w, "os", name.sysname);
	json_put_string(w, "hostname", name.nodename);
	json_put_string(w, "platform", name.sysname);
	json_put_string(w, "platform_release", name.release);
	json_put_string(w, "platform_version", name.version);
	json_put_string(w, "arch", name.machine);
}

enum err collect_info(struct host_collector *c, struct strbuf *json, struct strbuf *rest,
		      struct errmsg *why)
{
	(void)rest;
	struct meminfo memory;
	uint64_t boot_time;
	size_t cpus;
	double uptime = 0;
	enum err err = memory_read(c, &memory, why);
	if (err == ERR_OK)
		err = cpu_count_read(c, &cpus, &boot_time, why);
	if (err == ERR_OK)
		err = host_need(c, c->proc, "uptime", why);
	if (err != ERR_OK)
		return err;
	if (!parse_uptime(c->file.data, c->file.len, &uptime))
		return err_set(why, ERR_PROTOCOL, "uptime of /proc is no number");
	const struct cpu_model *model = cpu_read_model(c);
	struct json_writer w;
	json_init(&w, json);
	json_object(&w);
	json_put_bool(&w, "success", true);
	put_platform(&w);
	json_put_uint(&w, "uptime", uptime < 1e15 ? (uint64_t)uptime : 0);
	json_put_string(&w, "processor", model->model);
	json_put_uint(&w, "totalMemory", memory.total);
	json_put_uint(&w, "cpuCores", cpus);
	json_key(&w, "cpuCoresPhysical");
	if (model->physical > 0)
		json_uint(&w, model->physical);
	else
		json_null(&w);
	json_put_uint(&w, "boot_time", boot_time);
	json_end(&w);
	return ERR_OK;
}
