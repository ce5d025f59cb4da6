/* Admissions: the middleware of a namespace, one after the other, each answering now or later. */
#include "sio_socket.h"
#include "sio_server.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------- lists */

static struct sio_admission *admission_new(struct sio_socket *socket)
{
    struct sio_admission *admission = calloc(1, sizeof *admission);
    if (!admission) return NULL;
    struct sio_client *client = socket->client;
    struct sio_server *io = client->io;
    admission->io = io;
    admission->next = io->admissions;
    if (admission->next) admission->next->prev = admission;
    io->admissions = admission;

    admission->client = client;
    admission->client_next = client->admissions;
    if (admission->client_next) admission->client_next->client_prev = admission;
    client->admissions = admission;
    client->admission_count++;

    admission->socket = socket;
    socket->admission = admission;
    return admission;
}

static void leave_client(struct sio_admission *admission)
{
    struct sio_client *client = admission->client;
    if (!client) return;
    if (admission->client_prev)
        admission->client_prev->client_next = admission->client_next;
    else
        client->admissions = admission->client_next;
    if (admission->client_next) admission->client_next->client_prev = admission->client_prev;
    client->admission_count--;
    admission->client = NULL;
}

static void admission_free(struct sio_admission *admission)
{
    if (admission->socket) admission->socket->admission = NULL;
    leave_client(admission);
    if (admission->prev)
        admission->prev->next = admission->next;
    else
        admission->io->admissions = admission->next;
    if (admission->next) admission->next->prev = admission->prev;
    free(admission);
}

void sio__admission_forget_client(struct sio_client *client)
{
    while (client->admissions) leave_client(client->admissions);
}

void sio__admissions_free(struct sio_server *io)
{
    while (io->admissions) admission_free(io->admissions);
}

/* ------------------------------------------------------------------- steps */

static struct sio__hook *first_hook(const struct sio_namespace *nsp, bool *own)
{
    *own = !nsp->parent || !nsp->parent->behaviour.middleware.first;
    return *own ? nsp->behaviour.middleware.first : nsp->parent->behaviour.middleware.first;
}

static void go_to_next(struct sio_admission *admission)
{
    admission->hook = admission->hook->next;
    if (admission->hook || admission->own) return;
    admission->own = true;
    admission->hook = admission->socket->nsp->behaviour.middleware.first;
}

/* Asks one middleware after the other as long as they answer at once. A call of sio_next() within a middleware only *
 * sets a flag; what follows from it happens here, after that middleware has returned. */
static void ask_middlewares(struct sio_admission *admission)
{
    while (admission->socket && admission->hook) {
        struct sio__hook *hook = admission->hook;
        admission->passed = admission->refused = false;
        admission->running = true;
        hook->fn.middleware(admission->socket, admission, hook->ctx);
        admission->running = false;
        if (admission->refused) break;
        if (!admission->passed) return; /* it answers later */
        if (admission->socket) go_to_next(admission);
    }
    struct sio_socket *socket = admission->refused ? NULL : admission->socket;
    admission_free(admission);
    if (socket) sio__recovery_connect(socket);
}

void sio__admission_start(struct sio_socket *socket)
{
    bool own;
    struct sio__hook *hook = first_hook(socket->nsp, &own);
    if (!hook) {
        sio__recovery_connect(socket);
        return;
    }
    struct sio_admission *admission = admission_new(socket);
    if (!admission) {
        sio__client_close(socket->client, "forced server close", EIO_CLOSE_FORCED, "out of memory");
        return;
    }
    admission->hook = hook;
    admission->own = own;
    ask_middlewares(admission);
}

void sio_next(struct sio_admission *admission)
{
    if (admission->running) {
        admission->passed = true;
        return;
    }
    if (admission->socket) go_to_next(admission);
    ask_middlewares(admission);
}

struct sio_socket *sio_admission_socket(const struct sio_admission *admission)
{
    return admission->socket;
}

static void put_refusal(struct sio_builder *builder, const char *message, const char *data_json)
{
    sio_builder_put(builder, "{\"message\":");
    sio_builder_put_text(builder, message, strlen(message));
    if (data_json) {
        sio_builder_put(builder, ",\"data\":");
        sio_builder_put(builder, data_json);
    }
    sio_builder_put(builder, "}");
}

static void send_refusal(struct sio_socket *socket, const char *message, const char *data_json)
{
    struct sio_builder builder;
    sio_builder_init(&builder);
    if (!sio__client_is_v2(socket->client))
        put_refusal(&builder, message, data_json);
    else if (sio__v2_error_is_data(data_json))
        sio_builder_put(&builder, data_json);
    else
        sio_builder_put_text(&builder, message, strlen(message));
    struct sio__outgoing packet = {
        .type = SIO__CONNECT_ERROR,
        .nsp = {socket->nsp->name, socket->nsp->name_size},
        .json = sio_builder_args(&builder).json,
    };
    if (!builder.error) sio__client_send(socket->client, &packet);
    sio_builder_clear(&builder);
}

void sio_refuse(struct sio_admission *admission, const char *message, const char *data_json)
{
    if (admission->running && (admission->passed || admission->refused)) return; /* the first answer counts */
    struct sio_socket *socket = admission->socket;
    if (socket) {
        admission->io->stats.connects_refused++;
        send_refusal(socket, message ? message : "", data_json);
        sio__socket_end(socket, "refused");
    }
    admission->refused = true;
    if (!admission->running) admission_free(admission);
}
