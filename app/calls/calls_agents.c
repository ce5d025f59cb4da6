/* The namespace "/": agents identify themselves and list the calls that they may see. */
#include "calls_listing.h"

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
    char status[16];          /* "": all */
    char before[KIT_ID_SIZE]; /* "": the latest */
    int64_t limit;            /* 0: as many as there may be */
    bool is_cut;
};

static int read_list(struct kit_request *request, const json_t *payload)
{
    struct list *list = KIT_REQUEST(list, request);
    const json_t *limit = json_object_get(payload, "limit");
    kit_copy_text(list->status, sizeof list->status, payload, "status");
    kit_copy_text(list->before, sizeof list->before, payload, "before");
    if (!limit || kit_json_int64(limit, 1, INT64_MAX, &list->limit)) return 0;
    return kit_fail(&request->op.failure, 400, "/limit", "must be a positive integer");
}

/* Changes are sent from before the list is read, so that nothing is missed in between. */
static void start_list(struct kit_request *request)
{
    struct sio_socket *socket = kit_answer_socket(&request->answer);
    if (request->http || !socket || !calls_access_list(socket)) {
        kit_request_submit(request);
        return;
    }
    kit_fail(&request->op.failure, 503, NULL, "this socket is in too many rooms");
    kit_request_finish(request);
}

static int run_list(struct kit_db *db, struct kit_request *request)
{
    struct list *list = KIT_REQUEST(list, request);
    struct calls_page page = {.status = list->status[0] ? list->status : NULL,
                              .before = list->before,
                              .limit = list->limit,
                              .now_ms = request->now_ms};
    int code =
        calls_listing_page(db, request->kit->config, request->claims, &page, &request->json, &request->op.failure);
    list->is_cut = page.is_cut;
    return code;
}

static void reply_list(struct kit_request *request)
{
    ((struct calls *)request->state)->counters.lists_cut += KIT_REQUEST(list, request)->is_cut;
}

/* ------------------------------------------- GET /api/v1/calls/{call_id} */

#define READERS (KIT_ROLE_AGENT | KIT_ROLE_SUPERVISOR | KIT_ROLE_ADMIN)

/* What call:subscribe answers. */
static int run_call(struct kit_db *db, struct kit_request *request)
{
    struct calls_view view = {.call_id = request->about,
                              .now_ms = request->now_ms,
                              .agent = request->claims->sub,
                              .all_notes = calls_access_is_supervisor(request->claims)};
    return calls_snapshot(db, request->kit->config, &view, &request->json, &request->op.failure);
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
        {.name = "call:list",
         .size = sizeof(struct list),
         .way = KIT_READ,
         .roles = READERS,
         .read = read_list,
         .start = start_list,
         .run = run_list,
         .reply = reply_list,
         .method = EIO_HTTP_GET,
         .path = "/api/v1/calls"},
        {.size = sizeof(struct kit_request),
         .way = KIT_READ,
         .roles = READERS,
         .about = "call_id",
         .allow = calls_allow,
         .run = run_call,
         .method = EIO_HTTP_GET,
         .path = "/api/v1/calls/{call_id}"},
    };
    int error = kit_open_events(calls->kit, calls->agents, events, sizeof events / sizeof events[0], calls);
    return error ? error : kit_open_paths(calls->kit, events, sizeof events / sizeof events[0], calls);
}
