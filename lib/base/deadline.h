/*
 * A deadline travels with a request to everything that can wait.  It also
 * carries the descriptor of the client's connection, so that a wait ends early
 * when nobody is left to read the answer.  A plain value; copy it freely.
 */
#ifndef ZIGGIE_BASE_DEADLINE_H
#define ZIGGIE_BASE_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

struct deadline {
	int64_t at_ns; /* monotonic */
	int client_fd; /* watched for a hang-up while waiting; -1 when there is none */
};

struct deadline deadline_in_ms(int64_t ms);
/* The earlier of d and ms from now; d's client stays. */
struct deadline deadline_min_ms(const struct deadline *d, int64_t ms);
/* Milliseconds left, rounded up, 0 when it has passed; never negative. */
int64_t deadline_left_ms(const struct deadline *d);
bool deadline_passed(const struct deadline *d);

#endif
