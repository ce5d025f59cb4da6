/* The catch-all for what is sent: it is called for each socket that an event goes to. Costs a walk over the receivers,
 * but only where a handler is registered. */
#include "sio_emit.h"
#include "sio_socket.h"
#include "sio_server.h"

#include <stdlib.h>

struct telling {
    struct eio_str name;
    struct sio_args args;
};

static void run_hooks(const struct sio__hooks *hooks, struct sio_socket *socket, const struct telling *telling)
{
    for (const struct sio__hook *hook = hooks->first; hook; hook = hook->next)
        if (hook->fn.outgoing) hook->fn.outgoing(socket, telling->name, telling->args, hook->ctx);
}

static void call_catch_alls(struct sio_socket *socket, const struct telling *telling)
{
    const struct sio_namespace *nsp = socket->nsp;
    const struct sio_server *io = nsp->io;
    const struct sio__watcher *watcher;
    for (unsigned i = 0; (watcher = sio__next_watcher(io, &i));)
        if (watcher->watch.on_outgoing) watcher->watch.on_outgoing(socket, telling->name, telling->args, watcher->ctx);
    if (nsp->parent) run_hooks(&nsp->parent->behaviour.outgoing, socket, telling);
    run_hooks(&nsp->behaviour.outgoing, socket, telling);
}

static void tell_one(void *ctx, struct rooms_member *member)
{
    struct sio_socket *socket = sio__socket_of(member);
    if (socket->state == SIO__S_CONNECTED) call_catch_alls(socket, ctx);
}

static void tell_before(struct sio_namespace *nsp, const struct telling *telling)
{
    const struct sio__watcher *watcher;
    for (unsigned i = 0; (watcher = sio__next_watcher(nsp->io, &i));)
        if (watcher->watch.on_sending) watcher->watch.on_sending(nsp, telling->name, telling->args, watcher->ctx);
}

static bool is_heard(const struct sio_namespace *nsp)
{
    return nsp->io->outgoing_watcher_count || nsp->behaviour.outgoing.first ||
           (nsp->parent && nsp->parent->behaviour.outgoing.first);
}

void sio__outgoing_one(struct sio_socket *socket, struct eio_str name, struct sio_args args)
{
    struct telling telling = {name, args};
    if (!is_heard(socket->nsp)) return;
    tell_before(socket->nsp, &telling);
    call_catch_alls(socket, &telling);
}

void sio__outgoing_many(struct sio_namespace *nsp, const struct rooms_selector *who,
                        const struct rooms_message *message)
{
    if (!is_heard(nsp)) return;
    struct sio_args all = sio__args_of_message(message);
    struct eio_str raw = sio_args_at(all, 0);
    char *name = malloc(raw.n + 1);
    if (!name) return;
    struct telling telling = {raw, sio_args_skip(all, 1)};
    if (raw.n && raw.p[0] == '"') telling.name = (struct eio_str){name, sio__json_decode_text(raw, name)};
    tell_before(nsp, &telling);
    rooms_each(nsp->index, who, tell_one, &telling);
    free(name);
}
