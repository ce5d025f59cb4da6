/* Reads the node's streams, all with one XREAD that waits for the next entry. Where a stream ends is looked up first;
 * after a pause of Redis reading goes on where it stopped, so that nothing is lost. Streams that are shorter than that
 * are new ones, and read from their beginning. */
#include "rooms_redis_streams.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RETRY_MS = 1000, STREAMS_MAX = 1024, NUMBER_SIZE = 24 };

static void read_on(struct rooms__streams *streams);

static void streams_free(struct rooms__streams *streams)
{
    rooms__redis_cancel(streams->redis, streams);
    for (size_t i = 0; i < streams->count; i++) rooms__redis_cancel(streams->redis, &streams->list[i]);
    rooms__redis_unwatch(streams->redis, &streams->watcher);
    base_timer_clear(&streams->retry);
    *rooms__redis_streams(streams->redis) = NULL;
    for (size_t i = 0; i < streams->count; i++) free(streams->list[i].name);
    free(streams->list);
    free(streams);
}

/* ------------------------------------------------------------------ reading */

static struct rooms__streams_adapter *adapter_of(struct rooms__streams *streams, const struct rooms__stream *stream,
                                                 struct rooms_name nsp)
{
    struct rooms__streams_adapter *adapter = streams->adapters;
    while (adapter && (adapter->stream != stream || adapter->carrier.cluster.state->nsp_size != nsp.n ||
                       memcmp(adapter->carrier.cluster.state->nsp, nsp.p, nsp.n) != 0))
        adapter = adapter->next;
    return adapter;
}

static void take_entry(struct rooms__streams *streams, struct rooms__stream *stream, const struct redisReply *reply)
{
    struct rooms__stream_entry entry;
    if (!rooms__stream_entry_read(reply, &entry)) {
        rooms__redis_ignored(streams->redis, "malformed stream entry");
        return;
    }
    struct rooms__streams_adapter *adapter = adapter_of(streams, stream, entry.nsp);
    if (adapter) rooms__streams_take(adapter, &entry);
    stream->last = entry.id;
    struct rooms__streams_adapter *next = streams->adapters;
    for (adapter = next; adapter; adapter = next) {
        next = adapter->next;
        if (adapter->stream == stream) rooms__streams_moved(adapter);
    }
}

static struct rooms__stream *find_stream(struct rooms__streams *streams, const struct redisReply *name)
{
    if (!name || name->type != REDIS_REPLY_STRING) return NULL;
    for (size_t i = 0; i < streams->count; i++)
        if (strlen(streams->list[i].name) == (size_t)name->len &&
            memcmp(streams->list[i].name, name->str, (size_t)name->len) == 0)
            return &streams->list[i];
    return NULL;
}

static void take_streams(struct rooms__streams *streams, const struct redisReply *reply)
{
    for (size_t i = 0; i < reply->elements; i++) {
        const struct redisReply *one = reply->element[i];
        if (one->type != REDIS_REPLY_ARRAY || one->elements < 2) continue;
        struct rooms__stream *stream = find_stream(streams, one->element[0]);
        const struct redisReply *entries = one->element[1];
        if (!stream || entries->type != REDIS_REPLY_ARRAY) continue;
        for (size_t k = 0; k < entries->elements; k++) take_entry(streams, stream, entries->element[k]);
    }
}

/* NULL: the connection was lost; the watcher is notified of the next. */
static void on_read(void *ctx, const struct redisReply *reply)
{
    struct rooms__streams *streams = ctx;
    streams->is_reading = false;
    streams->is_busy = true;
    bool failed = !reply || reply->type == REDIS_REPLY_ERROR;
    if (reply && reply->type == REDIS_REPLY_ARRAY) take_streams(streams, reply);
    streams->is_busy = false;
    if (!streams->adapters)
        streams_free(streams);
    else if (failed)
        base_timer_start(&streams->retry, RETRY_MS);
    else
        read_on(streams);
}

static struct rooms_bytes number_arg(char *out, uint32_t number)
{
    return (struct rooms_bytes){(const uint8_t *)out, (size_t)snprintf(out, NUMBER_SIZE, "%u", number)};
}

static int ask_read(struct rooms__streams *streams)
{
    const struct rooms_redis_options *options = rooms__redis_options(streams->redis);
    struct rooms_bytes *args = calloc(6 + 2 * streams->count, sizeof *args);
    char(*ids)[ROOMS_OFFSET_SIZE] = calloc(streams->count, sizeof *ids);
    char block[NUMBER_SIZE], count[NUMBER_SIZE];
    uint32_t block_ms = options->stream_block_ms ? options->stream_block_ms : 1; /* 0 would be for ever */
    if (!ids || !args) {
        free(ids);
        free(args);
        return ROOMS_ENOMEM;
    }
    args[0] = rooms__text("XREAD");
    args[1] = rooms__text("BLOCK");
    args[2] = number_arg(block, block_ms);
    args[3] = rooms__text("COUNT");
    args[4] = number_arg(count, options->stream_read_count ? options->stream_read_count : 1);
    args[5] = rooms__text("STREAMS");
    for (size_t i = 0; i < streams->count; i++) {
        args[6 + i] = rooms__text(streams->list[i].name);
        args[6 + streams->count + i] = rooms__bytes(rooms__stream_id_put(streams->list[i].last, ids[i]));
    }
    struct rooms__redis_command command = {
        .via = ROOMS__REDIS_BLOCKING,
        .args = args,
        .arg_count = 6 + 2 * streams->count,
        .timeout_ms = block_ms + options->liveness_ms,
        .fn = on_read,
        .ctx = streams,
    };
    int error = rooms__redis_ask(streams->redis, &command);
    free(ids);
    free(args);
    return error;
}

static void read_on(struct rooms__streams *streams)
{
    if (streams->is_reading || streams->looking > 0 || !rooms__redis_is_up(streams->redis)) return;
    if (ask_read(streams) == ROOMS_OK)
        streams->is_reading = true;
    else
        base_timer_start(&streams->retry, RETRY_MS);
}

/* ------------------------------------------------------------------ looking */

static void on_end(void *ctx, const struct redisReply *reply)
{
    struct rooms__stream *stream = ctx;
    struct rooms__streams *streams = stream->streams;
    struct rooms__stream_info info;
    streams->looking--;
    if (rooms__stream_info_read(reply, &info)) {
        if (!stream->is_known) {
            stream->last = info.last;
            stream->is_known = true;
        } else if (rooms__stream_id_after(stream->last, info.last) && (info.last.ms || info.last.seq)) {
            rooms__redis_log(streams->redis, ROOMS_LOG_WARN,
                             "redis: the stream %s was replaced; reading it from its start", stream->name);
            stream->last = (struct rooms__stream_id){0, 0};
        }
    } else if (!stream->is_known) {
        base_timer_start(&streams->retry, RETRY_MS);
        return;
    }
    read_on(streams);
}

static void look_for_entries(struct rooms__streams *streams)
{
    for (size_t i = 0; i < streams->count; i++) {
        const struct rooms_bytes args[] = {rooms__text("XINFO"), rooms__text("STREAM"),
                                           rooms__text(streams->list[i].name)};
        struct rooms__redis_command command = {.args = args, .arg_count = 3, .fn = on_end, .ctx = &streams->list[i]};
        if (rooms__redis_ask(streams->redis, &command) == ROOMS_OK) streams->looking++;
    }
    if (streams->looking == 0) base_timer_start(&streams->retry, RETRY_MS);
}

static void start_reading(void *ctx)
{
    struct rooms__streams *streams = ctx;
    bool all_known = true;
    if (streams->is_reading || streams->looking > 0 || !rooms__redis_is_up(streams->redis)) return;
    for (size_t i = 0; i < streams->count; i++) all_known = all_known && streams->list[i].is_known;
    if (all_known)
        read_on(streams);
    else
        look_for_entries(streams);
}

static void on_up(void *ctx)
{
    struct rooms__streams *streams = ctx;
    if (streams->looking == 0) look_for_entries(streams);
}

/* --------------------------------------------------------------------- life */

static int stream_init(struct rooms__streams *streams, struct rooms__stream *stream, int32_t number)
{
    const char *prefix = rooms__redis_options(streams->redis)->key_prefix;
    size_t size = strlen(prefix) + NUMBER_SIZE;
    stream->streams = streams;
    stream->name = malloc(size);
    if (!stream->name) return ROOMS_ENOMEM;
    if (streams->count == 1)
        snprintf(stream->name, size, "%s", prefix);
    else
        snprintf(stream->name, size, "%s-%d", prefix, number);
    return ROOMS_OK;
}

static struct rooms__streams *streams_new(struct rooms_redis *redis)
{
    struct rooms__streams *streams = calloc(1, sizeof *streams);
    if (!streams) return NULL;
    uint32_t count = rooms__redis_options(redis)->stream_count;
    if (count < 1) count = 1;
    if (count > STREAMS_MAX) count = STREAMS_MAX;
    streams->redis = redis;
    streams->stream_count = count;
    streams->count = 2 * (size_t)count - 1;
    streams->list = calloc(streams->count, sizeof *streams->list);
    bool failed = !streams->list ||
                  base_timer_init(&streams->retry, rooms__redis_timers(redis), start_reading, streams) != BASE_OK;
    streams->watcher = (struct rooms__redis_watcher){.on_up = on_up, .ctx = streams};
    rooms__redis_watch(redis, &streams->watcher);
    *rooms__redis_streams(redis) = streams;
    for (size_t i = 0; !failed && i < streams->count; i++)
        failed = stream_init(streams, &streams->list[i], (int32_t)i - (int32_t)count + 1) != ROOMS_OK;
    if (failed) {
        if (!streams->list) streams->count = 0;
        streams_free(streams);
        return NULL;
    }
    rooms__redis_need_blocking(redis);
    if (rooms__redis_is_up(redis)) look_for_entries(streams);
    return streams;
}

int rooms__streams_enter(struct rooms__streams_adapter *adapter)
{
    struct rooms_redis *redis = adapter->carrier.redis;
    struct rooms__streams *streams = *rooms__redis_streams(redis);
    if (!streams) streams = streams_new(redis);
    if (!streams) return ROOMS_ENOMEM;
    int32_t number = rooms__stream_number(rooms_cluster_nsp(&adapter->carrier.cluster), streams->stream_count);
    adapter->streams = streams;
    adapter->stream = &streams->list[number + (int32_t)streams->stream_count - 1];
    adapter->next = streams->adapters;
    if (adapter->next) adapter->next->prev = adapter;
    streams->adapters = adapter;
    return ROOMS_OK;
}

void rooms__streams_leave(struct rooms__streams_adapter *adapter)
{
    struct rooms__streams *streams = adapter->streams;
    if (!streams) return;
    if (adapter->prev)
        adapter->prev->next = adapter->next;
    else
        streams->adapters = adapter->next;
    if (adapter->next) adapter->next->prev = adapter->prev;
    if (!streams->adapters && !streams->is_busy) streams_free(streams);
}
