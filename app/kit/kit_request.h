/* An event as a row of a table, over Socket.IO, over HTTP, or both. The kit checks the payload against the event's
 * schema, knows who asks and whether that role may, owns the memory, runs the work on a thread with the store, and
 * sends the answer or the failure; a module writes what is its own: reading the payload, the work, the reply.
 *
 *     struct greet {
 *         struct kit_request request;
 *         char name[KIT_ID_SIZE];
 *     };
 *     static const struct kit_event events[] = {
 *         {.name = "greet", .size = sizeof(struct greet), .way = KIT_READ,
 *          .method = EIO_HTTP_POST, .path = "/api/v1/people/{name}/greeting", .roles = KIT_ROLE_AGENT,
 *          .read = read_greet, .run = run_greet, .reply = reply_greet},
 *     };
 *     kit_open_events(kit, nsp, events, 1, state);
 *     kit_open_paths(kit, events, 1, state);
 *
 * A request lives from its event to its answer; its socket or connection may go meanwhile, and the answer is then
 * dropped. */
#ifndef KIT_REQUEST_H
#define KIT_REQUEST_H

#include "kit_answer.h"
#include "kit_auth.h"
#include "kit_json.h"

/* Where the work runs (kit_store.h). */
enum kit_way {
    KIT_WRITE, /* in order with all writes, durable before the reply */
    KIT_READ,  /* beside the writes */
};

struct kit_request;

struct kit_event {
    const char *name; /* of the event and of its schema. NULL: a path whose parameters say all */
    size_t size;      /* of the module's struct, which begins with its struct kit_request */
    enum kit_way way;
    /* On the loop. Takes what it needs out of the payload, which fits the schema. Returns 0 or the code of
     * request->op.failure. May be NULL. */
    int (*read)(struct kit_request *request, const json_t *payload);
    /* On a thread, inside a transaction. Returns 0 or the code of request->op.failure; a write that fails is undone.
     * Must not touch anything that the loop uses. May append fields to request->json. May be called again, when its
     * transaction was undone for others' sake: it then begins anew (struct kit_store_op). */
    int (*run)(struct kit_db *db, struct kit_request *request);
    /* On the loop, once it is done and, if a write, durable; not after a failure. Broadcasts, appends the answer's
     * fields to request->json, which begins with {"ok":true and is closed by the kit. May be NULL. */
    void (*reply)(struct kit_request *request);
    /* Frees what read and run took; also after a failure. May be NULL. */
    void (*clear)(struct kit_request *request);

    /* For events that wait for something else than the store, or need it more than once; on the loop. Each ends by
     * kit_request_submit() or kit_request_finish(), now or later; either may free the request before it returns. */
    /* After read. NULL: it is submitted. */
    void (*start)(struct kit_request *request);
    /* When run is done, failed or not. NULL: it is finished. */
    void (*step)(struct kit_request *request);
    /* Who may. */
    unsigned roles;    /* enum kit_role, or'ed: others get 403. 0: all whom the namespace admits; none over HTTP */
    const char *about; /* the field, or parameter of the path, with the id of what it is about. May be NULL */
    const char *lock;  /* a write: what else it changes, by name (struct kit_store_op). May be NULL */
    /* On a thread, before run in its transaction: whether who asks may do this to request->about. Returns 0 or the code
     * of request->op.failure. May be NULL. */
    int (*allow)(struct kit_db *db, struct kit_request *request);

    /* In place of the schema, read and start, for payloads of which no tree is to be built: the text of one JSON
     * object, checked (kit_json_check()), or over HTTP the body as it came. The text is gone when this returns. */
    void (*take)(struct kit_request *request, struct eio_str text);

    /* Over HTTP (kit_path.c); path NULL: not. A parameter stands between slashes, {call_id} for an id and <user> for
     * any text of a user's length; it is a field of the payload, as are those of a query. */
    enum eio_http_method method; /* GET answers HEAD, too */
    const char *path;
    /* Over HTTP: a request for which this is true is given to `stream` before its body has come, which reads it by
     * eio_http_request_read() and ends as `start` does; on_abort is its own then: it sets request->http to NULL. Both
     * may be NULL. */
    bool (*is_streamed)(const struct eio_http_head *head);
    void (*stream)(struct kit_request *request);
    bool is_open;       /* without a token; its source is the client's address */
    bool admits_guests; /* a client without a token is the guest (kit_admit_guests()) */
};

/* How a request is answered: the other half of what brought it. */
struct kit_reply_ops {
    void (*succeed)(struct kit_request *request); /* with request->json, which is whole */
    void (*fail)(struct kit_request *request);    /* with request->op.failure */
};

struct kit_request {
    struct kit_store_op op;
    struct kit *kit;
    void *state; /* the module's */
    const struct kit_event *event;
    struct kit_claims *claims; /* who asks; NULL before a socket has said who it is, and where no token is needed */
    struct kit_user *user;     /* the same at work, or an address */
    enum kit_way way;          /* the event's; may be changed before it is submitted */
    int64_t now_ms;            /* Unix time of the event */
    char about[KIT_USER_SIZE]; /* event->about's value; "" */
    struct sio_builder json;
    struct sio_shared *shared; /* the answer where many get the same, instead of json; borrowed. NULL: json */

    /* What brought it. */
    const struct kit_reply_ops *ops;
    struct kit_answer answer;      /* a socket's event; otherwise empty */
    struct eio_http_request *http; /* NULL: a socket's, or the client went away */
    void *origin;                  /* of what brings requests of its own (struct kit_caller); NULL */
    int status;                    /* over HTTP, of success: 200 unless the module says otherwise */
    const char *type;              /* over HTTP: NULL is JSON, otherwise see kit_request_set_type() */
};

/* The module's struct that a request begins. */
#define KIT_REQUEST(type, pointer) KIT_OWNER(pointer, struct type, request)

/* Runs event->run on the store; then event->step. A full queue is a failure of it like any other: 503. */
void kit_request_submit(struct kit_request *request);
/* Sends the answer, or the failure if request->op.failure has a code, and frees the request. */
void kit_request_finish(struct kit_request *request);
/* Takes one more event of so many bytes from what the user and the address of a request over HTTP may ask for. Returns
 * 0 or 429 with failure->retry_after_ms. */
int kit_request_spend(struct kit_request *request, size_t size, struct kit_failure *failure);
/* In reply, over HTTP: the answer is not an object but the text that request->json gets from now on. type: a literal.
 */
void kit_request_set_type(struct kit_request *request, const char *type);

/* Handles those of these events that have a name, of a namespace. The table must outlive the namespace. Returns 0 or a
 * negative code. */
int kit_open_events(struct kit *kit, struct sio_namespace *nsp, const struct kit_event *events, size_t count,
                    void *state);
/* Answers HTTP requests for those of these events that have a path, with 405 for other methods; anything that matches
 * no path below /api/ is 404. Likewise. */
int kit_open_paths(struct kit *kit, const struct kit_event *events, size_t count, void *state);

/* Copies a text of the payload; "" if absent. */
void kit_copy_text(char *out, size_t size, const json_t *payload, const char *name);

/* Answers with 200 now and the body in pieces (kit_http_stream()), instead of at the end: the request lives on until
 * kit_request_finish(), which then sends nothing. more: a field; name NULL: none. NULL: the client is gone, or memory
 * is out and that was answered. */
struct eio_http_stream *kit_request_stream(struct kit_request *request, const char *type,
                                           struct eio_http_reply_field more,
                                           const struct eio_http_stream_options *options);

/* --------------------------------------------------- for what brings requests */

/* Who asks for an event's work. */
struct kit_caller {
    const struct kit_reply_ops *ops;
    struct kit_claims *claims; /* borrowed; NULL */
    struct kit_user *user;     /* borrowed; NULL: out of memory */
    void *origin;              /* what it is to the caller; NULL */
};
/* NULL: out of memory. Its other fields are the caller's to fill in before kit_request_begin(). */
struct kit_request *kit_request_new(const struct kit_route *route, const struct kit_caller *caller);
/* 0 if the role may; else the code of failure: 401 without claims, 403. */
int kit_request_check_role(const struct kit_event *event, const struct kit_claims *claims, struct kit_failure *failure);
/* Reads the payload and starts the work. */
void kit_request_begin(struct kit_request *request, const json_t *payload);

#endif
