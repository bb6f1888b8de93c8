#include "db/mariadb_errors.h"

#include <stddef.h>
#include <string.h>

#include "base/assert.h"

struct error_row {
	unsigned number;
	enum err err;
	bool breaks;
};

static const struct error_row error_rows[] = {
    {1020, ERR_RETRY, false},       /* record changed since the last read */
    {1021, ERR_UNAVAILABLE, false}, /* disk full */
    {1022, ERR_CONFLICT, false},    /* duplicate key */
    {1037, ERR_UNAVAILABLE, false}, /* out of memory */
    {1038, ERR_UNAVAILABLE, false}, /* out of sort memory */
    {1040, ERR_UNAVAILABLE, true},  /* too many connections */
    {1041, ERR_UNAVAILABLE, false}, /* out of resources */
    {1047, ERR_UNAVAILABLE, false}, /* Galera: the node is not ready */
    {1048, ERR_INVALID, false},     /* column can't be NULL */
    {1053, ERR_UNAVAILABLE, true},  /* shutdown in progress */
    {1062, ERR_CONFLICT, false},    /* duplicate entry */
    {1077, ERR_UNAVAILABLE, true},  /* normal shutdown */
    {1079, ERR_UNAVAILABLE, true},  /* shutdown complete */
    {1080, ERR_UNAVAILABLE, true},  /* forced close of a thread */
    {1153, ERR_TOO_LARGE, true},    /* packet too big; the server hangs up */
    {1156, ERR_UNAVAILABLE, true},  /* packets out of order */
    {1158, ERR_UNAVAILABLE, true},  /* network read */
    {1159, ERR_UNAVAILABLE, true},  /* network read interrupted */
    {1160, ERR_UNAVAILABLE, true},  /* network write */
    {1161, ERR_UNAVAILABLE, true},  /* network write interrupted */
    {1205, ERR_RETRY, false},       /* lock wait timeout */
    {1213, ERR_RETRY, false},       /* deadlock */
    {1264, ERR_INVALID, false},     /* out of range */
    {1265, ERR_INVALID, false},     /* data truncated */
    {1290, ERR_UNAVAILABLE, false}, /* read-only server */
    {1292, ERR_INVALID, false},     /* incorrect value */
    {1317, ERR_UNAVAILABLE, false}, /* somebody else's KILL QUERY */
    {1366, ERR_INVALID, false},     /* incorrect value for a column */
    {1406, ERR_INVALID, false},     /* data too long */
    {1412, ERR_RETRY, false},       /* the table was altered meanwhile */
    {1451, ERR_CONFLICT, false},    /* a child row refers to it */
    {1452, ERR_CONFLICT, false},    /* no such parent row */
    {1461, ERR_UNAVAILABLE, false}, /* max_prepared_stmt_count */
    {1586, ERR_CONFLICT, false},    /* duplicate entry, with the key's name */
    {1615, ERR_RETRY, false},       /* must be prepared again */
    {1792, ERR_UNAVAILABLE, false}, /* read-only transaction */
    {1836, ERR_UNAVAILABLE, false}, /* read-only mode */
    {1927, ERR_UNAVAILABLE, true},  /* connection was killed */
    {1969, ERR_TIMEOUT, false},     /* max_statement_time */
    {2000, ERR_UNAVAILABLE, true},  /* unknown client error */
    {2002, ERR_UNAVAILABLE, true},  /* can't connect through the socket */
    {2003, ERR_UNAVAILABLE, true},  /* can't connect to the host */
    {2005, ERR_UNAVAILABLE, true},  /* unknown host */
    {2006, ERR_UNAVAILABLE, true},  /* server has gone away */
    {2008, ERR_NOMEM, true},        /* client out of memory */
    {2012, ERR_UNAVAILABLE, true},  /* error in the handshake */
    {2013, ERR_UNAVAILABLE, true},  /* lost during the query */
    {2014, ERR_INTERNAL, true},     /* commands out of sync */
    {2020, ERR_TOO_LARGE, true},    /* packet larger than max_allowed_packet */
    {2027, ERR_UNAVAILABLE, true},  /* malformed packet */
    {2055, ERR_UNAVAILABLE, true},  /* lost, with errno */
    {4025, ERR_INVALID, false},     /* CHECK constraint */
    {4031, ERR_UNAVAILABLE, true},  /* closed for inactivity */
};

static const struct error_row *find(unsigned number)
{
	for (size_t i = 0; i < ARRAY_LEN(error_rows); i++)
		if (error_rows[i].number == number)
			return &error_rows[i];
	return NULL;
}

enum err mariadb_error(unsigned number, const char *sqlstate)
{
	const struct error_row *row = find(number);
	if (row != NULL)
		return row->err;
	return strcmp(sqlstate, "40001") == 0 ? ERR_RETRY : ERR_INTERNAL;
}

bool mariadb_error_breaks(unsigned number)
{
	const struct error_row *row = find(number);
	return row != NULL && row->breaks;
}

bool mariadb_error_before_send(unsigned number)
{
	enum { GONE_AWAY = 2006, PACKET_TOO_LARGE = 2020, OUT_OF_MEMORY = 2008 };
	return number == GONE_AWAY || number == PACKET_TOO_LARGE || number == OUT_OF_MEMORY;
}
