/* What happens to sockets, as it happens. Only while a page is connected, and in development mode. */
#include "adminui_int.h"

#include <string.h>

/* ----------------------------------------------------------------- changes */

static void put_c(struct sio_builder *args, const char *text)
{
    sio_builder_text(args, text, strlen(text));
}

static void report_room(struct adminui *adminui, const char *event, const struct sio_socket *socket,
                        struct eio_str room)
{
    struct sio_builder args;
    sio_builder_init(&args);
    put_c(&args, sio_namespace_name(sio_socket_namespace(socket)));
    sio_builder_text(&args, room.p, room.n);
    put_c(&args, sio_socket_id(socket));
    adminui__put_time(&args, adminui__unix_ms(adminui));
    adminui__send_to_pages(adminui, event, &args);
}

/* The rooms first, as the reference; those that it joined in middleware, too. */
static void on_connection(struct sio_socket *socket, void *ctx)
{
    struct adminui *adminui = ctx;
    struct eio_str room;
    struct sio_builder args;
    if (!adminui__shown_add(adminui, socket) || !adminui__may_report_change(adminui)) return;
    for (size_t i = 0; sio_socket_room_at(socket, i, &room); i++) report_room(adminui, "room_joined", socket, room);
    sio_builder_init(&args);
    adminui__put_socket(adminui, socket, &args);
    adminui__put_time(&args, adminui__unix_ms(adminui));
    adminui__send_to_pages(adminui, "socket_connected", &args);
}

static void on_upgrade(struct sio_socket *socket, void *ctx)
{
    struct adminui *adminui = ctx;
    struct sio_builder args;
    if (!adminui__shown_find(adminui, socket) || !adminui__may_report_change(adminui)) return;
    const char *id = sio_socket_id(socket), *nsp = sio_namespace_name(sio_socket_namespace(socket));
    sio_builder_init(&args);
    sio_builder_open(&args);
    sio_builder_put(&args, "{\"id\":");
    sio_builder_put_text(&args, id, strlen(id));
    sio_builder_put(&args, ",\"nsp\":");
    sio_builder_put_text(&args, nsp, strlen(nsp));
    sio_builder_put(&args, ",\"transport\":\"websocket\"}");
    adminui__send_to_pages(adminui, "socket_updated", &args);
}

static void report_rooms_left(struct adminui *adminui, const struct sio_socket *socket)
{
    struct sio_args rooms = sio_builder_args(&adminui->leaving);
    char name[ADMINUI__NAME_SIZE];
    for (size_t i = 0, n = sio_args_count(rooms); i < n; i++) {
        int size = sio_args_text(rooms, i, name, sizeof name);
        if (size >= 0) report_room(adminui, "room_left", socket, (struct eio_str){name, (size_t)size});
    }
}

static void on_disconnect(struct sio_socket *socket, const char *reason, void *ctx)
{
    struct adminui *adminui = ctx;
    struct adminui__shown *shown = adminui__shown_find(adminui, socket);
    if (!shown) return;
    adminui__shown_remove(adminui, shown);
    if (adminui__may_report_change(adminui)) {
        struct sio_builder args;
        sio_builder_init(&args);
        put_c(&args, sio_namespace_name(sio_socket_namespace(socket)));
        put_c(&args, sio_socket_id(socket));
        put_c(&args, reason);
        adminui__put_time(&args, adminui__unix_ms(adminui));
        adminui__send_to_pages(adminui, "socket_disconnected", &args);
        report_rooms_left(adminui, socket);
    }
    sio_builder_clear(&adminui->leaving);
    sio_builder_init(&adminui->leaving);
}

/* Rooms that a socket leaves because it disconnects are reported after that: pages still know then whose they were. */
static void on_room(enum sio_room_event what, struct eio_str room, struct sio_socket *socket, struct sio_namespace *nsp,
                    void *ctx)
{
    struct adminui *adminui = ctx;
    (void)nsp;
    if (!socket || !adminui__shown_find(adminui, socket)) return;
    if (!sio_socket_is_connected(socket)) {
        if (what == SIO_ROOM_LEFT) sio_builder_text(&adminui->leaving, room.p, room.n);
        return;
    }
    if (adminui__may_report_change(adminui))
        report_room(adminui, what == SIO_ROOM_JOINED ? "room_joined" : "room_left", socket, room);
}

static void on_data(struct sio_socket *socket, void *ctx)
{
    struct adminui *adminui = ctx;
    if (adminui->reading) return;
    struct adminui__shown *shown = adminui__shown_find(adminui, socket);
    if (shown) adminui__shown_touch(adminui, shown);
}

/* ------------------------------------------------------------------ events */

static void report_event(struct adminui *adminui, const char *event, struct sio_socket *socket, struct eio_str name,
                         struct sio_args args)
{
    const struct sio_namespace *nsp = sio_socket_namespace(socket);
    if (nsp == adminui->nsp) return;
    if (!adminui__shown_find(adminui, socket)) {
        adminui->stats.events_left_out++;
        return;
    }
    if (!adminui__may_report_event(adminui, args)) return;
    struct sio_builder out;
    sio_builder_init(&out);
    put_c(&out, sio_namespace_name(nsp));
    put_c(&out, sio_socket_id(socket));
    sio_builder_open(&out);
    sio_builder_put(&out, "[");
    sio_builder_put_text(&out, name.p, name.n);
    if (args.json.n) {
        sio_builder_put(&out, ",");
        sio_builder_put_slice(&out, args, args.json);
    }
    sio_builder_put(&out, "]");
    adminui__put_time(&out, adminui__unix_ms(adminui));
    adminui__send_to_pages(adminui, event, &out);
}

static void on_event(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    report_event(ctx, "event_received", socket, event->name, event->args);
}

static void on_outgoing(struct sio_socket *socket, struct eio_str name, struct sio_args args, void *ctx)
{
    report_event(ctx, "event_sent", socket, name, args);
}

/* ------------------------------------------------------------ begin and end */

void adminui__watch_begin(struct adminui *adminui)
{
    static const struct sio_watch watch = {.on_connection = on_connection,
                                           .on_upgrade = on_upgrade,
                                           .on_disconnect = on_disconnect,
                                           .on_event = on_event,
                                           .on_outgoing = on_outgoing,
                                           .on_room = on_room,
                                           .on_data = on_data};
    adminui->outdated = false;
    sio_server_watch(adminui->io, &watch, adminui);
}

void adminui__watch_end(struct adminui *adminui)
{
    sio_server_watch(adminui->io, NULL, adminui);
    adminui__shown_clear(adminui);
}
