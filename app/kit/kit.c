/* Opens and closes what the modules stand on. */
#include "kit_auth.h"
#include "kit_http.h"
#include "kit_jwks.h"
#include "kit_tokens.h"
#include "kit_metrics.h"
#include "kit_quota.h"

#include <string.h>
#include <time.h>

int kit_init(struct kit *kit, const struct kit_config *config, struct eio_loop *take_loop, char *error,
             size_t error_size)
{
    /* One may wait for PostgreSQL's answer to a commit. */
    unsigned threads = config->work_threads + (config->store[0] ? 1 : 0);
    struct kit_work_options options = {threads, config->work_queue_max, config->work_queue_bytes};
    *kit = (struct kit){.config = config, .loop = take_loop};
    if (take_loop) {
        kit->started_ms = eio_loop_now_ms(take_loop);
        kit->started_at = time(NULL);
        kit->schemas = kit_schemas_new(error, error_size);
        if (!kit->schemas) return EIO_EINVAL;
        kit->fetcher = kit_fetcher_new(take_loop);
        snprintf(error, kit->fetcher ? 0 : error_size, "out of memory");
        if (!kit->fetcher) return EIO_ENOMEM;
    }
    if (take_loop) kit->tokens = kit_tokens_new(config->token_cache_max);
    kit->work = kit_work_new(take_loop, &options);
    if (!kit->work) {
        snprintf(error, error_size, "cannot start threads");
        return EIO_ENOMEM;
    }
    kit->store = kit_store_open(kit->work, config, error, error_size);
    if (!kit->store) return EIO_ESYS;
    return kit_jwt_load(&kit->jwt, config, &kit->development_key, error, error_size);
}

/* The Admin UI is a client, too. */
static int open_to_operators(struct kit *kit)
{
    char path[300];
    const struct eio_options *engine = &kit->config->io.engine;
    size_t n = strlen(engine->path);
    while (n && engine->path[n - 1] == '/') n--;
    snprintf(path, sizeof path, "%.*s%s*", (int)n, engine->path, engine->add_trailing_slash ? "/" : "");
    return kit_http_for_operators(kit, path, true);
}

int kit_init_server(struct kit *kit, const struct sio_options *options, char *error, size_t error_size)
{
    kit->io = sio_server_new_on(kit->loop, options);
    if (kit->io) {
        int failed = open_to_operators(kit);
        if (!failed) failed = kit_metrics_start(kit);
        if (!failed) failed = kit_quotas_start(kit);
        return failed ? failed : kit_jwks_start(kit);
    }
    if (kit->config->tls_cert[0] || kit->config->tls_key[0])
        kit_config_refuse(kit->config, "tls_cert", "the certificate of the key in tls_key, both PEM; the log says more",
                          error, error_size);
    else
        snprintf(error, error_size, "out of memory, or option cors_origin is invalid; see the log");
    return EIO_ENOMEM;
}

void kit_clear(struct kit *kit)
{
    kit_work_free(kit->work);
    kit_store_close(kit->store);
    kit_schemas_free(kit->schemas);
    kit_jwks_stop(kit);
    kit_quotas_stop(kit);
    kit_tokens_free(kit->tokens);
    kit_claims_unref(kit->guest);
    kit_jwt_clear(&kit->jwt);
    kit_fetcher_free(kit->fetcher);
    eio_loop_free(kit->loop);
    memset(kit, 0, sizeof *kit);
}

void *kit_state(const struct kit *kit, const struct kit_module *module)
{
    for (size_t i = 0; kit->config->modules[i]; i++)
        if (kit->config->modules[i] == module) return kit->states[i];
    return NULL;
}

int kit_on_peers_changed(struct kit *kit, kit_hook_fn fn, void *ctx)
{
    if (kit->peer_hook_count == KIT_HOOKS_MAX) return EIO_ETOOBIG;
    kit->peer_hooks[kit->peer_hook_count++] = (struct kit_hook){fn, ctx};
    return 0;
}

void kit_peers_changed(struct kit *kit)
{
    for (size_t i = 0; i < kit->peer_hook_count; i++) kit->peer_hooks[i].fn(kit->peer_hooks[i].ctx);
}

struct rooms_adapter *kit_make_adapter(void *ctx, const char *namespace_name, const struct rooms_local *local)
{
    struct kit *kit = ctx;
    struct kit_adapter_proxy proxy = kit->proxy;
    if (!proxy.namespace_name || strcmp(proxy.namespace_name, namespace_name)) {
        rooms_adapter_factory make = kit_has_peers(kit) ? kit->peers.make_adapter : rooms_adapter_memory;
        return make(kit->peers.make_ctx, namespace_name, local);
    }
    kit->proxy.namespace_name = NULL; /* what it asks for is what stands behind it */
    return proxy.make(proxy.ctx, namespace_name, local);
}

int kit_add_health(struct kit *kit, const char *name, int64_t (*read)(void *ctx), void *ctx)
{
    if (kit->health_count == KIT_HOOKS_MAX) return EIO_ETOOBIG;
    kit->health[kit->health_count++] = (struct kit_health_field){name, read, ctx};
    return 0;
}
