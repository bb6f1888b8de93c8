#include "auth/guessable.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"

enum { LOOKED_AT_MAX = 128, PIECES_MIN = 6, RUN_MIN = 3, WORD_MIN = 3, BLOCK_MAX = 16 };

/* Rows of keyboards in three languages, up and down their columns, the alphabet, digits. */
static const char *const rows[] = {
    "01234567890",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiop[]",
    "asdfghjkl;'",
    "zxcvbnm,./",
    "qwertzuiop",
    "yxcvbnm,.-",
    "azertyuiop",
    "qsdfghjklm",
    "wxcvbn,;:!",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",
    "qazwsxedcrfvtgbyhnujmikolp",
    "zaq12wsxcde34rfvbgt56yhnmju7",
    "zaq1xsw2cde3vfr4bgt5nhy6mju7",
    "1q2w3e4r5t6y7u8i9o0p",
    "q1w2e3r4t5y6u7i8o9p0",
    "!@#$%^&*()_+",
    "!\"#$%&/()=",
    "147258369",
    "159357",
    "789456123",
};

/* What people make passwords of, in the letters that fold() leaves; a blank behind each. */
static const char words[] =
    /* of passwords themselves, and of first days */
    "password passwort passwd passphrase passcode pass motdepasse contrasena senha "
    "geheim secret secure security login logon signin access letmein openup "
    "opensesame sesame enter welcome willkommen bienvenue changeme change changeit "
    "default temp temporary initial start test testing tester demo example sample "
    "guest user username admin administrator root toor super superuser supervisor "
    "manager master system server service database backup oracle mysql mariadb linux "
    "debian ubuntu windows cisco nginx apache internet computer network office "
    "company support helpdesk control center ziggie agent nothing forgot idontknow "
    "whatever qwerty qwertz azerty asdf zxcv abc xyz "
    /* of love and of names */
    "iloveyou iloveu loveyou loveme love lovely forever together mylove sweetheart "
    "darling honey baby babygirl babyboy angel princess prince queen king family "
    "mother father mommy daddy sister brother friend friends michael michelle "
    "jennifer jessica ashley amanda andrea andrew anthony benjamin charlie chelsea "
    "christian daniel danielle david elizabeth george hannah heather jasmine jordan "
    "joseph joshua justin maria martin matthew melissa natasha nicholas nicole "
    "patrick rachel richard robert samantha sophie stephanie thomas victoria vanessa "
    "william alexander alexandra james john peter harley maggie ginger "
    /* of what people like */
    "monkey dragon tiger tigger lion eagle falcon phoenix dolphin panda butterfly "
    "kitty hellokitty puppy buster shadow snoopy garfield mickey mickeymouse pokemon "
    "pikachu naruto dragonball minecraft fortnite zelda mario nintendo playstation "
    "starwars skywalker startrek matrix trustno superman batman spiderman ironman "
    "wolverine harrypotter gandalf hobbit football fussball soccer baseball "
    "basketball hockey tennis golf liverpool arsenal barcelona realmadrid juventus "
    "manchester bayern yankees lakers cowboys steelers ferrari porsche mercedes "
    "corvette mustang yamaha ducati metallica nirvana blink eminem slipknot guitar "
    "music gaming gamer killer hunter ranger soldier warrior samurai ninja pirate "
    "legend thunder lightning diamond silver golden rainbow sunshine sunflower flower "
    "summer winter spring autumn sommer january february march april june july august "
    "september october november december monday friday sunday chocolate cookie banana "
    "orange apple cheese pepper coffee whisky freedom peace happy lucky blessed jesus "
    "jesuschrist christ heaven hello helloworld goodbye success money london paris "
    "berlin america canada england germany france brazil "
    /* of a drawing that taught people to write four words, and which four */
    "correcthorsebatterystaple correcthorse batterystaple ";

/* What is written for a letter so often that it is guessed with it; c is no NUL. */
static char fold(char c)
{
	static const char from[] = "0134578@$!+|", to[] = "oieastbasitl";
	const char *at = strchr(from, c);
	return at != NULL ? to[at - from] : (char)tolower((unsigned char)c);
}

struct text {
	size_t len;
	char lower[LOOKED_AT_MAX + 1];
	char folded[LOOKED_AT_MAX + 1];
};

static struct text read_text(const char *password)
{
	struct text t = {.len = strlen(password)};
	for (size_t i = 0; i < t.len; i++) {
		t.lower[i] = (char)tolower((unsigned char)password[i]);
		t.folded[i] = fold(password[i]);
	}
	return t;
}

/* ---- how long a piece of each kind is at a place; 0 for none ---- */

/* Along a row, forwards or backwards, wherever in it that begins. */
static size_t along_row(const char *at, const char *row)
{
	size_t best = 0, len = strlen(row);
	for (size_t from = 0; from < len; from++) {
		size_t up = 0, down = 0;
		while (from + up < len && at[up] == row[from + up])
			up++;
		while (down <= from && at[down] == row[from - down])
			down++;
		best = up > best ? up : best;
		best = down > best ? down : best;
	}
	return best;
}

static size_t row_piece(const struct text *t, size_t at)
{
	size_t best = 0;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = along_row(t->lower + at, rows[i]);
		best = len > best ? len : best;
	}
	return best >= RUN_MIN ? best : 0;
}

/* How much of what stands there is what stands `back` bytes before. */
static size_t same_as_before(const struct text *t, size_t at, size_t back)
{
	size_t len = 0;
	while (at + len < t->len && t->lower[at + len] == t->lower[at + len - back])
		len++;
	return len;
}

/* A block of the text again, or one character over and over. */
static size_t repeated_piece(const struct text *t, size_t at)
{
	size_t best = 0;
	for (size_t back = 1; back <= at && back <= BLOCK_MAX; back++) {
		size_t len = same_as_before(t, at, back);
		size_t least = back < RUN_MIN - 1 ? RUN_MIN - 1 : back;
		if (len >= least && len > best)
			best = len;
	}
	return best;
}

/* In lower case, or folded. */
static bool stands_at(const struct text *t, size_t at, const char *lower, const char *folded,
		      size_t len)
{
	return strncmp(t->lower + at, lower, len) == 0 || strncmp(t->folded + at, folded, len) == 0;
}

static size_t word_piece(const struct text *t, size_t at, const struct text *username)
{
	size_t best = 0;
	if (username->len >= WORD_MIN &&
	    stands_at(t, at, username->lower, username->folded, username->len))
		best = username->len;
	for (const char *word = words; *word != '\0';) {
		size_t len = strcspn(word, " ");
		if (len > best && stands_at(t, at, word, word, len))
			best = len;
		word += len + 1;
	}
	return best;
}

static int digits(const char *at, size_t count)
{
	int value = 0;
	for (size_t i = 0; i < count; i++) {
		if (!isdigit((unsigned char)at[i]))
			return -1;
		value = value * 10 + (at[i] - '0');
	}
	return value;
}

static bool is_year(const char *at)
{
	int year = digits(at, 4);
	return year >= 1900 && year < 2100;
}

static bool is_day_and_month(const char *at)
{
	int first = digits(at, 2), second = first < 0 ? -1 : digits(at + 2, 2);
	return first >= 1 && second >= 1 && first <= 31 && second <= 31 &&
	       (first <= 12 || second <= 12);
}

/* A year, or a day with its month and perhaps a year on either side, without anything between. */
static size_t date_piece(const struct text *t, size_t at)
{
	const char *text = t->lower + at;
	bool year = is_year(text), day = is_day_and_month(text);
	if ((year && is_day_and_month(text + 4)) || (day && is_year(text + 4)))
		return 8;
	if (day && digits(text + 4, 2) >= 0)
		return 6;
	return year || day ? 4 : 0;
}

/* ---- the fewest pieces ---- */

/* Of the text from there on, when it is known of everything behind. */
static size_t fewest_from(const struct text *t, size_t at, const struct text *username,
			  const size_t fewest[])
{
	const size_t lengths[] = {
	    utf8_sequence(t->lower + at, t->len - at),
	    row_piece(t, at),
	    repeated_piece(t, at),
	    word_piece(t, at, username),
	    date_piece(t, at),
	};
	size_t best = LOOKED_AT_MAX;
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
		if (lengths[i] > 0 && fewest[at + lengths[i]] < best)
			best = fewest[at + lengths[i]];
	return best + 1;
}

static bool is_within_character(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

bool password_is_guessable(const char *password, const char *username)
{
	if (strlen(password) > LOOKED_AT_MAX)
		return false;
	const struct text t = read_text(password);
	const struct text name = read_text(strlen(username) <= LOOKED_AT_MAX ? username : "");
	size_t fewest[LOOKED_AT_MAX + 1] = {0};
	for (size_t at = t.len; at-- > 0;)
		fewest[at] = is_within_character(t.lower[at]) ? LOOKED_AT_MAX
							      : fewest_from(&t, at, &name, fewest);
	return fewest[0] < PIECES_MIN;
}
