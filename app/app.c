/* Puts the application together and takes it apart. */
#include "app.h"

#include "admin.h"
#include "calls.h"
#include "chat.h"
#include "kit_auth.h"
#include "kit_http.h"
#include "kit_metrics.h"
#include "kit_namespace.h"
#include "kit_ws.h"
#include "knowledge.h"
#include "hooks.h"
#include "llm.h"
#include "mcp.h"
#include "node_cluster.h"
#include "trace.h"
#include "users.h"
#include "web.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define DRAIN_CHECK_MS 5
#define WAVE_MS 100

const struct kit_module *const app_modules[] = {&knowledge_module, &llm_module,   &mcp_module,   &calls_module,
                                                &chat_module,      &users_module, &hooks_module, &web_module,
                                                &admin_module,     &trace_module, NULL};
_Static_assert(sizeof app_modules / sizeof app_modules[0] <= KIT_MODULES_MAX + 1, "raise KIT_MODULES_MAX");

static int prepare_modules(struct kit *kit)
{
    int failed = 0;
    for (size_t i = 0; app_modules[i] && !failed; i++)
        if (app_modules[i]->prepare) failed = app_modules[i]->prepare(kit, &kit->states[i]);
    return failed;
}

static int start_modules(struct kit *kit, char *error, size_t error_size)
{
    for (size_t i = 0; app_modules[i]; i++) {
        error[0] = 0;
        int failed = app_modules[i]->start(kit, &kit->states[i], error, error_size);
        if (!failed && app_modules[i]->metrics) failed = kit_metrics_add(kit, app_modules[i]->metrics, kit->states[i]);
        if (failed && !error[0])
            snprintf(error, error_size, "cannot start %s: %s", app_modules[i]->name, eio_strerror(failed));
        if (failed) return failed;
    }
    return 0;
}

static void reload_modules(const struct kit *kit)
{
    for (size_t i = 0; app_modules[i]; i++)
        if (app_modules[i]->reload) app_modules[i]->reload(kit->states[i]);
}

static void drain_modules(const struct kit *kit)
{
    for (size_t i = 0; app_modules[i]; i++)
        if (app_modules[i]->drain) app_modules[i]->drain(kit->states[i]);
}

static void pause_modules(const struct kit *kit)
{
    for (size_t i = 0; app_modules[i]; i++)
        if (app_modules[i]->pause) app_modules[i]->pause(kit->states[i]);
}

static void stop_modules(struct kit *kit)
{
    size_t count = 0;
    while (app_modules[count]) count++;
    while (count--)
        if (app_modules[count]->stop) app_modules[count]->stop(kit->states[count]);
}

static int start_server(struct app *app, char *error, size_t error_size)
{
    struct kit *kit = &app->kit;
    struct sio_options io = kit->config->io;
    io.recovery.skip_middlewares = false; /* who it is must be known all the same */
    io.adapter = kit_make_adapter;
    io.adapter_ctx = kit;
    if (app->worker) node_worker_join(app->worker, kit);
    int failed = node_cluster_new(kit, app->worker, &io, &app->cluster, error, error_size);
    if (!failed) failed = prepare_modules(kit);
    if (!failed) failed = kit_init_server(kit, &io, error, error_size);
    if (failed) return failed;
    snprintf(error, error_size, "out of memory");
    failed = node_cluster_start(app->cluster, kit);
    if (!failed) failed = kit_path_start(kit);
    return failed ? failed : kit_health_start(kit);
}

/* The sockets are gone; answers that are still being sent get what is left of the time. */
static void on_drained(void *ctx)
{
    struct app *app = ctx;
    struct eio_http_stats http;
    eio_http_get_stats(sio_server_http(app->kit.io), &http);
    if (http.streams + http.draining + kit_ws_count(&app->kit) > 0 &&
        eio_loop_now_ms(app->kit.loop) < app->drain_until_ms) {
        eio_timer_start(&app->streams_timer, DRAIN_CHECK_MS);
        return;
    }
    kit_log(EIO_LOG_INFO, "drained", NULL);
    eio_loop_stop(app->kit.loop);
}

/* Waits for the store's queue, then tells the sockets. */
static void on_drain_timer(void *ctx)
{
    struct app *app = ctx;
    struct kit_work_stats work;
    uint64_t now = eio_loop_now_ms(app->kit.loop);
    kit_work_get_stats(app->kit.work, &work);
    if (work.jobs && now < app->drain_until_ms) {
        eio_timer_start(&app->drain_timer, DRAIN_CHECK_MS);
        return;
    }
    if (work.jobs) {
        kit_log(EIO_LOG_WARN, "the store is too slow; not waiting for it", "jobs",
                kit_number((long long)work.jobs).text, NULL);
        kit_store_abandon(app->kit.store);
    }
    uint32_t left = now < app->drain_until_ms ? (uint32_t)(app->drain_until_ms - now) : 0;
    kit_ws_drain(&app->kit);
    sio_drain(app->kit.io, left, on_drained, app);
}

/* ------------------------------------------------------------------ waves */

/* How many of those that are left are still to be taken in this wave. */
struct wave {
    size_t left, wanted;
};

/* Any of them is as likely as any other, so that those who came together do not go together. */
static void choose_session(struct eio_session *session, void *ctx)
{
    struct wave *wave = ctx;
    bool is_chosen = wave->left && randombytes_uniform((uint32_t)wave->left) < wave->wanted;
    if (wave->left) wave->left--;
    if (!is_chosen) return;
    wave->wanted--;
    /* Clients take it for a lost connection, and come back, to another node. */
    eio_session_close(session, EIO_CLOSE_SHUTTING_DOWN, NULL);
}

/* What the option allows, or more if a quarter of the time would not be left for the rest. */
static size_t wave_size(const struct app *app, size_t sessions)
{
    const struct kit_config *config = app->kit.config;
    uint64_t now = eio_loop_now_ms(app->kit.loop), end = app->drain_until_ms - config->drain_timeout_ms / 4;
    size_t waves = now < end ? (size_t)(end - now) / WAVE_MS : 0;
    size_t wanted = config->drain_clients_per_second / (1000 / WAVE_MS) / (config->workers ? config->workers : 1);
    size_t needed = waves ? (sessions + waves - 1) / waves : sessions;
    return wanted > needed ? wanted : needed;
}

/* The last go as the server does: when all that was accepted is acknowledged. */
static void on_wave(void *ctx)
{
    struct app *app = ctx;
    struct wave wave = {.left = kit_session_count(&app->kit)};
    wave.wanted = wave_size(app, wave.left);
    if (wave.left > wave.wanted) {
        kit_each_session(&app->kit, choose_session, &wave);
        eio_timer_start(&app->wave_timer, WAVE_MS);
        return;
    }
    app->kit.draining = true;
    drain_modules(&app->kit);
    eio_timer_start(&app->drain_timer, 0);
}

int app_prepare(const struct kit_config *config, char *error, size_t error_size)
{
    struct kit kit;
    int failed = kit_init(&kit, config, NULL, error, error_size);
    if (!failed && config->demo) failed = calls_demo_import(kit.store, error, error_size);
    if (!failed && kit.development_key)
        kit_log(EIO_LOG_WARN, "tokens are signed with a development key; set jwt_key_file in production", NULL);
    kit_clear(&kit);
    return failed;
}

struct app *app_new(const struct kit_config *config, struct node_worker *worker, char *error, size_t error_size)
{
    struct app *app = calloc(1, sizeof *app);
    struct eio_loop *loop = app ? eio_loop_new() : NULL;
    snprintf(error, error_size, "out of memory");
    if (!loop) {
        free(app);
        return NULL;
    }
    app->worker = worker;
    eio_timer_init(&app->wave_timer, loop, on_wave, app);
    eio_timer_init(&app->drain_timer, loop, on_drain_timer, app);
    eio_timer_init(&app->streams_timer, loop, on_drained, app);
    if (kit_init(&app->kit, config, loop, error, error_size) || start_server(app, error, error_size) ||
        start_modules(&app->kit, error, error_size)) {
        app_free(app);
        return NULL;
    }
    return app;
}

void app_free(struct app *app)
{
    if (!app) return;
    pause_modules(&app->kit);
    eio_timer_stop(&app->wave_timer);
    eio_timer_stop(&app->drain_timer);
    eio_timer_stop(&app->streams_timer);
    /* The queue first: what waits in it answers sockets that still exist. */
    if (app->kit.work) kit_work_wait(app->kit.work);
    if (app->worker) node_worker_stop(app->worker);
    node_cluster_disconnect(app->cluster);
    kit_ws_stop(&app->kit);
    sio_server_free(app->kit.io);
    node_cluster_free(app->cluster);
    stop_modules(&app->kit);
    kit_clear(&app->kit);
    free(app);
}

void app_drain(struct app *app)
{
    if (app->kit.leaving) return;
    app->kit.leaving = true;
    kit_log(EIO_LOG_INFO, "draining", "sessions", kit_number((long long)kit_session_count(&app->kit)).text, NULL);
    eio_http_stop_listening(sio_server_http(app->kit.io));
    kit_ws_stop_opening(&app->kit);
    app->drain_until_ms = eio_loop_now_ms(app->kit.loop) + app->kit.config->drain_timeout_ms;
    on_wave(app);
}

void app_stop_now(struct app *app)
{
    kit_log(EIO_LOG_WARN, "drain timeout reached; not waiting any longer", NULL);
    kit_store_abandon(app->kit.store);
    eio_loop_stop(app->kit.loop);
}

void app_reload(struct app *app)
{
    kit_log_reopen();
    kit_log(EIO_LOG_INFO, "log file reopened", NULL);
    if (app->kit.config->tls_cert[0]) eio_http_reload_tls(sio_server_http(app->kit.io)); /* logs how it went */
    node_cluster_reload(app->cluster);
    reload_modules(&app->kit);
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
    bool has_claims = kit_is_own_namespace(ctx, sio_socket_namespace(socket));
    const struct kit_claims *claims = has_claims ? kit_auth_claims(socket) : NULL;
    char text[512];
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
    kit_work_get_stats(app->kit.work, &work);
    kit_store_get_stats(app->kit.store, &store);
    kit_log(EIO_LOG_INFO, "work", "jobs", kit_number((long long)work.jobs).text, "bytes",
            kit_number((long long)work.bytes).text, "finished", kit_number((long long)work.finished).text, NULL);
    kit_log(EIO_LOG_INFO, "store", "writes", kit_number((long long)store.writes).text, "commits",
            kit_number((long long)store.commits).text, "errors", kit_number((long long)store.errors).text, NULL);
    kit_each_session(&app->kit, describe_session, NULL);
    sio_each_namespace(app->kit.io, describe_namespace, &app->kit);
}

/* ----------------------------------------------------------------- worker */

static void on_drain(void *ctx)
{
    app_drain(ctx);
}

static void on_stop_now(void *ctx)
{
    app_stop_now(ctx);
}

static void on_reload(void *ctx)
{
    app_reload(ctx);
}

static void on_describe(void *ctx)
{
    app_describe(ctx);
}

int app_start_worker(struct app *app)
{
    const struct node_orders orders = {on_drain, on_stop_now, on_reload, on_describe, app};
    return node_worker_start(app->worker, app->cluster, &orders);
}
