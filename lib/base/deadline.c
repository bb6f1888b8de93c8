#include "base/deadline.h"

#include "base/clock.h"

struct deadline deadline_in_ms(int64_t ms)
{
	return (struct deadline){.at_ns = clock_mono_ns() + ms * NS_PER_MS, .client_fd = -1};
}

struct deadline deadline_min_ms(const struct deadline *d, int64_t ms)
{
	struct deadline earlier = deadline_in_ms(ms);
	earlier.client_fd = d->client_fd;
	if (d->at_ns < earlier.at_ns)
		earlier.at_ns = d->at_ns;
	return earlier;
}

int64_t deadline_left_ms(const struct deadline *d)
{
	int64_t left = d->at_ns - clock_mono_ns();
	return left <= 0 ? 0 : (left + NS_PER_MS - 1) / NS_PER_MS;
}

bool deadline_passed(const struct deadline *d)
{
	return clock_mono_ns() >= d->at_ns;
}
