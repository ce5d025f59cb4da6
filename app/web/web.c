/* The module and its options. */
#include "web.h"

#include "kit_options.h"

#include <string.h>

#define KIT_VALUES struct web_config

/* An origin with a scheme, a host that may begin with a star, and perhaps a port. */
static bool is_origin(const char *text, size_t n)
{
    char origin[WEB_FRAME_ANCESTORS_MAX];
    size_t scheme = !strncmp(text, "https://", 8) ? 8 : !strncmp(text, "http://", 7) ? 7 : 0;
    size_t star = scheme && n > scheme + 2 && !memcmp(text + scheme, "*.", 2) ? 2 : 0;
    snprintf(origin, sizeof origin, "%.*s%.*s", (int)scheme, text, (int)(n - scheme - star), text + scheme + star);
    return scheme && n > scheme && !strchr(origin, ',') && eio_cors_origin_is_valid(origin);
}

static const char *check_frame_ancestors(const char *value)
{
    static const char allowed[] =
        "`none`, or up to 1000 bytes of `self` and origins (https://crm.example) with spaces between them";
    if (strlen(value) > WEB_FRAME_ANCESTORS_MAX / 2) return allowed;
    if (!strcmp(value, "none")) return NULL;
    for (const char *p = value + strspn(value, " "); *p; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");
        bool is_self = n == 4 && !memcmp(p, "self", 4);
        if (!is_self && !is_origin(p, n)) return allowed;
        p += n;
    }
    return value[strspn(value, " ")] ? NULL : allowed;
}

static const struct kit_option options[] = {
    KIT_CHECKED_ROW("frame_ancestors", frame_ancestors, "none", check_frame_ancestors, "Server",
                    "pages that may show the console in a frame: `none`, or `self` and origins with spaces between "
                    "them"),
};

static const struct kit_option_set option_set = KIT_OPTION_SET(options);

void web_put_frame_ancestors(const struct kit_config *config, char *out, size_t size)
{
    const struct web_config *own = kit_config_values(config, &option_set);
    size_t used = 0;
    for (const char *p = own->frame_ancestors + strspn(own->frame_ancestors, " "); *p && used < size;) {
        size_t n = strcspn(p, " ");
        const char *quote = memchr(p, ':', n) ? "" : "'"; /* none and self are words of the policy */
        used += (size_t)snprintf(out + used, size - used, "%s%s%.*s%s", used ? " " : "", quote, (int)n, p, quote);
        p += n;
        p += strspn(p, " ");
    }
}

static int start(struct kit *kit, void **state, char *error, size_t error_size)
{
    (void)error, (void)error_size;
    int failed = web_assets_start(kit);
    if (!failed && !(*state = web_descriptions_open(kit))) failed = EIO_ENOMEM;
    return failed ? failed : web_client_files_start(kit);
}

static void stop(void *state)
{
    web_descriptions_free(state);
    web_assets_stop();
}

const struct kit_module web_module = {.name = "web", .options = &option_set, .start = start, .stop = stop};
