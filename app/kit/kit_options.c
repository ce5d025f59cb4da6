/* The kit's own options: names, defaults, ranges, help. Adding one is adding a row here and a field in struct
 * kit_config; the command line, the environment, the file and the documentation follow. */
#include "kit_listen.h"
#include "kit_sandbox.h"
#include "kit_options.h"
#include "kit_store.h"

#include "kit_fetch.h"
#include "kit_quota.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct kit_choice levels[] = {
    {"error", EIO_LOG_ERROR}, {"warn", EIO_LOG_WARN}, {"info", EIO_LOG_INFO}, {"debug", EIO_LOG_DEBUG}, {NULL, 0}};
static const struct kit_choice formats[] = {{"text", KIT_LOG_TEXT}, {"json", KIT_LOG_JSON}, {NULL, 0}};
static const struct kit_choice sandboxes[] = {
    {"off", KIT_SANDBOX_OFF}, {"try", KIT_SANDBOX_TRY}, {"on", KIT_SANDBOX_ON}, {NULL, 0}};
static const struct kit_choice syncs[] = {{"full", KIT_SYNC_FULL}, {"normal", KIT_SYNC_NORMAL}, {NULL, 0}};
static const struct kit_choice algorithms[] = {{"HS256", KIT_JWT_HS256}, {"EdDSA", KIT_JWT_EDDSA}, {NULL, 0}};
static const struct kit_choice parsers[] = {
    {"default", SIO_PARSER_DEFAULT}, {"msgpack", SIO_PARSER_MSGPACK}, {NULL, 0}};
static const struct kit_choice policies[] = {
    {"close", EIO_QUEUE_CLOSE}, {"drop-oldest", EIO_QUEUE_DROP_OLDEST}, {NULL, 0}};
static const struct kit_choice transports[] = {{"polling,websocket", EIO_POLLING | EIO_WEBSOCKET},
                                               {"polling", EIO_POLLING},
                                               {"websocket", EIO_WEBSOCKET},
                                               {NULL, 0}};

static const struct kit_choice adapters[] = {{"redis", KIT_ADAPTER_REDIS},
                                             {"redis-sharded", KIT_ADAPTER_REDIS_SHARDED},
                                             {"redis-streams", KIT_ADAPTER_REDIS_STREAMS},
                                             {NULL, 0}};
static const struct kit_choice modes[] = {{"dynamic", ROOMS_REDIS_DYNAMIC},
                                          {"static", ROOMS_REDIS_STATIC},
                                          {"dynamic-private", ROOMS_REDIS_DYNAMIC_PRIVATE},
                                          {NULL, 0}};

#define KIT_VALUES struct kit_config
#define QUOTA(kind, name, fallback, help) \
    KIT_U32_ROW(name, quotas[KIT_QUOTA_##kind], fallback, 0, 4000000000, "Access", help)

bool kit_list_has_gap(const char *list)
{
    size_t n = strlen(list);
    return n && (list[0] == ',' || list[n - 1] == ',' || strstr(list, ",,"));
}

static const char *check_redis(const char *value)
{
    const char *why;
    return rooms_redis_url_is_valid(value, &why) ? NULL : "redis[s]://[[user]:password@]host[:port][/database]";
}

static const char *check_store(const char *value)
{
    return kit_store_url_is_valid(value) ? NULL
                                         : "postgresql://[user[:password]@][host][:port][/database][?parameters]";
}

static const char *check_cluster(const char *value)
{
    return strcmp(value, "store") == 0 || rooms_postgresql_url_is_valid(value)
               ? NULL
               : "store, or postgresql://[user[:password]@][host][:port][/database][?parameters]";
}

static const char *check_table(const char *value)
{
    return rooms_postgresql_table_is_valid(value) ? NULL : "letters, digits and '_', a schema and '.' before them";
}

static const char *check_proxies(const char *value)
{
    return eio_trusted_proxies_are_valid(value) && !kit_list_has_gap(value)
               ? NULL
               : "addresses and networks such as 10.0.0.0/8, separated by commas";
}

static const char *check_cors(const char *value)
{
    return eio_cors_origin_is_valid(value) ? NULL
                                           : "*, reflect, or origins such as https://a.example and /extended regular "
                                             "expressions/, with commas between";
}

static const char *check_origins(const char *value)
{
    return eio_allowed_origins_are_valid(value)
               ? NULL
               : "origins such as https://a.example and /extended regular expressions/, with commas between";
}

static const char *check_host(const char *value)
{
    unsigned char address[sizeof(struct in6_addr)];
    bool is_possible = !strcmp(value, "localhost") || inet_pton(AF_INET, value, address) == 1 ||
                       inet_pton(AF_INET6, value, address) == 1;
    return is_possible ? NULL : "a numeric address or localhost";
}

/* A route of its own: clients ask for /path/, and what else there is must be in reach. */
static const char *check_path(const char *value)
{
    static const char *const taken[] = {"/api", "/admin", "/health", "/ready", "/metrics", "/demo"};
    size_t n = strlen(value);
    while (n && value[n - 1] == '/') n--;
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        size_t size = strlen(taken[i]);
        if (n >= size && !strncmp(value, taken[i], size) && (n == size || value[size] == '/')) n = 0;
    }
    bool is_absolute = n > 1 && value[0] == '/' && value[1] != '/';
    bool is_plain = strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()+,;=:@%/") ==
                    strlen(value);
    return is_absolute && is_plain && n <= 256
               ? NULL
               : "/ and a name of at most 256 bytes, not below /api, /admin, /health, /ready, /metrics or /demo";
}

static const char *check_mode(const char *value)
{
    size_t n = strlen(value);
    if (n == 4 && value[0] == '0') value++, n--;
    return n == 3 && strspn(value, "01234567") == n ? NULL : "three octal digits, such as 660";
}

static const char *check_owner(const char *value)
{
    size_t n = strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:");
    const char *colon = strchr(value, ':');
    bool is_owner = !value[n] && n < 128 && (!colon || (colon[1] && !strchr(colon + 1, ':')));
    return is_owner ? NULL : "USER, USER:GROUP or :GROUP, names or numbers";
}

static const char *check_file(const char *value)
{
    struct stat info;
    if (access(value, R_OK) || stat(value, &info)) return "a readable file";
    /* A pipe is one, too: <(command) in a shell. */
    return S_ISREG(info.st_mode) || S_ISFIFO(info.st_mode) ? NULL : "a readable file, not a directory or device";
}

/* Read again on SIGHUP, or by OpenSSL, which would wait for a pipe. */
static const char *check_regular_file(const char *value)
{
    struct stat info;
    return !access(value, R_OK) && !stat(value, &info) && S_ISREG(info.st_mode) ? NULL : "a readable regular file";
}

static const char *check_ticket_keys(const char *value)
{
    bool is_usable = !check_regular_file(value) && eio_tls_ticket_keys_are_valid(value);
    return is_usable ? NULL : "a readable regular file, with 160 hexadecimal digits a line";
}

static const struct kit_option options[] = {
    KIT_TEXT_ROW("config", config_file, "", "Server", "configuration file, `name = value` lines"),
    KIT_CHECKED_ROW("host", host, "127.0.0.1", check_host, "Server",
                    "numeric address to listen on; other than loopback, it requires your own key (`jwt_key_file`)"),
    KIT_U32_ROW("port", port, "3000", 0, 65535, "Server", "port to listen on; 0: any free port"),
    KIT_CHECKED_ROW(
        "listen", listen, "", kit_listen_check, "Server",
        "where to listen instead of `host` and `port`, with commas between: `127.0.0.1:3000`, `[::]:3000`, "
        "`unix:/run/parley.sock`; words behind one: `plain`, without TLS; `proxy`, each connection begins with a "
        "PROXY protocol header"),
    KIT_CHECKED_ROW("operator_listen", operator_listen, "", kit_listen_check, "Server",
                    "the same for operators: /metrics and the Admin UI are there alone, and /health with its figures"),
    KIT_CHECKED_ROW("unix_socket_mode", unix_socket_mode, "660", check_mode, "Server",
                    "permissions of UNIX sockets, octal"),
    KIT_CHECKED_ROW("unix_socket_owner", unix_socket_owner, "", check_owner, "Server",
                    "`USER`, `USER:GROUP` or `:GROUP` of UNIX sockets; empty: the server's own"),
    KIT_CHOICE_ROW("sandbox", sandbox, "off", sandboxes, "Server",
                   "let the server open its data, files that the configuration names and what libraries need, and "
                   "run no programs (Landlock, seccomp); on: the start fails where the kernel cannot; try: it warns"),
    KIT_TEXT_ROW("sandbox_paths", sandbox_paths, "", "Server",
                 "more files and folders that it may read there, with commas between"),
    KIT_BOOL_ROW("demo", demo, "false", "Server",
                 "play an embedded conversation in a loop and issue tokens at /demo/token"),
    KIT_U32_ROW("drain_timeout_ms", drain_timeout_ms, "10000", 0, KIT_DAY_MS, "Server",
                "after SIGTERM, time for clients to go and to receive their last messages"),
    KIT_U32_ROW(
        "drain_clients_per_second", drain_clients_per_second, "2000", 1, 10000000, "Server",
        "after SIGTERM, clients that are disconnected a second, in waves of a tenth of that, so that they do not "
        "come to the other nodes at once; more if `drain_timeout_ms` would not do"),
    KIT_U32_ROW("workers", workers, "1", 1, 64, "Server",
                "processes that share the port; each is a node with its own limits"),
    KIT_U32_ROW("worker_restart_max_ms", worker_restart_max_ms, "10000", 0, KIT_DAY_MS, "Server",
                "longest delay before a worker that keeps crashing is restarted"),
    KIT_U32_ROW("worker_timeout_ms", worker_timeout_ms, "30000", 0, KIT_DAY_MS, "Server",
                "an unresponsive worker is killed and restarted after this time; 0: never"),
    KIT_SIZE_ROW("bus_max_queue_bytes", bus_max_queue_bytes, "16777216", 1024, "Server",
                 "messages queued for one other worker; above: dropped for that worker"),
    KIT_SIZE_ROW("bus_max_message_bytes", bus_max_message_bytes, "16777216", 1024, "Server",
                 "size of a message between workers; above: not sent"),

    KIT_SECRET_ROW(
        "redis", redis, check_redis, "Redis",
        "`redis://[[user]:password@]host[:port][/database]`, the Redis shared by all nodes, `rediss://` with "
        "TLS; several, separated by commas, are tried in turn; empty: a single node"),
    KIT_SECRET_ROW(
        "redis_sentinels", redis_sentinels, check_redis, "Redis",
        "`redis://[[user]:password@]host[:port]` of Sentinels, separated by commas; then the host in `redis` "
        "is the name of the master that they watch. Their port is 26379 by custom, not by default"),
    KIT_BOOL_ROW(
        "redis_cluster", redis_options.cluster, "false", "Redis",
        "`redis` names members of a Redis Cluster: sharded channels go to the masters of their slots, wherever "
        "these move"),
    KIT_CHECKED_ROW("redis_tls_ca", redis_tls_ca, "", check_regular_file, "Redis",
                    "TLS: file of the authorities that sign Redis' certificate; empty: the system's"),
    KIT_CHECKED_ROW("redis_tls_cert", redis_tls_cert, "", check_regular_file, "Redis",
                    "TLS: file of this client's certificate, if Redis asks for one"),
    KIT_CHECKED_ROW("redis_tls_key", redis_tls_key, "", check_regular_file, "Redis",
                    "TLS: file of its key; empty: in the same file"),
    KIT_TEXT_ROW("redis_tls_name", redis_tls_name, "", "Redis",
                 "TLS: name or address that Redis' certificate must have; empty: the host of the address"),
    KIT_BOOL_ROW("redis_tls_verify", redis_options.tls_verify, "true", "Redis",
                 "TLS: check Redis' certificate; `false` protects from nobody who can answer in its place"),
    KIT_CHOICE_ROW(
        "adapter", adapter, "redis", adapters, "Redis",
        "adapter protocol, the same on all nodes: `@socket.io/redis-adapter`, its sharded adapter (Redis 7), or "
        "`@socket.io/redis-streams-adapter`, which recovers connections across nodes"),
    KIT_TEXT_ROW("redis_key_prefix", redis_key_prefix, "socket.io", "Redis",
                 "prefix of channels, and name of the stream"),
    KIT_CHOICE_ROW("redis_mode", redis_options.mode, "dynamic", modes, "Redis",
                   "which rooms have their own channel; not used with streams"),
    KIT_BOOL_ROW("redis_specific_response_channel", redis_options.specific_response_channel, "false", "Redis",
                 "send responses on a separate channel per node; must be the same on all nodes"),
    KIT_U32_ROW("redis_connect_timeout_ms", redis_options.connect_timeout_ms, "5000", 10, KIT_DAY_MS, "Redis",
                "time for connecting to Redis"),
    KIT_U32_ROW("redis_liveness_ms", redis_options.liveness_ms, "5000", 10, KIT_DAY_MS, "Redis",
                "after this silence Redis is pinged; after the same again the connection is considered lost"),
    KIT_U32_ROW("redis_reconnect_min_ms", redis_options.reconnect_min_ms, "100", 1, KIT_DAY_MS, "Redis",
                "delay before the second attempt to connect; doubles each time, with half of it random"),
    KIT_U32_ROW("redis_reconnect_max_ms", redis_options.reconnect_max_ms, "10000", 1, KIT_DAY_MS, "Redis",
                "longest delay between attempts"),
    KIT_U32_ROW("redis_request_timeout_ms", redis_options.request_timeout_ms, "5000", 10, KIT_DAY_MS, "Redis",
                "time for other nodes to respond; after it, the result is what has arrived"),
    KIT_U32_ROW("redis_heartbeat_interval_ms", redis_options.heartbeat_interval_ms, "5000", 10, KIT_DAY_MS, "Redis",
                "sharded, streams and sessions across machines: time between heartbeats"),
    KIT_U32_ROW("redis_heartbeat_timeout_ms", redis_options.heartbeat_timeout_ms, "10000", 10, KIT_DAY_MS, "Redis",
                "a node without heartbeats for this time is considered gone, and connections carried to it are closed"),
    KIT_SIZE_ROW("redis_max_pending_bytes", redis_options.max_pending_bytes, "16777216", 1024, "Redis",
                 "messages queued while Redis is unreachable; above: the oldest are dropped"),
    KIT_SIZE_ROW("redis_max_message_bytes", redis_options.max_message_bytes, "16777216", 1024, "Redis",
                 "size of a message to or from Redis; above: not published, or the connection is closed"),
    KIT_COUNT_ROW("redis_max_requests", redis_options.max_requests, "65536", 1, 10000000, "Redis",
                  "pending requests to Redis"),
    KIT_BOOL_ROW(
        "redis_sessions", redis_sessions, "false", "Redis",
        "forward requests through Redis to the machine that has their session, so that load balancing need not be "
        "sticky; session ids have 32 characters"),
    KIT_SECRET_ROW("redis_sessions_key", redis_sessions_key, NULL, "Redis",
                   "key, the same on all nodes, that hides the node from clients in their session ids"),
    KIT_TEXT_ROW("redis_session_prefix", redis_session_prefix, "sio:session:", "Redis",
                 "streams: prefix of the keys of saved sessions"),
    KIT_U32_ROW("redis_stream_count", redis_options.stream_count, "1", 1, 1024, "Redis",
                "number of streams that messages are spread over"),
    KIT_U32_ROW("redis_stream_max_length", redis_options.stream_max_length, "10000", 1, 100000000, "Redis",
                "approximate maximum of entries in a stream; the oldest are removed"),
    KIT_U32_ROW("redis_stream_read_count", redis_options.stream_read_count, "100", 1, 100000, "Redis",
                "entries read at a time"),
    KIT_U32_ROW("redis_stream_block_ms", redis_options.stream_block_ms, "5000", 10, KIT_DAY_MS, "Redis",
                "longest time a read waits for entries"),

    KIT_SECRET_ROW(
        "cluster", cluster, check_cluster, "Cluster over PostgreSQL",
        "`postgresql://…`, as for `store`: nodes share rooms through this PostgreSQL instead of Redis, in the "
        "format of `@socket.io/postgres-adapter`; `store`: that of option `store`; empty: they do not"),
    KIT_TEXT_ROW("cluster_channel_prefix", cluster_channel_prefix, "socket.io", "Cluster over PostgreSQL",
                 "prefix of channels"),
    KIT_CHECKED_ROW("cluster_table", cluster_table, "socket_io_attachments", check_table, "Cluster over PostgreSQL",
                    "table of messages that are binary, or longer than a notification; made if it does not exist"),
    KIT_U32_ROW("cluster_cleanup_interval_ms", cluster_options.cleanup_interval_ms, "30000", 100, KIT_DAY_MS,
                "Cluster over PostgreSQL", "rows of that table are deleted when they are so old"),
    KIT_U32_ROW("cluster_connect_timeout_ms", cluster_options.connect_timeout_ms, "5000", 10, KIT_DAY_MS,
                "Cluster over PostgreSQL", "time for connecting to PostgreSQL"),
    KIT_U32_ROW(
        "cluster_liveness_ms", cluster_options.liveness_ms, "5000", 10, KIT_DAY_MS, "Cluster over PostgreSQL",
        "after this silence PostgreSQL is asked; after the same again the connection is considered lost. Also the "
        "longest time of a statement"),
    KIT_U32_ROW("cluster_reconnect_min_ms", cluster_options.reconnect_min_ms, "100", 1, KIT_DAY_MS,
                "Cluster over PostgreSQL",
                "delay before the second attempt to connect; doubles each time, with half of it random"),
    KIT_U32_ROW("cluster_reconnect_max_ms", cluster_options.reconnect_max_ms, "10000", 1, KIT_DAY_MS,
                "Cluster over PostgreSQL", "longest delay between attempts"),
    KIT_U32_ROW("cluster_request_timeout_ms", cluster_options.request_timeout_ms, "5000", 10, KIT_DAY_MS,
                "Cluster over PostgreSQL",
                "time for other nodes to respond, and for an attachment to be read; after it, the result is what has "
                "arrived"),
    KIT_U32_ROW("cluster_heartbeat_interval_ms", cluster_options.heartbeat_interval_ms, "5000", 10, KIT_DAY_MS,
                "Cluster over PostgreSQL", "time between heartbeats"),
    KIT_U32_ROW("cluster_heartbeat_timeout_ms", cluster_options.heartbeat_timeout_ms, "10000", 10, KIT_DAY_MS,
                "Cluster over PostgreSQL", "a node without heartbeats for this time is considered gone"),
    KIT_SIZE_ROW("cluster_max_pending_bytes", cluster_options.max_pending_bytes, "16777216", 1024,
                 "Cluster over PostgreSQL",
                 "messages queued while PostgreSQL is unreachable; above: the oldest are dropped"),
    KIT_SIZE_ROW("cluster_max_message_bytes", cluster_options.max_message_bytes, "16777216", 1024,
                 "Cluster over PostgreSQL", "size of a message; above: not published, or not read"),
    KIT_SIZE_ROW("cluster_max_waiting_bytes", cluster_options.max_waiting_bytes, "16777216", 1024,
                 "Cluster over PostgreSQL",
                 "messages that arrived behind one whose attachment is being read; above: PostgreSQL keeps the rest"),

    KIT_TEXT_ROW(
        "data", data, "data", "Store",
        "directory of the database and keys, accessible only to the server's user (modes 0700 and 0600); `:memory:`: "
        "nothing is saved"),
    KIT_CHOICE_ROW("store_sync", store_sync, "full", syncs, "Store",
                   "`full`: acknowledged writes survive a power cut; `normal`: they survive a crash of the server"),
    KIT_SECRET_ROW("store", store, check_store, "Store",
                   "`postgresql://[user[:password]@][host][:port][/database][?parameters]`, a PostgreSQL that several "
                   "machines share; the parameters are libpq's (`sslmode`, `sslrootcert`, `target_session_attrs`); "
                   "empty: SQLite in `data`"),
    KIT_U32_ROW("store_busy_timeout_ms", store_busy_timeout_ms, "5000", 0, KIT_DAY_MS, "Store",
                "longest time a write waits for another program's lock"),
    KIT_U32_ROW("store_statement_timeout_ms", store_statement_timeout_ms, "10000", 100, KIT_DAY_MS, "Store",
                "PostgreSQL: longest time of a statement; above: error 503"),
    KIT_U32_ROW("store_connect_timeout_ms", store_connect_timeout_ms, "5000", 100, KIT_DAY_MS, "Store",
                "PostgreSQL: time for a connection to open, and for the answer to a check of it"),
    KIT_U32_ROW("store_reconnect_max_ms", store_reconnect_max_ms, "5000", 100, KIT_DAY_MS, "Store",
                "PostgreSQL: longest pause between two attempts to connect again"),
    KIT_U32_ROW("work_threads", work_threads, "2", 1, 64, "Store",
                "threads for blocking work; in any case one for each queue of it (the store's writes, its reads, "
                "passwords), so that none waits for another"),
    KIT_U32_ROW("work_queue_max", work_queue_max, "16384", 1, 10000000, "Store",
                "jobs queued or running; above: error 503. A quarter is reserved for feeds"),
    KIT_SIZE_ROW("work_queue_bytes", work_queue_bytes, "67108864", 1024, "Store",
                 "bytes of queued or running jobs; above: error 503. A quarter is reserved for feeds"),
    KIT_U32_ROW("user_jobs_max", user_jobs_max, "4", 1, 10000, "Store",
                "jobs of one user running at a time, over all the user's sockets and requests; while more are queued, "
                "the server reads from none of these sockets"),
    KIT_U32_ROW("feed_jobs_max", feed_jobs_max, "64", 1, 100000, "Store", "the same for a user whose role is feed"),
    KIT_U32_ROW("source_queue_max", source_queue_max, "1024", 1, 1000000, "Store",
                "jobs of one user queued behind the running ones; above: error 503"),
    KIT_SIZE_ROW("source_queue_bytes", source_queue_bytes, "4194304", 1024, "Store", "bytes of them; above: error 503"),
    KIT_U32_ROW("work_batch_max", work_batch_max, "512", 1, 65536, "Store", "writes that share one transaction"),

    KIT_CHOICE_ROW("log_level", log_level, "info", levels, "Log", "most verbose level to log"),
    KIT_CHOICE_ROW("log_format", log_format, "text", formats, "Log", "`key=value` lines or one JSON object per line"),
    KIT_TEXT_ROW("log_file", log_file, "", "Log",
                 "append to this file (created with mode 0600; SIGHUP reopens it); empty: standard error"),

    KIT_CHOICE_ROW(
        "jwt_algorithm", jwt_algorithm, "HS256", algorithms, "Access",
        "algorithm of `jwt_secret` and `jwt_key_file`, the only one accepted with them, whatever a token says"),
    KIT_SECRET_ROW("jwt_secret", jwt_secret, NULL, "Access",
                   "HS256: shared secret, at least 32 bytes; prefer `jwt_key_file`: every user of the machine can read "
                   "the command "
                   "line"),
    KIT_CHECKED_ROW(
        "jwt_key_file", jwt_key_file, "", check_file, "Access",
        "HS256: file with the secret. EdDSA: file with the Ed25519 key, PEM, or base64url of a public one; with a "
        "private one Parley can sign tokens. Without it and "
        "`jwt_secret`, a development key is generated in the data directory, and `host` must be loopback"),
    KIT_TEXT_ROW(
        "jwt_keys", jwt_keys, "", "Access",
        "more keys for tokens with a `kid`: `name=file`, separated by commas; an Ed25519 key in PEM, or a secret "
        "for HS256"),
    KIT_CHECKED_ROW("jwks_url", jwks_url, "", kit_fetch_check_url, "Access",
                    "JSON Web Key Set with more keys by `kid`; Ed25519 keys are used, others ignored; empty: none"),
    KIT_U32_ROW("jwks_max_age_s", jwks_max_age_s, "3600", 10, 31536000, "Access",
                "the set is fetched again after this time"),
    KIT_U32_ROW("jwks_interval_s", jwks_interval_s, "30", 1, 86400, "Access",
                "and for a token whose `kid` is unknown, but not sooner than this after the last time"),
    KIT_U32_ROW("jwks_timeout_ms", jwks_timeout_ms, "10000", 10, KIT_DAY_MS, "Access", "time for fetching the set"),
    KIT_TEXT_ROW("jwt_issuer", jwt_issuer, "", "Access", "required `iss`; empty: any"),
    KIT_TEXT_ROW("jwt_audience", jwt_audience, "", "Access", "required `aud`; empty: any"),
    KIT_U32_ROW("jwt_leeway_s", jwt_leeway_s, "0", 0, 3600, "Access", "clock skew tolerated in `exp` and `nbf`"),
    KIT_SIZE_ROW("token_cache_max", token_cache_max, "4096", 0, "Access",
                 "tokens whose signature is not checked again each time; their times are. 0: none"),
    KIT_U32_ROW("auth_timeout_ms", auth_timeout_ms, "10000", 1, KIT_DAY_MS, "Access",
                "a socket without a token must send agent:connect within this time"),

    KIT_U32_ROW("auth_max_bytes", auth_max_bytes, "16384", 256, 1000000, "Access",
                "size of the handshake's auth, and of an event from an unauthenticated socket; above: error 413"),
    QUOTA(
        SOCKET_EVENTS, "socket_events_per_second", "4000",
        "events a second of one socket, with bursts of one second's worth; above: error 429 with `retry_after_ms`; 0: "
        "no limit"),
    QUOTA(SOCKET_BYTES, "socket_bytes_per_second", "4194304", "bytes of these events; the same applies"),
    QUOTA(FEED_EVENTS, "feed_events_per_second", "50000",
          "the same for all that one feed (`sub`) says at one process, in place of the limits by socket, user and "
          "address"),
    QUOTA(FEED_BYTES, "feed_bytes_per_second", "268435456", "bytes of these events; the same applies"),
    QUOTA(USER_EVENTS, "user_events_per_second", "8000",
          "the same for all sockets and HTTP requests of one user at one process"),
    QUOTA(USER_BYTES, "user_bytes_per_second", "16777216", "bytes of these events; the same applies"),
    QUOTA(ADDRESS_EVENTS, "address_events_per_second", "40000",
          "the same for all sockets and HTTP requests from one client address (IPv6: /64)"),
    QUOTA(ADDRESS_BYTES, "address_bytes_per_second", "134217728", "bytes of these events; the same applies"),
    QUOTA(USER_CONNECTS, "user_connects_per_second", "1000",
          "namespaces that one user joins a second; above: `connect_error` with code 429"),
    QUOTA(REFUSALS, "refused_events_max", "1000",
          "events of one socket refused with 429 within ten seconds; above: it is disconnected; 0: never"),
    KIT_U32_ROW("quota_tracked_max", quota_tracked_max, "65536", 16, 10000000, "Access",
                "users and addresses without a connection whose use is remembered; above: the oldest are forgotten"),
    KIT_U32_ROW("event_max_bytes", event_max_bytes, "131072", 1024, 100000000, "Access",
                "size of an event; above: error 413"),

    KIT_CHECKED_ROW("path", io.engine.path, "/socket.io", check_path, "Engine", "path of the Socket.IO endpoint"),
    KIT_CHOICE_ROW("transports", io.engine.transports, "polling,websocket", transports, "Engine", "transports offered"),
    KIT_BOOL_ROW("allow_upgrades", io.engine.allow_upgrades, "true", "Engine",
                 "allow polling sessions to upgrade to WebSocket"),
    KIT_U32_ROW("ping_interval_ms", io.engine.ping_interval_ms, "25000", 10, KIT_DAY_MS, "Engine",
                "time between heartbeats"),
    KIT_U32_ROW("ping_timeout_ms", io.engine.ping_timeout_ms, "20000", 10, KIT_DAY_MS, "Engine",
                "time for the response to a heartbeat"),
    KIT_U32_ROW("slow_peer_timeout_ms", io.engine.slow_peer_timeout_ms, "300000", 0, KIT_DAY_MS, "Engine",
                "the same for a slow client that keeps receiving or sending bytes"),
    KIT_U32_ROW("upgrade_timeout_ms", io.engine.upgrade_timeout_ms, "10000", 10, KIT_DAY_MS, "Engine",
                "time for an upgrade to complete"),
    KIT_U32_ROW("close_timeout_ms", io.engine.close_timeout_ms, "30000", 10, KIT_DAY_MS, "Engine",
                "time to send the last bytes of a closing session"),
    KIT_U32_ROW("last_poll_timeout_ms", io.engine.last_poll_timeout_ms, "3000", 10, KIT_DAY_MS, "Engine",
                "the same, at shutdown, for a polling client that does not poll"),
    KIT_U32_ROW("linger_timeout_ms", io.engine.linger_timeout_ms, "30000", 10, KIT_DAY_MS, "Engine",
                "the same for a WebSocket closed because of an error or a limit"),
    KIT_SIZE_ROW("max_payload_bytes", io.engine.max_payload_bytes, "1000000", 1, "Engine",
                 "size of a POST body (above: 413) or WebSocket message (above: 1009)"),
    KIT_COUNT_ROW("max_buffered_chunks", io.engine.max_buffered_chunks, "10000", 1, 100000000, "Engine",
                  "chunks of a POST body; above: 413 and the session is closed"),
    KIT_U32_ROW("http_request_body_timeout_ms", io.engine.http_request_body_timeout_ms, "30000", 10, KIT_DAY_MS,
                "Engine", "time for a POST body to arrive; above: 408 and the session is closed"),
    KIT_COUNT_ROW("max_fragments", io.engine.max_fragments, "131072", 1, 100000000, "Engine",
                  "frames of one WebSocket message; above: 1008"),
    KIT_SIZE_ROW("high_water_bytes", io.engine.high_water_bytes, "65536", 1, "Engine",
                 "bytes queued for one session; above: volatile messages are dropped and reading is paused"),
    KIT_SIZE_ROW("max_queue_bytes", io.engine.max_queue_bytes, "16777216", 1024, "Engine",
                 "bytes queued for one session; above: `queue_policy` applies"),
    KIT_COUNT_ROW("max_queue_messages", io.engine.max_queue_messages, "262144", 0, 4000000000, "Engine",
                  "messages queued for one session; above: `queue_policy` applies; 0: no limit"),
    KIT_CHOICE_ROW("queue_policy", io.engine.queue_policy, "close", policies, "Engine",
                   "what happens above `max_queue_bytes` or `max_queue_messages`"),
    KIT_U32_ROW("message_timeout_ms", io.engine.message_timeout_ms, "60000", 0, KIT_DAY_MS, "Engine",
                "time for all fragments of a WebSocket message to arrive; above: 1008; 0: no limit"),
    KIT_COUNT_ROW("max_sessions", io.engine.max_sessions, "1000", 0, 100000000, "Engine",
                  "open sessions; above: 503; 0: no limit"),
    KIT_COUNT_ROW("max_sessions_per_address", io.engine.max_sessions_per_address, "1000", 0, 100000000, "Engine",
                  "sessions from one client address (IPv6: /64); above: 429; 0: no limit"),
    KIT_U32_ROW("max_handshakes_per_second", io.engine.max_handshakes_per_second, "1000", 0, 1000000, "Engine",
                "new sessions per second, with bursts of one second's worth; above: 503; 0: no limit"),
    KIT_U32_ROW("max_handshakes_per_second_per_address", io.engine.max_handshakes_per_second_per_address, "500", 0,
                1000000, "Engine", "the same from one client address (IPv6: /64); above: 429; 0: no limit"),
    KIT_COUNT_ROW("max_upgrades", io.engine.max_upgrades, "0", 0, 100000000, "Engine",
                  "upgrades in progress; above: 503, and the session stays on polling; 0: no limit"),
    KIT_CHECKED_ROW("allowed_origins", allowed_origins, "", check_origins, "Engine",
                    "pages whose browsers may open sessions, over any transport, as `cors_origin` lists them: "
                    "`https://a.example, /\\.b\\.example$/`; programs, which send no Origin, always may; others: 403; "
                    "empty: all"),
    KIT_CHECKED_ROW(
        "cors_origin", cors_origin, "", check_cors, "Engine",
        "empty: no CORS; `*`; `reflect`; or a comma-separated list of origins or extended regular expressions "
        "between slashes: `/^https:\\/\\/[a-z]+\\.example$/`"),
    KIT_BOOL_ROW("cors_credentials", io.engine.cors.credentials, "false", "Engine", "allow credentials across origins"),

    KIT_BOOL_ROW(
        "serve_client", serve_client, "true", "Socket.IO",
        "serve the official client's builds next to the endpoint, /socket.io/socket.io.min.js and seven more, unless "
        "Parley was built without npm packages"),
    KIT_CHOICE_ROW(
        "parser", io.parser, "default", parsers, "Socket.IO",
        "packet encoding; with `msgpack`, all clients must use socket.io-msgpack-parser (the page at / does not)"),
    KIT_U32_ROW("connect_timeout_ms", io.connect_timeout_ms, "45000", 10, KIT_DAY_MS, "Socket.IO",
                "time for a client to join its first namespace"),
    KIT_COUNT_ROW("max_attachments", io.max_attachments, "10", 0, 100000, "Socket.IO",
                  "binary attachments in a packet"),
    KIT_COUNT_ROW("max_depth", io.max_depth, "128", 1, 100000, "Socket.IO",
                  "nesting depth of arrays and objects in a payload"),
    KIT_SIZE_ROW("max_packet_bytes", io.max_packet_bytes, "0", 0, "Socket.IO",
                 "size of a packet with its attachments; 0: `max_payload_bytes`"),
    KIT_COUNT_ROW("max_namespace_bytes", io.max_namespace_bytes, "512", 1, 65536, "Socket.IO",
                  "length of a namespace name"),
    KIT_COUNT_ROW("max_namespaces_per_client", io.max_namespaces_per_client, "64", 1, 100000, "Socket.IO",
                  "namespaces that one connection may join"),
    KIT_COUNT_ROW("max_pending_acks", io.max_pending_acks, "65536", 1, 100000000, "Socket.IO",
                  "acknowledgements that one socket may have pending"),
    KIT_U32_ROW(
        "max_events_per_second", io.max_events_per_second, "5000", 0, 1000000, "Socket.IO",
        "events per second from one socket, with bursts of one second's worth; above: the connection is closed; 0: no "
        "limit"),
    KIT_COUNT_ROW("max_name_bytes", io.rooms.max_name_bytes, "1024", 1, 65536, "Socket.IO", "length of a room name"),
    KIT_COUNT_ROW("max_rooms_per_member", io.rooms.max_rooms_per_member, "65536", 1, 100000000, "Socket.IO",
                  "rooms that one socket may join"),

    KIT_BOOL_ROW(
        "recovery", io.recovery.enabled, "false", "Recovery",
        "a client that reconnects in time keeps its id and rooms and receives what it missed, whichever worker it "
        "reaches"),
    KIT_U32_ROW("recovery_max_disconnection_ms", io.recovery.max_disconnection_ms, "120000", 10, KIT_DAY_MS, "Recovery",
                "how long a client may stay disconnected"),
    KIT_SIZE_ROW(
        "recovery_max_log_bytes", io.recovery.max_log_bytes, "16777216", 0, "Recovery",
        "bytes of messages kept for disconnected clients, per namespace; above: the oldest are removed, and clients "
        "that missed them are not recovered"),
    KIT_COUNT_ROW("recovery_max_log_packets", io.recovery.max_log_packets, "100000", 0, 100000000, "Recovery",
                  "messages kept for disconnected clients, per namespace; the same applies"),
    KIT_COUNT_ROW("recovery_max_sessions", io.recovery.max_sessions, "100000", 0, 100000000, "Recovery",
                  "disconnected clients remembered, per namespace; above: the oldest are not recovered"),

    KIT_SIZE_ROW("max_head_bytes", io.http.max_head_bytes, "16384", 512, "HTTP",
                 "request line and headers; above: 431"),
    KIT_SIZE_ROW("max_line_bytes", io.http.max_line_bytes, "8192", 128, "HTTP",
                 "request line (414) or one header (431)"),
    KIT_COUNT_ROW("max_fields", io.http.max_fields, "100", 1, 10000, "HTTP", "headers of a request; above: 431"),
    KIT_SIZE_ROW("max_body_bytes", io.http.max_body_bytes, "1000000", 1, "HTTP",
                 "body of a request without a specific limit; above: 413"),
    KIT_U32_ROW(
        "reserved_descriptors", io.http.reserved_descriptors, "32", 0, 65536, "HTTP",
        "file descriptors reserved for files and internal connections; clients above the rest wait to be accepted"),
    KIT_U32_ROW("head_timeout_ms", io.http.head_timeout_ms, "60000", 10, KIT_DAY_MS, "HTTP",
                "time for a request head to arrive; above: 408"),
    KIT_COUNT_ROW("max_half_open", io.http.max_half_open, "4096", 1, 100000000, "HTTP",
                  "connections with an incomplete request head; above: the oldest is closed"),
    KIT_U32_ROW("body_timeout_ms", io.http.body_timeout_ms, "60000", 10, KIT_DAY_MS, "HTTP",
                "time for a request body to arrive, outside `path`; above: 408"),
    KIT_U32_ROW("idle_timeout_ms", io.http.idle_timeout_ms, "60000", 10, KIT_DAY_MS, "HTTP",
                "time between requests on a connection"),
    KIT_SIZE_ROW("max_stream_queue_bytes", io.http.max_stream_queue_bytes, "1048576", 65536, "HTTP",
                 "bytes of a streamed response that wait for the client to read; above: its connection is closed"),
    KIT_U32_ROW("linger_ms", io.http.linger_ms, "2000", 0, 60000, "HTTP",
                "time for the client to read an error response"),
    KIT_COUNT_ROW("max_connections", io.http.max_connections, "4096", 0, 10000000, "HTTP",
                  "open connections, WebSockets included; above: 503; 0: as many as file descriptors allow"),
    KIT_COUNT_ROW("max_connections_per_address", io.http.max_connections_per_address, "4096", 0, 10000000, "HTTP",
                  "the same from one peer (IPv6: /64), trusted proxies excepted; above: 429; 0: no limit"),
    KIT_COUNT_ROW("max_private_connections", io.http.max_private_connections, "64", 0, 10000000, "HTTP",
                  "connections at `operator_listen`, which do not count for the limits above; above: 503; 0: no limit"),
    KIT_COUNT_ROW("max_addresses", max_addresses, "65536", 1, 10000000, "HTTP",
                  "addresses tracked for limits per address; above: new addresses are not limited individually"),
    KIT_CHECKED_ROW("trusted_proxies", trusted_proxies, "", check_proxies, "HTTP",
                    "CIDR list of proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted; `unix`: those that "
                    "come by a UNIX socket"),
    KIT_CHECKED_ROW("proxy_networks", proxy_networks, "127.0.0.0/8,::1", check_proxies, "HTTP",
                    "CIDR list of who may connect where `listen` says `proxy`"),
    KIT_U32_ROW("proxy_header_timeout_ms", io.http.proxy_header_timeout_ms, "3000", 10, KIT_DAY_MS, "HTTP",
                "time for the PROXY protocol header to arrive; above: the connection is closed"),
    KIT_CHECKED_ROW(
        "tls_cert",
        tls_cert, "", check_regular_file, "HTTP",
        "PEM file of the certificate chain; serves HTTPS and WSS only; reloaded on SIGHUP; empty: plain HTTP"),
    KIT_CHECKED_ROW("tls_key", tls_key, "", check_regular_file, "HTTP",
                    "PEM file of the certificate's key, without a passphrase"),
    KIT_CHECKED_ROW("tls_ticket_keys", tls_ticket_keys, "", check_ticket_keys, "HTTP",
                    "file with the keys of TLS session tickets, the same on all nodes, so that a client resumes its "
                    "TLS session at any of them: a key a line (`openssl rand -hex 80`), the first for "
                    "new tickets; read again on SIGHUP; empty: keys of this process, or of its workers together"),
    KIT_U32_ROW(
        "hsts_max_age_s", hsts_max_age_s, "0", 0, 63072000, "HTTP",
        "time for which browsers come by TLS only, sent (Strict-Transport-Security) with what they ask for over "
        "TLS, here or at a trusted proxy; 0: not sent, as browsers cannot be told to forget it"),
    KIT_NUMBER_ROW("backlog", KIT_INT, io.http.backlog, "1024", 1, 65535, "HTTP", "connections waiting to be accepted"),
    KIT_BOOL_ROW("reuse_port", io.http.reuse_port, "false", "HTTP",
                 "share the port with other processes (SO_REUSEPORT)"),
};

const struct kit_option_set kit_options = KIT_OPTION_SET(options);
