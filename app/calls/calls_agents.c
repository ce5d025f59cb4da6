/* The namespace "/": agents say who they are and list the calls that they may see. */
#include "calls_int.h"

#include <string.h>

/* ---------------------------------------------------------- agent:connect */

struct sign_in {
    struct kit_request request;
    char agent_id[KIT_USER_SIZE];
    char token[KIT_JWT_TOKEN_MAX + 1];
};

static int read_sign_in(struct kit_request *request, const json_t *payload)
{
    struct sign_in *sign_in = KIT_REQUEST(sign_in, request);
    kit_copy_text(sign_in->agent_id, sizeof sign_in->agent_id, payload, "agent_id");
    kit_copy_text(sign_in->token, sizeof sign_in->token, payload, "auth_token");
    return 0;
}

static void start_sign_in(struct kit_request *request)
{
    struct sign_in *sign_in = KIT_REQUEST(sign_in, request);
    struct kit_failure *failure = &request->op.failure;
    struct sio_socket *socket = kit_answer_socket(&request->answer);
    struct kit_claims *claims = kit_auth_check(request->kit, eio_str(sign_in->token), failure);
    if (claims && strcmp(claims->sub, sign_in->agent_id)) {
        kit_fail(failure, 403, "/agent_id", "the token is for another user");
        kit_claims_unref(claims);
    } else if (claims && socket) {
        kit_auth_set(socket, claims, failure);
    } else {
        kit_claims_unref(claims);
    }
    kit_request_finish(request);
}

static void reply_sign_in(struct kit_request *request)
{
    const struct sio_socket *socket = kit_answer_socket(&request->answer);
    const struct kit_claims *claims = socket ? kit_auth_claims(socket) : NULL;
    if (!claims) return;
    sio_builder_put(&request->json, ",\"agent_id\":");
    kit_put_text(&request->json, claims->sub);
    sio_builder_put(&request->json, ",\"role\":");
    kit_put_text(&request->json, kit_role_text(claims->role));
}

/* -------------------------------------------------------------- call:list */

struct list {
    struct kit_request request;
    char status[16]; /* "": all */
};

static int read_list(struct kit_request *request, const json_t *payload)
{
    struct list *list = KIT_REQUEST(list, request);
    kit_copy_text(list->status, sizeof list->status, payload, "status");
    return 0;
}

static int run_list(struct kit_db *db, struct kit_request *request)
{
    const struct list *list = KIT_REQUEST(list, request);
    return calls_list(db, request->kit->config, request->claims, list->status[0] ? list->status : NULL, request->now_ms,
                      &request->json, &request->op.failure);
}

/* ------------------------------------------------------------------- init */

int calls_agents_start(struct calls *calls)
{
    static const struct kit_event events[] = {
        {.name = "agent:connect",
         .size = sizeof(struct sign_in),
         .read = read_sign_in,
         .start = start_sign_in,
         .reply = reply_sign_in},
        {.name = "call:list", .size = sizeof(struct list), .way = KIT_READ, .read = read_list, .run = run_list},
    };
    return kit_open_events(calls->kit, calls->agents, events, sizeof events / sizeof events[0], calls);
}
