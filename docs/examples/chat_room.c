/* A chat with rooms. Clients say who they are when they connect and join rooms as they like:
 *
 *     const socket = io("http://localhost:3000", { auth: { name: "Ada" } });
 *     await socket.emitWithAck("join", "kitchen");         // ["Ada"], who is there
 *     socket.emit("say", "kitchen", { text: "hello" });    // the others get "said", "kitchen", "Ada", {text}
 *     socket.on("joined", (room, name) => …);  socket.on("left", (room, name) => …);
 *
 * usage: chat_room [PORT] */
#include <socketio.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE = 64, ROOM_SIZE = 64 };

static const char *name_of(struct sio_socket *socket)
{
    const char *name = json_string_value(json_object_get(sio_socket_data(socket), "name"));
    return name ? name : "somebody";
}

/* The name goes to the socket's data, where other nodes see it too. */
static void on_connection(struct sio_socket *socket, void *ctx)
{
    (void)ctx;
    struct eio_str auth = sio_socket_auth(socket);
    json_t *parsed = json_loadb(auth.p, auth.n, 0, NULL);
    const char *name = json_string_value(json_object_get(parsed, "name"));
    if (name && strlen(name) < NAME_SIZE) json_object_set_new(sio_socket_data(socket), "name", json_string(name));
    json_decref(parsed);
}

/* Tells the other members: event, room, name. */
static void tell_others(struct sio_socket *socket, const char *room, const char *event)
{
    sio_emit_pack(sio_to(sio_broadcast(socket), room), event, "s, s", room, name_of(socket));
}

static void add_name(struct sio_socket *socket, void *ctx)
{
    const char *name = name_of(socket);
    sio_builder_put(ctx, ((struct sio_builder *)ctx)->size > 1 ? "," : "");
    sio_builder_put_text(ctx, name, strlen(name));
}

/* ("join", room) → ack(list of names) */
static void on_join(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    char room[ROOM_SIZE];
    (void)ctx;
    if (sio_args_text(event->args, 0, room, sizeof room) <= 0 || sio_join(socket, eio_str(room)) != 0) {
        sio_ack_pack(event, "n");
        return;
    }
    tell_others(socket, room, "joined");
    struct sio_builder names;
    sio_builder_init(&names);
    sio_builder_put(&names, "[");
    sio_target_each_local(sio_to(sio_all(sio_socket_namespace(socket)), room), add_name, &names);
    sio_builder_put(&names, "]");
    sio_ack(event, sio_builder_args(&names));
    sio_builder_clear(&names);
}

/* ("say", room, anything…): what is said is passed on as the bytes that came. */
static void on_say(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    char room[ROOM_SIZE];
    (void)ctx;
    if (sio_args_text(event->args, 0, room, sizeof room) <= 0 || !sio_socket_is_in(socket, eio_str(room))) return;
    struct sio_builder said;
    sio_builder_init(&said);
    sio_builder_text(&said, room, strlen(room));
    sio_builder_text(&said, name_of(socket), strlen(name_of(socket)));
    for (size_t i = 1; i < sio_args_count(event->args); i++)
        sio_builder_slice(&said, event->args, sio_args_at(event->args, i));
    sio_emit(sio_to(sio_broadcast(socket), room), "said", sio_builder_args(&said));
    sio_builder_clear(&said);
}

/* Still in its rooms: the first is its own. */
static void on_disconnecting(struct sio_socket *socket, const char *reason, void *ctx)
{
    struct eio_str room;
    (void)ctx;
    (void)reason;
    for (size_t i = 1; sio_socket_room_at(socket, i, &room); i++) {
        char text[ROOM_SIZE];
        snprintf(text, sizeof text, "%.*s", (int)room.n, room.p);
        tell_others(socket, text, "left");
    }
}

int main(int argc, char **argv)
{
    struct sio_server *io = sio_server_new(NULL);
    if (!io) return 1;
    struct sio_namespace *chat = sio_of(io, "/");
    sio_on_connection(chat, on_connection, NULL);
    sio_on(chat, "join", on_join, NULL);
    sio_on(chat, "say", on_say, NULL);
    sio_on_disconnecting(chat, on_disconnecting, NULL);
    int error = sio_listen(io, "127.0.0.1", (uint16_t)(argc > 1 ? atoi(argv[1]) : 3000));
    if (error)
        fprintf(stderr, "cannot listen: %s\n", eio_strerror(error));
    else
        error = sio_run(io);
    sio_server_free(io);
    return error ? 1 : 0;
}
