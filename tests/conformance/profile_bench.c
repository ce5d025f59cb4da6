/* Profile bench: the events of the load generators, as lean as an application's handler can be: the one field that is
 * needed is sliced out of the JSON, the rest is passed on as it came. */
#include "conformance.h"

#include <string.h>

#define ROOM_PREFIX "call:"
#define ROOM_PREFIX_SIZE (sizeof ROOM_PREFIX - 1)
#define CALL_ID_MAX_BYTES 512

/* "call:<call_id>" into room; a number counts as its digits. Returns its size, 0 if there is no usable call_id. */
static size_t room_of(const struct sio_event *event, char room[ROOM_PREFIX_SIZE + CALL_ID_MAX_BYTES + 1])
{
    struct sio_args id = {sio_json_member(sio_args_at(event->args, 0), "call_id"), NULL, 0};
    if (id.json.n == 0 || strchr("[{tfn", id.json.p[0])) return 0;
    memcpy(room, ROOM_PREFIX, ROOM_PREFIX_SIZE);
    char *out = room + ROOM_PREFIX_SIZE;
    if (id.json.p[0] == '"') {
        int size = sio_args_text(id, 0, out, CALL_ID_MAX_BYTES + 1);
        return size < 0 ? 0 : ROOM_PREFIX_SIZE + (size_t)size;
    }
    if (id.json.n > CALL_ID_MAX_BYTES) return 0;
    memcpy(out, id.json.p, id.json.n);
    return ROOM_PREFIX_SIZE + id.json.n;
}

static void on_echo(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)socket;
    (void)ctx;
    sio_ack(event, event->args);
}

static void on_subscribe(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    char room[ROOM_PREFIX_SIZE + CALL_ID_MAX_BYTES + 1];
    size_t size = room_of(event, room);
    if (size == 0 || sio_join(socket, (struct eio_str){room, size}) != 0) return;
    sio_ack(event, sio_args_json("{\"ok\":true}"));
}

static void on_update(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    char room[ROOM_PREFIX_SIZE + CALL_ID_MAX_BYTES + 1];
    size_t size = room_of(event, room);
    if (size == 0) return;
    struct sio_target target = sio_to_name(sio_all(sio_socket_namespace(socket)), (struct eio_str){room, size});
    sio_emit(target, "transcription:update", event->args);
}

static int open_bench(struct conformance *conformance)
{
    struct sio_options options;
    sio_options_init(&options);
    int error = conformance_open_socketio(conformance, &options);
    if (error != 0) return error;
    struct sio_namespace *nsp = sio_of(conformance->io, "/");
    if (!nsp) return EIO_ENOMEM;
    error = sio_on(nsp, "echo", on_echo, NULL);
    if (error == 0) error = sio_on(nsp, "call:subscribe", on_subscribe, NULL);
    if (error == 0) error = sio_on(nsp, "transcription:update", on_update, NULL);
    return error;
}

const struct conformance_profile conformance_bench = {"bench", open_bench};
