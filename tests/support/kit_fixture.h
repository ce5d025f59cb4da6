/* What the tests of the application share: cmocka, a configuration for tests, files in a directory of their own. */
#ifndef KIT_FIXTURE_H
#define KIT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <ftw.h>
#include <libpq-fe.h>

#include "app.h"
#include "calls_int.h"
#include "kit_answer.h"
#include "kit_auth.h"
#include "kit_options.h"
#include "knowledge.h"

/* A directory that fixture_remove() deletes with what is in it. */
static inline void fixture_directory(char path[64])
{
    strcpy(path, "/tmp/parley-test-XXXXXX");
    assert_non_null(mkdtemp(path));
}

static inline int fixture_remove_entry(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info, (void)type, (void)ftw;
    return remove(path);
}

static inline void fixture_remove(const char *path)
{
    nftw(path, fixture_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static inline void fixture_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* The whole of a file, to be freed. */
static inline char *fixture_read(const char *path)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    text[fread(text, 1, (1 << 20) - 1, file)] = 0;
    fclose(file);
    return text;
}

/* A file of the project, to be freed. TEST_SOURCE_DIR comes from tests/CMakeLists.txt. */
#ifdef TEST_SOURCE_DIR
static inline char *fixture_read_project(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", TEST_SOURCE_DIR, name);
    return fixture_read(path);
}
#endif

/* Loads a configuration from words of a command line, up to NULL. */
static inline int fixture_config(struct kit_config *config, char *error, size_t error_size, char *const *environment,
                                 const char *const *words)
{
    char *argv[16];
    struct kit_command_line line = {0, argv, NULL, 0, NULL, 0};
    for (; words[line.argc]; line.argc++) argv[line.argc] = strdup(words[line.argc]);
    kit_config_init(config, app_modules);
    int failed = kit_config_load(config, &line, environment, error, error_size);
    for (int i = 0; i < line.argc; i++) free(argv[i]);
    return failed;
}

/* To be changed before what reads it starts. */
static inline struct calls_config *fixture_calls_config(const struct kit_config *config)
{
    return (struct calls_config *)(uintptr_t)calls_config(config);
}

/* With tests/support/with-postgresql: runs SQL there; NULL: not. Returns the first value, to be freed. */
static inline char *fixture_psql(const char *sql)
{
    PGconn *conn = PQconnectdb(getenv("TEST_STORE"));
    PGresult *result = PQexec(conn, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    char *value = strdup(PQntuples(result) && PQnfields(result) ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    PQfinish(conn);
    return value;
}

/* Every second commit fails as if another transaction had got in its way, so that all that writes runs again. */
static inline void fixture_make_faults(const char *schema)
{
    char sql[1024];
    snprintf(sql, sizeof sql,
             "SET search_path = %s; CREATE SEQUENCE faults;"
             "CREATE TABLE store_nodes (node TEXT PRIMARY KEY, n BIGINT NOT NULL, at TIMESTAMPTZ NOT NULL);"
             "CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
             " IF nextval('%s.faults') %% 2 = 0 THEN RAISE EXCEPTION 'fault' USING ERRCODE = '40001'; END IF;"
             " RETURN NULL; END $$;"
             "CREATE CONSTRAINT TRIGGER fault AFTER INSERT OR UPDATE ON store_nodes DEFERRABLE INITIALLY DEFERRED"
             " FOR EACH ROW EXECUTE FUNCTION fault()",
             schema, schema);
    free(fixture_psql(sql));
}

/* The URL of a schema of its own in the PostgreSQL of tests/support/with-postgresql; "": SQLite is tested. */
static inline const char *fixture_store(void)
{
    static char url[512];
    static unsigned count;
    char schema[32], sql[64];
    if (!getenv("TEST_STORE")) return "";
    snprintf(schema, sizeof schema, "t%d_%u", (int)getpid(), ++count);
    snprintf(sql, sizeof sql, "CREATE SCHEMA %s", schema);
    free(fixture_psql(sql));
    if (getenv("TEST_STORE_FAULTS")) fixture_make_faults(schema);
    snprintf(url, sizeof url, "%s&options=-csearch_path%%3D%s", getenv("TEST_STORE"), schema);
    return url;
}

/* The defaults with a data directory, and the store that is tested. */
static inline void fixture_config_data(struct kit_config *config, const char *data)
{
    char error[512];
    const char *const words[] = {"--data", data, "--store", fixture_store(), "--store-busy-timeout-ms", "50", NULL};
    assert_int_equal(fixture_config(config, error, sizeof error, NULL, words), 0);
}

#endif
