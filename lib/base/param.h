/*
 * One name and its value, as FastCGI and CGI hand them over.  Both are
 * NUL-terminated and hold no other NUL; the memory is the giver's.
 */
#ifndef ZIGGIE_BASE_PARAM_H
#define ZIGGIE_BASE_PARAM_H

#include <stddef.h>

struct param {
	const char *name;
	const char *value;
	size_t name_len;
	size_t value_len;
};

#endif
