#include "base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/date.h"

static _Atomic int64_t test_shift_ns;

int64_t clock_mono_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec +
	       atomic_load_explicit(&test_shift_ns, memory_order_relaxed);
}

int64_t clock_wall_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * US_PER_S + now.tv_nsec / NS_PER_US +
	       atomic_load_explicit(&test_shift_ns, memory_order_relaxed) / NS_PER_US;
}

void clock_test_shift(int64_t ns)
{
	atomic_fetch_add(&test_shift_ns, ns);
}

static char *put_digits(char *at, unsigned value, int digits)
{
	for (int i = digits - 1; i >= 0; i--, value /= 10)
		at[i] = (char)('0' + value % 10);
	return at + digits;
}

/* "2026-01-31T23:59:59.123" with so many decimals; returns its end. */
static char *format(int64_t wall_us, int decimals, char out[CLOCK_TEXT_MAX])
{
	struct date date;
	date_of(wall_us, &date);
	bool usual = date.year >= 0 && date.year <= 9999;
	char *at = usual ? put_digits(out, (unsigned)date.year, 4)
			 : out + snprintf(out, CLOCK_TEXT_MAX, "%lld", (long long)date.year);
	const unsigned parts[] = {date.month, date.day, date.hour, date.minute, date.second};
	static const char before[] = "--T::";
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		*at++ = before[i];
		at = put_digits(at, parts[i], 2);
	}
	*at++ = '.';
	return put_digits(at, decimals == 3 ? date.micros / 1000 : date.micros, decimals);
}

void clock_format_utc(int64_t wall_us, char out[CLOCK_TEXT_MAX])
{
	char *end = format(wall_us, 3, out);
	end[0] = 'Z';
	end[1] = '\0';
}

void clock_format_legacy(int64_t wall_us, char out[CLOCK_TEXT_MAX])
{
	*format(wall_us, 6, out) = '\0';
}

/* ".5Z" to 500,000; -1 when it is no fraction with the zone behind it. */
static int64_t parse_fraction(const char *text)
{
	int64_t us = 0, unit = US_PER_S;
	if (*text == '.') {
		text++;
		do {
			if (*text < '0' || *text > '9' || unit == 1)
				return -1;
			unit /= 10;
			us += (*text++ - '0') * unit;
		} while (*text != 'Z');
	}
	return strcmp(text, "Z") == 0 ? us : -1;
}

/* What strptime() read must print as the same text again: it takes blanks and 31 June. */
bool clock_parse_utc(const char *text, int64_t *wall_us)
{
	enum { SECONDS_LEN = 19 }; /* of "2026-01-31T23:59:59" */
	struct tm utc = {0};
	char again[CLOCK_TEXT_MAX];
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &utc);
	if (rest == NULL || rest - text != SECONDS_LEN || parse_fraction(rest) < 0)
		return false;
	int64_t seconds = timegm(&utc);
	clock_format_utc(seconds * US_PER_S, again);
	if (memcmp(again, text, SECONDS_LEN) != 0)
		return false;
	*wall_us = seconds * US_PER_S + parse_fraction(rest);
	return true;
}
