/* Options as rows of a table. The kit has one and each module its own; what is a row appears on the command line, in
 * the environment, the file, --help, the check and docs/configuration.md.
 *
 *     struct greet_config {
 *         uint32_t greet_max;
 *     };
 *     #define KIT_VALUES struct greet_config
 *     static const struct kit_option options[] = {
 *         KIT_U32_ROW("greet_max", greet_max, "10", 1, 1000, "Greeting", "greetings a second; above: error 429"),
 *     };
 *     const struct kit_option_set greet_options = KIT_OPTION_SET(options);
 *
 * and later: const struct greet_config *own = kit_config_values(config, &greet_options); */
#ifndef KIT_OPTIONS_H
#define KIT_OPTIONS_H

#include "kit_config.h"

enum kit_option_type { KIT_U32, KIT_SIZE, KIT_INT, KIT_REAL, KIT_BOOL, KIT_TEXT, KIT_CHOICE };

struct kit_choice {
    const char *name;
    int value;
};

struct kit_option {
    const char *name; /* as in the file: ping_interval_ms; --ping-interval-ms; PARLEY_PING_INTERVAL_MS */
    enum kit_option_type type;
    size_t offset; /* of the value in the struct of values */
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

struct kit_option_set {
    const struct kit_option *list;
    size_t count;
    size_t size; /* of the struct of values; kept by the configuration */
};
#define KIT_OPTION_SET(list)                                     \
    {                                                            \
        list, sizeof(list) / sizeof(list)[0], sizeof(KIT_VALUES) \
    }

extern const struct kit_option_set kit_options; /* the kit's own; its struct is struct kit_config */

/* ------------------------------------------------------------------- rows */

#define KIT_DAY_MS 86400000
#define KIT_BYTES_MAX 4294967296

#define KIT_NUMBER_ROW(name, type, field, fallback, min, max, group, help)                    \
    {                                                                                         \
        name, type, offsetof(KIT_VALUES, field), fallback, min, max, NULL, group, help, false \
    }
#define KIT_U32_ROW(name, field, fallback, min, max, group, help) \
    KIT_NUMBER_ROW(name, KIT_U32, field, fallback, min, max, group, help)
#define KIT_SIZE_ROW(name, field, fallback, min, group, help) \
    KIT_NUMBER_ROW(name, KIT_SIZE, field, fallback, min, KIT_BYTES_MAX, group, help)
#define KIT_COUNT_ROW(name, field, fallback, min, max, group, help) \
    KIT_NUMBER_ROW(name, KIT_SIZE, field, fallback, min, max, group, help)
/* A double without a sign, in decimal notation; its limits are whole numbers. */
#define KIT_REAL_ROW(name, field, fallback, min, max, group, help) \
    KIT_NUMBER_ROW(name, KIT_REAL, field, fallback, min, max, group, help)
#define KIT_BOOL_ROW(name, field, fallback, group, help)                                      \
    {                                                                                         \
        name, KIT_BOOL, offsetof(KIT_VALUES, field), fallback, 0, 1, NULL, group, help, false \
    }
#define KIT_TEXT_ROW(name, field, fallback, group, help)                                      \
    {                                                                                         \
        name, KIT_TEXT, offsetof(KIT_VALUES, field), fallback, 0, 0, NULL, group, help, false \
    }
#define KIT_CHECKED_ROW(name, field, fallback, check, group, help)                                   \
    {                                                                                                \
        name, KIT_TEXT, offsetof(KIT_VALUES, field), fallback, 0, 0, NULL, group, help, false, check \
    }
#define KIT_SECRET_ROW(name, field, check, group, help)                                       \
    {                                                                                         \
        name, KIT_TEXT, offsetof(KIT_VALUES, field), "", 0, 0, NULL, group, help, true, check \
    }
#define KIT_CHOICE_ROW(name, field, fallback, choices, group, help)                                \
    {                                                                                              \
        name, KIT_CHOICE, offsetof(KIT_VALUES, field), fallback, 0, 0, choices, group, help, false \
    }

/* --------------------------------------------------------------- settings */

/* An option of a configuration. For kit_config.c and kit_config_print.c. */
struct kit_setting {
    const struct kit_option *option; /* NULL if absent */
    size_t index;                    /* in config->texts and config->sources */
    size_t offset;                   /* of its value in struct kit_config */
};
/* The kit's own first, then the modules', i from 0. */
struct kit_setting kit_setting_at(const struct kit_config *config, size_t i);

/* "1 to 65535", "text|json", … */
void kit_option_allowed(const struct kit_option *option, char *out, size_t size);

#endif
