/*
 * A JSON body.  The parser takes what the reference takes and refuses the rest,
 * with a message.  Strings that it hands out are text, and come back when they are
 * written and read again.  The writer's output is JSON whatever it is given.
 */
#include "fuzz.h"
#include "json/parse.h"
#include "json/schema.h"
#include "json/writer.h"
#include "reference.h"

enum { DEEPEST = 32 };

/* {"a": text}, read back: the same text, unless it was no text to begin with. */
static void check_way_back(const char *text, size_t len)
{
	STRBUF_CLEANUP out = STRBUF_INIT;
	struct json_writer w;
	json_init(&w, &out);
	json_object(&w);
	json_key(&w, "a");
	json_stringn(&w, text, len);
	json_end(&w);
	AN_INVARIANT(json_ok(&w) && reference_utf8(out.data, out.len));
	struct json_doc *doc = NULL;
	enum err err = json_parse(out.data, out.len, &doc, NULL);
	bool has_nul = memchr(text, '\0', len) != NULL;
	AN_INVARIANT(err == (has_nul ? ERR_MALFORMED : ERR_OK));
	AN_INVARIANT(has_nul || reference_json(out.data, out.len).taken);
	if (err != ERR_OK)
		return;
	static const struct field field = {"a", FIELD_SECRET, FIELD_REQUIRED, .max = INT64_MAX};
	static const struct schema schema = {"Body", &field, 1, .open = true};
	struct field_value value;
	struct json_fields errors;
	schema_read(&schema, json_root(doc), &value, &errors);
	const char *again = value.given ? value.as.text.data : NULL;
	AN_INVARIANT(again != NULL && reference_utf8(again, strlen(again)));
	if (reference_utf8(text, len))
		AN_INVARIANT(strlen(again) == len && memcmp(again, text, len) == 0);
	json_doc_free(doc);
}

/* What a string holds is what the reference reads. */
static void check_string(const char *text, size_t len, const char *name, const char *given)
{
	STRBUF_CLEANUP wanted = STRBUF_INIT;
	bool found = reference_json_string(text, len, name, &wanted);
	AN_INVARIANT(found == (given != NULL));
	if (found)
		AN_INVARIANT(given != NULL && strlen(given) == wanted.len &&
			     strcmp(given, wanted.data) == 0);
}

/* The fields that routes ask for: a value or an error, if they must be there. */
static void check_fields(const struct json_doc *doc, const char *text, size_t len)
{
	static const struct field needed[] = {
	    {"a", FIELD_SECRET, FIELD_REQUIRED, .max = INT64_MAX},
	    {"username", FIELD_SECRET, FIELD_REQUIRED, .max = INT64_MAX},
	    {"", FIELD_SECRET, FIELD_REQUIRED, .max = INT64_MAX},
	    {"\xc3\xa9", FIELD_SECRET, FIELD_REQUIRED, .max = INT64_MAX},
	};
	static const struct schema schema = {"Body", needed, ARRAY_LEN(needed), .open = true};
	struct field_value values[ARRAY_LEN(needed)];
	struct json_fields errors;
	size_t expected = 0;
	schema_read(&schema, json_root(doc), values, &errors);
	for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
		const char *given = values[i].given ? values[i].as.text.data : NULL;
		expected += given == NULL;
		check_string(text, len, needed[i].name, given);
		if (given != NULL)
			check_way_back(given, strlen(given));
	}
	/* A body that is no object has one error of its own. */
	AN_INVARIANT(errors.error_count == (errors.object != NULL ? expected : 1));
	for (size_t i = 0; i < errors.error_count; i++)
		AN_INVARIANT(errors.errors[i].detail[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct reference_json wanted = reference_json(text, size);
	struct json_doc *doc = NULL;
	struct errmsg why = ERRMSG_INIT;
	enum err err = json_parse(text, size, &doc, &why);
	bool taken = wanted.taken && wanted.deep <= DEEPEST;
	AN_INVARIANT(err == (!taken ? ERR_MALFORMED : wanted.is_null ? ERR_INVALID : ERR_OK));
	AN_INVARIANT((err == ERR_OK) == (doc != NULL && why.text[0] == '\0'));
	if (doc != NULL)
		check_fields(doc, text, size);
	json_doc_free(doc);
	check_way_back(text, size);
	return 0;
}
