/* A binary packet that waits for its attachments: a copy of its text, then the attachments as they come. */
#include "sio_socket.h"
#include "sio_server.h"

#include <stdlib.h>
#include <string.h>

struct sio__pending {
    struct sio__packet packet;       /* slices of text */
    struct rooms_bytes *attachments; /* malloc'd each */
    size_t arrived;
    size_t bytes; /* text and attachments so far */
    /* After sio__pending_finish(), if the placeholders had to be renumbered: */
    char *renumbered;
    struct rooms_bytes *ordered;
    uint8_t text[];
};

/* The slice of the original text, in the copy. */
static struct eio_str moved(struct eio_str slice, const uint8_t *from, const uint8_t *to)
{
    if (!slice.p) return slice;
    const char *base = (const char *)from;
    return (struct eio_str){(const char *)to + (slice.p - base), slice.n};
}

int sio__pending_begin(struct sio_client *client, const struct sio__packet *packet, const uint8_t *p, size_t n)
{
    struct sio__pending *pending = calloc(1, sizeof *pending + n);
    if (!pending) return EIO_ENOMEM;
    pending->attachments = calloc(packet->attachment_count, sizeof *pending->attachments);
    if (!pending->attachments) {
        free(pending);
        return EIO_ENOMEM;
    }
    memcpy(pending->text, p, n);
    struct sio__packet *kept = &pending->packet;
    *kept = *packet;
    /* "/" may be a constant of the decoder's. */
    if (packet->nsp.n == 1 && !packet->query.p)
        kept->nsp = eio_str("/");
    else
        kept->nsp = moved(packet->nsp, p, pending->text);
    kept->query = moved(packet->query, p, pending->text);
    kept->data = moved(packet->data, p, pending->text);
    kept->name = moved(packet->name, p, pending->text);
    kept->args = moved(packet->args, p, pending->text);
    pending->bytes = n;
    client->pending = pending;
    return 0;
}

int sio__pending_add(struct sio_client *client, const uint8_t *p, size_t n)
{
    struct sio__pending *pending = client->pending;
    if (n > client->io->max_packet_bytes - pending->bytes) return EIO_ETOOBIG;
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy) return EIO_ENOMEM;
    if (n) memcpy(copy, p, n);
    pending->attachments[pending->arrived++] = (struct rooms_bytes){copy, n};
    pending->bytes += n;
    return pending->arrived == pending->packet.attachment_count;
}

const struct sio__packet *sio__pending_packet(const struct sio__pending *pending)
{
    return &pending->packet;
}

/* An attachment that is named twice becomes two, one that is not named goes, as when the reference passes it on. */
static int renumber(struct sio__pending *pending, struct sio_args *args)
{
    size_t count = sio__placeholder_count(args->json);
    uint16_t *order = malloc((count + 1) * sizeof *order);
    pending->renumbered = malloc(args->json.n + 20 * count + 1);
    pending->ordered = malloc((count + 1) * sizeof *pending->ordered);
    if (!order || !pending->renumbered || !pending->ordered) {
        free(order);
        return EIO_ENOMEM;
    }
    size_t size = sio__placeholder_renumber(args->json, 0, pending->renumbered, order, count);
    for (size_t i = 0; i < count; i++) pending->ordered[i] = pending->attachments[order[i]];
    free(order);
    *args = (struct sio_args){{pending->renumbered, size}, pending->ordered, count};
    return 0;
}

int sio__pending_finish(struct sio__pending *pending, struct sio_args *args)
{
    const struct sio__packet *packet = &pending->packet;
    *args = (struct sio_args){packet->args, pending->attachments, packet->attachment_count};
    return packet->placeholders_in_order ? 0 : renumber(pending, args);
}

void sio__pending_free(struct sio__pending *pending)
{
    if (!pending) return;
    for (size_t i = 0; i < pending->arrived; i++) {
        /* They were allocated here; the type is that of borrowed bytes. */
        free((void *)(uintptr_t)pending->attachments[i].p);
    }
    free(pending->attachments);
    free(pending->renumbered);
    free(pending->ordered);
    free(pending);
}
