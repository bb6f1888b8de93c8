#include "host/parse.h"

bool parse_loadavg(const char *text, size_t len, double load[3])
{
	struct cursor c = cursor_over(text, len);
	double result[3];
	for (int i = 0; i < 3; i++)
		if (!cursor_real(&c, &result[i]))
			return false;
	memcpy(load, result, sizeof(result));
	return true;
}

bool parse_uptime(const char *text, size_t len, double *seconds)
{
	struct cursor c = cursor_over(text, len);
	return cursor_real(&c, seconds);
}
