#include "json/writer.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/escape.h"

enum { MAX_DEPTH = 32, MAX_DECIMALS = 6 };

void json_init(struct json_writer *w, struct strbuf *out)
{
	*w = (struct json_writer){.out = out};
}

bool json_ok(const struct json_writer *w)
{
	return w->depth == 0 && !w->out->failed;
}

static uint32_t level_bit(const struct json_writer *w)
{
	return UINT32_C(1) << (w->depth - 1);
}

/* What stands before a value: nothing after a key, a comma between items. */
static void before_value(struct json_writer *w)
{
	if (w->after_key) {
		w->after_key = false;
		return;
	}
	if (w->depth == 0)
		return;
	AN_INVARIANT(!(w->is_object & level_bit(w)));
	if (w->has_items & level_bit(w))
		strbuf_addc(w->out, ',');
	w->has_items |= level_bit(w);
}

static void open_level(struct json_writer *w, bool object)
{
	before_value(w);
	AN_INVARIANT(w->depth < MAX_DEPTH);
	w->depth++;
	w->has_items &= ~level_bit(w);
	if (object)
		w->is_object |= level_bit(w);
	else
		w->is_object &= ~level_bit(w);
	strbuf_addc(w->out, object ? '{' : '[');
}

void json_object(struct json_writer *w)
{
	open_level(w, true);
}

void json_array(struct json_writer *w)
{
	open_level(w, false);
}

void json_end(struct json_writer *w)
{
	AN_INVARIANT(w->depth > 0 && !w->after_key);
	strbuf_addc(w->out, w->is_object & level_bit(w) ? '}' : ']');
	w->depth--;
}

void json_key(struct json_writer *w, const char *key)
{
	AN_INVARIANT(w->depth > 0 && (w->is_object & level_bit(w)) && !w->after_key);
	size_t len = strlen(key);
	strbuf_reserve(w->out, len + 4); /* once for the three, but when something is escaped */
	if (w->has_items & level_bit(w))
		strbuf_addc(w->out, ',');
	w->has_items |= level_bit(w);
	escape_json(w->out, key, len);
	strbuf_addc(w->out, ':');
	w->after_key = true;
}

void json_string(struct json_writer *w, const char *text)
{
	if (text == NULL)
		json_null(w);
	else
		json_stringn(w, text, strlen(text));
}

void json_stringn(struct json_writer *w, const char *text, size_t len)
{
	before_value(w);
	escape_json(w->out, text, len);
}

void json_int(struct json_writer *w, int64_t value)
{
	before_value(w);
	strbuf_addi(w->out, value);
}

void json_uint(struct json_writer *w, uint64_t value)
{
	before_value(w);
	strbuf_addu(w->out, value);
}

/* Fixed decimals by integer arithmetic where it is exact, by printf beyond. */
void json_real(struct json_writer *w, double value, int decimals)
{
	static const double scales[MAX_DECIMALS + 1] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};
	AN_INVARIANT(decimals >= 0 && decimals <= MAX_DECIMALS);
	if (!isfinite(value)) {
		json_null(w);
		return;
	}
	before_value(w);
	if (fabs(value) >= 1e9) {
		strbuf_addf(w->out, "%.*f", decimals, value);
		return;
	}
	int64_t scaled = (int64_t)(fabs(value) * scales[decimals] + 0.5);
	int64_t unit = (int64_t)scales[decimals];
	if (value < 0 && scaled > 0)
		strbuf_addc(w->out, '-');
	strbuf_addi(w->out, scaled / unit);
	if (decimals == 0)
		return;
	char fraction[MAX_DECIMALS + 1] = ".";
	int64_t rest = scaled % unit;
	for (int i = decimals; i > 0; i--, rest /= 10)
		fraction[i] = (char)('0' + rest % 10);
	strbuf_add(w->out, fraction, (size_t)decimals + 1);
}

void json_bool(struct json_writer *w, bool value)
{
	before_value(w);
	strbuf_adds(w->out, value ? "true" : "false");
}

void json_null(struct json_writer *w)
{
	before_value(w);
	strbuf_adds(w->out, "null");
}

void json_raw(struct json_writer *w, const char *json, size_t len)
{
	before_value(w);
	strbuf_add(w->out, json, len);
}

void json_put_string(struct json_writer *w, const char *key, const char *text)
{
	json_key(w, key);
	json_string(w, text);
}

void json_put_int(struct json_writer *w, const char *key, int64_t value)
{
	json_key(w, key);
	json_int(w, value);
}

void json_put_uint(struct json_writer *w, const char *key, uint64_t value)
{
	json_key(w, key);
	json_uint(w, value);
}

void json_put_real(struct json_writer *w, const char *key, double value, int decimals)
{
	json_key(w, key);
	json_real(w, value, decimals);
}

void json_put_bool(struct json_writer *w, const char *key, bool value)
{
	json_key(w, key);
	json_bool(w, value);
}

void json_put_null(struct json_writer *w, const char *key)
{
	json_key(w, key);
	json_null(w);
}

void json_time(struct json_writer *w, int64_t wall_us)
{
	char text[CLOCK_TEXT_MAX];
	clock_format_utc(wall_us, text);
	json_string(w, text);
}

void json_uuid(struct json_writer *w, const struct uuid *value)
{
	char text[UUID_TEXT_MAX];
	uuid_format(value, text);
	json_string(w, text);
}

void json_put_uuid(struct json_writer *w, const char *key, const struct uuid *value)
{
	json_key(w, key);
	json_uuid(w, value);
}

void json_put_time(struct json_writer *w, const char *key, int64_t wall_us)
{
	json_key(w, key);
	json_time(w, wall_us);
}

void json_put_time_legacy(struct json_writer *w, const char *key, int64_t wall_us)
{
	char text[CLOCK_TEXT_MAX];
	clock_format_legacy(wall_us, text);
	json_put_string(w, key, text);
}
