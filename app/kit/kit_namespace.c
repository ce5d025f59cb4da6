#include "kit_namespace.h"

#include "kit_auth.h"
#include "kit_request.h"

/* ----------------------------------------------------------- auth:refresh */

struct refresh {
    struct kit_request request;
    char token[KIT_JWT_TOKEN_MAX + 1];
};

static int read_refresh(struct kit_request *request, const json_t *payload)
{
    struct refresh *refresh = KIT_REQUEST(refresh, request);
    kit_copy_text(refresh->token, sizeof refresh->token, payload, "token");
    return 0;
}

static void start_refresh(struct kit_request *request)
{
    struct refresh *refresh = KIT_REQUEST(refresh, request);
    struct sio_socket *socket = kit_answer_socket(&request->answer);
    struct kit_claims *claims = kit_auth_check(request->kit, eio_str(refresh->token), &request->op.failure);
    if (claims && socket)
        kit_auth_set(socket, claims, &request->op.failure);
    else
        kit_claims_unref(claims);
    kit_request_finish(request);
}

static void reply_refresh(struct kit_request *request)
{
    const struct sio_socket *socket = kit_answer_socket(&request->answer);
    const struct kit_claims *claims = socket ? kit_auth_claims(socket) : NULL;
    if (!claims) return;
    sio_builder_put(&request->json, ",\"role\":");
    kit_put_text(&request->json, kit_role_text(claims->role));
    sio_builder_put(&request->json, ",\"exp\":");
    kit_put_int(&request->json, claims->exp_s);
}

static const struct kit_event events[] = {
    {.name = "auth:refresh",
     .size = sizeof(struct refresh),
     .read = read_refresh,
     .start = start_refresh,
     .reply = reply_refresh},
};

/* -------------------------------------------------------------- namespaces */

struct sio_namespace *kit_open_namespace(struct kit *kit, const char *name, unsigned roles, const char *sign_in)
{
    if (kit->namespace_count == KIT_NAMESPACES_MAX) return NULL;
    struct sio_namespace *nsp = sio_of(kit->io, name);
    if (!nsp) return NULL;
    struct kit_namespace *own = &kit->namespaces[kit->namespace_count++];
    *own = (struct kit_namespace){.kit = kit, .nsp = nsp, .roles = roles, .sign_in = sign_in};
    int error = kit_auth_guard(own);
    if (!error) error = kit_open_events(kit, nsp, events, sizeof events / sizeof events[0], NULL);
    return error ? NULL : nsp;
}

void kit_open_to_guests(struct kit *kit, const struct sio_namespace *nsp)
{
    for (size_t i = 0; i < kit->namespace_count; i++)
        if (kit->namespaces[i].nsp == nsp) kit->namespaces[i].admits_guests = true;
}

bool kit_is_own_namespace(const struct kit *kit, const struct sio_namespace *nsp)
{
    for (size_t i = 0; i < kit->namespace_count; i++)
        if (kit->namespaces[i].nsp == nsp) return true;
    return false;
}

static struct kit_namespace *find_own(struct kit *kit, const struct sio_namespace *nsp)
{
    for (size_t i = 0; i < kit->namespace_count; i++)
        if (kit->namespaces[i].nsp == nsp) return &kit->namespaces[i];
    return NULL;
}

int kit_on_claims(struct kit *kit, const struct sio_namespace *nsp, void (*fn)(struct sio_socket *socket, void *ctx),
                  void *ctx)
{
    struct kit_namespace *own = find_own(kit, nsp);
    if (!own) return EIO_EINVAL;
    own->on_claims = fn;
    own->on_claims_ctx = ctx;
    return 0;
}

int kit_on_unknown_event(struct kit *kit, const struct sio_namespace *nsp,
                         bool (*fn)(struct sio_socket *socket, const struct sio_event *event, void *ctx), void *ctx)
{
    struct kit_namespace *own = find_own(kit, nsp);
    if (!own) return EIO_EINVAL;
    own->on_unknown = fn;
    own->on_unknown_ctx = ctx;
    return 0;
}
