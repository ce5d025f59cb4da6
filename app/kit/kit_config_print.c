/* Shows options: --help, --print-config, the table of docs/configuration.md. */
#include "kit_options.h"

#include <ctype.h>
#include <string.h>

static void value_text(const struct kit_config *config, const struct kit_setting *setting, char *out, size_t size)
{
    const struct kit_option *option = setting->option;
    const char *field = (const char *)config + setting->offset;
    int choice;
    switch (option->type) {
    case KIT_U32:
        snprintf(out, size, "%u", *(const uint32_t *)(const void *)field);
        return;
    case KIT_SIZE:
        snprintf(out, size, "%zu", *(const size_t *)(const void *)field);
        return;
    case KIT_INT:
        snprintf(out, size, "%d", *(const int *)(const void *)field);
        return;
    case KIT_REAL:
        snprintf(out, size, "%g", *(const double *)(const void *)field);
        return;
    case KIT_BOOL:
        snprintf(out, size, "%s", *(const bool *)field ? "true" : "false");
        return;
    case KIT_TEXT:
        snprintf(out, size, "%s", *(const char *const *)(const void *)field);
        return;
    case KIT_CHOICE:
        memcpy(&choice, field, sizeof choice);
        for (const struct kit_choice *c = option->choices; c->name; c++)
            if (c->value == choice) snprintf(out, size, "%s", c->name);
        return;
    }
}

void kit_config_print(const struct kit_config *config, FILE *out)
{
    char value[1024];
    struct kit_setting setting;
    for (size_t i = 0; (setting = kit_setting_at(config, i)).option; i++) {
        const struct kit_option *option = setting.option;
        if (!strcmp(option->name, "config")) continue;
        value[0] = 0;
        value_text(config, &setting, value, sizeof value);
        if (option->secret && value[0]) snprintf(value, sizeof value, "(hidden)");
        fprintf(out, "%s = %s ; %s\n", option->name, value, config->sources[i] ? config->sources[i] : "");
    }
}

/* ping_interval_ms → ms, snapshot_bytes_max → bytes */
static const char *unit_of(const struct kit_option *option)
{
    static const char *const units[] = {"ms", "s", "bytes", "days"};
    const char *end = strrchr(option->name, '_');
    if (option->type == KIT_REAL) return "factor";
    if (option->type != KIT_U32 && option->type != KIT_SIZE && option->type != KIT_INT) return "";
    if (!end || strcmp(end, "_max")) end = option->name + strlen(option->name);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t n = strlen(units[i]);
        if ((size_t)(end - option->name) > n && end[-1 - (int)n] == '_' && !strncmp(end - n, units[i], n))
            return units[i];
    }
    return "number";
}

static void print_flag_name(const char *name, FILE *out)
{
    for (; *name; name++) fputc(*name == '_' ? '-' : *name, out);
}

/* Help texts are written for the documentation; a terminal shows them without the back quotes. */
static void print_plain(const char *text, FILE *out)
{
    for (; *text; text++)
        if (*text != '`') fputc(*text, out);
}

void kit_config_print_help(const struct kit_config *config, FILE *out)
{
    const char *group = "";
    char allowed[160];
    struct kit_setting setting;
    for (size_t i = 0; (setting = kit_setting_at(config, i)).option; i++) {
        const struct kit_option *option = setting.option;
        if (strcmp(group, option->group)) fprintf(out, "\n%s\n", option->group);
        group = option->group;
        kit_option_allowed(option, allowed, sizeof allowed);
        fputs("  --", out);
        print_flag_name(option->name, out);
        if (option->type != KIT_BOOL) fprintf(out, " %s", option->type == KIT_TEXT ? "TEXT" : "VALUE");
        fputs("\n        ", out);
        print_plain(option->help, out);
        fprintf(out, "\n        (%s; default %s)\n", allowed, option->fallback[0] ? option->fallback : "empty");
    }
}

void kit_config_print_markdown(const struct kit_config *config, FILE *out)
{
    const char *group = "";
    char allowed[160];
    struct kit_setting setting;
    for (size_t i = 0; (setting = kit_setting_at(config, i)).option; i++) {
        const struct kit_option *option = setting.option;
        if (strcmp(group, option->group))
            fprintf(out,
                    "%s### %s\n\n| option | unit | default | allowed | meaning |\n| --- | --- | --- | --- | --- |\n",
                    i ? "\n" : "", option->group);
        group = option->group;
        kit_option_allowed(option, allowed, sizeof allowed);
        fprintf(out, "| `%s` | %s | %s%s%s | %s | %s |\n", option->name, unit_of(option),
                option->fallback[0] ? "`" : "", option->fallback, option->fallback[0] ? "`" : "", allowed,
                option->help);
    }
}
