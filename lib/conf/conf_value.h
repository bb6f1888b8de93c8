/*
 * Text to value and back for one row of the settings table.
 */
#ifndef ZIGGIE_CONF_CONF_VALUE_H
#define ZIGGIE_CONF_CONF_VALUE_H

#include <stdint.h>

#include "base/error.h"
#include "base/strbuf.h"
#include "conf/conf.h"

/*
 * Parses text by the row's type and bounds.  Numbers go to *number.  The message of
 * ERR_INVALID says what is allowed, without naming the key.
 */
enum err conf_value_parse(const struct conf_row *row, const char *text, int64_t *number,
			  struct errmsg *why);
/* The shortest text that parses to this number. */
void conf_value_format(const struct conf_row *row, int64_t number, struct strbuf *out);
/* "1 to 64 processes", "100ms to 10m", "yes or no", "at most 107 characters". */
void conf_value_allowed(const struct conf_row *row, struct strbuf *out);

#endif
