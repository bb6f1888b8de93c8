#include "base/utf8.h"

static bool continues(const unsigned char *s, size_t from, size_t count)
{
	for (size_t i = from; i < from + count; i++)
		if ((s[i] & 0xc0) != 0x80)
			return false;
	return true;
}

static size_t sequence_of_three(const unsigned char *s, size_t len)
{
	if (len < 3 || !continues(s, 1, 2))
		return 0;
	bool overlong = s[0] == 0xe0 && s[1] < 0xa0;
	bool surrogate = s[0] == 0xed && s[1] > 0x9f;
	return overlong || surrogate ? 0 : 3;
}

static size_t sequence_of_four(const unsigned char *s, size_t len)
{
	if (len < 4 || !continues(s, 1, 3))
		return 0;
	bool overlong = s[0] == 0xf0 && s[1] < 0x90;
	bool above_unicode = s[0] == 0xf4 && s[1] > 0x8f;
	return overlong || above_unicode ? 0 : 4;
}

size_t utf8_sequence(const char *text, size_t len)
{
	const unsigned char *s = (const unsigned char *)text;
	if (len == 0)
		return 0;
	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		return len >= 2 && continues(s, 1, 1) ? 2 : 0;
	if ((s[0] & 0xf0) == 0xe0)
		return sequence_of_three(s, len);
	return s[0] >= 0xf0 && s[0] <= 0xf4 ? sequence_of_four(s, len) : 0;
}

bool utf8_valid(const char *text, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t step = utf8_sequence(text + i, len - i);
		if (step == 0)
			return false;
		i += step;
	}
	return true;
}

size_t utf8_count(const char *text, size_t len)
{
	size_t count = 0;
	for (size_t i = 0; i < len; i++)
		count += ((unsigned char)text[i] & 0xc0) != 0x80;
	return count;
}

bool utf8_has_control(const char *text)
{
	for (const unsigned char *s = (const unsigned char *)text; *s != '\0'; s++) {
		if (*s < ' ' || *s == 0x7f || (*s == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0))
			return true;
	}
	return false;
}
