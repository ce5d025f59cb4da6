/* Sends to pages and to other nodes, within limits: the pieces that the others stand on. */
#include "adminui_int.h"

#include <string.h>
#include <time.h>

#define EVENT_WINDOW_MS 1000

/* ------------------------------------------------------------------- tools */

uint64_t adminui__unix_ms(const struct adminui *adminui)
{
    return eio_loop_unix_ms(adminui->loop);
}

void adminui__put_time(struct sio_builder *args, uint64_t unix_ms)
{
    char text[48];
    struct tm tm;
    time_t seconds = (time_t)(unix_ms / 1000);
    gmtime_r(&seconds, &tm);
    size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t)snprintf(text + n, sizeof text - n, ".%03uZ", (unsigned)(unix_ms % 1000));
    sio_builder_text(args, text, n);
}

bool adminui__is_watched_elsewhere(const struct adminui *adminui)
{
    return adminui->watched_until_ms > eio_loop_now_ms(adminui->loop);
}

/* What only this node's pages want does not go to other nodes, nor into the log of connection state recovery. */
struct sio_target adminui__pages(const struct adminui *adminui)
{
    struct sio_target all = sio_all(adminui->nsp);
    return adminui__is_watched_elsewhere(adminui) ? all : sio_local(all);
}

void adminui__send_to_pages(struct adminui *adminui, const char *event, struct sio_builder *args)
{
    if (!args->error && sio_emit(adminui__pages(adminui), event, sio_builder_args(args)) == 0)
        adminui->stats.reported++;
    sio_builder_clear(args);
}

void adminui__send_to_nodes(struct adminui *adminui, struct sio_builder *args)
{
    if (!args->error) sio_server_side_emit(adminui->nsp, ADMINUI__SERVER_EVENT, sio_builder_args(args), NULL, NULL);
    sio_builder_clear(args);
}

struct search {
    const char *name;
    struct sio_namespace *found;
};

static void match_namespace(struct sio_namespace *nsp, void *ctx)
{
    struct search *search = ctx;
    if (strcmp(sio_namespace_name(nsp), search->name) == 0) search->found = nsp;
}

struct sio_namespace *adminui__find_namespace(struct sio_server *io, const char *name)
{
    struct search search = {name, NULL};
    sio_each_namespace(io, match_namespace, &search);
    return search.found;
}

/* ------------------------------------------------------------------ limits */

/* A token bucket that holds ten seconds' worth. */
static bool take_one(const struct adminui *adminui, uint64_t *until_us, uint32_t per_minute)
{
    uint64_t now_us = eio_loop_now_ms(adminui->loop) * 1000, cost_us = 60000000 / per_minute;
    uint64_t from_us = *until_us > now_us ? *until_us : now_us;
    if (from_us + cost_us > now_us + 10000000) return false;
    *until_us = from_us + cost_us;
    return true;
}

bool adminui__may_report_change(struct adminui *adminui)
{
    if (!adminui->outdated && take_one(adminui, &adminui->changes_until_us, adminui->options.max_changes_per_minute))
        return true;
    adminui->outdated = true;
    adminui->stats.changes_left_out++;
    return false;
}

bool adminui__may_report_event(struct adminui *adminui, struct sio_args args)
{
    uint64_t now = eio_loop_now_ms(adminui->loop);
    size_t bytes = args.json.n;
    for (size_t i = 0; i < args.attachment_count; i++) bytes += args.attachments[i].n;
    if (now - adminui->event_bytes_from_ms >= EVENT_WINDOW_MS) {
        adminui->event_bytes_from_ms = now;
        adminui->event_bytes = 0;
    }
    bool fits = bytes <= adminui->options.max_event_bytes_per_second - adminui->event_bytes;
    if (!fits || !take_one(adminui, &adminui->events_until_us, adminui->options.max_events_per_minute)) {
        adminui->stats.events_left_out++;
        return false;
    }
    adminui->event_bytes += bytes;
    return true;
}
