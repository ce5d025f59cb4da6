/* Puts the application together and takes it apart. */
#include "app.h"
#include "web_assets.h"

#include <stdlib.h>
#include <string.h>

#define DRAIN_CHECK_MS 5

typedef int (*init_fn)(struct app *app);

static int init_concerns(struct app *app, char *error, size_t error_size)
{
    static const struct {
        const char *name;
        init_fn init;
    } concerns[] = {
        {"nodes", node_cluster_init},      {"auth", kit_auth_init},           {"feed", calls_feed_init},
        {"presence", calls_presence_init}, {"agents", calls_agents_init},     {"feedback", calls_feedback_init},
        {"suggest", calls_suggest_init},   {"http", calls_http_init},         {"metrics", kit_metrics_init},
        {"assets", web_assets_init},       {"client", web_client_files_init}, {"demo", calls_demo_init}};
    for (size_t i = 0; i < sizeof concerns / sizeof concerns[0]; i++) {
        int failed = concerns[i].init(app);
        if (!failed) continue;
        snprintf(error, error_size, "cannot start %s: %s", concerns[i].name, eio_strerror(failed));
        return failed;
    }
    return 0;
}

static int init_store(struct app *app, char *error, size_t error_size)
{
    const struct kit_config *config = app->config;
    struct kit_work_options options = {config->work_threads, config->work_queue_max, config->work_queue_bytes};
    app->work = kit_work_new(app->loop, &options);
    if (!app->work) {
        snprintf(error, error_size, "cannot start threads");
        return EIO_ENOMEM;
    }
    app->store = kit_store_open(app->work, config, error, error_size);
    return app->store ? 0 : EIO_ESYS;
}

static int init_server(struct app *app, char *error, size_t error_size)
{
    struct sio_options io = app->config->io;
    io.recovery.skip_middlewares = false; /* who it is must be known all the same */
    if (node_cluster_prepare(app, &io, error, error_size)) return EIO_EINVAL;
    snprintf(error, error_size, "out of memory");
    app->io = sio_server_new_on(app->loop, &io);
    if (!app->io) snprintf(error, error_size, "out of memory, or option cors_origin: not usable, see the log");
    if (!app->io && (app->config->tls_cert[0] || app->config->tls_key[0]))
        snprintf(error, error_size, "options tls_cert and tls_key: not usable, see the log");
    if (!app->io) return EIO_ENOMEM;
    app->agents = sio_of(app->io, "/");
    app->feed = sio_of(app->io, "/feed");
    return app->agents && app->feed ? 0 : EIO_ENOMEM;
}

static void on_drained(void *ctx)
{
    struct app *app = ctx;
    kit_log(EIO_LOG_INFO, "drained", NULL);
    eio_loop_stop(app->loop);
}

/* Waits for the store's queue, then tells the sockets. */
static void on_drain_timer(void *ctx)
{
    struct app *app = ctx;
    struct kit_work_stats work;
    uint64_t now = eio_loop_now_ms(app->loop);
    kit_work_get_stats(app->work, &work);
    if (work.jobs && now < app->drain_until_ms) {
        eio_timer_start(&app->drain_timer, DRAIN_CHECK_MS);
        return;
    }
    if (work.jobs) {
        kit_log(EIO_LOG_WARN, "the store is too slow, not waiting", "jobs", kit_number((long long)work.jobs).text,
                NULL);
        kit_store_abandon(app->store);
    }
    uint32_t left = now < app->drain_until_ms ? (uint32_t)(app->drain_until_ms - now) : 0;
    sio_drain(app->io, left, on_drained, app);
}

int app_prepare(const struct kit_config *config, char *error, size_t error_size)
{
    struct app app = {.config = config};
    struct kit_work_options options = {1, 16, 1024};
    snprintf(error, error_size, "cannot start threads");
    app.work = kit_work_new(NULL, &options);
    if (app.work) app.store = kit_store_open(app.work, config, error, error_size);
    int failed = app.store ? kit_jwt_load(&app.jwt, config, &app.development_key, error, error_size) : EIO_ESYS;
    if (!failed && config->demo) failed = calls_demo_import(&app, error, error_size);
    if (!failed && app.development_key)
        kit_log(EIO_LOG_WARN, "tokens are signed with a development key; set jwt_key_file in production", NULL);
    kit_work_free(app.work);
    kit_store_close(app.store);
    return failed;
}

struct app *app_new(const struct kit_config *config, struct node_worker *worker, char *error, size_t error_size)
{
    struct app *app = calloc(1, sizeof *app);
    snprintf(error, error_size, "out of memory");
    if (!app) return NULL;
    app->config = config;
    app->worker = worker;
    app->loop = eio_loop_new();
    if (!app->loop) goto fail;
    app->started_ms = eio_loop_now_ms(app->loop);
    eio_timer_init(&app->drain_timer, app->loop, on_drain_timer, app);
    app->schemas = kit_schemas_new(error, error_size);
    if (!app->schemas || init_store(app, error, error_size)) goto fail;
    if (kit_jwt_load(&app->jwt, config, &app->development_key, error, error_size)) goto fail;
    if (config->demo && app->jwt.algorithm != KIT_JWT_HS256) {
        snprintf(error, error_size, "option demo: true is not possible with jwt_algorithm EdDSA (it signs tokens)");
        goto fail;
    }
    if (config->demo && calls_demo_import(app, error, error_size)) goto fail;
    if (init_server(app, error, error_size) || init_concerns(app, error, error_size)) goto fail;
    return app;
fail:
    app_free(app);
    return NULL;
}

void app_free(struct app *app)
{
    if (!app) return;
    calls_demo_clear(app);
    if (app->loop) eio_timer_stop(&app->drain_timer);
    /* The queue first: what waits in it answers sockets that still exist. */
    if (app->work) kit_work_wait(app->work);
    if (app->worker) node_worker_stop(app->worker);
    node_cluster_disconnect(app);
    sio_server_free(app->io);
    node_cluster_clear(app);
    kit_work_free(app->work);
    calls_presence_clear(app);
    calls_holds_clear(app);
    calls_suggest_clear(app);
    kit_store_close(app->store);
    kit_schemas_free(app->schemas);
    eio_loop_free(app->loop);
    free(app);
}

void app_drain(struct app *app)
{
    if (app->draining) return;
    app->draining = true;
    kit_log(EIO_LOG_INFO, "draining", "sessions",
            kit_number((long long)eio_server_session_count(sio_server_engine(app->io))).text, NULL);
    eio_http_stop_listening(sio_server_http(app->io));
    app->drain_until_ms = eio_loop_now_ms(app->loop) + app->config->drain_timeout_ms;
    eio_timer_start(&app->drain_timer, 0);
}

void app_stop_now(struct app *app)
{
    kit_log(EIO_LOG_WARN, "not waiting any longer", NULL);
    kit_store_abandon(app->store);
    eio_loop_stop(app->loop);
}

void app_reload(struct app *app)
{
    kit_log_reopen();
    kit_log(EIO_LOG_INFO, "log opened anew", NULL);
    if (app->config->tls_cert[0]) eio_http_reload_tls(sio_server_http(app->io)); /* logs how it went */
}

/* --------------------------------------------------------------- describe */

static void describe_session(struct eio_session *session, void *ctx)
{
    char text[512];
    (void)ctx;
    eio_session_describe(session, text, sizeof text);
    kit_log(EIO_LOG_INFO, "session", "state", text, NULL);
}

static void describe_socket(struct sio_socket *socket, void *ctx)
{
    const struct kit_claims *claims = kit_auth_claims(socket);
    char text[512];
    (void)ctx;
    sio_socket_describe(socket, text, sizeof text);
    kit_log(EIO_LOG_INFO, "socket", "user", claims ? claims->sub : "", "role",
            claims ? kit_role_text(claims->role) : "none", "state", text, NULL);
}

static void describe_namespace(struct sio_namespace *nsp, void *ctx)
{
    kit_log(EIO_LOG_INFO, "namespace", "name", sio_namespace_name(nsp), "sockets",
            kit_number((long long)sio_namespace_socket_count(nsp)).text, NULL);
    sio_target_each_local(sio_all(nsp), describe_socket, ctx);
}

void app_describe(struct app *app)
{
    struct kit_work_stats work;
    struct kit_store_stats store;
    kit_work_get_stats(app->work, &work);
    kit_store_get_stats(app->store, &store);
    kit_log(EIO_LOG_INFO, "work", "jobs", kit_number((long long)work.jobs).text, "bytes",
            kit_number((long long)work.bytes).text, "finished", kit_number((long long)work.finished).text, NULL);
    kit_log(EIO_LOG_INFO, "store", "writes", kit_number((long long)store.writes).text, "commits",
            kit_number((long long)store.commits).text, "errors", kit_number((long long)store.sqlite_errors).text, NULL);
    eio_server_each(sio_server_engine(app->io), describe_session, NULL);
    sio_each_namespace(app->io, describe_namespace, NULL);
}
