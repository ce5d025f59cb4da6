/* parley trace: asks the server of the configuration, and prints its lines. */
#include "kit_listen.h"
#include "trace_int.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINE_MAX_BYTES 8192
#define TOKEN_TTL_S 86400
#define EXIT_USAGE 2

/* Where and how to ask. */
struct place {
    struct kit_listen at;
    bool is_operators, is_secure;
    char url[512]; /* without the path */
};

struct printing {
    CURL *curl;
    bool is_json, has_begun;
    time_t until_s; /* 0: without end */
    char line[LINE_MAX_BYTES];
    size_t size;
};

/* ------------------------------------------------------------------- place */

static int read_place(const struct kit_config *config, struct place *place, char *error, size_t error_size)
{
    const char *list = config->operator_listen[0] ? config->operator_listen : config->listen;
    struct kit_listen *at = &place->at;
    place->is_operators = config->operator_listen[0] != 0;
    memset(at, 0, sizeof *at);
    if (list[0]) {
        kit_listen_next(&list, at);
    } else {
        snprintf(at->host, sizeof at->host, "%s", config->host);
        at->port = (uint16_t)config->port;
    }
    if (!strcmp(at->host, "0.0.0.0")) strcpy(at->host, "127.0.0.1");
    if (!strcmp(at->host, "::")) strcpy(at->host, "::1");
    place->is_secure = config->tls_cert[0] && !at->is_plain;
    if (!at->path[0] && !at->port) {
        snprintf(error, error_size, "the configuration names no port; name the server with --url");
        return EIO_EINVAL;
    }
    const char *scheme = place->is_secure ? "https" : "http";
    bool is_v6 = strchr(at->host, ':') != NULL;
    if (at->path[0])
        snprintf(place->url, sizeof place->url, "%s://localhost", scheme);
    else
        snprintf(place->url, sizeof place->url, is_v6 ? "%s://[%s]:%u" : "%s://%s:%u", scheme, at->host, at->port);
    return 0;
}

/* ---------------------------------------------------------------- printing */

/* Names come from clients: what could steer a terminal is escaped. */
static void print_value(const json_t *value)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;_-+*/@#<>{}";
    const char *text = json_string_value(value);
    char *dump;
    if (text && text[0] && !text[strspn(text, plain)]) {
        fputs(text, stdout);
    } else {
        dump = json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
        if (dump) fputs(dump, stdout);
        free(dump);
    }
}

static void print_line(struct printing *printing)
{
    json_t *line = json_loadb(printing->line, printing->size, 0, NULL), *value;
    const char *name;
    if (printing->is_json || !json_is_object(line)) {
        printf("%.*s\n", (int)printing->size, printing->line);
    } else {
        print_value(json_object_get(line, "at"));
        putchar(' ');
        print_value(json_object_get(line, "what"));
        json_object_foreach(line, name, value)
        {
            if (!strcmp(name, "at") || !strcmp(name, "what")) continue;
            printf(" %s=", name);
            print_value(value);
        }
        putchar('\n');
    }
    fflush(stdout);
    json_decref(line);
}

static size_t on_bytes(char *bytes, size_t one, size_t count, void *ctx)
{
    struct printing *printing = ctx;
    for (size_t i = 0; i < one * count; i++) {
        if (bytes[i] == '\n') {
            print_line(printing);
            printing->size = 0;
        } else if (printing->size < sizeof printing->line) {
            printing->line[printing->size++] = bytes[i];
        }
    }
    printing->has_begun = true;
    return ferror(stdout) ? 0 : one * count;
}

static int on_progress(void *ctx, curl_off_t total, curl_off_t now, curl_off_t to_send, curl_off_t sent)
{
    const struct printing *printing = ctx;
    (void)total, (void)now, (void)to_send, (void)sent;
    return printing->until_s && time(NULL) >= printing->until_s;
}

/* ----------------------------------------------------------------- request */

static bool add_parameter(CURL *curl, char *url, size_t size, const char *name, const char *value)
{
    size_t n = strlen(url);
    char *escaped = value ? curl_easy_escape(curl, value, 0) : NULL;
    if (!value) return true;
    if (escaped) snprintf(url + n, size - n, "%c%s=%s", strchr(url, '?') ? '&' : '?', name, escaped);
    curl_free(escaped);
    return escaped && strlen(url) + 1 < size;
}

/* NULL with a line in error, or where none is needed. */
static char *make_token(const struct kit_config *config, char *error, size_t error_size)
{
    struct kit_jwt jwt = {.keys = NULL};
    bool is_development;
    char *token = NULL;
    error[0] = 0;
    if (!kit_jwt_load(&jwt, config, &is_development, error, error_size)) {
        if (kit_jwt_can_sign(&jwt))
            token = kit_auth_make_token(&jwt, "operator", "admin", "*", "", (int64_t)time(NULL), TOKEN_TTL_S);
        if (!token)
            snprintf(error, error_size, "a public key cannot sign the token that is needed; set operator_listen");
    }
    kit_jwt_clear(&jwt);
    return token;
}

static void set_place(CURL *curl, const struct kit_config *config, const struct place *place)
{
    if (place->at.path[0]) curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, place->at.path);
    if (place->at.is_proxied) curl_easy_setopt(curl, CURLOPT_HAPROXYPROTOCOL, 1L);
    if (!place->is_secure || place->at.host[0] == 0) return;
    /* The server of this configuration is who has the certificate that it names, whatever name is in it. */
    curl_easy_setopt(curl, CURLOPT_CAINFO, config->tls_cert);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
}

static int perform(struct printing *printing, const char *url, struct curl_slist *headers)
{
    CURL *curl = printing->curl;
    char why[CURL_ERROR_SIZE] = "";
    long status = 0;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 10L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, printing);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, printing);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_ABORTED_BY_CALLBACK) return EXIT_SUCCESS;
    if (status && status != 200) {
        fprintf(stderr, "parley: trace: %ld: %.*s\n", status, (int)printing->size, printing->line);
        return EXIT_FAILURE;
    }
    fprintf(stderr, "parley: trace: %s\n", code ? why[0] ? why : curl_easy_strerror(code) : "the server ended it");
    return EXIT_FAILURE;
}

static int run(const struct kit_config *config, const struct trace_command *command, struct printing *printing)
{
    struct place place = {.is_operators = false};
    char error[512], url[2048];
    if (command->url)
        snprintf(place.url, sizeof place.url, "%s", command->url);
    else if (read_place(config, &place, error, sizeof error)) {
        fprintf(stderr, "parley: trace: %s\n", error);
        return EXIT_USAGE;
    }
    snprintf(url, sizeof url, "%s/trace", place.url);
    char *token = place.is_operators ? NULL : make_token(config, error, sizeof error);
    struct curl_slist *headers = NULL;
    if (token) {
        char *field = malloc(strlen(token) + 32);
        if (field) sprintf(field, "Authorization: Bearer %s", token);
        headers = field ? curl_slist_append(NULL, field) : NULL;
        free(field);
        free(token);
    } else if (!place.is_operators && !command->url) {
        fprintf(stderr, "parley: trace: %s\n", error);
        return EXIT_FAILURE;
    }
    if (!command->url) set_place(printing->curl, config, &place);
    int status = EXIT_USAGE;
    if (add_parameter(printing->curl, url, sizeof url, "user", command->user) &&
        add_parameter(printing->curl, url, sizeof url, "call", command->call) &&
        add_parameter(printing->curl, url, sizeof url, "tenant", command->tenant))
        status = perform(printing, url, headers);
    else
        fprintf(stderr, "parley: trace: the names are too long\n");
    curl_slist_free_all(headers);
    return status;
}

int trace_run_command(const struct kit_config *config, const struct trace_command *command)
{
    struct printing printing = {.is_json = command->is_json};
    char *end = NULL;
    long seconds = command->seconds ? strtol(command->seconds, &end, 10) : 0;
    if (!command->user && !command->call) {
        fprintf(stderr, "parley: trace: name a user with --user or a call with --call\n");
        return EXIT_USAGE;
    }
    if (command->seconds && (*end || end == command->seconds || seconds < 1 || seconds > TOKEN_TTL_S)) {
        fprintf(stderr, "parley: option --for: invalid value '%s' (allowed: 1 to %d seconds)\n", command->seconds,
                TOKEN_TTL_S);
        return EXIT_USAGE;
    }
    if (seconds) printing.until_s = time(NULL) + seconds;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    printing.curl = curl_easy_init();
    int status = printing.curl ? run(config, command, &printing) : EXIT_FAILURE;
    curl_easy_cleanup(printing.curl);
    curl_global_cleanup();
    return status;
}
