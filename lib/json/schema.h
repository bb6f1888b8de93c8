/*
 * What an object holds, in rows: one for each field.  The rows check the bodies of
 * requests and are what the API description is made of, so that the two can't
 * disagree.
 *
 *	static const struct field fields[] = {
 *	    {"name", FIELD_STRING, FIELD_REQUIRED, 1, 200, .summary = "What people call it"},
 *	    {"priority", FIELD_INT, 0, 1, 10, .summary = "10 is the most urgent"},
 *	};
 *	static const struct schema schema = SCHEMA("Goal", fields);
 *
 *	struct field_value values[ARRAY_LEN(fields)];
 *	struct json_fields errors;
 *	schema_read(&schema, json_root(doc), values, &errors);
 *	if (errors.error_count > 0) ...			(ERR_INVALID; errors.errors[])
 *
 * values[i] belongs to fields[i]; texts in it belong to the document.
 */
#ifndef ZIGGIE_JSON_SCHEMA_H
#define ZIGGIE_JSON_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"
#include "json/parse.h"

enum field_type {
	FIELD_STRING = 1, /* min to max characters, none of them a control character */
	FIELD_TEXT,       /* the same, but lines and tabs are fine */
	FIELD_SECRET,     /* the same, of any characters: a password, which no answer shows */
	FIELD_WORD,       /* one of words[] */
	FIELD_INT,        /* min to max */
	FIELD_REAL,       /* min to max */
	FIELD_BOOL,
	FIELD_ID,     /* a UUID */
	FIELD_TIME,   /* ISO 8601 in UTC */
	FIELD_OBJECT, /* any members, or those of `of`; at most max bytes of text */
	FIELD_LIST,   /* min to max values of type `item` */
	FIELD_ANY,    /* any value, at most max bytes of text */
};

enum field_flag {
	FIELD_REQUIRED = 1 << 0, /* in a body it must be there, in an answer it always is */
	FIELD_NULL = 1 << 1,     /* null is a value too */
	FIELD_CREATE = 1 << 2,   /* of a record: may be said when it is made */
	FIELD_PATCH = 1 << 3,    /* of a record: may be changed */
	FIELD_ZONELESS = 1 << 4, /* a time of the legacy family: UTC, and no Z behind it */
};

struct schema;

/* ERR_INVALID with what is wrong, as a clause behind the field's name: "must be …". */
typedef enum err field_rule(const char *text, struct errmsg *why);

struct field {
	const char *name;
	enum field_type type;
	unsigned flags;
	int64_t min, max;         /* characters, the value, bytes or number of items */
	const char *const *words; /* FIELD_WORD, alone or as items; ends with NULL */
	enum field_type item; /* of a list: _STRING (up to FIELD_ITEM_MAX), _WORD, _ID, _OBJECT */
	const struct schema *of; /* of an object, or of a list's objects; answers only */
	field_rule *rule;        /* what else must hold of a text; NULL for nothing */
	const char *summary;
	const char *initial; /* what a body that does not say it means, as JSON; NULL for null */
};

enum { FIELD_ITEM_MAX = 1000 };

struct schema {
	const char *name; /* "Agent": as the API description calls it */
	const struct field *fields;
	size_t count;
	bool open;     /* other members are ignored: the legacy family */
	bool whole;    /* of an answer: all fields are always there, as in a record */
	unsigned only; /* fields with one of these flags alone; 0 for all */
};

/* SCHEMA("Goal", fields), and members by their name behind it. */
#define SCHEMA(name_, rows, ...)                                                                   \
	{                                                                                          \
		.name = (name_), .fields = (rows), .count = sizeof(rows) / sizeof((rows)[0]),      \
		##__VA_ARGS__                                                                      \
	}

/* What a body says of a field.  Texts are NUL-terminated; JSON is text too. */
struct field_value {
	bool given; /* the name was there */
	bool null;
	union {
		int64_t integer; /* FIELD_TIME: microseconds since 1970 */
		double real;
		bool boolean;
		struct uuid id;
		struct {
			const char *data; /* a list or an object: its JSON, compact */
			size_t len;
		} text;
	} as;
};

/*
 * Reads what the rows name (those of `only`) and notes an error for everything else: a value of
 * another kind or out of bounds, null where it is none, a required field that is
 * missing (but in a PATCH nothing is), and a name that no row has.  Values with an
 * error are not given.
 */
void schema_read(const struct schema *schema, const struct json_node *object,
		 struct field_value *values, struct json_fields *errors);

/* "string", "word", "list": the type in a word. */
const char *field_type_word(enum field_type type);
/* Whether a field is one of the schema's (those of `only`), and whether it can't be missing. */
bool schema_takes(const struct schema *schema, const struct field *field);
bool schema_needs(const struct schema *schema, const struct field *field);
/* The ids of a list that was read; there is room for the field's max. */
size_t field_ids(const struct field_value *value, struct uuid *out);

/* Whether one of the rows (those of `only`) has the name. */
bool schema_has(const struct schema *schema, const char *name);

/* Whether text, from a query say, is a value of a field of text or words. */
bool field_takes_text(const struct field *field, const char *text);

/* The words that a field may be, as "a, b or c", into out. */
struct strbuf;
void field_words(const struct field *field, struct strbuf *out);

#endif
