/*
 * UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above
 * U+10FFFF.
 */
#ifndef ZIGGIE_BASE_UTF8_H
#define ZIGGIE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Length of the valid sequence at text, 1 to 4; 0 when there is none within len. */
size_t utf8_sequence(const char *text, size_t len);
bool utf8_valid(const char *text, size_t len);
/* Characters (code points) of valid text. */
size_t utf8_count(const char *text, size_t len);

/* Whether valid text holds a control character: C0, DEL or C1, which terminals obey. */
bool utf8_has_control(const char *text);

#endif
