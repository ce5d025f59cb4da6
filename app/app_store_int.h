/* Shared by app_store.c, app_db.c and app_store_schema.c only. */
#ifndef APP_STORE_INT_H
#define APP_STORE_INT_H

#include "app_store.h"

/* Where the database is; makes the directory. Returns 0 or EIO_ESYS with a line in error. */
int app_store_path(const struct app_config *config, char *path, size_t size, char *error, size_t error_size);
struct app_db *app_db_open(const char *path, const struct app_config *config, bool writes, char *error,
                           size_t error_size);
void app_db_close(struct app_db *db);
int app_db_exec(struct app_db *db, const char *sql);
/* Ends the use of every statement. */
void app_db_reset_all(struct app_db *db);
/* From any thread: no more waiting for locks. */
void app_db_abandon(struct app_db *db);
uint64_t app_db_error_count(const struct app_db *db);
/* Brings the schema to the version of this program. */
int app_store_migrate(struct app_db *db, char *error, size_t error_size);

#endif
