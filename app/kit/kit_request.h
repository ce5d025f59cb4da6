/* An event as a row of a table. The kit checks the payload against the event's schema, knows who asks, owns the memory,
 * runs the work on a thread with the store, and sends the answer or the failure; a module writes what is its own:
 * reading the payload, the work, the reply.
 *
 *     struct greet {
 *         struct kit_request request;
 *         char name[KIT_ID_SIZE];
 *     };
 *     static const struct kit_event events[] = {
 *         {.name = "greet", .size = sizeof(struct greet), .way = KIT_READ,
 *          .read = read_greet, .run = run_greet, .reply = reply_greet},
 *     };
 *     kit_open_events(kit, nsp, events, 1, state);
 *
 * A request lives from its event to its answer; its socket may go meanwhile, and the answer is then dropped. */
#ifndef KIT_REQUEST_H
#define KIT_REQUEST_H

#include "kit_answer.h"
#include "kit_auth.h"

/* Where the work runs (kit_store.h). */
enum kit_way {
    KIT_WRITE, /* in order with all writes, durable before the reply */
    KIT_READ,  /* beside the writes */
};

struct kit_request;

struct kit_event {
    const char *name; /* of the event and of its schema */
    size_t size;      /* of the module's struct, which begins with its struct kit_request */
    enum kit_way way;
    /* On the loop. Takes what it needs out of the payload, which fits the schema. Returns 0 or the code of
     * request->op.failure. May be NULL. */
    int (*read)(struct kit_request *request, const json_t *payload);
    /* On a thread, inside a transaction. Returns 0 or the code of request->op.failure; a write that fails is undone.
     * Must not touch anything that the loop uses. May append fields to request->json. */
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
};

struct kit_request {
    struct kit_store_op op;
    struct kit *kit;
    void *state; /* the module's */
    const struct kit_event *event;
    struct kit_claims *claims; /* who asks; NULL before a socket has said who it is */
    enum kit_way way;          /* the event's; may be changed before it is submitted */
    int64_t now_ms;            /* Unix time of the event */
    struct sio_builder json;
    struct kit_answer answer;  /* where the answer goes */
    struct sio_shared *shared; /* the answer where many get the same, instead of json; borrowed. NULL: json */
};

/* The module's struct that a request begins. */
#define KIT_REQUEST(type, pointer) ((struct type *)(void *)((char *)(pointer)-offsetof(struct type, request)))

/* Runs event->run on the store; then event->step. A full queue is a failure of it like any other: 503. */
void kit_request_submit(struct kit_request *request);
/* Sends the answer, or the failure if request->op.failure has a code, and frees the request. */
void kit_request_finish(struct kit_request *request);

/* Handles these events of a namespace. The table must outlive the namespace. Returns 0 or a negative code. */
int kit_open_events(struct kit *kit, struct sio_namespace *nsp, const struct kit_event *events, size_t count,
                    void *state);

/* Copies a text of the payload; "" if there is none. */
void kit_copy_text(char *out, size_t size, const json_t *payload, const char *name);

#endif
