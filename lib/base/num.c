#include "base/num.h"

#include <string.h>

static bool digits(const char *text, size_t len, uint64_t *out)
{
	if (len == 0)
		return false;
	uint64_t value = 0;
	for (size_t i = 0; i < len; i++) {
		unsigned digit = (unsigned)(unsigned char)text[i] - '0';
		if (digit > 9)
			return false;
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, digit, &value))
			return false;
	}
	*out = value;
	return true;
}

bool num_u64(const char *text, size_t len, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t value;
	if (!digits(text, len, &value) || value < min || value > max)
		return false;
	*out = value;
	return true;
}

bool num_i64(const char *text, size_t len, int64_t min, int64_t max, int64_t *out)
{
	bool negative = len > 0 && text[0] == '-';
	uint64_t magnitude;
	if (!digits(text + negative, len - negative, &magnitude))
		return false;
	if (magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0))
		return false;
	int64_t value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
	if (value < min || value > max)
		return false;
	*out = value;
	return true;
}

bool num_u64s(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	return num_u64(text, strlen(text), min, max, out);
}
