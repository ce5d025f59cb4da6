/* Reads the configuration from its three sources into struct kit_config. Not its job: what options exist
 * (kit_options.c), how they are shown (kit_config_print.c), whether a file or address they name is usable. */
#include "kit_listen.h"
#include "kit_module.h"
#include "kit_options.h"
#include "kit_file.h"

#include <base_check.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define ENVIRONMENT_PREFIX "PARLEY_"
#define COMMAND_LINE "command line"

enum { FILE_MAX = 1 << 20 }; /* bytes of a configuration file */

/* Collects a failure; the first one stays. */
struct report {
    char *text;
    size_t size;
    bool failed;
};

__attribute__((format(printf, 2, 3))) static int report_fault(struct report *report, const char *format, ...)
{
    va_list args;
    if (report->failed) return EIO_EINVAL;
    report->failed = true;
    va_start(args, format);
    vsnprintf(report->text, report->size, format, args);
    va_end(args);
    return EIO_EINVAL;
}

/* A module's struct stands at whole words of config->values; its size in words. */
static size_t words_of(const struct kit_option_set *set)
{
    return (set->size + sizeof(uint64_t) - 1) / sizeof(uint64_t);
}

struct kit_setting kit_setting_at(const struct kit_config *config, size_t i)
{
    size_t index = i, word = 0;
    if (i < kit_options.count) return (struct kit_setting){&kit_options.list[i], i, kit_options.list[i].offset};
    i -= kit_options.count;
    for (const struct kit_module *const *module = config->modules; *module; module++) {
        const struct kit_option_set *set = (*module)->options;
        if (!set) continue;
        if (i < set->count)
            return (struct kit_setting){&set->list[i], index,
                                        offsetof(struct kit_config, values) + word * sizeof(uint64_t) +
                                            set->list[i].offset};
        i -= set->count;
        word += words_of(set);
    }
    return (struct kit_setting){NULL, index, 0};
}

const void *kit_config_values(const struct kit_config *config, const struct kit_option_set *options)
{
    size_t word = 0;
    for (const struct kit_module *const *module = config->modules; *module; module++) {
        if ((*module)->options == options) return &config->values[word];
        if ((*module)->options) word += words_of((*module)->options);
    }
    return NULL;
}

static void *field_of(struct kit_config *config, const struct kit_setting *setting)
{
    return (char *)config + setting->offset;
}

void kit_option_allowed(const struct kit_option *option, char *out, size_t size)
{
    size_t n = 0;
    out[0] = 0;
    switch (option->type) {
    case KIT_BOOL:
        snprintf(out, size, "true or false");
        return;
    case KIT_TEXT:
        snprintf(out, size, "text");
        return;
    case KIT_CHOICE:
        for (const struct kit_choice *c = option->choices; c->name && n < size; c++)
            n += (size_t)snprintf(out + n, size - n, "%s%s", c == option->choices ? "" : " or ", c->name);
        return;
    default:
        snprintf(out, size, "%lld to %lld", (long long)option->min, (long long)option->max);
    }
}

static int set_number(struct kit_config *config, const struct kit_setting *setting, const char *value)
{
    const struct kit_option *option = setting->option;
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (errno || end == value || *end || isspace((unsigned char)*value) || *value == '+') return EIO_EINVAL;
    if (number < option->min || number > option->max) return EIO_EINVAL;
    if (option->type == KIT_U32) *(uint32_t *)field_of(config, setting) = (uint32_t)number;
    if (option->type == KIT_SIZE) *(size_t *)field_of(config, setting) = (size_t)number;
    if (option->type == KIT_INT) *(int *)field_of(config, setting) = (int)number;
    return 0;
}

static int set_real(struct kit_config *config, const struct kit_setting *setting, const char *value)
{
    const struct kit_option *option = setting->option;
    char *end;
    if (!value[0] || value[strspn(value, "0123456789.")]) return EIO_EINVAL;
    double number = strtod(value, &end);
    if (*end || end == value || number < (double)option->min || number > (double)option->max) return EIO_EINVAL;
    *(double *)field_of(config, setting) = number;
    return 0;
}

static int set_bool(struct kit_config *config, const struct kit_setting *setting, const char *value)
{
    bool *field = field_of(config, setting);
    if (!strcmp(value, "true") || !strcmp(value, "1") || !strcmp(value, "yes") || !strcmp(value, "on")) {
        *field = true;
        return 0;
    }
    if (!strcmp(value, "false") || !strcmp(value, "0") || !strcmp(value, "no") || !strcmp(value, "off")) {
        *field = false;
        return 0;
    }
    return EIO_EINVAL;
}

static int set_choice(struct kit_config *config, const struct kit_setting *setting, const char *value)
{
    for (const struct kit_choice *c = setting->option->choices; c->name; c++) {
        if (strcmp(c->name, value)) continue;
        memcpy(field_of(config, setting), &c->value, sizeof c->value);
        return 0;
    }
    return EIO_EINVAL;
}

static int replace_text(char **slot, const char *text)
{
    char *copy = strdup(text);
    if (!copy) return EIO_ENOMEM;
    free(*slot);
    *slot = copy;
    return 0;
}

static int set_text(struct kit_config *config, const struct kit_setting *setting, const char *value)
{
    char **slot = &config->texts[setting->index];
    if (replace_text(slot, value)) return EIO_ENOMEM;
    *(const char **)field_of(config, setting) = *slot;
    return 0;
}

static int set_option(struct kit_config *config, const struct kit_setting *setting, const char *value,
                      const char *source, struct report *report)
{
    const struct kit_option *option = setting->option;
    char allowed[160];
    int error = 0;
    switch (option->type) {
    case KIT_BOOL:
        error = set_bool(config, setting, value);
        break;
    case KIT_REAL:
        error = set_real(config, setting, value);
        break;
    case KIT_TEXT:
        error = set_text(config, setting, value);
        break;
    case KIT_CHOICE:
        error = set_choice(config, setting, value);
        break;
    default:
        error = set_number(config, setting, value);
    }
    if (!error) error = replace_text(&config->sources[setting->index], source);
    if (!error) return 0;
    if (error == EIO_ENOMEM) return report_fault(report, "out of memory");
    kit_option_allowed(option, allowed, sizeof allowed);
    return report_fault(report, "option %s: invalid value '%s' (allowed: %s), from %s", option->name,
                        option->secret ? "…" : value, allowed, source);
}

/* An address is a secret only with a password in it. */
static bool hides(const struct kit_option *option, const char *value)
{
    bool is_address = !strcmp(option->name, "redis") || !strcmp(option->name, "redis_sentinels") ||
                      !strcmp(option->name, "store") || !strcmp(option->name, "cluster");
    return option->secret && (!is_address || strchr(value, '@') || strstr(value, "password"));
}

/* Of the values that came through: a wrong one that another source overrides does no harm. */
static int check_texts(const struct kit_config *config, struct report *report)
{
    struct kit_setting setting;
    for (size_t i = 0; (setting = kit_setting_at(config, i)).option; i++) {
        const struct kit_option *option = setting.option;
        const char *value = config->texts[i];
        if (!option->check || !value || (!value[0] && !option->fallback[0])) continue;
        const char *allowed = option->check(value);
        if (!allowed) continue;
        return report_fault(report, "option %s: invalid value '%s' (allowed: %s), from %s", option->name,
                            hides(option, value) ? "…" : value, allowed, config->sources[i]);
    }
    return 0;
}

/* The words of the command line and of variables: '-' and '_' are the same, as are upper and lower case if asked. */
static bool is_name(const char *own, const char *name, size_t size, bool any_case)
{
    size_t k = 0;
    while (k < size && own[k]) {
        char c = name[k] == '-' ? '_' : name[k];
        if (any_case) c = (char)tolower((unsigned char)c);
        if (c != own[k]) break;
        k++;
    }
    return k == size && !own[k];
}

static struct kit_setting find_setting(const struct kit_config *config, const char *name, size_t size, bool any_case)
{
    struct kit_setting setting;
    for (size_t i = 0; (setting = kit_setting_at(config, i)).option; i++)
        if (is_name(setting.option->name, name, size, any_case)) break;
    return setting;
}

static void derive_options(struct kit_config *config)
{
    config->has_operators = kit_listen_has_operators(config);
    config->io.engine.max_addresses = config->io.http.max_addresses = config->max_addresses;
    config->redis_options.url = config->redis;
    config->redis_options.sentinels = config->redis_sentinels;
    config->redis_options.tls_ca = config->redis_tls_ca;
    config->redis_options.tls_cert = config->redis_tls_cert;
    config->redis_options.tls_key = config->redis_tls_key;
    config->redis_options.tls_name = config->redis_tls_name;
    config->redis_options.key_prefix = config->redis_key_prefix;
    config->redis_options.session_prefix = config->redis_session_prefix;
    config->cluster_options.url = !config->cluster[0]                     ? NULL
                                  : strcmp(config->cluster, "store") == 0 ? config->store
                                                                          : config->cluster;
    config->cluster_options.channel_prefix = config->cluster_channel_prefix;
    config->cluster_options.table = config->cluster_table;
    config->io.engine.cors.origin = config->cors_origin[0] ? config->cors_origin : NULL;
    config->io.engine.allowed_origins = config->allowed_origins[0] ? config->allowed_origins : NULL;
    config->io.http.trusted_proxies = config->trusted_proxies[0] ? config->trusted_proxies : NULL;
    config->io.http.proxy_networks = config->proxy_networks[0] ? config->proxy_networks : NULL;
    config->io.http.tls_cert_file = config->tls_cert[0] ? config->tls_cert : NULL;
    config->io.http.tls_ticket_key_file = config->tls_ticket_keys[0] ? config->tls_ticket_keys : NULL;
    config->io.http.tls_key_file = config->tls_key[0] ? config->tls_key : NULL;
}

void kit_config_init(struct kit_config *config, const struct kit_module *const *modules)
{
    char ignored[256];
    struct report report = {ignored, sizeof ignored, false};
    memset(config, 0, sizeof *config);
    config->modules = modules;
    sio_options_init(&config->io);
    rooms_redis_options_init(&config->redis_options);
    rooms_postgresql_options_init(&config->cluster_options);
    struct kit_setting setting;
    size_t words = 0, i;
    for (const struct kit_module *const *module = modules; *module; module++)
        if ((*module)->options) words += words_of((*module)->options);
    BASE_CHECK(words <= KIT_CONFIG_VALUES_MAX);
    for (i = 0; (setting = kit_setting_at(config, i)).option; i++) {
        BASE_CHECK(i < KIT_CONFIG_OPTIONS_MAX);
        set_option(config, &setting, setting.option->fallback, "default", &report);
    }
    derive_options(config);
}

void kit_config_clear(struct kit_config *config)
{
    for (size_t i = 0; i < KIT_CONFIG_OPTIONS_MAX; i++) {
        free(config->texts[i]);
        free(config->sources[i]);
    }
    memset(config, 0, sizeof *config);
}

/* Where an option's value comes from. */
static const char *source_of(const struct kit_config *config, const char *name)
{
    struct kit_setting setting = find_setting(config, name, strlen(name), false);
    return setting.option ? config->sources[setting.index] : "";
}

/* ------------------------------------------------------------------- file */

/* Without the white space around it. */
static char *trim_space(char *text)
{
    while (isspace((unsigned char)*text)) text++;
    size_t n = strlen(text);
    while (n && isspace((unsigned char)text[n - 1])) n--;
    text[n] = 0;
    return text;
}

/* A comment begins a line with ';' or '#', or follows a value behind white space and ';'. */
static void cut_comment(char *line)
{
    for (char *c = line; *c; c++)
        if (*c == ';' && c > line && isspace((unsigned char)c[-1])) *c-- = 0;
}

static int load_line(struct kit_config *config, char *line, const char *source, struct report *report)
{
    line = trim_space(line);
    if (!*line || *line == ';' || *line == '#') return 0;
    if (*line == '[') return report_fault(report, "sections are not supported: %s in %s", line, source);
    char *value = strpbrk(line, "=:");
    if (!value) return report_fault(report, "%s: expected `name = value`", source);
    *value++ = 0;
    cut_comment(value);
    const char *name = trim_space(line);
    value = trim_space(value);
    struct kit_setting setting = find_setting(config, name, strlen(name), false);
    if (!setting.option) return report_fault(report, "unknown option %s (value '%s'), from %s", name, value, source);
    if (!strcmp(setting.option->name, "config"))
        return report_fault(report, "option config is not allowed in a file, from %s", source);
    return set_option(config, &setting, value, source, report);
}

static int load_file(struct kit_config *config, const char *path, struct report *report)
{
    static const char mark[] = "\xef\xbb\xbf"; /* U+FEFF, which some editors put first */
    char source[320];
    size_t size = 0;
    unsigned number = 0;
    char *text = kit_file_read(path, KIT_FILE_ANY, FILE_MAX, &size);
    if (!text)
        return report_fault(report, "option config: invalid value '%s' (allowed: a readable file: %s), from %s", path,
                            kit_file_error(), source_of(config, "config"));
    if (strlen(text) < size) report_fault(report, "configuration file %s: byte %zu is a NUL", path, strlen(text));
    char *rest = text + (strncmp(text, mark, 3) ? 0 : 3), *line;
    while (!report->failed && (line = strsep(&rest, "\n"))) {
        snprintf(source, sizeof source, "configuration file %.250s, line %u", path, ++number);
        load_line(config, line, source, report);
    }
    free(text);
    return report->failed ? EIO_EINVAL : 0;
}

/* ------------------------------------------------------------ environment */

/* Kubernetes gives each pod variables for every Service of its namespace; those of one named "parley", or "parley-…",
 * begin as ours do: PARLEY_SERVICE_HOST, PARLEY_SERVICE_PORT_HTTP, PARLEY_PORT=tcp://10.0.0.7:3000,
 * PARLEY_PORT_3000_TCP_ADDR (Kubernetes documentation, "Accessing the Service", environment variables). */
static bool is_service_link(const char *name, size_t size, const char *value)
{
    static const char *const schemes[] = {"tcp://", "udp://", "sctp://"};
    static const char *const parts[] = {"SERVICE_HOST", "SERVICE_PORT", "_TCP", "_UDP", "_SCTP"};
    char text[256];
    snprintf(text, sizeof text, "%.*s", (int)(size < sizeof text ? size : sizeof text - 1), name);
    size_t n = strlen(text);
    bool is_port = n >= 4 && !strcmp(text + n - 4, "PORT") && (n == 4 || text[n - 5] == '_');
    for (size_t i = 0; is_port && i < sizeof schemes / sizeof schemes[0]; i++)
        if (!strncmp(value, schemes[i], strlen(schemes[i]))) return true;
    for (size_t i = 0; i < 2; i++) {
        const char *at = strstr(text, parts[i]);
        if (at && (at == text || at[-1] == '_') && (!at[12] || at[12] == '_')) return true;
    }
    const char *port = strncmp(text, "PORT_", 5) ? strstr(text, "_PORT_") : text - 1;
    if (!port || !isdigit((unsigned char)port[6])) return false;
    const char *protocol = port + 6 + strspn(port + 6, "0123456789");
    for (size_t i = 2; i < sizeof parts / sizeof parts[0]; i++) {
        size_t length = strlen(parts[i]);
        if (!strncmp(protocol, parts[i], length) && (!protocol[length] || protocol[length] == '_')) return true;
    }
    return false;
}

static int load_environment(struct kit_config *config, char *const *environment, struct report *report)
{
    const size_t prefix = strlen(ENVIRONMENT_PREFIX);
    for (; environment && *environment; environment++) {
        const char *entry = *environment;
        const char *equals = strchr(entry, '=');
        char source[160];
        if (!equals || strncmp(entry, ENVIRONMENT_PREFIX, prefix)) continue;
        if (is_service_link(entry + prefix, (size_t)(equals - entry) - prefix, equals + 1)) continue;
        struct kit_setting setting = find_setting(config, entry + prefix, (size_t)(equals - entry) - prefix, true);
        snprintf(source, sizeof source, "environment %.*s", (int)(equals - entry), entry);
        if (!setting.option)
            return report_fault(report, "unknown option %.*s (value '%s'), from %s",
                                (int)((size_t)(equals - entry) - prefix), entry + prefix, equals + 1, source);
        if (set_option(config, &setting, equals + 1, source, report)) return EIO_EINVAL;
    }
    return 0;
}

/* ----------------------------------------------------------- command line */

/* One word of the command line taken apart. */
struct word {
    const char *name;
    size_t name_size;
    const char *value; /* after '=', or NULL */
};

static struct word split_word(const char *text)
{
    const char *equals = strchr(text, '=');
    struct word w = {text, equals ? (size_t)(equals - text) : strlen(text), equals ? equals + 1 : NULL};
    return w;
}

static struct kit_flag *find_flag(struct kit_command_line *line, const struct word *w)
{
    for (size_t i = 0; i < line->flag_count; i++)
        if (strlen(line->flags[i].name) == w->name_size && !strncmp(line->flags[i].name, w->name, w->name_size))
            return &line->flags[i];
    return NULL;
}

/* A switch may be followed by its value, if that is a word for one. */
static const char *switch_value(const struct kit_command_line *line, int *i, const struct word *w, bool negated)
{
    static const char *const words[] = {"true", "false", "yes", "no", "on", "off", "1", "0"};
    if (w->value) return w->value;
    for (size_t k = 0; !negated && *i + 1 < line->argc && k < sizeof words / sizeof words[0]; k++)
        if (!strcmp(line->argv[*i + 1], words[k])) return line->argv[++*i];
    return negated ? "false" : "true";
}

/* The value of the option at word *i: after '=' or the next word. */
static const char *value_of(struct kit_command_line *line, int *i, const struct word *w)
{
    if (w->value) return w->value;
    if (*i + 1 >= line->argc) return NULL;
    return line->argv[++*i];
}

static int load_flag(struct kit_command_line *line, int *i, const struct word *w, struct kit_flag *flag,
                     struct report *report)
{
    if (flag->is_switch) {
        if (w->value) return report_fault(report, "option --%s takes no value, on the command line", flag->name);
        flag->value = "";
        return 0;
    }
    flag->value = value_of(line, i, w);
    return flag->value ? 0 : report_fault(report, "option --%s needs a value, on the command line", flag->name);
}

/* A word that is neither an option nor a value: after a switch it was meant as its value. */
static int refuse_word(const struct kit_config *config, const struct kit_command_line *line, int i,
                       struct report *report)
{
    const char *before = i > 0 ? line->argv[i - 1] : "";
    const struct kit_option *option = NULL;
    if (!strncmp(before, "--", 2)) option = find_setting(config, before + 2, strlen(before + 2), false).option;
    if (option && option->type == KIT_BOOL)
        return report_fault(report,
                            "option %s: invalid value '%s' (allowed: true or false), from " COMMAND_LINE " --%s",
                            option->name, line->argv[i], before + 2);
    return report_fault(report, "unexpected argument '%s' on the command line", line->argv[i]);
}

static int load_word(struct kit_config *config, struct kit_command_line *line, int *i, bool only_config,
                     struct report *report)
{
    const char *text = line->argv[*i];
    char source[160];
    if (strncmp(text, "--", 2)) {
        if (!line->rest) return refuse_word(config, line, *i, report);
        if (!only_config) line->rest[line->rest_count++] = text;
        return 0;
    }
    struct word w = split_word(text + 2);
    struct kit_flag *flag = find_flag(line, &w);
    if (flag) return load_flag(line, i, &w, flag, report);
    struct kit_setting setting = find_setting(config, w.name, w.name_size, false);
    bool negated = !setting.option && w.name_size > 3 && !strncmp(w.name, "no-", 3) && !w.value;
    if (negated) setting = find_setting(config, w.name + 3, w.name_size - 3, false);
    const struct kit_option *option = setting.option;
    if (!option || (negated && option->type != KIT_BOOL))
        return report_fault(report, "unknown option --%.*s on the command line", (int)w.name_size, w.name);
    const char *value = option->type == KIT_BOOL ? switch_value(line, i, &w, negated) : value_of(line, i, &w);
    if (!value) return report_fault(report, "option --%s needs a value, on the command line", w.name);
    if (only_config && strcmp(option->name, "config")) return 0;
    snprintf(source, sizeof source, COMMAND_LINE " --%.*s", (int)(w.name_size > 100 ? 100 : w.name_size), w.name);
    return set_option(config, &setting, value, source, report);
}

static int load_command_line(struct kit_config *config, struct kit_command_line *line, bool only_config,
                             struct report *report)
{
    for (int i = 0; i < line->argc; i++)
        if (load_word(config, line, &i, only_config, report)) return EIO_EINVAL;
    return 0;
}

/* Values that only make sense together. */
static int check_together(const struct kit_config *config, struct report *report)
{
    if (check_texts(config, report)) return EIO_EINVAL;
    size_t secret = strlen(config->jwt_secret);
    if (config->io.engine.high_water_bytes > config->io.engine.max_queue_bytes)
        return report_fault(
            report, "option high_water_bytes: invalid value '%zu' (allowed: up to max_queue_bytes, %zu), from %s",
            config->io.engine.high_water_bytes, config->io.engine.max_queue_bytes,
            source_of(config, "high_water_bytes"));
    if (config->workers > 1 && !strcmp(config->data, ":memory:"))
        return report_fault(
            report, "option workers: invalid value '%u' with data :memory: (allowed: 1, or a directory), from %s",
            config->workers, source_of(config, "workers"));
    if (secret && secret < 32)
        return report_fault(
            report, "option jwt_secret: %zu bytes is too short (allowed: at least 32 bytes, RFC 7518 3.2), from %s",
            secret, source_of(config, "jwt_secret"));
    if (secret && config->jwt_algorithm != KIT_JWT_HS256)
        return report_fault(report,
                            "option jwt_secret requires jwt_algorithm HS256 (allowed: jwt_key_file for EdDSA), from %s",
                            source_of(config, "jwt_secret"));
    if (config->jwt_algorithm == KIT_JWT_EDDSA && !config->jwt_key_file[0])
        return report_fault(report, "option jwt_key_file: required with jwt_algorithm EdDSA (allowed: a file), from %s",
                            source_of(config, "jwt_key_file"));
    if (secret && config->jwt_key_file[0])
        return report_fault(
            report, "options jwt_secret and jwt_key_file are mutually exclusive (allowed: one of them), from %s",
            source_of(config, "jwt_secret"));
    if (!config->tls_cert[0] != !config->tls_key[0])
        return report_fault(report,
                            "option %s: invalid value '' (allowed: both of tls_cert and tls_key, or none), from %s",
                            config->tls_cert[0] ? "tls_key" : "tls_cert",
                            source_of(config, config->tls_cert[0] ? "tls_key" : "tls_cert"));
    return 0;
}

int kit_config_load(struct kit_config *config, struct kit_command_line *line, char *const *environment, char *error,
                    size_t error_size)
{
    struct report report = {error, error_size, false};
    error[0] = 0;
    line->rest_count = 0;
    /* The file's name may come from the environment or the command line, which both win over what it says. */
    if (load_environment(config, environment, &report)) return EIO_EINVAL;
    if (load_command_line(config, line, true, &report)) return EIO_EINVAL;
    if (config->config_file[0]) {
        char *path = strdup(config->config_file);
        int failed = path ? load_file(config, path, &report) : report_fault(&report, "out of memory");
        free(path);
        if (failed) return EIO_EINVAL;
        if (load_environment(config, environment, &report)) return EIO_EINVAL;
    }
    if (load_command_line(config, line, false, &report)) return EIO_EINVAL;
    derive_options(config);
    return check_together(config, &report);
}

/* 127.0.0.0/8, ::1, the same as an IPv4-mapped address, or the name. */
static int refuse_host(const struct kit_config *config, const char *option, const char *host, struct report *report)
{
    return report_fault(
        report,
        "option %s: '%s' needs a key for tokens (without jwt_key_file, only 127.0.0.0/8, ::1 or localhost is "
        "allowed; `openssl rand -hex 32` makes a key), from %s",
        option, host, source_of(config, option));
}

static int check_listen(const struct kit_config *config, const char *option, const char *list, struct report *report)
{
    struct kit_listen listen;
    while (kit_listen_next(&list, &listen) > 0)
        if (!listen.path[0] && !kit_listen_is_loopback(listen.host))
            return refuse_host(config, option, listen.host, report);
    return 0;
}

static int check_host(const struct kit_config *config, struct report *report)
{
    if (config->jwt_secret[0] || config->jwt_key_file[0]) return 0;
    bool is_used = !config->listen[0];
    if (is_used && !kit_listen_is_loopback(config->host)) return refuse_host(config, "host", config->host, report);
    int failed = check_listen(config, "listen", config->listen, report);
    return failed ? failed : check_listen(config, "operator_listen", config->operator_listen, report);
}

/* Alone they would do nothing, and a server that is meant to be one of several would be on its own. */
static int check_redis_options(const struct kit_config *config, struct report *report)
{
    bool is_streams = config->adapter == KIT_ADAPTER_REDIS_STREAMS;
    if (!config->redis[0] && config->redis_sessions)
        return report_fault(report,
                            "option redis_sessions: 'true' needs an address (allowed with option redis only), from %s",
                            source_of(config, "redis_sessions"));
    if (!config->redis[0] && !kit_config_is_default(config, "adapter"))
        return report_fault(report,
                            "option adapter needs an address of Redis (allowed with option redis only), from %s",
                            source_of(config, "adapter"));
    if (config->redis_options.cluster && (is_streams || config->redis_sentinels[0]))
        return report_fault(
            report,
            "option redis_cluster: 'true' does not work with this (allowed: neither adapter redis-streams "
            "nor redis_sentinels), from %s",
            source_of(config, "redis_cluster"));
    if (config->redis[0] && config->io.recovery.enabled && !is_streams)
        return report_fault(
            report,
            "option recovery: 'true' does not work with this adapter (allowed with redis: only with adapter "
            "redis-streams), from %s",
            source_of(config, "recovery"));
    return 0;
}

static int check_cluster_options(const struct kit_config *config, struct report *report)
{
    const char *source = source_of(config, "cluster");
    if (!config->cluster[0]) return 0;
    if (config->redis[0])
        return report_fault(report, "option cluster: invalid beside option redis (allowed: one of them), from %s",
                            source);
    if (!config->cluster_options.url[0])
        return report_fault(
            report, "option cluster: 'store' needs a PostgreSQL (allowed with option store only), from %s", source);
    if (config->io.recovery.enabled)
        return report_fault(report,
                            "option recovery: 'true' does not work with option cluster (allowed with redis: only with "
                            "adapter redis-streams), from %s",
                            source_of(config, "recovery"));
    return 0;
}

static int check_sizes(const struct kit_config *config, struct report *report)
{
    const struct eio_http_options *http = &config->io.http;
    struct rlimit files;
    if (http->max_line_bytes > http->max_head_bytes && !kit_config_is_default(config, "max_line_bytes"))
        return report_fault(report, "option max_line_bytes: '%zu' (allowed: at most max_head_bytes, %zu), from %s",
                            http->max_line_bytes, http->max_head_bytes, source_of(config, "max_line_bytes"));
    if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_max != RLIM_INFINITY &&
        http->reserved_descriptors >= files.rlim_max)
        return report_fault(
            report, "option reserved_descriptors: '%u' (allowed: less than the limit of open files, %llu), from %s",
            http->reserved_descriptors, (unsigned long long)files.rlim_max, source_of(config, "reserved_descriptors"));
    return 0;
}

int kit_config_check_server(const struct kit_config *config, char *error, size_t error_size)
{
    struct report report = {error, error_size, false};
    int failed = check_host(config, &report);
    if (!failed) failed = check_redis_options(config, &report);
    if (!failed) failed = check_cluster_options(config, &report);
    return failed ? failed : check_sizes(config, &report);
}

int kit_config_refuse(const struct kit_config *config, const char *name, const char *allowed, char *error,
                      size_t error_size)
{
    struct report report = {error, error_size, false};
    struct kit_setting setting = find_setting(config, name, strlen(name), false);
    const char *value = setting.option && setting.option->type == KIT_TEXT ? config->texts[setting.index] : NULL;
    return report_fault(&report, "option %s: invalid value '%s' (allowed: %s), from %s", name, value ? value : "true",
                        allowed, source_of(config, name));
}

void kit_config_each_exposed(const struct kit_config *config, void (*fn)(const char *option))
{
    struct kit_setting setting;
    for (size_t i = 0; (setting = kit_setting_at(config, i)).option; i++) {
        const char *value = config->texts[i], *name = setting.option->name;
        if (!setting.option->secret || !value || strncmp(config->sources[i], COMMAND_LINE, strlen(COMMAND_LINE)))
            continue;
        if (value[0] && hides(setting.option, value)) fn(name);
    }
}

bool kit_config_is_default(const struct kit_config *config, const char *name)
{
    return !strcmp(source_of(config, name), "default");
}
