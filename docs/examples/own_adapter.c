/* Several nodes on one machine, without Redis: an adapter of one's own, on the public headers alone. Each node has a
 * datagram socket in a folder, by its uid; whoever has something to say sends it to all sockets in that folder. For
 * NATS, PostgreSQL and the like, replace send_to(), publish(), respond() and on_readable().
 *
 *     const socket = io("http://localhost:3001");
 *     await socket.emitWithAck("join", "kitchen");             // true
 *     socket.emit("say", "kitchen", "hello");                  // all members get "said", "hello", on any node
 *     await socket.emitWithAck("move", "kitchen", "garden");   // true; members everywhere join another room
 *     await socket.emitWithAck("leave", "garden");             // true; members everywhere leave it
 *     await socket.emitWithAck("members", "kitchen");          // [{id, rooms, …}]
 *     await socket.emitWithAck("vote", "kitchen");             // what each member answers to "vote"
 *     await socket.emitWithAck("nodes");                       // 3
 *     await socket.emitWithAck("ports");                       // [3000, 3002], what the other nodes answer
 *     socket.emit("dismiss", "kitchen");                       // disconnects members everywhere
 *
 * usage: own_adapter PORT FOLDER */
#include <cluster.h>
#include <socketio.h>

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ------------------------------------------------------------ the carrier */

enum { MESSAGE_BYTES_MAX = 64 << 10, QUEUE_BYTES_MAX = 1 << 20, RETRY_MS = 1 };

/* A message that a node's socket had no room for. */
struct waiting {
    struct waiting *next;
    struct sockaddr_un to;
    size_t size;
    uint8_t bytes[];
};

struct carrier {
    struct rooms_cluster cluster; /* first, so that a cast leads from it to the carrier */
    const char *folder;
    struct sockaddr_un address;
    int fd;
    struct event *readable, *retry;
    struct rooms_packer packer;
    struct waiting *first, **last; /* in order; a carrier for serious use has a queue for each node */
    size_t queued_bytes;
};

static bool name_socket(const struct carrier *carrier, const char *name, struct sockaddr_un *address)
{
    size_t size = sizeof address->sun_path;
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(address->sun_path, size, "%s/%s", carrier->folder, name);
    if (n > 0 && (size_t)n < size) return true;
    address->sun_path[0] = '\0';
    return false;
}

/* False: try again later. A node that has crashed does not get it, and is missed by its heartbeats. */
static bool send_now(struct carrier *carrier, const struct sockaddr_un *to, const uint8_t *bytes, size_t size)
{
    ssize_t sent = sendto(carrier->fd, bytes, size, MSG_DONTWAIT, (const struct sockaddr *)to, sizeof *to);
    return sent >= 0 || (errno != EAGAIN && errno != ENOBUFS);
}

static void on_retry(evutil_socket_t fd, short what, void *ctx)
{
    struct carrier *carrier = ctx;
    const struct timeval delay = {0, RETRY_MS * 1000};
    (void)fd, (void)what;
    while (carrier->first && send_now(carrier, &carrier->first->to, carrier->first->bytes, carrier->first->size)) {
        struct waiting *sent = carrier->first;
        carrier->first = sent->next;
        carrier->queued_bytes -= sent->size;
        free(sent);
    }
    if (carrier->first) event_add(carrier->retry, &delay);
}

static int queue(struct carrier *carrier, const struct sockaddr_un *to)
{
    size_t size = carrier->packer.size;
    if (carrier->queued_bytes + size > QUEUE_BYTES_MAX) return ROOMS_ELIMIT;
    struct waiting *waiting = malloc(sizeof *waiting + size);
    if (!waiting) return ROOMS_ENOMEM;
    *waiting = (struct waiting){.to = *to, .size = size};
    memcpy(waiting->bytes, carrier->packer.bytes, size);
    if (!carrier->first) {
        carrier->last = &carrier->first;
        event_active(carrier->retry, EV_TIMEOUT, 0);
    }
    *carrier->last = waiting;
    carrier->last = &waiting->next;
    carrier->queued_bytes += size;
    return 0;
}

static int send_to(struct carrier *carrier, const char *name)
{
    struct sockaddr_un to;
    if (!name_socket(carrier, name, &to)) return ROOMS_EINVAL;
    if (!carrier->first && send_now(carrier, &to, carrier->packer.bytes, carrier->packer.size)) return 0;
    return queue(carrier, &to);
}

static int encode(struct carrier *carrier, const struct rooms_cluster_message *message)
{
    carrier->packer.size = 0;
    carrier->packer.error = 0;
    int error = rooms_cluster_encode(&carrier->cluster, message, &carrier->packer);
    if (!error && carrier->packer.size > MESSAGE_BYTES_MAX) error = ROOMS_ELIMIT;
    return error;
}

static int publish(struct rooms_cluster *cluster, const struct rooms_cluster_message *message)
{
    struct carrier *carrier = (struct carrier *)cluster;
    int error = encode(carrier, message);
    DIR *folder = error ? NULL : opendir(carrier->folder);
    if (!folder) return error ? error : ROOMS_EAWAY;
    struct rooms_name own = rooms_cluster_uid(cluster);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.' && strncmp(entry->d_name, own.p, own.n) != 0) send_to(carrier, entry->d_name);
    closedir(folder);
    return 0;
}

static int respond(struct rooms_cluster *cluster, struct rooms_name uid, const struct rooms_cluster_message *message)
{
    struct carrier *carrier = (struct carrier *)cluster;
    char name[ROOMS_UID_MAX + 1];
    snprintf(name, sizeof name, "%.*s", (int)uid.n, uid.p);
    int error = encode(carrier, message);
    return error ? error : send_to(carrier, name);
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    struct carrier *carrier = ctx;
    static uint8_t bytes[MESSAGE_BYTES_MAX];
    (void)what;
    ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    /* Messages of other namespaces arrive here too, and are refused as those are that make no sense. */
    if (n > 0) rooms_cluster_receive_encoded(&carrier->cluster, (struct rooms_bytes){bytes, (size_t)n});
}

static bool start(struct carrier *carrier, struct event_base *base)
{
    struct rooms_name uid = rooms_cluster_uid(&carrier->cluster);
    char name[ROOMS_UID_SIZE + 1];
    snprintf(name, sizeof name, "%.*s", (int)uid.n, uid.p);
    if (!name_socket(carrier, name, &carrier->address)) return false;
    carrier->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (carrier->fd < 0) return false;
    if (bind(carrier->fd, (const struct sockaddr *)&carrier->address, sizeof carrier->address) != 0) return false;
    carrier->readable = event_new(base, carrier->fd, EV_READ | EV_PERSIST, on_readable, carrier);
    carrier->retry = event_new(base, -1, 0, on_retry, carrier);
    return carrier->readable && carrier->retry && event_add(carrier->readable, NULL) == 0;
}

static void carrier_free(struct rooms_adapter *adapter)
{
    struct carrier *carrier = (struct carrier *)adapter;
    rooms_cluster_clear(&carrier->cluster); /* still says goodbye */
    while (carrier->first) {
        struct waiting *waiting = carrier->first;
        carrier->first = waiting->next;
        free(waiting);
    }
    if (carrier->readable) event_free(carrier->readable);
    if (carrier->retry) event_free(carrier->retry);
    if (carrier->fd >= 0) close(carrier->fd);
    unlink(carrier->address.sun_path);
    rooms_packer_clear(&carrier->packer);
    free(carrier);
}

struct own_adapter {
    struct event_base *base;
    const char *folder;
};

/* A rooms_adapter_factory; ctx is a struct own_adapter. */
static struct rooms_adapter *adapter_new(void *ctx, const char *nsp, const struct rooms_local *local)
{
    static const struct rooms_carrier_ops carrier_ops = {.publish = publish, .respond = respond};
    static const struct rooms_adapter_ops adapter_ops = {.name = "own", .free = carrier_free, ROOMS_CLUSTER_OPS};
    const struct own_adapter *own = ctx;
    struct rooms_cluster_options options;
    struct carrier *carrier = calloc(1, sizeof *carrier);
    if (!carrier) return NULL;
    carrier->cluster.adapter.ops = &adapter_ops;
    carrier->folder = own->folder;
    carrier->fd = -1;
    rooms_packer_init(&carrier->packer);
    rooms_cluster_options_init(&options);
    options.heartbeat_interval_ms = 500;
    options.heartbeat_timeout_ms = 2000;
    struct rooms_cluster_setup setup = {
        .carrier = &carrier_ops, .options = &options, .base = own->base, .nsp = nsp, .local = local};
    if (rooms_cluster_init(&carrier->cluster, &setup) != ROOMS_OK) {
        free(carrier);
        return NULL;
    }
    if (!start(carrier, own->base)) {
        carrier_free(&carrier->cluster.adapter);
        return NULL;
    }
    rooms_cluster_announce(&carrier->cluster);
    return &carrier->cluster.adapter;
}

/* ------------------------------------------------------------- the server */

enum { ROOM_SIZE = 64, VOTE_MS = 2000 };

/* The i-th argument as a room's name. */
static bool read_room(const struct sio_event *event, size_t i, char room[ROOM_SIZE])
{
    if (sio_args_text(event->args, i, room, ROOM_SIZE) > 0) return true;
    sio_ack_pack(event, "b", 0);
    return false;
}

static void on_join(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    char room[ROOM_SIZE];
    (void)ctx;
    if (read_room(event, 0, room)) sio_ack_pack(event, "b", sio_join(socket, eio_str(room)) == 0);
}

static void on_say(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    char room[ROOM_SIZE];
    (void)ctx;
    if (read_room(event, 0, room))
        sio_emit(sio_to(sio_all(sio_socket_namespace(socket)), room), "said", sio_args_skip(event->args, 1));
}

static void on_move(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    char from[ROOM_SIZE], to[ROOM_SIZE];
    (void)ctx;
    if (!read_room(event, 0, from) || !read_room(event, 1, to)) return;
    struct rooms_name name = {to, strlen(to)};
    sio_ack_pack(event, "b", sio_target_join(sio_to(sio_all(sio_socket_namespace(socket)), from), &name, 1) == 0);
}

static void on_leave(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    char room[ROOM_SIZE];
    (void)ctx;
    if (!read_room(event, 0, room)) return;
    struct rooms_name name = {room, strlen(room)};
    sio_ack_pack(event, "b", sio_target_leave(sio_to(sio_all(sio_socket_namespace(socket)), room), &name, 1) == 0);
}

static void on_dismiss(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    char room[ROOM_SIZE];
    (void)ctx;
    if (read_room(event, 0, room)) sio_target_disconnect(sio_to(sio_all(sio_socket_namespace(socket)), room), true);
}

static struct sio_reply *reply_later(const struct sio_event *event)
{
    struct sio_reply *reply = malloc(sizeof *reply);
    if (!reply) abort();
    *reply = sio_reply_later(event);
    return reply;
}

/* A sio_answers_fn: the reply is a list of what all of them answered; null, if some are missing. */
static void on_answers(void *ctx, int error, struct sio_args answers)
{
    struct sio_reply *reply = ctx;
    struct sio_builder list;
    sio_builder_init(&list);
    sio_builder_open(&list);
    sio_builder_put(&list, "[");
    sio_builder_put_slice(&list, answers, answers.json);
    sio_builder_put(&list, "]");
    sio_reply(reply, error ? sio_args_json("null") : sio_builder_args(&list));
    sio_builder_clear(&list);
    free(reply);
}

static void on_members(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    char room[ROOM_SIZE];
    (void)ctx;
    if (read_room(event, 0, room))
        sio_target_fetch(sio_to(sio_all(sio_socket_namespace(socket)), room), on_answers, reply_later(event));
}

static void on_vote(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    char room[ROOM_SIZE];
    (void)ctx;
    if (!read_room(event, 0, room)) return;
    struct sio_target members = sio_timeout(sio_to(sio_all(sio_socket_namespace(socket)), room), VOTE_MS);
    sio_emit_to_all_with_ack(members, "vote", sio_args_json(""), on_answers, reply_later(event));
}

static void on_count(void *ctx, int error, size_t servers)
{
    struct sio_reply *reply = ctx;
    char text[24];
    snprintf(text, sizeof text, "%zu", servers);
    sio_reply(reply, sio_args_json(error ? "null" : text));
    free(reply);
}

static void on_nodes(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    sio_server_count(sio_socket_namespace(socket), on_count, reply_later(event));
}

static void on_ports(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    sio_server_side_emit(sio_socket_namespace(socket), "port", sio_args_json(""), on_answers, reply_later(event));
}

/* Another node asks. */
static void on_port(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)socket;
    sio_ack_pack(event, "i", *(const int *)ctx);
}

static void add_handlers(struct sio_namespace *root, int *port)
{
    sio_on(root, "join", on_join, NULL);
    sio_on(root, "say", on_say, NULL);
    sio_on(root, "move", on_move, NULL);
    sio_on(root, "leave", on_leave, NULL);
    sio_on(root, "members", on_members, NULL);
    sio_on(root, "vote", on_vote, NULL);
    sio_on(root, "nodes", on_nodes, NULL);
    sio_on(root, "ports", on_ports, NULL);
    sio_on(root, "dismiss", on_dismiss, NULL);
    sio_on_server_event(root, "port", on_port, port);
}

static void on_signal(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd, (void)what;
    sio_stop(ctx);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: own_adapter PORT FOLDER\n");
        return 2;
    }
    int port = atoi(argv[1]);
    struct sio_options options;
    struct eio_loop *loop = eio_loop_new();
    if (!loop) return 1;
    struct own_adapter own = {eio_loop_base(loop), argv[2]};
    sio_options_init(&options);
    options.adapter = adapter_new;
    options.adapter_ctx = &own;
    struct sio_server *io = sio_server_new_on(loop, &options);
    struct sio_namespace *root = io ? sio_of(io, "/") : NULL;
    int error = root ? sio_listen(io, "127.0.0.1", (uint16_t)port) : EIO_ENOMEM;
    if (root) add_handlers(root, &port);
    struct event *term = event_new(own.base, SIGTERM, EV_SIGNAL, on_signal, io);
    if (error || !term || event_add(term, NULL) != 0)
        fprintf(stderr, "cannot start: %s\n", eio_strerror(error));
    else
        error = sio_run(io);
    if (term) event_free(term);
    sio_server_free(io);
    eio_loop_free(loop);
    return error ? 1 : 0;
}
