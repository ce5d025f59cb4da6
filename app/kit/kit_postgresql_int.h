/* Shared by the files of the engine PostgreSQL: kit_postgresql_sql.c, kit_postgresql_link.c, kit_postgresql.c. */
#ifndef KIT_POSTGRESQL_INT_H
#define KIT_POSTGRESQL_INT_H

#include "kit_engine.h"

#include <libpq-fe.h>
#include <stdatomic.h>

/* -------------------------------------------------------------------- SQL */

/* A statement or a script, "" if it is for another engine, in PostgreSQL's words
 * (docs/decisions/0017-one-sql-for-two-engines.md); malloc. NULL: out of memory. */
char *kit_pg_translate(const char *sql);

/* -------------------------------------------------------------- arguments */

/* Types by their numbers (src/include/catalog/pg_type.dat). */
#define KIT_PG_BOOL 16
#define KIT_PG_BYTEA 17
#define KIT_PG_INT8 20
#define KIT_PG_INT4 23
#define KIT_PG_TEXT 25
#define KIT_PG_NUMERIC 1700
#define KIT_PG_BYTEA_LIST 1001
#define KIT_PG_TEXT_LIST 1009
#define KIT_PG_INT8_LIST 1016

struct kit_pg_arguments {
    int count;
    Oid types[KIT_DB_ARGUMENTS_MAX];
    const char *values[KIT_DB_ARGUMENTS_MAX];
    int sizes[KIT_DB_ARGUMENTS_MAX], formats[KIT_DB_ARGUMENTS_MAX];
    uint64_t numbers[KIT_DB_ARGUMENTS_MAX];
};
/* Adds one, whose bytes are borrowed. */
void kit_pg_bind(struct kit_pg_arguments *arguments, const struct kit_value *value);
/* Adds a column as an array, which the caller frees. Returns 0 or KIT_FAILED. */
int kit_pg_bind_column(struct kit_pg_arguments *arguments, const struct kit_many *many, size_t column);

/* -------------------------------------------------------------------- link */

struct kit_pg_link;

/* Connects, checks that the server will do, and starts the thread that watches it. NULL with a line in error. */
struct kit_pg_link *kit_pg_link_new(const struct kit_config *config, char *error, size_t error_size);
/* Accepts NULL. */
void kit_pg_link_free(struct kit_pg_link *link);
bool kit_pg_link_is_away(const struct kit_pg_link *link);
/* Grows each time that the server is back: connections of before are not to be trusted. */
unsigned kit_pg_link_generation(const struct kit_pg_link *link);
/* A connection broke: the thread looks whether the server is there. */
void kit_pg_link_suspect(struct kit_pg_link *link);
/* Waits until the server is there; false: *stop is set. */
bool kit_pg_link_wait(struct kit_pg_link *link, const atomic_bool *stop);

/* A connection, not blocking, with the session's settings. NULL with a line in error. */
PGconn *kit_pg_connect(const struct kit_config *config, const atomic_bool *stop, char *error, size_t error_size);
/* Waits for the connection's socket: false: the time is up or *stop is set. */
bool kit_pg_wait(PGconn *conn, short events, uint64_t until_ms, const atomic_bool *stop);

#endif
