/* A namespace with a door. "/secret" asks for a token when a client connects; looking it up takes a moment, as a
 * database would, and does not stop anybody else meanwhile. "/" is open to all.
 *
 *     const socket = io("http://localhost:3000/secret", { auth: { token: "open-sesame" } });
 *     socket.on("connect_error", (e) => console.log(e.message, e.data));   // "not authorized", {code: 401}
 *     await socket.emitWithAck("whoami");                                  // {id, user: "Ali"}
 *
 * usage: auth_namespace [PORT] */
#include <socketio.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOKUP_MS = 20 };

/* One look-up under way. */
struct lookup {
    struct eio_timer timer;
    struct sio_admission *admission;
    bool known;
};

/* The client may have gone away: its socket is not used here, and sio_next() and sio_refuse() are then without effect.
 * The user is set by the handler of the connection. */
static void on_looked_up(void *ctx)
{
    struct lookup *lookup = ctx;
    if (lookup->known)
        sio_next(lookup->admission);
    else
        sio_refuse(lookup->admission, "not authorized", "{\"code\":401}");
    free(lookup);
}

static void check_token(struct sio_socket *socket, struct sio_admission *admission, void *ctx)
{
    (void)ctx;
    struct lookup *lookup = calloc(1, sizeof *lookup);
    if (!lookup) {
        sio_refuse(admission, "try again later", NULL);
        return;
    }
    struct eio_str auth = sio_socket_auth(socket);
    json_t *parsed = json_loadb(auth.p, auth.n, 0, NULL);
    const char *token = json_string_value(json_object_get(parsed, "token"));
    lookup->admission = admission;
    lookup->known = token && strcmp(token, "open-sesame") == 0;
    json_decref(parsed);
    struct sio_server *io = sio_namespace_server(sio_socket_namespace(socket));
    eio_timer_init(&lookup->timer, sio_server_loop(io), on_looked_up, lookup);
    if (eio_timer_start(&lookup->timer, LOOKUP_MS) != 0) on_looked_up(lookup);
}

static void on_connection(struct sio_socket *socket, void *ctx)
{
    (void)ctx;
    sio_socket_set_user(socket, strdup("Ali"));
}

static void on_disconnect(struct sio_socket *socket, const char *reason, void *ctx)
{
    (void)ctx;
    (void)reason;
    free(sio_socket_user(socket));
}

static void on_whoami(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    const char *user = sio_socket_user(socket);
    sio_ack_pack(event, "{s:s, s:s?}", "id", sio_socket_id(socket), "user", user);
}

int main(int argc, char **argv)
{
    struct sio_server *io = sio_server_new(NULL);
    if (!io) return 1;
    sio_on(sio_of(io, "/"), "whoami", on_whoami, NULL);
    struct sio_namespace *secret = sio_of(io, "/secret");
    sio_use(secret, check_token, NULL);
    sio_on_connection(secret, on_connection, NULL);
    sio_on_disconnect(secret, on_disconnect, NULL);
    sio_on(secret, "whoami", on_whoami, NULL);
    int error = sio_listen(io, "127.0.0.1", (uint16_t)(argc > 1 ? atoi(argv[1]) : 3000));
    if (error)
        fprintf(stderr, "cannot listen: %s\n", eio_strerror(error));
    else
        error = sio_run(io);
    sio_server_free(io);
    return error ? 1 : 0;
}
