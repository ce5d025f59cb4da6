/* Command line, start and end of the conformance server. The profiles are in files of their own. */
#include "conformance.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DRAIN_LIMIT_MS 2000 /* the contract: ended within 5 s of SIGTERM */
#define DRAIN_TICK_MS 10
#define STATUS_USAGE 2

static const struct conformance_profile *const profiles[] = {
    &conformance_eio_proto,  &conformance_sio_proto, &conformance_ws_echo, &conformance_sio_client,
    &conformance_eio_client, &conformance_app,       &conformance_cluster, &conformance_bench,
    &conformance_admin,      &conformance_admin_ro,
};
#define PROFILE_COUNT (sizeof profiles / sizeof profiles[0])

/* ------------------------------------------------------------ command line */

static int usage(const char *problem, const char *what)
{
    fprintf(stderr, "parley-conformance: %s: %s\n", problem, what);
    fprintf(stderr, "usage: parley-conformance --profile NAME --port N [--host 127.0.0.1] [--name ID]\n"
                    "       [--ping-interval MS] [--ping-timeout MS] [--max-payload BYTES] [--connect-timeout MS]\n"
                    "       [--request-timeout MS]\n"
                    "       [--max-buffered-chunks N] [--body-timeout MS]\n"
                    "       [--allow-eio3 1] [--parser default|msgpack] [--deflate 1]\n"
                    "       [--cookie NAME] [--cors ORIGIN|reflect|*] [--initial-packet TEXT]\n"
                    "       [--tls-cert FILE --tls-key FILE [--tls-ticket-keys FILE]] [--stats 1] [--recovery 1]\n"
                    "profiles:");
    for (size_t i = 0; i < PROFILE_COUNT; i++) fprintf(stderr, " %s", profiles[i]->name);
    fprintf(stderr, "\n");
    return STATUS_USAGE;
}

static bool parse_number(const char *text, unsigned long max, unsigned long *number)
{
    char *end;
    errno = 0;
    *number = strtoul(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *number <= max;
}

/* Returns false if there is no such option. */
static bool take_text(struct conformance_options *options, const char *name, const char *value)
{
    if (strcmp(name, "--profile") == 0)
        options->profile = value;
    else if (strcmp(name, "--host") == 0)
        options->host = value;
    else if (strcmp(name, "--name") == 0)
        options->name = value;
    else if (strcmp(name, "--cookie") == 0)
        options->cookie = value;
    else if (strcmp(name, "--cors") == 0)
        options->cors = value;
    else if (strcmp(name, "--initial-packet") == 0)
        options->initial_packet = value;
    else if (strcmp(name, "--tls-cert") == 0)
        options->tls_cert = value;
    else if (strcmp(name, "--tls-key") == 0)
        options->tls_key = value;
    else if (strcmp(name, "--tls-ticket-keys") == 0)
        options->tls_ticket_keys = value;
    else if (strcmp(name, "--redis") == 0)
        options->redis = value;
    else if (strcmp(name, "--redis-sentinels") == 0)
        options->redis_sentinels = value;
    else if (strcmp(name, "--redis-ca") == 0)
        options->redis_ca = value;
    else if (strcmp(name, "--redis-cert") == 0)
        options->redis_cert = value;
    else if (strcmp(name, "--redis-key") == 0)
        options->redis_key = value;
    else if (strcmp(name, "--postgresql") == 0)
        options->postgresql = value;
    else if (strcmp(name, "--adapter") == 0)
        options->adapter = value;
    else
        return false;
    return true;
}

static const char *take_parser(struct conformance_options *options, const char *value)
{
    if (strcmp(value, "msgpack") == 0)
        options->parser = SIO_PARSER_MSGPACK;
    else if (strcmp(value, "default") != 0)
        return "not a parser";
    return NULL;
}

/* Returns what is wrong with the option, or NULL. */
static const char *take_checked(struct conformance_options *options, const char *name, const char *value)
{
    unsigned long number = 0;
    if (strcmp(name, "--parser") == 0) return take_parser(options, value);
    if (strcmp(name, "--port") == 0) {
        if (!parse_number(value, UINT16_MAX, &number)) return "not a port";
        options->port = (uint16_t)number;
        return NULL;
    }
    const struct {
        const char *name;
        uint32_t *number;
    } numbers[] = {
        {"--ping-interval", &options->ping_interval_ms},
        {"--ping-timeout", &options->ping_timeout_ms},
        {"--max-payload", &options->max_payload_bytes},
        {"--max-buffered-chunks", &options->max_buffered_chunks},
        {"--body-timeout", &options->body_timeout_ms},
        {"--connect-timeout", &options->connect_timeout_ms},
        {"--request-timeout", &options->request_timeout_ms},
        {"--allow-eio3", &options->allow_eio3},
        {"--deflate", &options->deflate},
        {"--stats", &options->stats},
        {"--redis-cluster", &options->redis_cluster},
        {"--cleanup-interval", &options->cleanup_interval_ms},
        {"--across", &options->across},
        {"--recovery", &options->recovery},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcmp(name, numbers[i].name) != 0) continue;
        if (!parse_number(value, UINT32_MAX, &number) || number == 0) return "not a positive number";
        *numbers[i].number = (uint32_t)number;
        return NULL;
    }
    return "unknown option";
}

static int parse(int argc, char **argv, struct conformance_options *options)
{
    bool has_port = false;
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 >= argc) return usage("no value for", argv[i]);
        if (take_text(options, argv[i], argv[i + 1])) continue;
        const char *problem = take_checked(options, argv[i], argv[i + 1]);
        if (problem) return usage(problem, argv[i]);
        has_port = has_port || strcmp(argv[i], "--port") == 0;
    }
    if (!options->profile) return usage("missing option", "--profile");
    if (!has_port) return usage("missing option", "--port");
    bool is_cluster = strcmp(options->profile, conformance_cluster.name) == 0;
    bool is_node = options->redis || (options->postgresql && !options->adapter && !options->across);
    if ((is_cluster || options->adapter || options->across) && !is_node) return usage("missing option", "--redis");
    if (options->redis && !conformance_adapter(options)) return usage("not an adapter", options->adapter);
    return 0;
}

static const struct conformance_profile *find_profile(const char *name)
{
    for (size_t i = 0; i < PROFILE_COUNT; i++) {
        if (strcmp(profiles[i]->name, name) == 0) return profiles[i];
    }
    return NULL;
}

/* ----------------------------------------------------------- profiles' help */

void conformance_override_engine(const struct conformance_options *options, struct eio_options *engine)
{
    if (options->ping_interval_ms) engine->ping_interval_ms = options->ping_interval_ms;
    if (options->ping_timeout_ms) engine->ping_timeout_ms = options->ping_timeout_ms;
    if (options->allow_eio3) engine->allow_eio3 = true;
    if (options->deflate) engine->per_message_deflate = true;
    if (options->cookie) engine->cookie.name = options->cookie;
    if (options->cors) engine->cors.origin = options->cors;
    if (options->initial_packet) engine->initial_packet = options->initial_packet;
    if (options->max_payload_bytes) engine->max_payload_bytes = options->max_payload_bytes;
    if (options->max_buffered_chunks) engine->max_buffered_chunks = options->max_buffered_chunks;
    if (options->body_timeout_ms) engine->http_request_body_timeout_ms = options->body_timeout_ms;
}

void conformance_set_tls(const struct conformance_options *options, struct eio_http_options *http)
{
    http->tls_cert_file = options->tls_cert;
    http->tls_key_file = options->tls_key;
    http->tls_ticket_key_file = options->tls_ticket_keys;
}

int conformance_open_socketio(struct conformance *conformance, struct sio_options *options)
{
    conformance_override_engine(conformance->options, &options->engine);
    conformance_set_tls(conformance->options, &options->http);
    if (conformance->options->connect_timeout_ms)
        options->connect_timeout_ms = conformance->options->connect_timeout_ms;
    options->parser = conformance->options->parser;
    if (conformance->options->recovery) options->recovery.enabled = true;
    int error = conformance_open_nodes(conformance, options);
    if (error != 0) return error;
    conformance->io = sio_server_new_on(conformance->loop, options);
    if (!conformance->io) return EIO_ENOMEM;
    conformance->http = sio_server_http(conformance->io);
    return conformance_open_tunnels(conformance);
}

/* --------------------------------------------------------------------- end */

static void stop_loop(void *ctx)
{
    struct conformance *conformance = ctx;
    eio_loop_stop(conformance->loop);
}

/* Engine.IO profiles: sessions close gracefully, but not for long. */
static void on_drain_tick(void *ctx)
{
    struct conformance *conformance = ctx;
    bool late = eio_loop_now_ms(conformance->loop) >= conformance->drain_until_ms;
    if (late || eio_server_session_count(conformance->engine) == 0)
        eio_loop_stop(conformance->loop);
    else
        eio_timer_start(&conformance->drain_tick, DRAIN_TICK_MS);
}

static void on_signal(evutil_socket_t number, short what, void *ctx)
{
    (void)number;
    (void)what;
    struct conformance *conformance = ctx;
    if (conformance->io) {
        sio_drain(conformance->io, DRAIN_LIMIT_MS, stop_loop, conformance);
        return;
    }
    eio_http_stop_listening(conformance->http);
    eio_server_close_all(conformance->engine, EIO_CLOSE_SHUTTING_DOWN);
    conformance->drain_until_ms = eio_loop_now_ms(conformance->loop) + DRAIN_LIMIT_MS;
    on_drain_tick(conformance);
}

static void conformance_close(struct conformance *conformance)
{
    if (conformance->io) {
        sio_tunnels_free(conformance->tunnels);
        adminui_stop(conformance->adminui);
        sio_server_free(conformance->io);
        adminui_free(conformance->adminui);
        rooms_redis_free(conformance->redis);
        rooms_postgresql_free(conformance->postgresql);
        app_received_free(conformance->received);
        return;
    }
    rooms_redis_free(conformance->redis);
    eio_server_free(conformance->engine);
    eio_http_free(conformance->http);
}

static void on_hangup(evutil_socket_t number, short what, void *ctx)
{
    (void)number;
    (void)what;
    struct conformance *conformance = ctx;
    printf("RELOAD %d\n", eio_http_reload_tls(conformance->http));
    fflush(stdout);
}

/* ----------------------------------------------------------------- figures */

/* For who watches a long run: "STATS {…}". */
static void print_stats(const struct conformance *conformance)
{
    struct eio_loop_stats loop;
    struct eio_http_stats http;
    struct eio_server_stats engine;
    uint64_t timers = 0, over_50ms = 0;
    eio_loop_get_stats(conformance->loop, &loop);
    eio_http_get_stats(conformance->http, &http);
    eio_server_get_stats(conformance->io ? sio_server_engine(conformance->io) : conformance->engine, &engine);
    for (int i = 0; i < EIO_LATE_SLOTS; i++) {
        timers += loop.late[i];
        if (eio_late_bound_ms(i) > 50) over_50ms += loop.late[i];
    }
    printf("STATS "
           "{\"turns\":%lu,\"turns_cut\":%lu,\"timers\":%lu,\"late_over_50ms\":%lu,\"late_max_ms\":%.1f,\"long_turns\":"
           "%lu,"
           "\"turn_max_ms\":%.1f,\"sessions\":%zu,"
           "\"polling_sessions\":%zu,\"http_connections\":%zu,\"queued_bytes\":%zu,\"opened\":%lu,\"upgrades\":%lu,"
           "\"messages_in\":%lu,\"messages_out\":%lu}\n",
           loop.turns, loop.turns_cut, timers, over_50ms, (double)loop.late_max_us / 1e3, loop.long_turns,
           (double)loop.turn_max_us / 1e3, engine.sessions, engine.polling_sessions, http.connections,
           engine.queued_bytes, engine.opened, engine.upgrades, engine.messages_in, engine.messages_out);
    if (conformance->tunnels) {
        struct sio_tunnel_stats tunnels;
        sio_tunnels_get_stats(conformance->tunnels, &tunnels);
        printf("TUNNELS {\"opened\":%lu,\"accepted\":%lu,\"declined\":%lu,\"refused\":%lu,\"given_back\":%lu,"
               "\"resets\":%lu,\"ignored\":%lu,\"tunnels\":%zu}\n",
               tunnels.opened, tunnels.accepted, tunnels.declined, tunnels.refused, tunnels.given_back, tunnels.resets,
               tunnels.ignored, tunnels.tunnels);
    }
    fflush(stdout);
}

static void on_user_signal(evutil_socket_t number, short what, void *ctx)
{
    (void)number;
    (void)what;
    struct conformance *conformance = ctx;
    if (conformance->options->stats) print_stats(conformance);
}

/* ------------------------------------------------------------------- start */

static int serve(struct conformance *conformance)
{
    const struct conformance_options *options = conformance->options;
    conformance_await_nodes(conformance);
    int error = eio_http_listen(conformance->http, options->host, options->port);
    if (error != 0) {
        fprintf(stderr, "parley-conformance: %s:%u: %s\n", options->host, options->port, eio_strerror(error));
        return EXIT_FAILURE;
    }
    printf("READY %u\n", eio_http_port(conformance->http));
    fflush(stdout);
    return eio_loop_run(conformance->loop) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run(const struct conformance_options *options, const struct conformance_profile *profile)
{
    struct conformance conformance = {.options = options, .loop = eio_loop_new()};
    if (!conformance.loop) return EXIT_FAILURE;
    eio_timer_init(&conformance.drain_tick, conformance.loop, on_drain_tick, &conformance);
    struct event_base *base = eio_loop_base(conformance.loop);
    struct event *term = evsignal_new(base, SIGTERM, on_signal, &conformance);
    struct event *interrupt = evsignal_new(base, SIGINT, on_signal, &conformance);
    struct event *hangup = evsignal_new(base, SIGHUP, on_hangup, &conformance);
    struct event *user = evsignal_new(base, SIGUSR1, on_user_signal, &conformance);
    int status = EXIT_FAILURE;
    if (term && interrupt && hangup && user && event_add(hangup, NULL) == 0 && event_add(term, NULL) == 0 &&
        event_add(interrupt, NULL) == 0 && event_add(user, NULL) == 0) {
        int error = profile->open(&conformance);
        if (error == 0)
            status = serve(&conformance);
        else
            fprintf(stderr, "parley-conformance: %s: %s\n", profile->name, eio_strerror(error));
    }
    if (options->stats && status == EXIT_SUCCESS) print_stats(&conformance);
    conformance_close(&conformance);
    eio_timer_stop(&conformance.drain_tick);
    if (term) event_free(term);
    if (interrupt) event_free(interrupt);
    if (hangup) event_free(hangup);
    if (user) event_free(user);
    eio_loop_free(conformance.loop);
    return status;
}

int main(int argc, char **argv)
{
    struct conformance_options options = {.host = "127.0.0.1", .name = "parley"};
    int status = parse(argc, argv, &options);
    if (status != 0) return status;
    const struct conformance_profile *profile = find_profile(options.profile);
    if (!profile) return usage("unknown profile", options.profile);
    return run(&options, profile);
}
