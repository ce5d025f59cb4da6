/* After an outage of Redis, or of the PostgreSQL that joins nodes: what other nodes said of a call meanwhile may be
 * lost, and a call in which nothing is said any more would not show it. So the number that each call has reached is
 * sent once more, with its status, to who watches it here: who lacks something sees the gap and asks for it. */
#include "calls_entry.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_MS 1000 /* between looks whether Redis is there */
#define CALLS_AT_ONCE 64

struct reached {
    char call_id[KIT_ID_SIZE];
    struct calls_call call; /* id 0: it is not in the store of this node */
};

struct calls_outage {
    struct kit_store_op op;
    struct calls *calls;
    struct eio_timer timer;
    char (*ids)[KIT_ID_SIZE]; /* of those watched here, while they are gone through */
    size_t count, next;
    struct reached reached[CALLS_AT_ONCE];
    size_t reached_count;
    uint64_t breaks; /* up to which it was made good */
    bool is_stopping;
};

static int run_read(struct kit_db *db, struct kit_store_op *op)
{
    struct calls_outage *outage = KIT_OWNER(op, struct calls_outage, op);
    int code = 0;
    outage->reached_count = 0;
    for (size_t i = outage->next; i < outage->count && outage->reached_count < CALLS_AT_ONCE && !code; i++) {
        struct reached *reached = &outage->reached[outage->reached_count++];
        struct kit_failure missing = {0, "", ""};
        memcpy(reached->call_id, outage->ids[i], sizeof reached->call_id);
        code = calls_find(db, reached->call_id, &reached->call, &missing);
        if (code == 404) code = reached->call.id = 0;
        if (code) op->failure = missing;
    }
    return code;
}

static void send_reached(const struct calls *calls, const struct reached *reached)
{
    char room[CALLS_ROOM_SIZE];
    struct sio_builder json;
    if (!reached->call.id) return;
    sio_builder_init(&json);
    sio_builder_open(&json);
    sio_builder_put(&json, "{\"call_id\":");
    kit_put_text(&json, reached->call_id);
    sio_builder_put(&json, ",\"status\":");
    kit_put_text(&json, reached->call.status);
    sio_builder_put(&json, ",\"duration\":");
    kit_put_int(&json, calls_duration_s(&reached->call, (int64_t)eio_loop_unix_ms(calls->kit->loop)));
    sio_builder_put(&json, ",\"seq\":");
    kit_put_int(&json, reached->call.seq);
    /* Its number is that of the last entry, which may be the one that is missing. */
    sio_builder_put(&json, ",\"reached\":true}");
    calls_room(room, CALLS_ROOM, reached->call_id);
    sio_emit(sio_local(sio_to(sio_all(calls->agents), room)), "call:status", sio_builder_args(&json));
    sio_builder_clear(&json);
}

static void look_again(struct calls_outage *outage, uint64_t after_ms)
{
    free(outage->ids);
    outage->ids = NULL;
    if (!outage->is_stopping) eio_timer_start(&outage->timer, after_ms);
}

static void on_read(struct kit_store_op *op)
{
    struct calls_outage *outage = KIT_OWNER(op, struct calls_outage, op);
    for (size_t i = 0; i < outage->reached_count && !op->failure.code; i++)
        send_reached(outage->calls, &outage->reached[i]);
    if (op->failure.code) outage->breaks--; /* the store is away as well: all of it once more */
    outage->next += outage->reached_count;
    if (op->failure.code || outage->is_stopping || outage->next >= outage->count)
        look_again(outage, LOOK_MS);
    else
        kit_store_again(op);
}

static void begin(struct calls_outage *outage, uint64_t breaks)
{
    outage->next = 0;
    outage->count = calls_presence_watched(outage->calls, &outage->ids);
    bool is_full = outage->count && kit_store_submit_read(outage->calls->kit->store, &outage->op, 0);
    if (!is_full) outage->breaks = breaks;
    if (is_full || !outage->count) look_again(outage, LOOK_MS);
}

static void on_timer(void *ctx)
{
    struct calls_outage *outage = ctx;
    const struct kit_peers *peers = &outage->calls->kit->peers;
    const char *why;
    uint64_t breaks = peers->count_breaks(peers->ctx);
    if (breaks != outage->breaks && !peers->is_degraded(peers->ctx, &why))
        begin(outage, breaks);
    else
        eio_timer_start(&outage->timer, LOOK_MS);
}

int calls_outage_start(struct calls *calls)
{
    if (!calls->kit->peers.count_breaks) return 0;
    struct calls_outage *outage = calls->outage = calloc(1, sizeof *outage);
    if (!outage) return EIO_ENOMEM;
    outage->calls = calls;
    outage->op = (struct kit_store_op){.run = run_read, .done = on_read};
    eio_timer_init(&outage->timer, calls->kit->loop, on_timer, outage);
    outage->breaks = calls->kit->peers.count_breaks(calls->kit->peers.ctx);
    return eio_timer_start(&outage->timer, LOOK_MS);
}

void calls_outage_drain(struct calls *calls)
{
    if (!calls->outage) return;
    calls->outage->is_stopping = true;
    eio_timer_stop(&calls->outage->timer);
}

void calls_outage_stop(struct calls *calls)
{
    if (!calls->outage) return;
    eio_timer_stop(&calls->outage->timer);
    free(calls->outage->ids);
    free(calls->outage);
    calls->outage = NULL;
}
