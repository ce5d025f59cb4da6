/* One node of several: the connection to Redis and the adapter on it, for every profile of Socket.IO. */
#include "conformance.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define REQUEST_TIMEOUT_MS 2000 /* the contract's */
#define AWAIT_REDIS_MS 3000

rooms_adapter_factory conformance_adapter(const struct conformance_options *options)
{
    static const struct {
        const char *name;
        rooms_adapter_factory factory;
    } adapters[] = {
        {"classic", rooms_adapter_redis},
        {"sharded", rooms_adapter_redis_sharded},
        {"streams", rooms_adapter_redis_streams},
    };
    const char *name = options->adapter ? options->adapter : "classic";
    for (size_t i = 0; i < sizeof adapters / sizeof adapters[0]; i++)
        if (strcmp(adapters[i].name, name) == 0) return adapters[i].factory;
    return NULL;
}

static void on_log(void *ctx, enum rooms_log_level level, const char *line)
{
    (void)ctx;
    if (level <= ROOMS_LOG_WARN) fprintf(stderr, "%s\n", line);
}

int conformance_open_redis(struct conformance *conformance, struct sio_options *options)
{
    struct rooms_redis_options redis;
    const char *why = NULL;
    if (!conformance->options->redis) return 0;
    rooms_redis_options_init(&redis);
    redis.url = conformance->options->redis;
    redis.request_timeout_ms =
        conformance->options->request_timeout_ms ? conformance->options->request_timeout_ms : REQUEST_TIMEOUT_MS;
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

void conformance_await_redis(struct conformance *conformance)
{
    struct rooms_redis_stats stats = {.connected = !conformance->redis};
    struct eio_timer timer;
    bool late = false;
    eio_timer_init(&timer, conformance->loop, note, &late);
    eio_timer_start(&timer, AWAIT_REDIS_MS);
    while (!stats.connected && !late) {
        eio_loop_turn(conformance->loop, -1);
        rooms_redis_get_stats(conformance->redis, &stats);
    }
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
