/* Numbers, as differences of what the libraries count anyway: nothing is counted for pages alone. */
#include "adminui_int.h"

#include <string.h>
#include <unistd.h>

static void add_sample(struct adminui *adminui, const char *type, const char *sub_type, uint64_t count)
{
    uint64_t second = adminui__unix_ms(adminui) / 1000 * 1000;
    if (!count) return;
    for (size_t i = 0; i < adminui->sample_count; i++) {
        struct adminui__sample *sample = &adminui->samples[i];
        if (sample->timestamp_ms != second || strcmp(sample->type, type) != 0 || sample->sub_type != sub_type) continue;
        sample->count += count;
        return;
    }
    if (adminui->sample_count == ADMINUI__SAMPLES) return;
    adminui->samples[adminui->sample_count++] = (struct adminui__sample){second, type, sub_type, count};
}

/* What was left out for a page is in its numbers; the official one keeps them, but shows nothing of it. */
static void sample_left_out(struct adminui *adminui)
{
    const struct adminui_stats *now = &adminui->stats, *last = &adminui->last_stats;
    add_sample(adminui, "leftOut", "events", now->events_left_out - last->events_left_out);
    add_sample(adminui, "leftOut", "changes", now->changes_left_out - last->changes_left_out);
    add_sample(adminui, "leftOut", "sockets", now->sockets_left_out - last->sockets_left_out);
    adminui->last_stats = *now;
}

void adminui__stats_sample(struct adminui *adminui)
{
    struct eio_server_stats now;
    const struct eio_server_stats *last = &adminui->last;
    eio_server_get_stats(sio_server_engine(adminui->io), &now);
    add_sample(adminui, "rawConnection", NULL, now.opened - last->opened);
    for (size_t i = 0; i < sizeof now.closed / sizeof now.closed[0]; i++)
        add_sample(adminui, "rawDisconnection", eio_close_reason_text((enum eio_close_reason)i),
                   now.closed[i] - last->closed[i]);
    add_sample(adminui, "packetsIn", NULL, now.messages_in - last->messages_in);
    add_sample(adminui, "packetsOut", NULL, now.messages_out - last->messages_out);
    add_sample(adminui, "bytesIn", NULL, now.bytes_in - last->bytes_in);
    add_sample(adminui, "bytesOut", NULL, now.bytes_out - last->bytes_out);
    sample_left_out(adminui);
    adminui->last = now;
}

void adminui__stats_open(struct adminui *adminui)
{
    eio_server_get_stats(sio_server_engine(adminui->io), &adminui->last);
}

static void put_number(struct sio_builder *args, const char *key, uint64_t value)
{
    char text[64];
    snprintf(text, sizeof text, ",\"%s\":%llu", key, (unsigned long long)value);
    sio_builder_put(args, text);
}

static void put_text(struct sio_builder *args, const char *before, const char *text)
{
    sio_builder_put(args, before);
    sio_builder_put_text(args, text, strlen(text));
}

static void put_samples(const struct adminui *adminui, struct sio_builder *args)
{
    for (size_t i = 0; i < adminui->sample_count; i++) {
        const struct adminui__sample *sample = &adminui->samples[i];
        put_text(args, i ? ",{\"type\":" : "{\"type\":", sample->type);
        if (sample->sub_type) put_text(args, ",\"subType\":", sample->sub_type);
        put_number(args, "timestamp", sample->timestamp_ms);
        put_number(args, "count", sample->count);
        sio_builder_put(args, "}");
    }
}

struct list {
    struct sio_builder *args;
    const char *comma;
};

static void put_namespace(struct sio_namespace *nsp, void *ctx)
{
    struct list *list = ctx;
    sio_builder_put(list->args, list->comma);
    put_text(list->args, "{\"name\":", sio_namespace_name(nsp));
    put_number(list->args, "socketsCount", sio_namespace_socket_count(nsp));
    sio_builder_put(list->args, "}");
    list->comma = ",";
}

void adminui__stats_send(struct adminui *adminui)
{
    struct sio_builder args;
    struct list list = {&args, ""};
    char uptime[48];
    uint64_t up_ms = eio_loop_now_ms(adminui->loop) - adminui->started_ms;
    adminui__stats_sample(adminui);
    sio_builder_init(&args);
    sio_builder_open(&args);
    put_text(&args, "{\"serverId\":", adminui->server_id);
    put_text(&args, ",\"hostname\":", adminui->hostname);
    put_number(&args, "pid", (uint64_t)getpid());
    snprintf(uptime, sizeof uptime, ",\"uptime\":%llu.%03u", (unsigned long long)(up_ms / 1000),
             (unsigned)(up_ms % 1000));
    sio_builder_put(&args, uptime);
    put_number(&args, "clientsCount", adminui->last.sessions);
    put_number(&args, "pollingClientsCount", adminui->last.polling_sessions);
    sio_builder_put(&args, ",\"aggregatedEvents\":[");
    put_samples(adminui, &args);
    sio_builder_put(&args, "],\"namespaces\":[");
    sio_each_namespace(adminui->io, put_namespace, &list);
    sio_builder_put(&args, "]}");
    if (!args.error) sio_emit(adminui__pages(adminui), "server_stats", sio_builder_args(&args));
    sio_builder_clear(&args);
    adminui->sample_count = 0;
}
