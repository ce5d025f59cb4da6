/* Configuration: one table of options feeds the command line, the environment, the configuration file, --help and
 * docs/configuration.md. Precedence: command line, environment, file, default. */
#ifndef KIT_CONFIG_H
#define KIT_CONFIG_H

#include <cluster.h>
#include <socketio.h>

#include <stdio.h>

enum kit_store_sync { KIT_SYNC_NORMAL, KIT_SYNC_FULL };
enum kit_log_format { KIT_LOG_TEXT, KIT_LOG_JSON };
enum kit_adapter { KIT_ADAPTER_REDIS, KIT_ADAPTER_REDIS_SHARDED, KIT_ADAPTER_REDIS_STREAMS };
enum kit_jwt_algorithm { KIT_JWT_HS256, KIT_JWT_EDDSA };

#define KIT_CONFIG_OPTIONS_MAX 512 /* of all modules */
#define KIT_CONFIG_QUOTAS 10
#define KIT_CONFIG_VALUES_MAX 1024 /* words of all modules' structs */

struct kit_module;

struct kit_config {
    const struct kit_module *const *modules; /* what the program is made of, ended by NULL */
    const char *config_file;                 /* "": none */

    const char *host;
    uint32_t port;
    const char *listen, *operator_listen; /* kit_listen.h; "": host and port, none */
    const char *unix_socket_mode, *unix_socket_owner;
    bool has_operators; /* they have listeners of their own */
    uint32_t drain_timeout_ms, drain_clients_per_second;
    int sandbox; /* enum kit_sandbox */
    const char *sandbox_paths;
    bool serve_client;
    uint32_t workers;
    uint32_t worker_restart_max_ms;
    uint32_t worker_timeout_ms;
    size_t bus_max_queue_bytes;
    size_t bus_max_message_bytes;

    const char *redis; /* "": none */
    int adapter;       /* enum kit_adapter */
    const char *redis_key_prefix, *redis_session_prefix;
    const char *redis_sentinels, *redis_tls_ca, *redis_tls_cert, *redis_tls_key, *redis_tls_name;
    struct rooms_redis_options redis_options;
    bool redis_sessions;
    const char *redis_sessions_key;

    const char *cluster; /* "": none; "store": the URL of that option; a URL of PostgreSQL */
    const char *cluster_channel_prefix, *cluster_table;
    struct rooms_postgresql_options cluster_options; /* url: NULL without a cluster */

    const char *data;  /* directory, or ":memory:" */
    int store_sync;    /* enum kit_store_sync */
    const char *store; /* "": SQLite in data */
    uint32_t store_busy_timeout_ms, store_statement_timeout_ms, store_connect_timeout_ms, store_reconnect_max_ms;
    uint32_t work_threads;
    uint32_t work_queue_max;
    size_t work_queue_bytes;
    uint32_t work_batch_max;
    uint32_t user_jobs_max, feed_jobs_max;
    uint32_t source_queue_max;
    size_t source_queue_bytes;

    int log_level; /* enum eio_log_level */
    int log_format;
    const char *log_file; /* "": standard error */

    int jwt_algorithm;
    const char *jwt_secret;
    const char *jwt_key_file;
    const char *jwt_keys; /* "": none */
    const char *jwks_url; /* "": none */
    uint32_t jwks_max_age_s, jwks_interval_s, jwks_timeout_ms;
    const char *jwt_issuer;
    const char *jwt_audience;
    uint32_t jwt_leeway_s;
    size_t token_cache_max;
    uint32_t auth_timeout_ms;
    uint32_t auth_max_bytes, event_max_bytes;
    uint32_t quotas[KIT_CONFIG_QUOTAS]; /* by enum kit_quota_kind, a second; 0: no limit */
    uint32_t quota_tracked_max;

    bool demo;

    const char *cors_origin, *allowed_origins;
    size_t max_addresses; /* both of HTTP and of Engine.IO */
    const char *trusted_proxies, *proxy_networks;
    uint32_t hsts_max_age_s;        /* 0: none */
    const char *tls_cert, *tls_key; /* "": plain HTTP */
    const char *tls_ticket_keys;
    struct sio_options io; /* limits of the libraries, set through the same table */

    uint64_t values[KIT_CONFIG_VALUES_MAX]; /* the modules' structs: kit_config_values() */

    /* Private: the text behind each text option and where each value came from. */
    char *texts[KIT_CONFIG_OPTIONS_MAX];
    char *sources[KIT_CONFIG_OPTIONS_MAX];
};

/* An option of one subcommand only; never in the environment or the file. */
struct kit_flag {
    const char *name; /* "sub" for --sub */
    const char *help;
    bool is_switch;    /* takes no value */
    const char *value; /* out: NULL if not given, "" for a switch */
};

struct kit_command_line {
    int argc; /* without the program and the subcommand */
    char **argv;
    struct kit_flag *flags;
    size_t flag_count;
    const char **rest; /* out: room for argc words that are no options; NULL: such words are an error */
    size_t rest_count;
};

/* Fills in the defaults. modules: kit_module.h, ended by NULL, KIT_MODULES_MAX at most; borrowed. */
void kit_config_init(struct kit_config *config, const struct kit_module *const *modules);
void kit_config_clear(struct kit_config *config);
/* Over the defaults (kit_config_init()): file, environment ("NAME=value" strings, NULL at the end) and command line.
 * Returns 0, or EIO_EINVAL with one line in error that names the option, its value, what is allowed and where it was
 * given. */
int kit_config_load(struct kit_config *config, struct kit_command_line *line, char *const *environment, char *error,
                    size_t error_size);

struct kit_option_set;
/* The struct of a module's options (kit_options.h), if the module is one of config->modules. */
const void *kit_config_values(const struct kit_config *config, const struct kit_option_set *options);

/* What only matters to a server: options that do not go together, and those that this machine does not allow. Without
 * a key of its own it listens on loopback only. Returns 0 or EIO_EINVAL with a line in error. */
int kit_config_check_server(const struct kit_config *config, char *error, size_t error_size);
/* Of a text, or a switch that is on, which only its use shows to be impossible: returns EIO_EINVAL with a line in
 * error. */
int kit_config_refuse(const struct kit_config *config, const char *name, const char *allowed, char *error,
                      size_t error_size);
/* True if a list with commas has an empty item, which is a mistake. "" is an empty list. */
bool kit_list_has_gap(const char *list);
/* True if the value is the default. */
bool kit_config_is_default(const struct kit_config *config, const char *name);
/* Calls fn for each secret that was given on the command line, where every user of the machine can read it. */
void kit_config_each_exposed(const struct kit_config *config, void (*fn)(const char *option));

/* Every option with its value and source, one per line, as a configuration file. Secrets are not shown. */
void kit_config_print(const struct kit_config *config, FILE *out);
void kit_config_print_help(const struct kit_config *config, FILE *out);
void kit_config_print_markdown(const struct kit_config *config, FILE *out);

#endif
