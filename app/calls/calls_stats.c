/* call:stats: the calls that go on, lines a minute and agents, for supervisors whose token opens all calls. A state,
 * sent every few seconds by each process to those that are connected to it; what concerns all processes stands in the
 * store.
 */
#include "calls_listing.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <uthash.h>

#define STATS_MS 5000
#define SAMPLES 13        /* a minute of them, and where it began */
#define NODE_OLD_MS 20000 /* a process that has not said its number for so long is gone */
#define NODE_BYTES 8

struct calls_stats {
    struct calls *calls;
    struct eio_timer timer;
    bool is_running;
    char node[2 * NODE_BYTES + 1];
    /* The highest id of a line, now and before: lines have ids in the order in which they come. */
    struct {
        int64_t ms, id;
    } samples[SAMPLES];
    size_t sample_count;
};

struct stats_op {
    struct kit_store_op op;
    struct calls_stats *stats;
    int64_t now_ms, agents, line_id;
    int64_t ringing, active, on_hold;
};

/* --------------------------------------------------------------------- here */

struct name {
    char sub[KIT_USER_SIZE];
    UT_hash_handle hh;
};

static void add_agent(struct sio_socket *socket, void *ctx)
{
    struct name **names = ctx, *name;
    const struct kit_claims *claims = kit_auth_claims(socket);
    if (!claims || claims->role != KIT_ROLE_AGENT) return;
    HASH_FIND_STR(*names, claims->sub, name);
    if (name || !(name = calloc(1, sizeof *name))) return;
    snprintf(name->sub, sizeof name->sub, "%s", claims->sub);
    HASH_ADD_STR(*names, sub, name);
}

/* Agents that are connected to this process, each once. */
static int64_t count_agents(struct calls *calls)
{
    struct name *names = NULL, *name, *next;
    sio_target_each_local(sio_all(calls->agents), add_agent, &names);
    int64_t count = HASH_COUNT(names);
    HASH_ITER(hh, names, name, next)
    {
        HASH_DEL(names, name);
        free(name);
    }
    return count;
}

static void note(struct sio_socket *socket, void *ctx)
{
    (void)socket;
    *(bool *)ctx = true;
}

static bool has_supervisors(struct calls *calls)
{
    bool has = false;
    sio_target_each_local(sio_to(sio_all(calls->agents), CALLS_HELP_ROOM "*"), note, &has);
    return has;
}

/* -------------------------------------------------------------- on a thread */

static int count_calls(struct kit_db *db, struct stats_op *s)
{
    struct kit_rows rows;
    enum kit_step step = kit_db_query(db, &rows,
                                      "SELECT status, count(*) FROM calls"
                                      " WHERE status IN ('ringing', 'active', 'on_hold') GROUP BY status",
                                      "");
    s->ringing = s->active = s->on_hold = 0;
    for (; step == KIT_ROW; step = kit_rows_next(&rows)) {
        const char *status = kit_rows_text(&rows, 0);
        int64_t count = kit_rows_int(&rows, 1);
        *(!strcmp(status, "ringing") ? &s->ringing : !strcmp(status, "active") ? &s->active : &s->on_hold) = count;
    }
    if (step == KIT_FAILED) return kit_db_fail(db, &s->op.failure);
    if (kit_db_query(db, &rows, "SELECT coalesce(max(id), 0) FROM segments", "") != KIT_ROW)
        return kit_db_fail(db, &s->op.failure);
    s->line_id = kit_rows_int(&rows, 0);
    kit_rows_end(&rows);
    return 0;
}

static int run_alone(struct kit_db *db, struct kit_store_op *op)
{
    return count_calls(db, (struct stats_op *)(void *)op);
}

/* Tells the others this process's number, and adds up theirs. */
static int run_among_others(struct kit_db *db, struct kit_store_op *op)
{
    struct stats_op *s = (struct stats_op *)(void *)op;
    struct kit_rows row;
    if (kit_db_run(db, "DELETE FROM node_agents WHERE at_ms < ?", "i", s->now_ms - NODE_OLD_MS) ||
        kit_db_run(db,
                   "INSERT INTO node_agents(node, agents, at_ms) VALUES (?,?,?) ON CONFLICT(node)"
                   " DO UPDATE SET agents=excluded.agents, at_ms=excluded.at_ms",
                   "tii", s->stats->node, s->agents, s->now_ms) ||
        kit_db_query(db, &row, "SELECT coalesce(sum(agents), 0) FROM node_agents WHERE at_ms > ?", "i",
                     s->now_ms - NODE_OLD_MS) != KIT_ROW)
        return kit_db_fail(db, &op->failure);
    int64_t all = kit_rows_int(&row, 0);
    kit_rows_end(&row);
    int code = count_calls(db, s);
    s->agents = all;
    return code;
}

/* -------------------------------------------------------------- on the loop */

static int64_t lines_a_minute(struct calls_stats *stats, const struct stats_op *s)
{
    if (stats->sample_count == SAMPLES)
        memmove(stats->samples, stats->samples + 1, --stats->sample_count * sizeof stats->samples[0]);
    stats->samples[stats->sample_count].ms = s->now_ms;
    stats->samples[stats->sample_count++].id = s->line_id;
    int64_t ms = s->now_ms - stats->samples[0].ms, lines = s->line_id - stats->samples[0].id;
    return ms > 0 && lines > 0 ? lines * 60000 / (ms > 60000 ? ms : 60000) : 0;
}

static void send_stats(struct calls_stats *stats, const struct stats_op *s)
{
    char at[25];
    json_int_t lines = lines_a_minute(stats, s);
    struct sio_target target = sio_to(sio_all(stats->calls->agents), CALLS_HELP_ROOM "*");
    kit_time_text((uint64_t)s->now_ms, at);
    sio_emit_pack(sio_local(target), "call:stats", "{s:{s:I, s:I, s:I}, s:I, s:I, s:s}", "calls", "ringing",
                  (json_int_t)s->ringing, "active", (json_int_t)s->active, "on_hold", (json_int_t)s->on_hold,
                  "lines_per_minute", lines, "agents", (json_int_t)s->agents, "timestamp", at);
}

static void on_stats(struct kit_store_op *op)
{
    struct stats_op *s = (struct stats_op *)(void *)op;
    s->stats->is_running = false;
    if (!op->failure.code && !s->stats->calls->kit->draining) send_stats(s->stats, s);
    free(s);
}

static void on_timer(void *ctx)
{
    struct calls_stats *stats = ctx;
    struct kit *kit = stats->calls->kit;
    bool has_peers = kit_has_peers(kit);
    eio_timer_start(&stats->timer, STATS_MS);
    if (stats->is_running || (!has_peers && !has_supervisors(stats->calls))) return;
    struct stats_op *s = calloc(1, sizeof *s);
    if (!s) return;
    s->op.run = has_peers ? run_among_others : run_alone;
    s->op.done = on_stats;
    s->op.writes = has_peers;
    s->stats = stats;
    s->now_ms = (int64_t)eio_loop_unix_ms(kit->loop);
    s->agents = count_agents(stats->calls);
    stats->is_running =
        !(has_peers ? kit_store_submit(kit->store, &s->op, 0) : kit_store_submit_read(kit->store, &s->op, 0));
    if (!stats->is_running) free(s);
}

int calls_stats_start(struct calls *calls)
{
    uint8_t bytes[NODE_BYTES];
    struct calls_stats *stats = calls->stats = calloc(1, sizeof *stats);
    if (!stats || getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) return EIO_ENOMEM;
    for (size_t i = 0; i < sizeof bytes; i++) snprintf(stats->node + 2 * i, 3, "%02x", bytes[i]);
    stats->calls = calls;
    eio_timer_init(&stats->timer, calls->kit->loop, on_timer, stats);
    eio_timer_start(&stats->timer, STATS_MS);
    return 0;
}

void calls_stats_drain(struct calls *calls)
{
    if (calls->stats) eio_timer_stop(&calls->stats->timer);
}

void calls_stats_stop(struct calls *calls)
{
    calls_stats_drain(calls);
    free(calls->stats);
    calls->stats = NULL;
}
