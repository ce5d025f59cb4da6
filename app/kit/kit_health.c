/* GET /health and GET /ready, from figures that are at hand: neither waits for the store. */
#include "kit_answer.h"
#include "kit_http.h"
#include "kit_ws.h"

#include <stdlib.h>
#include <string.h>

struct health {
    struct kit *kit;
    struct eio_http_request *request; /* NULL: the client went away */
};

static void on_health_abort(void *ctx)
{
    ((struct health *)ctx)->request = NULL;
}

/* What is added up over all workers. */
struct totals {
    uint64_t sessions, sockets, uptime_ms;
    unsigned up;
    bool is_alone; /* other nodes are not reached, by one worker at least */
};

static struct totals sum_workers(const struct kit *kit)
{
    struct totals totals = {0, 0, 0, 1, false};
    const char *why;
    if (kit->processes.count) {
        const struct kit_processes_page *page = kit->processes.page;
        uint64_t now_ms = kit_monotonic_ms();
        totals = (struct totals){0, 0, now_ms - page->started_ms, 0, false};
        for (unsigned i = 0; i < kit->processes.count; i++) {
            const struct kit_process_page *worker = &page->workers[i];
            if (!atomic_load(&worker->pid)) continue;
            totals.up += kit_process_is_up(worker, now_ms);
            totals.sessions += atomic_load(&worker->sessions);
            totals.sockets += atomic_load(&worker->sockets);
            totals.is_alone |= atomic_load(&worker->degraded) != 0;
        }
    } else {
        struct sio_stats stats;
        sio_server_get_stats(kit->io, &stats);
        totals.uptime_ms = eio_loop_now_ms(kit->loop) - kit->started_ms;
        totals.sessions = kit_session_count(kit);
        totals.sockets = stats.sockets;
        totals.is_alone = kit->peers.is_degraded && kit->peers.is_degraded(kit->peers.ctx, &why);
    }
    return totals;
}

static void put_health(struct kit *kit, bool is_short, struct sio_builder *json)
{
    struct totals totals = sum_workers(kit);
    bool is_away = kit_store_is_away(kit->store);
    bool degraded = totals.is_alone || totals.up < kit->processes.count || is_away;
    sio_builder_put(json, degraded ? "{\"status\":\"degraded\"" : "{\"status\":\"ok\"");
    if (is_short) {
        sio_builder_put(json, "}");
        return;
    }
    sio_builder_put(json, ",\"version\":\"" PARLEY_VERSION "\",\"uptime_s\":");
    kit_put_int(json, (int64_t)totals.uptime_ms / 1000);
    sio_builder_put(json, ",\"connections\":");
    kit_put_int(json, (int64_t)totals.sessions);
    sio_builder_put(json, ",\"sockets\":");
    kit_put_int(json, (int64_t)totals.sockets);
    for (size_t i = 0; i < kit->health_count; i++) {
        sio_builder_put(json, ",");
        kit_put_text(json, kit->health[i].name);
        sio_builder_put(json, ":");
        kit_put_int(json, kit->health[i].read(kit->health[i].ctx));
    }
    if (kit->processes.count) {
        sio_builder_put(json, ",\"workers\":");
        kit_put_int(json, kit->processes.count);
        sio_builder_put(json, ",\"workers_up\":");
        kit_put_int(json, totals.up);
    }
    if (kit->config->store[0]) sio_builder_put(json, is_away ? ",\"store\":\"away\"" : ",\"store\":\"ok\"");
    if (kit->config->cluster[0])
        sio_builder_put(json, totals.is_alone ? ",\"cluster\":\"away\"" : ",\"cluster\":\"ok\"");
    if (kit->config->redis[0]) sio_builder_put(json, totals.is_alone ? ",\"redis\":\"away\"" : ",\"redis\":\"ok\"");
    sio_builder_put(json, "}");
}

static void answer_health(void *ctx)
{
    struct health *health = ctx;
    struct sio_builder json;
    if (health->request) {
        sio_builder_init(&json);
        sio_builder_open(&json);
        put_health(health->kit, kit_http_is_outside(health->kit, health->request), &json);
        kit_http_reply_builder(health->kit, health->request, 200, &json);
    }
    free(health);
}

static void on_health(struct eio_http_request *request, void *ctx)
{
    struct kit *kit = ctx;
    if (!kit_http_is_get(kit, request)) return;
    struct health *health = malloc(sizeof *health);
    if (!health) {
        kit_http_reply_text(kit, request, 503, "{\"ok\":false}");
        return;
    }
    *health = (struct health){kit, request};
    eio_http_request_on_abort(request, on_health_abort, health);
    if (!kit->processes.count || kit->processes.refresh(kit->processes.ctx, answer_health, health))
        answer_health(health);
}

static void on_ready(struct eio_http_request *request, void *ctx)
{
    struct kit *kit = ctx;
    if (!kit_http_is_get(kit, request)) return;
    if (kit->leaving)
        kit_http_reply_text(kit, request, 503, "{\"ready\":false,\"reason\":\"draining\"}");
    else if (kit_store_is_away(kit->store))
        kit_http_reply_text(kit, request, 503, "{\"ready\":false,\"reason\":\"store\"}");
    else
        kit_http_reply_text(kit, request, 200, "{\"ready\":true}");
}

int kit_health_start(struct kit *kit)
{
    struct eio_http *http = sio_server_http(kit->io);
    int error = eio_http_route(http, "/health", 0, on_health, kit);
    if (!error) error = eio_http_route(http, "/ready", 0, on_ready, kit);
    /* Balancers ask at the public door whether it works; the figures are for operators. */
    if (!error) error = kit_http_for_operators(kit, "/health", true);
    return error ? error : kit_http_for_operators(kit, "/ready", true);
}
