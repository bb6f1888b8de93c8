/*
 * A sample of this host that comes back from memcached, which anybody on the
 * machine may have written.  Views stay inside of it; answers made of it are JSON.
 */
#include <math.h>

#include "fuzz.h"
#include "host/host.h"
#include "reference.h"

static void check_inside(const char *part, size_t part_len, const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	AN_INVARIANT(part >= text && part_len <= size && part + part_len <= text + size);
}

static void check_summary(const struct host_view *view)
{
	struct host_summary s;
	if (host_view_summary(view, &s) != ERR_OK)
		return;
	AN_INVARIANT(isfinite(s.cpu_percent) && isfinite(s.memory_percent));
	AN_INVARIANT(isfinite(s.disk_percent) && view->kind == HOST_STATS);
}

/* A NUL, which no name of the kernel's has, comes out as an escape that strict JSON refuses. */
static void check_processes(const struct host_view *view, const struct host_process_query *query)
{
	bool has_nul = memchr(view->rest, '\0', view->rest_len) != NULL;
	STRBUF_CLEANUP json = STRBUF_INIT;
	struct errmsg why = ERRMSG_INIT;
	enum err err = host_view_processes(view, query, &json, &why);
	AN_INVARIANT((err == ERR_OK) == (why.text[0] == '\0'));
	if (err == ERR_OK && !has_nul)
		AN_INVARIANT(reference_json(json.data, json.len).taken);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct host_view view;
	if (host_view_open((const char *)data, size, &view) != ERR_OK)
		return 0;
	check_inside(view.json, view.json_len, data, size);
	check_inside(view.rest, view.rest_len, data, size);
	check_summary(&view);
	for (int sort = HOST_SORT_CPU; sort <= HOST_SORT_NAME; sort++) {
		struct host_process_query query = {
		    .limit = 3, .sort = (enum host_process_sort)sort, .search = "A"};
		check_processes(&view, &query);
		query.search = NULL;
		check_processes(&view, &query);
	}
	return 0;
}
