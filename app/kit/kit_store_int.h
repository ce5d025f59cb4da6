/* Shared by kit_store.c, kit_db.c and kit_store_schema.c only. */
#ifndef KIT_STORE_INT_H
#define KIT_STORE_INT_H

#include "kit_store.h"

/* Where the database is; makes the directory. Returns 0 or EIO_ESYS with a line in error. */
int kit_store_path(const struct kit_config *config, char *path, size_t size, char *error, size_t error_size);
struct kit_db *kit_db_open(const char *path, const struct kit_config *config, bool writes, char *error,
                           size_t error_size);
void kit_db_close(struct kit_db *db);
int kit_db_exec(struct kit_db *db, const char *sql);
/* Ends the use of every statement. */
void kit_db_reset_all(struct kit_db *db);
/* From any thread: no more waiting for locks. */
void kit_db_abandon(struct kit_db *db);
uint64_t kit_db_error_count(const struct kit_db *db);
/* Brings the database to what these modules expect. Returns 0 or a negative code with a line in error. */
int kit_store_migrate(struct kit_db *db, const struct kit_module *const *modules, char *error, size_t error_size);

#endif
