/* The directory of the data: made, and looked at for what others may read. */
#include "kit_store.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

int kit_store_make_directory(const struct kit_config *config, char *error, size_t error_size)
{
    if (!strcmp(config->data, ":memory:") || !mkdir(config->data, 0700) || errno == EEXIST) return 0;
    char allowed[160];
    snprintf(allowed, sizeof allowed, "a directory that is there or can be made: %s", strerror(errno));
    kit_config_refuse(config, "data", allowed, error, error_size);
    return EIO_ESYS;
}

void kit_store_each_open_file(const struct kit_config *config, void (*fn)(const char *path, unsigned mode))
{
    static const char *const names[] = {"", "/parley.db", "/parley.db-wal", "/parley.db-shm", "/dev-jwt.key"};
    char path[1200];
    struct stat info;
    bool is_secret = config->jwt_key_file[0] && config->jwt_algorithm == KIT_JWT_HS256;
    if (is_secret && !stat(config->jwt_key_file, &info) && info.st_mode & (S_IRWXG | S_IRWXO))
        fn(config->jwt_key_file, info.st_mode & 07777);
    if (!strcmp(config->data, ":memory:")) return;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if ((size_t)snprintf(path, sizeof path, "%s%s", config->data, names[i]) >= sizeof path) continue;
        if (!stat(path, &info) && info.st_mode & (S_IRWXG | S_IRWXO)) fn(path, info.st_mode & 07777);
    }
}
