/*
 * Text for JSON strings, log lines among them.
 */
#ifndef ZIGGIE_BASE_ESCAPE_H
#define ZIGGIE_BASE_ESCAPE_H

#include <stddef.h>

#include "base/strbuf.h"

/*
 * Appends a quoted JSON string.  Control characters (C0, DEL and C1), quotes and
 * backslashes are escaped; every byte that is not part of valid UTF-8 becomes U+FFFD.
 */
void escape_json(struct strbuf *out, const char *text, size_t len);

#endif
