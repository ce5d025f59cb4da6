/* What an engine of the store does; kit_sqlite.c is one. Seen by the store's own files only. */
#ifndef KIT_ENGINE_H
#define KIT_ENGINE_H

#include "kit_store.h"

#include <stdatomic.h>

/* An engine's connection begins with it. */
struct kit_db {
    const struct kit_engine *engine;
    atomic_uint_fast64_t statements; /* that were run */
};

/* What became of an operation's part of a transaction. */
enum kit_part {
    KIT_PART_DONE, /* it is in it, or was undone alone */
    KIT_PART_GONE, /* the engine ended the transaction: all that was in it failed */
    KIT_PART_STUCK /* it can be undone with the whole transaction only */
};

enum kit_access { KIT_ACCESS_READ, KIT_ACCESS_WRITE };

/* What the connections of one store share; an engine's own begins with it. */
struct kit_home {
    const struct kit_engine *engine;
    const struct kit_config *config;
};

struct kit_engine {
    const char *name;
    /* NULL with a line in error. */
    struct kit_home *(*open_home)(const struct kit_config *config, char *error, size_t error_size);
    void (*close_home)(struct kit_home *home);
    struct kit_db *(*open)(struct kit_home *home, enum kit_access access, char *error, size_t error_size);
    void (*close)(struct kit_db *db);
    /* On any thread: true if the database cannot be reached now. NULL: it always can. */
    bool (*is_away)(const struct kit_home *home);

    /* kit_db.h */
    enum kit_step (*query)(struct kit_db *db, struct kit_rows *rows, const char *sql, const struct kit_value *values,
                           size_t count);
    /* Once for all rows of arguments; NULL: once for each. There is at least one. */
    enum kit_step (*query_many)(struct kit_db *db, struct kit_rows *rows, const char *sql, const struct kit_many *many);
    int (*run_many)(struct kit_db *db, const char *sql, const struct kit_many *many);
    enum kit_step (*next)(struct kit_rows *rows);
    void (*end)(struct kit_rows *rows);
    int64_t (*get_int)(const struct kit_rows *rows, int column);
    struct eio_str (*get_bytes)(const struct kit_rows *rows, int column);
    int (*run)(struct kit_db *db, const char *sql, const struct kit_value *values, size_t count);
    int64_t (*change)(struct kit_db *db, const char *sql, const struct kit_value *values, size_t count);
    int (*ask)(struct kit_db *db, const char *sql, char *text, size_t size);
    int (*fail)(struct kit_db *db, struct kit_failure *failure);

    /* A transaction; 0 or KIT_FAILED. */
    int (*begin)(struct kit_db *db, enum kit_access access);
    int (*commit)(struct kit_db *db);
    void (*roll_back)(struct kit_db *db);
    /* Holds these for this transaction alone; sorted, each once. NULL: there are no other writers. */
    int (*lock)(struct kit_db *db, const int64_t *keys, size_t count);
    /* Returns 0, or KIT_FAILED if another transaction holds it. NULL: there are no other writers. */
    int (*try_lock)(struct kit_db *db, int64_t key);

    /* One operation in it. begin_part: 0 or KIT_FAILED. */
    int (*begin_part)(struct kit_db *db);
    enum kit_part (*end_part)(struct kit_db *db, bool undo);
    /* True if the last failure was of a statement, and others may succeed without it. NULL: never. */
    bool (*is_stuck)(const struct kit_db *db);
    /* True if the last failure says that the transaction may succeed if it is run again. NULL: never. */
    bool (*may_retry)(const struct kit_db *db);

    /* The schema. Begins a transaction that excludes all others of this kind. */
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

extern const struct kit_engine kit_sqlite, kit_postgresql;

/* Of a database in which the steps of each module are counted (kit_store_schema.c). */
#define KIT_STORE_VERSION 5

/* Brings the schema to the version of this program. */
int kit_store_migrate(struct kit_db *db, const struct kit_module *const *modules, char *error, size_t error_size);

/* The hash of a statement's literal, which is known by its address: each is written once in the sources. */
static inline uint32_t kit_literal_hash(const char *sql)
{
    return (uint32_t)((uintptr_t)sql >> 2) * 0x9E3779B1u;
}

#endif
