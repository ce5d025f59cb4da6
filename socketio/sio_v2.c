/* Clients of Socket.IO 2, on Engine.IO 3: they are in "/" without asking, know their id from the transport's, and have
 * the query of a namespace in its name. */
#include "sio_socket.h"
#include "sio_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int sio__v2_set_id(struct sio_socket *socket)
{
    struct sio_namespace *nsp = socket->nsp;
    const char *sid = eio_session_id(socket->session);
    bool is_root = nsp->name_size == 1, is_own = strlen(sid) != SIO__ID_SIZE; /* the application's */
    size_t size = (is_root ? 0 : nsp->name_size + 1) + strlen(sid);
    if (is_own)
        sio__server_new_id(nsp->io, socket->id); /* it is not shown */
    else
        memcpy(socket->id, sid, SIO__ID_SIZE);
    if (is_root && !is_own) return 0;
    if (size > SIO__V2_ID_SIZE_MAX) return EIO_ETOOBIG;
    socket->long_id = malloc(size + 1);
    if (!socket->long_id) return EIO_ENOMEM;
    snprintf(socket->long_id, size + 1, "%s%s%s", is_root ? "" : nsp->name, is_root ? "" : "#", sid);
    nsp->has_long_ids = true;
    return 0;
}

static void put_decoded(struct eio_str raw, char *scratch, size_t size, struct sio_builder *auth)
{
    int n = eio_query_decode(raw, scratch, size);
    sio_builder_put_text(auth, scratch, n > 0 ? (size_t)n : 0);
}

void sio__v2_put_auth(struct eio_str query, struct sio_builder *auth)
{
    struct eio_str name, value;
    size_t size = query.n + 1; /* decoding never makes longer */
    char *scratch = malloc(size);
    const char *comma = "";
    sio_builder_put(auth, "{");
    while (scratch && eio_query_next(&query, &name, &value)) {
        sio_builder_put(auth, comma);
        put_decoded(name, scratch, size, auth);
        sio_builder_put(auth, ":");
        put_decoded(value, scratch, size, auth);
        comma = ",";
    }
    sio_builder_put(auth, "}");
    free(scratch);
}

bool sio__v2_error_is_data(const char *data_json)
{
    static const char *const falsy[] = {"null", "false", "0", "\"\""};
    if (!data_json) return false;
    for (size_t i = 0; i < sizeof falsy / sizeof falsy[0]; i++)
        if (strcmp(data_json, falsy[i]) == 0) return false;
    return true;
}
