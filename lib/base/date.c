/*
 * Years begin in March here, so that a leap day is the last of its year, and are counted
 * within cycles of 400, after which the calendar repeats.
 */
#include "base/date.h"

#include "base/clock.h"

enum {
	DAYS_PER_YEAR = 365,
	DAYS_PER_4_YEARS = 4 * DAYS_PER_YEAR + 1,
	DAYS_PER_CENTURY = 25 * DAYS_PER_4_YEARS - 1,
	DAYS_PER_CYCLE = 4 * DAYS_PER_CENTURY + 1,
	YEARS_PER_CYCLE = 400,
	DAYS_UNTIL_1970 = 719468, /* from March 1st of the year 0 */
	S_PER_DAY = 86400,
};

/* Rounds towards the past, also before 1970. */
static int64_t floor_div(int64_t value, int64_t by)
{
	return value / by - (value % by < 0);
}

/* Months from March are 31, 30, 31, 30, 31 days long, and again: 153 days in five. */
static int64_t days_before(unsigned month_from_march)
{
	return (153 * month_from_march + 2) / 5;
}

static void set_day(int64_t days, struct date *out)
{
	days += DAYS_UNTIL_1970;
	int64_t cycle = floor_div(days, DAYS_PER_CYCLE), day = days - cycle * DAYS_PER_CYCLE;
	/* Each leap day before it would make the year come too late. */
	int64_t year = (day - day / (DAYS_PER_4_YEARS - 1) + day / DAYS_PER_CENTURY -
			day / (DAYS_PER_CYCLE - 1)) /
		       DAYS_PER_YEAR;
	day -= DAYS_PER_YEAR * year + year / 4 - year / 100;
	unsigned month = (unsigned)(5 * day + 2) / 153;
	out->day = (unsigned)(day - days_before(month)) + 1;
	out->month = month < 10 ? month + 3 : month - 9;
	out->year = cycle * YEARS_PER_CYCLE + year + (out->month <= 2);
}

void date_of(int64_t wall_us, struct date *out)
{
	int64_t seconds = floor_div(wall_us, US_PER_S), days = floor_div(seconds, S_PER_DAY);
	unsigned second = (unsigned)(seconds - days * S_PER_DAY);
	set_day(days, out);
	out->hour = second / 3600;
	out->minute = second / 60 % 60;
	out->second = second % 60;
	out->micros = (unsigned)((wall_us % US_PER_S + US_PER_S) % US_PER_S);
}

int64_t date_wall_us(const struct date *date)
{
	int64_t from_march = date->year - (date->month <= 2);
	unsigned month = date->month > 2 ? date->month - 3 : date->month + 9;
	int64_t cycle = floor_div(from_march, YEARS_PER_CYCLE);
	int64_t year = from_march - cycle * YEARS_PER_CYCLE;
	int64_t days = cycle * DAYS_PER_CYCLE + DAYS_PER_YEAR * year + year / 4 - year / 100 +
		       days_before(month) + date->day - 1 - DAYS_UNTIL_1970;
	int64_t second = date->hour * 3600 + date->minute * 60 + date->second;
	return (days * S_PER_DAY + second) * US_PER_S + date->micros;
}
