/* Requests to Redis and their deadlines. A request belongs to its record in the connection's queue, and is in the list
 * of pending requests until its callback has run. */
#include "rooms_redis_conn.h"

#include <stdlib.h>

static void list_add(struct rooms__redis_requests *requests, struct rooms__redis_request *request)
{
    request->next = NULL;
    request->previous = requests->last;
    if (requests->last)
        requests->last->next = request;
    else
        requests->first = request;
    requests->last = request;
    requests->count++;
}

static void list_remove(struct rooms__redis_requests *requests, struct rooms__redis_request *request)
{
    if (request->previous)
        request->previous->next = request->next;
    else
        requests->first = request->next;
    if (request->next)
        request->next->previous = request->previous;
    else
        requests->last = request->previous;
    requests->count--;
}

static void failed_add(struct rooms__redis_requests *requests, struct rooms__redis_request *request)
{
    request->next = NULL;
    if (requests->failed_last)
        requests->failed_last->next = request;
    else
        requests->failed = request;
    requests->failed_last = request;
}

/* ------------------------------------------------------------------ asking */

/* One timer for all: it runs for the earliest deadline, and then looks for others that have passed. */
static void arm(struct rooms_redis *redis, uint64_t deadline_us, uint64_t now_us)
{
    struct rooms__redis_requests *requests = &redis->requests;
    if (requests->armed_us && requests->armed_us <= deadline_us) return;
    requests->armed_us = deadline_us;
    uint64_t ms = deadline_us > now_us ? (deadline_us - now_us) / 1000u + 1 : 0;
    base_timer_start(&requests->deadline, ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX);
}

static int refused(struct rooms_redis *redis)
{
    if (redis->stats.requests_refused++ == 0)
        rooms__redis_log(redis, ROOMS_LOG_WARN, "redis: request not sent: it is too large, or too many are pending");
    return ROOMS_ELIMIT;
}

int rooms__redis_ask(struct rooms_redis *redis, const struct rooms__redis_command *command)
{
    struct rooms__redis_conn *conn =
        command->conn ? command->conn
                      : &redis->conns[command->via == ROOMS__REDIS_BLOCKING ? ROOMS__CONN_BLOCK : ROOMS__CONN_PUB];
    size_t size = rooms__resp_command_size(command->args, command->arg_count);
    if (!rooms__conn_is_ready(conn)) return ROOMS_EAWAY;
    if (size > redis->options.max_message_bytes || redis->requests.count >= redis->options.max_requests ||
        !rooms__redis_make_room(redis, conn, size))
        return refused(redis);
    struct rooms__redis_request *request = calloc(1, sizeof *request);
    if (!request) return ROOMS_ENOMEM;
    struct rooms__redis_record record = {(uint32_t)size, ROOMS__RECORD_ASK, {.request = request}};
    uint8_t *bytes = rooms__redis_queue_add(&conn->queue, &record);
    if (!bytes) {
        free(request);
        return ROOMS_ENOMEM;
    }
    rooms__resp_command_write(bytes, command->args, command->arg_count);
    uint32_t timeout_ms = command->timeout_ms ? command->timeout_ms : redis->options.request_timeout_ms;
    uint64_t now_us = base_clock_us();
    request->fn = command->fn;
    request->ctx = command->ctx;
    request->deadline_us = now_us + (uint64_t)timeout_ms * 1000u;
    request->role = conn->role;
    request->recorded = true;
    list_add(&redis->requests, request);
    arm(redis, request->deadline_us, now_us);
    rooms__redis_schedule(redis);
    return ROOMS_OK;
}

int rooms__redis_ask_number(struct rooms_redis *redis, const struct rooms__redis_command *command)
{
    return redis->shards ? rooms__shards_sum(redis->shards, command) : rooms__redis_ask(redis, command);
}

/* ----------------------------------------------------------------- endings */

void rooms__asks_answer(struct rooms_redis *redis, struct rooms__redis_request *request, const redisReply *reply)
{
    rooms__redis_reply_fn fn = request->fn;
    void *ctx = request->ctx;
    if (fn) list_remove(&redis->requests, request);
    free(request);
    if (fn) fn(ctx, reply);
}

void rooms__asks_fail(struct rooms_redis *redis, struct rooms__redis_request *request)
{
    if (!request->fn) {
        free(request);
        return;
    }
    request->recorded = false;
    list_remove(&redis->requests, request);
    failed_add(&redis->requests, request);
}

void rooms__asks_tell_failed(struct rooms_redis *redis)
{
    struct rooms__redis_requests *requests = &redis->requests;
    for (struct rooms__redis_request *request; (request = requests->failed) != NULL;) {
        rooms__redis_reply_fn fn = request->fn;
        void *ctx = request->ctx;
        requests->failed = request->next;
        if (!requests->failed) requests->failed_last = NULL;
        request->fn = NULL;
        if (!request->recorded) free(request);
        if (fn && !redis->freeing) fn(ctx, NULL);
    }
}

void rooms__redis_cancel(struct rooms_redis *redis, const void *ctx)
{
    struct rooms__redis_requests *requests = &redis->requests;
    for (struct rooms__redis_request *request = requests->first, *next; request; request = next) {
        next = request->next;
        if (request->ctx != ctx) continue;
        list_remove(requests, request);
        request->fn = NULL;
    }
    for (struct rooms__redis_request *request = requests->failed; request; request = request->next)
        if (request->ctx == ctx) request->fn = NULL;
    rooms__shards_cancel(redis->shards, ctx);
}

static void on_deadline(void *ctx)
{
    struct rooms_redis *redis = ctx;
    struct rooms__redis_requests *requests = &redis->requests;
    uint64_t now_us = base_clock_us(), next_us = UINT64_MAX;
    bool blocked = false;
    requests->armed_us = 0;
    for (struct rooms__redis_request *request = requests->first, *next; request; request = next) {
        next = request->next;
        if (request->deadline_us > now_us) {
            if (request->deadline_us < next_us) next_us = request->deadline_us;
            continue;
        }
        redis->stats.request_timeouts++;
        blocked |= request->role == ROOMS__CONN_BLOCK;
        list_remove(requests, request);
        failed_add(requests, request);
    }
    if (next_us != UINT64_MAX) arm(redis, next_us, now_us);
    rooms__asks_tell_failed(redis);
    if (blocked) rooms__conn_lose(&redis->conns[ROOMS__CONN_BLOCK], "a reply is overdue", false);
}

int rooms__asks_init(struct rooms_redis *redis)
{
    struct rooms__redis_requests *requests = &redis->requests;
    return base_timer_init(&requests->deadline, &redis->timers, on_deadline, redis) == BASE_OK ? ROOMS_OK
                                                                                               : ROOMS_ENOMEM;
}

/* The connections' queues are already cleared, and the callers are gone. */
void rooms__asks_clear(struct rooms_redis *redis)
{
    struct rooms__redis_requests *requests = &redis->requests;
    base_timer_clear(&requests->deadline);
    while (requests->failed) {
        struct rooms__redis_request *next = requests->failed->next;
        free(requests->failed);
        requests->failed = next;
    }
}
