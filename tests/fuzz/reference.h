/*
 * Second implementations for the fuzz targets to compare with: written from the
 * standards, plain instead of fast, and sharing no code with what they check.
 */
#ifndef ZIGGIE_TESTS_FUZZ_REFERENCE_H
#define ZIGGIE_TESTS_FUZZ_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/strbuf.h"

/* RFC 3629. */
bool reference_utf8(const char *text, size_t len);

/* Percent-decodes; false when an escape is broken or the result has a NUL or is no UTF-8. */
bool reference_decode(const char *text, size_t len, bool plus, struct strbuf *out);
/* Every byte as an escape. */
void reference_encode(const char *text, struct strbuf *out);

/*
 * What form_get() has to say of name: ERR_INVALID, or ERR_OK with *found telling
 * whether it is there, and its value.
 */
enum err reference_form(const char *text, size_t len, const char *name, bool *found,
			struct strbuf *value);

/* RFC 8259, and what lib/json refuses beyond it. */
struct reference_json {
	bool taken;    /* strict JSON without NUL, lone surrogates and repeated names */
	bool is_null;  /* the whole text is null */
	unsigned deep; /* arrays and objects inside one another */
};
struct reference_json reference_json(const char *text, size_t len);
/* The string that the outermost object has under this name; false when it has none. */
bool reference_json_string(const char *text, size_t len, const char *name, struct strbuf *out);

#endif
