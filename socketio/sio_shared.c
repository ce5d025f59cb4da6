/* One answer for many: kept once, and encoded once for all clients that numbered their question alike, which clients of
 * one program that come back together do. */
#include "sio_emit.h"
#include "sio_socket.h"
#include "sio_server.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS = 8 };

struct slot {
    const struct sio_namespace *nsp; /* compared only; NULL: free */
    uint64_t id;
    struct sio__prepared prepared;
};

struct sio_shared {
    char *json;
    size_t size;
    struct slot slots[SLOTS];
    size_t next; /* to be used again when all are taken */
};

struct sio_shared *sio_shared_new(struct eio_str json)
{
    struct sio_shared *shared = calloc(1, sizeof *shared);
    if (!shared) return NULL;
    shared->json = malloc(json.n ? json.n : 1);
    if (!shared->json) {
        free(shared);
        return NULL;
    }
    if (json.n) memcpy(shared->json, json.p, json.n);
    shared->size = json.n;
    return shared;
}

static void slot_clear(struct slot *slot)
{
    if (slot->nsp) sio__prepared_clear(&slot->prepared);
    slot->nsp = NULL;
}

void sio_shared_trim(struct sio_shared *shared)
{
    for (size_t i = 0; i < SLOTS; i++) slot_clear(&shared->slots[i]);
}

void sio_shared_free(struct sio_shared *shared)
{
    if (!shared) return;
    sio_shared_trim(shared);
    free(shared->json);
    free(shared);
}

static struct slot *slot_for(struct sio_shared *shared, const struct sio_namespace *nsp, uint64_t id,
                             struct eio_frame_account *account)
{
    struct slot *slot = NULL;
    for (size_t i = 0; i < SLOTS; i++) {
        if (shared->slots[i].nsp == nsp && shared->slots[i].id == id) return &shared->slots[i];
        if (!slot && !shared->slots[i].nsp) slot = &shared->slots[i];
    }
    if (!slot) slot = &shared->slots[shared->next++ % SLOTS];
    slot_clear(slot);
    struct sio__outgoing packet = {.type = SIO__ACK, .has_id = true, .id = id, .nsp = {nsp->name, nsp->name_size}};
    struct sio_args args = {{shared->json, shared->size}, NULL, 0};
    if (sio__prepare(&slot->prepared, nsp->io->parser, &packet, args) != 0) return NULL;
    slot->nsp = nsp;
    slot->id = id;
    for (size_t i = 0; i < slot->prepared.count; i++) eio_frame_set_account(slot->prepared.frames[i], account);
    return slot;
}

int sio_reply_shared(struct sio_reply *reply, struct sio_shared *shared, struct eio_frame_account *account)
{
    struct sio_socket *socket = sio__reply_socket(reply);
    if (!reply->wanted) return 0;
    if (!socket) return sio_reply(reply, (struct sio_args){{shared->json, shared->size}, NULL, 0});
    reply->wanted = false;
    if (socket->state != SIO__S_CONNECTED) return 0;
    struct slot *slot = slot_for(shared, socket->nsp, reply->ack_id, account);
    if (!slot) return EIO_ENOMEM;
    sio__batch_before_send(socket->client);
    return sio__prepared_send(&slot->prepared, socket->session, false);
}
