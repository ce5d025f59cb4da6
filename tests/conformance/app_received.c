/* The server-side events of other servers: `sse` and `sse-ack` are recorded until a client asks for them. */
#include "app_request.h"
#include "conformance.h"

#include <stdlib.h>
#include <string.h>

#define RECORDED_MAX 10000 /* nobody asks in a long run: the rest is not kept */

struct app_received {
    struct sio_builder list;
    uint8_t **copies; /* of attachments, which the builder only borrows */
    size_t copy_count;
    size_t count;
};

/* What a handler is registered with: the event does not say which namespace it is of. */
struct app_server_side {
    struct conformance *conformance;
    const char *nsp;
};

static void clear(struct app_received *received)
{
    sio_builder_clear(&received->list);
    for (size_t i = 0; i < received->copy_count; i++) free(received->copies[i]);
    free(received->copies);
    *received = (struct app_received){.count = 0};
    sio_builder_init(&received->list);
}

/* The arguments with attachments of our own. *memory is to be freed. */
static bool own_attachments(struct app_received *received, struct sio_args *args, struct rooms_bytes **memory)
{
    size_t count = args->attachment_count;
    struct rooms_bytes *owned = *memory = calloc(count + 1, sizeof *owned);
    uint8_t **copies = realloc(received->copies, (received->copy_count + count + 1) * sizeof(uint8_t *));
    if (copies) received->copies = copies;
    if (!owned || !copies) return false;
    for (size_t i = 0; i < count; i++) {
        uint8_t *copy = malloc(args->attachments[i].n + 1);
        if (!copy) return false;
        if (args->attachments[i].n) memcpy(copy, args->attachments[i].p, args->attachments[i].n);
        received->copies[received->copy_count++] = copy;
        owned[i] = (struct rooms_bytes){copy, args->attachments[i].n};
    }
    args->attachments = owned;
    return true;
}

static void record(const struct app_server_side *at, const struct sio_event *event)
{
    struct app_received *received = at->conformance->received;
    struct sio_args args = event->args;
    struct rooms_bytes *memory = NULL;
    if (received->count++ < RECORDED_MAX && own_attachments(received, &args, &memory)) {
        struct sio_builder *list = &received->list;
        sio_builder_open(list);
        sio_builder_put(list, "{\"nsp\":");
        sio_builder_put_text(list, at->nsp, strlen(at->nsp));
        sio_builder_put(list, ",\"args\":[");
        sio_builder_put_slice(list, args, args.json);
        sio_builder_put(list, "]}");
    }
    free(memory);
}

static void on_sse(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)socket;
    record(ctx, event);
}

static void on_sse_ack(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    struct app_server_side *at = ctx;
    (void)socket;
    record(at, event);
    if (event->wants_ack) sio_ack_pack(event, "s", at->conformance->options->name);
}

int app_listen_to_servers(struct conformance *conformance)
{
    static struct app_server_side namespaces[] = {{NULL, "/"}, {NULL, "/custom"}};
    conformance->received = calloc(1, sizeof *conformance->received);
    if (!conformance->received) return EIO_ENOMEM;
    sio_builder_init(&conformance->received->list);
    int error = 0;
    for (size_t i = 0; i < sizeof namespaces / sizeof namespaces[0] && error == 0; i++) {
        struct sio_namespace *nsp = sio_of(conformance->io, namespaces[i].nsp);
        namespaces[i].conformance = conformance;
        error = nsp ? sio_on_server_event(nsp, "sse", on_sse, &namespaces[i]) : EIO_ENOMEM;
        if (error == 0) error = sio_on_server_event(nsp, "sse-ack", on_sse_ack, &namespaces[i]);
    }
    return error;
}

void app_answer_received(const struct sio_event *event, struct conformance *conformance)
{
    struct app_received *received = conformance->received;
    struct sio_args all = sio_builder_args(&received->list);
    struct sio_builder answer;
    sio_builder_init(&answer);
    sio_builder_open(&answer);
    sio_builder_put(&answer, "[");
    sio_builder_put_slice(&answer, all, all.json);
    sio_builder_put(&answer, "]");
    sio_ack(event, sio_builder_args(&answer));
    sio_builder_clear(&answer);
    clear(received);
}

void app_received_free(struct app_received *received)
{
    if (!received) return;
    clear(received);
    free(received);
}
