/* The table of options. Private to kit_config.c and kit_config_print.c. */
#ifndef KIT_OPTIONS_H
#define KIT_OPTIONS_H

#include "kit_config.h"

enum kit_option_type { KIT_U32, KIT_SIZE, KIT_INT, KIT_BOOL, KIT_TEXT, KIT_CHOICE };

struct kit_choice {
    const char *name;
    int value;
};

struct kit_option {
    const char *name; /* as in the file: ping_interval_ms; --ping-interval-ms; PARLEY_PING_INTERVAL_MS */
    enum kit_option_type type;
    size_t offset; /* of the value in struct kit_config */
    const char *fallback;
    int64_t min, max;                 /* numbers */
    const struct kit_choice *choices; /* KIT_CHOICE: the list, ended by a NULL name */
    const char *group;
    const char *help;
    bool secret;
    /* Texts: NULL if the value is possible, else what is allowed, in English. Not called for "" where that
     * is the default. NULL: any text is. */
    const char *(*check)(const char *value);
};

extern const struct kit_option kit_options[];
extern const size_t kit_option_count;

/* "1 to 65535", "text|json", … */
void kit_option_allowed(const struct kit_option *option, char *out, size_t size);

#endif
