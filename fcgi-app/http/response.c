#include "http/response.h"

#include "base/clock.h"

const char *const http_phase_names[PHASE_COUNT] = {
    [PHASE_QUEUE] = "queue", [PHASE_AUTH] = "auth",       [PHASE_CACHE] = "cache",
    [PHASE_DB] = "db",       [PHASE_HANDLER] = "handler",
};

const char *http_status_text(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 201:
		return "Created";
	case 202:
		return "Accepted";
	case 204:
		return "No Content";
	case 304:
		return "Not Modified";
	}
	for (int code = 0; code < ERR_COUNT; code++)
		if (err_http_status((enum err)code) == status)
			return err_text((enum err)code);
	return "Unknown";
}

void http_header(struct http_response *response, const char *name, const char *value)
{
	strbuf_adds(&response->headers, name);
	strbuf_adds(&response->headers, ": ");
	for (; *value != '\0'; value++)
		if ((unsigned char)*value >= 0x20 && *value != 0x7f)
			strbuf_addc(&response->headers, *value);
	strbuf_adds(&response->headers, "\r\n");
}

void http_phase_enter(struct http_request *r, enum http_phase phase)
{
	int64_t now = clock_mono_ns();
	r->spans[r->phase] += now - r->phase_since_ns;
	r->phase_since_ns = now;
	r->phase = phase;
}

static void add_duration(struct strbuf *out, int64_t us)
{
	strbuf_adds(out, ";dur=");
	strbuf_addi(out, us / 1000);
	char fraction[4] = {'.', (char)('0' + us / 100 % 10), (char)('0' + us / 10 % 10),
			    (char)('0' + us % 10)};
	strbuf_add(out, fraction, sizeof(fraction));
}

/* "queue;dur=0.412, handler;dur=1.003": milliseconds, phases that took none left out. */
static void server_timing(const struct http_request *r, struct strbuf *out)
{
	strbuf_adds(out, "Server-Timing: ");
	int64_t total = 0;
	for (int phase = 0; phase < PHASE_COUNT; phase++) {
		int64_t us = r->spans[phase] / NS_PER_US;
		if (us <= 0)
			continue;
		total += us;
		strbuf_adds(out, http_phase_names[phase]);
		add_duration(out, us);
		strbuf_adds(out, ", ");
	}
	strbuf_adds(out, "total");
	add_duration(out, total);
	strbuf_adds(out, "\r\n");
}

static void trace_response(const struct http_request *r, struct strbuf *out)
{
	if (r->trace_id[0] == '\0')
		return;
	strbuf_adds(out, "Traceresponse: 00-");
	strbuf_adds(out, r->trace_id);
	strbuf_addc(out, '-');
	strbuf_adds(out, r->span_id);
	strbuf_addc(out, '-');
	strbuf_add(out, r->trace_flags, 2);
	strbuf_adds(out, "\r\n");
}

void response_head(const struct http_request *r, const struct http_response *response,
		   struct strbuf *out)
{
	strbuf_adds(out, "Status: ");
	strbuf_addi(out, response->status);
	strbuf_addc(out, ' ');
	strbuf_adds(out, http_status_text(response->status));
	if (response->status != 204 && response->status != 304) {
		strbuf_adds(out, "\r\nContent-Type: ");
		strbuf_adds(out, response->content_type);
		strbuf_adds(out, "\r\nContent-Length: ");
		strbuf_addu(out, response->body.len);
	}
	strbuf_adds(out, "\r\nCache-Control: ");
	strbuf_adds(out, response->cache_control);
	strbuf_adds(out, "\r\nX-Request-Id: ");
	strbuf_adds(out, r->id);
	strbuf_adds(out, "\r\n");
	trace_response(r, out);
	server_timing(r, out);
	strbuf_add(out, response->headers.data, response->headers.len);
	strbuf_adds(out, "\r\n");
}
