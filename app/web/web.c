/* The module. */
#include "web.h"

static int start(struct kit *kit, void **state, char *error, size_t error_size)
{
    (void)state, (void)error, (void)error_size;
    int failed = web_assets_start(kit);
    return failed ? failed : web_client_files_start(kit);
}

static void stop(void *state)
{
    (void)state;
    web_assets_stop();
}

const struct kit_module web_module = {.name = "web", .start = start, .stop = stop};
