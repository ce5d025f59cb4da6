/* One node of several: the connection to Redis or PostgreSQL and the adapter on it, for every profile of Socket.IO. */
#include "conformance.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define REQUEST_TIMEOUT_MS 2000 /* the contract's */
#define AWAIT_MS 3000

rooms_adapter_factory conformance_adapter(const struct conformance_options *options)
{
    static const struct {
        const char *name;
        rooms_adapter_factory factory;
    } adapters[] = {
        {"classic", rooms_adapter_redis},
        {"sharded", rooms_adapter_redis_sharded},
        {"streams", rooms_adapter_redis_streams},
        {"postgresql", rooms_adapter_postgresql},
    };
    const char *name = options->postgresql ? "postgresql" : options->adapter ? options->adapter : "classic";
    for (size_t i = 0; i < sizeof adapters / sizeof adapters[0]; i++)
        if (strcmp(adapters[i].name, name) == 0) return adapters[i].factory;
    return NULL;
}

static void on_log(void *ctx, enum rooms_log_level level, const char *line)
{
    (void)ctx;
    if (level <= ROOMS_LOG_WARN) fprintf(stderr, "%s\n", line);
}

static uint32_t request_timeout_ms(const struct conformance *conformance)
{
    return conformance->options->request_timeout_ms ? conformance->options->request_timeout_ms : REQUEST_TIMEOUT_MS;
}

/* The tests kill nodes and PostgreSQL, and wait until that is noticed. */
static int open_postgresql(struct conformance *conformance, struct sio_options *options)
{
    struct rooms_postgresql_options postgresql;
    const char *why = NULL;
    rooms_postgresql_options_init(&postgresql);
    postgresql.url = conformance->options->postgresql;
    postgresql.request_timeout_ms = request_timeout_ms(conformance);
    postgresql.liveness_ms = 1000;
    postgresql.cleanup_interval_ms = conformance->options->cleanup_interval_ms
                                         ? conformance->options->cleanup_interval_ms
                                         : postgresql.cleanup_interval_ms;
    postgresql.reconnect_max_ms = 1000;
    postgresql.log = on_log;
    conformance->postgresql = rooms_postgresql_new(eio_loop_base(conformance->loop), &postgresql, &why);
    if (!conformance->postgresql) {
        fprintf(stderr, "parley-conformance: %s\n", why);
        return EIO_EINVAL;
    }
    options->adapter = rooms_adapter_postgresql;
    options->adapter_ctx = conformance->postgresql;
    return 0;
}

int conformance_open_nodes(struct conformance *conformance, struct sio_options *options)
{
    struct rooms_redis_options redis;
    const char *why = NULL;
    if (conformance->options->postgresql) return open_postgresql(conformance, options);
    if (!conformance->options->redis) return 0;
    rooms_redis_options_init(&redis);
    redis.url = conformance->options->redis;
    redis.request_timeout_ms = request_timeout_ms(conformance);
    redis.cluster = conformance->options->redis_cluster != 0;
    if (conformance->options->redis_sentinels) redis.sentinels = conformance->options->redis_sentinels;
    if (conformance->options->redis_ca) redis.tls_ca = conformance->options->redis_ca;
    if (conformance->options->redis_cert) redis.tls_cert = conformance->options->redis_cert;
    if (conformance->options->redis_key) redis.tls_key = conformance->options->redis_key;
    redis.log = on_log;
    conformance->redis = rooms_redis_new(eio_loop_base(conformance->loop), &redis, &why);
    if (!conformance->redis) {
        fprintf(stderr, "parley-conformance: %s\n", why);
        return EIO_EINVAL;
    }
    options->adapter = conformance_adapter(conformance->options);
    options->adapter_ctx = conformance->redis;
    if (!conformance->options->across) return 0;
    randombytes_buf(conformance->machine, sizeof conformance->machine);
    options->engine.machine = conformance->machine;
    options->engine.machine_key = (const uint8_t *)"the tests' nodes";
    return 0;
}

static void note(void *ctx)
{
    *(bool *)ctx = true;
}

static bool is_connected(const struct conformance *conformance)
{
    struct rooms_redis_stats redis = {.connected = true};
    struct rooms_postgresql_stats postgresql = {.connected = true};
    if (conformance->redis) rooms_redis_get_stats(conformance->redis, &redis);
    if (conformance->postgresql) rooms_postgresql_get_stats(conformance->postgresql, &postgresql);
    return redis.connected && postgresql.connected;
}

void conformance_await_nodes(struct conformance *conformance)
{
    struct eio_timer timer;
    bool late = false;
    eio_timer_init(&timer, conformance->loop, note, &late);
    eio_timer_start(&timer, AWAIT_MS);
    while (!is_connected(conformance) && !late) eio_loop_turn(conformance->loop, -1);
    eio_timer_stop(&timer);
}

int conformance_open_tunnels(struct conformance *conformance)
{
    struct sio_tunnel_options options;
    if (!conformance->options->across) return 0;
    sio_tunnel_options_init(&options);
    options.mailbox = rooms_mailbox_redis;
    options.mailbox_ctx = conformance->redis;
    options.machine = conformance->machine;
    conformance->tunnels = sio_tunnels_new(conformance->io, &options);
    return conformance->tunnels ? 0 : EIO_ENOMEM;
}
