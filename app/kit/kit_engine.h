/* What an engine of the store does; kit_sqlite.c is one. Seen by the store's own files only. */
#ifndef KIT_ENGINE_H
#define KIT_ENGINE_H

#include "kit_store.h"

#include <stdarg.h>

/* An engine's connection begins with it. */
struct kit_db {
    const struct kit_engine *engine;
};

enum kit_access { KIT_ACCESS_READ, KIT_ACCESS_WRITE };

struct kit_engine {
    const char *name;
    /* Opens what config names. place: where, of the engine's own place(). NULL with a line in error. */
    struct kit_db *(*open)(const char *place, const struct kit_config *config, enum kit_access access, char *error,
                           size_t error_size);
    void (*close)(struct kit_db *db);
    /* Where the database is, made if that is needed. Returns 0 or EIO_ESYS with a line in error. */
    int (*place)(const struct kit_config *config, char *place, size_t size, char *error, size_t error_size);

    /* kit_db.h */
    enum kit_step (*query)(struct kit_db *db, struct kit_rows *rows, const char *sql, const char *format, va_list args);
    enum kit_step (*next)(struct kit_rows *rows);
    void (*end)(struct kit_rows *rows);
    int64_t (*get_int)(const struct kit_rows *rows, int column);
    struct eio_str (*get_bytes)(const struct kit_rows *rows, int column);
    int64_t (*change)(struct kit_db *db, const char *sql, const char *format, va_list args);
    int (*ask)(struct kit_db *db, const char *sql, char *text, size_t size);
    int (*fail)(struct kit_db *db, struct kit_failure *failure);

    /* A transaction; 0 or KIT_FAILED. After a failure there is none. */
    int (*begin)(struct kit_db *db, enum kit_access access);
    int (*commit)(struct kit_db *db);
    void (*roll_back)(struct kit_db *db);
    /* False: the engine itself ended it. */
    bool (*is_open)(struct kit_db *db);
    /* One operation in it: what it wrote may be undone alone. */
    int (*begin_part)(struct kit_db *db);
    int (*end_part)(struct kit_db *db, bool undo);

    /* The schema. Begins a transaction that nobody else can have at the same time. */
    int (*begin_schema)(struct kit_db *db);
    /* SQL of any length, several statements. */
    int (*run_script)(struct kit_db *db, const char *sql);
    /* Of the database as a whole: 0 if it is empty. */
    int (*get_version)(struct kit_db *db, int *version);
    int (*set_version)(struct kit_db *db, int version);

    /* From any thread: no more waiting for locks. */
    void (*abandon)(struct kit_db *db);
    uint64_t (*error_count)(const struct kit_db *db);
};

extern const struct kit_engine kit_sqlite;

/* Brings the schema to the version of this program. */
int kit_store_migrate(struct kit_db *db, const struct kit_module *const *modules, char *error, size_t error_size);

#endif
