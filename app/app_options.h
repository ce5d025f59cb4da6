/* The table of options. Private to app_config.c and app_config_print.c. */
#ifndef APP_OPTIONS_H
#define APP_OPTIONS_H

#include "app_config.h"

enum app_option_type { APP_U32, APP_SIZE, APP_INT, APP_BOOL, APP_TEXT, APP_CHOICE };

struct app_choice {
    const char *name;
    int value;
};

struct app_option {
    const char *name; /* as in the file: ping_interval_ms; --ping-interval-ms; PARLEY_PING_INTERVAL_MS */
    enum app_option_type type;
    size_t offset; /* of the value in struct app_config */
    const char *fallback;
    int64_t min, max;                 /* numbers */
    const struct app_choice *choices; /* APP_CHOICE: the list, ended by a NULL name */
    const char *group;
    const char *help;
    bool secret;
};

extern const struct app_option app_options[];
extern const size_t app_option_count;

/* "1 to 65535", "text|json", … */
void app_option_allowed(const struct app_option *option, char *out, size_t size);

#endif
