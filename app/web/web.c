/* The module. */
#include "web.h"

static int start(void *state, struct kit *kit, char *error, size_t error_size)
{
    (void)state, (void)error, (void)error_size;
    int failed = web_assets_start(kit);
    return failed ? failed : web_client_files_start(kit);
}

static void stop(void *state)
{
    (void)state;
}

const struct kit_module web_module = {"web", NULL, start, stop, NULL};
