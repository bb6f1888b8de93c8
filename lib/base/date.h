/*
 * Days and times of the calendar, UTC, from and to microseconds since 1970.  What the C
 * library has for it takes a lock and searches; a page of records shows some hundred times.
 * Thread-safe.
 */
#ifndef ZIGGIE_BASE_DATE_H
#define ZIGGIE_BASE_DATE_H

#include <stdint.h>

struct date {
	int64_t year;
	unsigned month, day; /* from 1 */
	unsigned hour, minute, second, micros;
};

void date_of(int64_t wall_us, struct date *out);
int64_t date_wall_us(const struct date *date);

#endif
