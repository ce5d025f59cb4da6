/* Disconnecting many at once, by target: a turn is too short for thousands. A few end in place. If there are more, all
 * of them are as good as gone at once (they receive nothing, nothing is taken from them, and they are not found), and
 * end in slices: the packet for the client, the handlers, the connection. One that something else ends meanwhile, or
 * whose client speaks, ends then. */
#include "base_clock.h"
#include "sio_emit.h"
#include "sio_namespace.h"
#include "sio_server.h"
#include "sio_socket.h"

#include <stdlib.h>

enum {
    AT_ONCE = 64,   /* as many end in place */
    SLICE = 256,    /* as many end in a turn, */
    SLICE_MS = 5,   /* or what handlers leave time for; */
    CLOCK_EACH = 16 /* after so many the clock is read */
};

struct sio__ending {
    struct sio_socket *socket; /* NULL: it has ended */
    bool close;
};

/* ------------------------------------------------------------------- ending */

static void mark_socket(struct sio_socket *socket)
{
    sio__socket_set_state(socket, SIO__S_ENDING, "disconnected by target");
    socket->ending = SIO__NO_ENDING;
    socket->nsp->ending_count++;
}

void sio__ending_forget(struct sio_socket *socket)
{
    if (socket->ending != SIO__NO_ENDING) socket->nsp->io->endings.list[socket->ending].socket = NULL;
    socket->nsp->ending_count--;
}

void sio__endings_finish(struct sio_client *client)
{
    for (struct sio_socket *socket = client->sockets; socket;) {
        bool is_ending = socket->state == SIO__S_ENDING;
        if (is_ending) sio__socket_disconnect(socket);
        socket = is_ending ? client->sockets : socket->next; /* handlers may have ended more */
    }
}

static void end_one(struct sio_socket *socket, bool close)
{
    struct sio_client *client = socket->client;
    if (!close)
        sio__socket_disconnect(socket);
    else
        sio__client_close(client, "forced server close", EIO_CLOSE_FORCED, "the server disconnected the client");
}

static void run_slice(struct sio__endings *endings)
{
    uint64_t until_us = base_clock_us() + SLICE_MS * 1000u;
    for (size_t n = 1; endings->next < endings->count && n <= SLICE; n++) {
        struct sio__ending ending = endings->list[endings->next++];
        if (ending.socket) end_one(ending.socket, ending.close);
        if (n % CLOCK_EACH == 0 && base_clock_us() >= until_us) return;
    }
}

static void on_timer(void *ctx)
{
    struct sio__endings *endings = ctx;
    do {
        run_slice(endings);
        if (endings->next == endings->count) {
            sio__endings_clear(endings);
            return;
        }
    } while (eio_timer_start(&endings->timer, 0) != 0);
}

void sio__endings_init(struct sio__endings *endings, struct eio_loop *loop)
{
    eio_timer_init(&endings->timer, loop, on_timer, endings);
}

void sio__endings_clear(struct sio__endings *endings)
{
    eio_timer_stop(&endings->timer);
    free(endings->list);
    endings->list = NULL;
    endings->next = endings->count = endings->capacity = 0;
}

/* ------------------------------------------------------------------ by target */

static void count_one(void *ctx, struct rooms_member *member)
{
    *(size_t *)ctx += sio_socket_is_connected(sio__socket_of(member));
}

static void disconnect_one(void *ctx, struct rooms_member *member)
{
    const bool *close = ctx;
    sio_socket_disconnect(sio__socket_of(member), *close);
}

/* All of the client's sockets end with it. */
static void mark_client(struct sio_client *client)
{
    for (struct sio_socket *socket = client->sockets; socket; socket = socket->next)
        if (socket->state == SIO__S_CONNECTED) mark_socket(socket);
    client->ending = true;
}

static void add_one(void *ctx, struct rooms_member *member)
{
    const bool *close = ctx;
    struct sio_socket *socket = sio__socket_of(member);
    struct sio__endings *endings = &socket->nsp->io->endings;
    if (socket->state != SIO__S_CONNECTED) return;
    if (*close)
        mark_client(socket->client);
    else
        mark_socket(socket);
    socket->ending = (uint32_t)endings->count;
    endings->list[endings->count++] = (struct sio__ending){socket, *close};
}

/* Makes room for so many more. */
static int reserve(struct sio__endings *endings, size_t n)
{
    if (endings->count + n <= endings->capacity) return 0;
    size_t capacity = endings->count + n;
    struct sio__ending *list =
        capacity < SIO__NO_ENDING ? realloc(endings->list, capacity * sizeof(struct sio__ending)) : NULL;
    if (!list) return EIO_ENOMEM;
    endings->list = list;
    endings->capacity = capacity;
    return 0;
}

void sio__local_disconnect(void *ctx, const struct rooms_selector *who, bool close)
{
    struct sio_namespace *nsp = ctx;
    struct sio_server *io = nsp->io;
    size_t n = 0;
    rooms_each_unchanged(nsp->index, who, count_one, &n);
    if (n <= AT_ONCE || reserve(&io->endings, n) != 0) {
        rooms_each(nsp->index, who, disconnect_one, &close);
        return;
    }
    sio__batch_settle(io); /* what was emitted before goes before */
    rooms_each_unchanged(nsp->index, who, add_one, &close);
    if (!eio_timer_running(&io->endings.timer) && eio_timer_start(&io->endings.timer, 0) != 0) on_timer(&io->endings);
}
