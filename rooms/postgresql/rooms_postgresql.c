/* A node's connections to PostgreSQL together: publishing, listening, cleaning up, health. */
#include "rooms_postgresql_int.h"

#include <endian.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IGNORED_SAID_US ((uint64_t)10000000)
#define MESSAGE_BYTES_MAX ((size_t)512 << 20) /* half of what PostgreSQL takes */
enum { CLEAN_AGAIN_MS = 100, RETRY_MS = 1000 };

void rooms_postgresql_options_init(struct rooms_postgresql_options *options)
{
    *options = (struct rooms_postgresql_options){.client_name = "parley",
                                                 .channel_prefix = "socket.io",
                                                 .table = "socket_io_attachments",
                                                 .cleanup_interval_ms = 30000,
                                                 .connect_timeout_ms = 5000,
                                                 .liveness_ms = 5000,
                                                 .reconnect_min_ms = 100,
                                                 .reconnect_max_ms = 10000,
                                                 .request_timeout_ms = 5000,
                                                 .heartbeat_interval_ms = 5000,
                                                 .heartbeat_timeout_ms = 10000,
                                                 .max_pending_bytes = (size_t)16 << 20,
                                                 .max_message_bytes = (size_t)16 << 20,
                                                 .max_waiting_bytes = (size_t)16 << 20};
}

/* --------------------------------------------------------------------- log */

void rooms__pg_log(struct rooms_postgresql *pg, enum rooms_log_level level, const char *format, ...)
{
    if (!pg->options.log) return;
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    pg->options.log(pg->options.log_ctx, level, line);
}

void rooms__pg_trouble(struct rooms_postgresql *pg, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(pg->why, sizeof pg->why, format, args);
    va_end(args);
}

void rooms__pg_ignored(struct rooms_postgresql *pg, const char *why)
{
    uint64_t now_us = base_clock_us();
    pg->stats.ignored++;
    if (pg->ignored_said_us && now_us - pg->ignored_said_us < IGNORED_SAID_US) return;
    pg->ignored_said_us = now_us;
    rooms__pg_log(pg, ROOMS_LOG_WARN, "postgresql: message ignored: %s (%llu so far)", why,
                  (unsigned long long)pg->stats.ignored);
}

void rooms__pg_dropped(struct rooms_postgresql *pg, const char *why)
{
    pg->stats.dropped++;
    if (pg->dropping) return;
    pg->dropping = true;
    rooms__pg_log(pg, ROOMS_LOG_WARN, "postgresql: %s; message not published", why);
}

/* ------------------------------------------------------------------ health */

static void update_health(struct rooms_postgresql *pg)
{
    if (pg->is_up && !pg->refusing)
        pg->degraded_from_us = 0;
    else if (pg->degraded_from_us == 0)
        pg->degraded_from_us = base_clock_us();
}

void rooms__pg_refused(struct rooms_postgresql *pg, const char *error)
{
    if (!pg->refusing) {
        rooms__pg_trouble(pg, "%s", error);
        rooms__pg_log(pg, ROOMS_LOG_WARN, "postgresql: refusing commands: %s", error);
    }
    pg->refusing = true;
    update_health(pg);
}

static void accepted(struct rooms_postgresql *pg)
{
    if (!pg->refusing) return;
    pg->refusing = false;
    rooms__pg_log(pg, ROOMS_LOG_INFO, "postgresql: accepting commands again");
    update_health(pg);
}

static void each_adapter(struct rooms_postgresql *pg,
                         void (*fn)(struct rooms_postgresql *pg, struct rooms__pg_adapter *adapter))
{
    const struct base_table *table = &pg->adapters.table;
    for (size_t i = 0; i < table->slot_count; i++)
        if (table->items[i]) fn(pg, table->items[i]);
}

static void want(struct rooms_postgresql *pg, struct rooms__pg_adapter *adapter)
{
    if (adapter->listening == ROOMS__PG_LISTENING) pg->listening--;
    adapter->listening = ROOMS__PG_WANTED;
}

void rooms__pg_changed(struct rooms_postgresql *pg)
{
    bool hears = pg->links[ROOMS__PG_LISTENER].state == ROOMS__PG_READY;
    if (!hears) each_adapter(pg, want);
    bool up =
        hears && pg->links[ROOMS__PG_SENDER].state == ROOMS__PG_READY && pg->listening == pg->adapters.table.count;
    if (up && !pg->is_up) rooms__pg_log(pg, ROOMS_LOG_INFO, "postgresql: connected");
    if (up) pg->dropping = false;
    pg->is_up = up;
    update_health(pg);
}

void rooms__pg_ready(struct rooms_postgresql *pg, enum rooms__pg_role role)
{
    if (role == ROOMS__PG_LISTENER) each_adapter(pg, want);
    rooms__pg_changed(pg);
    rooms__pg_schedule(pg);
}

void rooms_postgresql_get_stats(const struct rooms_postgresql *pg, struct rooms_postgresql_stats *stats)
{
    *stats = pg->stats;
    stats->connected = pg->is_up;
    stats->ignored += pg->cluster.ignored;
    stats->request_timeouts = pg->cluster.request_timeouts;
    stats->nodes_lost = pg->cluster.nodes_lost;
    if (pg->degraded_from_us) stats->degraded_ms = (base_clock_us() - pg->degraded_from_us) / 1000u + 1;
    stats->why = pg->why;
    stats->channels = pg->adapters.table.count;
    stats->pending = pg->queue.count;
    stats->pending_bytes = pg->queue.bytes;
    stats->waiting = pg->inbox.count;
    stats->waiting_bytes = pg->inbox.bytes;
}

/* --------------------------------------------------------------- listening */

/* A channel that is not wanted any more. */
struct rooms__pg_gone {
    struct rooms__pg_gone *next;
    char channel[];
};

static bool send_listen(struct rooms_postgresql *pg, const char *word, const char *channel)
{
    char sql[2 * ROOMS__PG_CHANNEL_MAX + 16];
    size_t n = (size_t)snprintf(sql, sizeof sql, "%s \"", word);
    for (const char *c = channel; *c; c++) {
        if (*c == '"') sql[n++] = '"';
        sql[n++] = *c;
    }
    memcpy(sql + n, "\"", 2);
    const struct rooms__pg_statement listen = {.kind = ROOMS__PG_IS_LISTEN, .sql = sql};
    return rooms__pg_link_send(&pg->links[ROOMS__PG_LISTENER], &listen);
}

static bool unlisten(struct rooms_postgresql *pg)
{
    struct rooms__pg_link *listener = &pg->links[ROOMS__PG_LISTENER];
    bool is_there = listener->state == ROOMS__PG_READY;
    while (pg->gone && (!is_there || rooms__pg_link_has_room(listener, 2))) {
        struct rooms__pg_gone *gone = pg->gone;
        pg->gone = gone->next;
        if (is_there) is_there = send_listen(pg, "UNLISTEN", gone->channel);
        free(gone);
    }
    return is_there;
}

/* One transaction at a time: its end confirms all channels that it asks for. */
static void listen_to_wanted(struct rooms_postgresql *pg)
{
    struct rooms__pg_link *listener = &pg->links[ROOMS__PG_LISTENER];
    const struct base_table *table = &pg->adapters.table;
    if (listener->count > 0 || base_timer_is_running(&pg->retry) || !unlisten(pg)) return;
    for (size_t i = 0; i < table->slot_count; i++) {
        struct rooms__pg_adapter *adapter = table->items[i];
        if (!adapter || adapter->listening != ROOMS__PG_WANTED) continue;
        if (!rooms__pg_link_has_room(listener, 2)) break;
        adapter->listening = ROOMS__PG_ASKED;
        if (!send_listen(pg, "LISTEN", adapter->channel)) return;
    }
    if (listener->count > 0) rooms__pg_link_sync(listener);
}

static void confirm(struct rooms_postgresql *pg, struct rooms__pg_adapter *adapter)
{
    if (adapter->listening != ROOMS__PG_ASKED) return;
    adapter->listening = ROOMS__PG_LISTENING;
    pg->listening++;
    rooms__pg_adapter_listening(adapter);
}

static void want_again(struct rooms_postgresql *pg, struct rooms__pg_adapter *adapter)
{
    if (adapter->listening == ROOMS__PG_ASKED) want(pg, adapter);
}

static void on_retry(void *ctx)
{
    rooms__pg_schedule(ctx);
}

void rooms__pg_committed(struct rooms_postgresql *pg, const struct rooms__pg_link *link)
{
    if (link->role == ROOMS__PG_LISTENER) {
        each_adapter(pg, link->failed ? want_again : confirm);
        if (link->failed) base_timer_start(&pg->retry, RETRY_MS);
    } else if (link->failed) {
        pg->stats.refused += link->messages;
    } else {
        pg->stats.published += link->messages;
        pg->stats.published_bytes += link->message_bytes;
        pg->stats.transactions += link->messages > 0;
    }
    if (!link->failed) accepted(pg);
    rooms__pg_changed(pg);
}

void rooms__pg_notified(struct rooms_postgresql *pg, const PGnotify *notify)
{
    struct rooms_name channel = {notify->relname, strlen(notify->relname)};
    struct rooms_bytes payload = {(const uint8_t *)notify->extra, strlen(notify->extra)};
    struct rooms__pg_adapter *adapter = rooms__table_find(&pg->adapters, channel);
    struct rooms__pg_header header;
    if (!adapter) return; /* it has just been freed */
    int is_header = rooms__pg_header_read(payload, &header);
    if (is_header < 0)
        rooms__pg_ignored(pg, "a malformed attachment id");
    else if (!rooms__pg_adapter_is_own(adapter, is_header ? &header : NULL, payload)) {
        pg->stats.received++;
        pg->stats.received_bytes += payload.n;
        rooms__pg_inbox_add(pg, adapter, is_header ? &header : NULL, payload);
    }
}

/* -------------------------------------------------------------- publishing */

static bool end_batch(struct rooms_postgresql *pg, struct rooms__pg_batch *batch, bool is_open)
{
    bool has_any = batch->count > 0;
    while (batch->count > 0) free(batch->messages[--batch->count]);
    return is_open && (!has_any || rooms__pg_link_sync(&pg->links[ROOMS__PG_SENDER]));
}

static bool send_message(struct rooms_postgresql *pg, const struct rooms__pg_message *message)
{
    struct rooms_bytes args[3] = {{(const uint8_t *)message->channel, strlen(message->channel)}, message->payload};
    struct rooms__pg_statement statement = {.kind = ROOMS__PG_IS_MESSAGE,
                                            .name = ROOMS__PG_NOTIFY,
                                            .args = args,
                                            .arg_count = 2,
                                            .bytes = message->payload.n};
    if (message->header) {
        args[1] = (struct rooms_bytes){(const uint8_t *)message->header, strlen(message->header)};
        args[2] = message->payload;
        statement.name = ROOMS__PG_ATTACH;
        statement.arg_count = 3;
        pg->stats.attachments_sent++;
    }
    return rooms__pg_link_send(&pg->links[ROOMS__PG_SENDER], &statement);
}

/* Attachments have transactions of their own: should one fail, the messages beside it do not. */
static void send_queue(struct rooms_postgresql *pg)
{
    struct rooms__pg_link *sender = &pg->links[ROOMS__PG_SENDER];
    struct rooms__pg_batch batch = {.count = 0};
    bool is_open = true;
    while (is_open && pg->queue.first && sender->syncs < ROOMS__PG_TRANSACTIONS_MAX &&
           rooms__pg_link_has_room(sender, 2)) {
        bool is_alone = pg->queue.first->header != NULL;
        bool is_full = batch.count == ROOMS__PG_BATCH_MAX || rooms__pg_batch_has(&batch, pg->queue.first);
        if (batch.count > 0 && (is_alone || is_full)) {
            is_open = end_batch(pg, &batch, true);
            continue;
        }
        batch.messages[batch.count++] = rooms__pg_queue_take(&pg->queue);
        is_open = send_message(pg, batch.messages[batch.count - 1]);
        if (is_alone) is_open = end_batch(pg, &batch, is_open);
    }
    end_batch(pg, &batch, is_open);
}

static void send_cleanup(struct rooms_postgresql *pg)
{
    struct rooms__pg_link *sender = &pg->links[ROOMS__PG_SENDER];
    if (!pg->cleanup_due || !rooms__pg_link_has_room(sender, 2)) return;
    uint64_t age_ms = htobe64(pg->options.cleanup_interval_ms);
    const struct rooms_bytes args[] = {{(const uint8_t *)&age_ms, sizeof age_ms}};
    const struct rooms__pg_statement clean = {
        .kind = ROOMS__PG_IS_CLEAN, .name = ROOMS__PG_CLEAN, .args = args, .arg_count = 1};
    pg->cleanup_due = false;
    if (rooms__pg_link_send(sender, &clean)) rooms__pg_link_sync(sender);
}

static void on_flush(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd, (void)what;
    struct rooms_postgresql *pg = ctx;
    pg->flush_due = false;
    rooms__pg_inbox_deliver(pg);
    listen_to_wanted(pg);
    if (rooms__pg_inbox_ask(pg)) send_queue(pg);
    send_cleanup(pg);
    for (size_t i = 0; i < ROOMS__PG_LINKS; i++) rooms__pg_link_flush(&pg->links[i]);
    rooms__pg_changed(pg);
}

/* An event that is made active runs after those that are active already: at the end of this pass. */
void rooms__pg_schedule(struct rooms_postgresql *pg)
{
    if (pg->flush_due || pg->freeing) return;
    pg->flush_due = true;
    event_active(&pg->flush_event, EV_TIMEOUT, 0);
}

int rooms__pg_publish(struct rooms_postgresql *pg, const struct rooms__pg_message *message)
{
    if (message->payload.n > pg->options.max_message_bytes) {
        rooms__pg_dropped(pg, "a message is larger than max_message_bytes");
        return ROOMS_ELIMIT;
    }
    while (pg->queue.first && pg->queue.bytes + message->payload.n > pg->options.max_pending_bytes) {
        free(rooms__pg_queue_take(&pg->queue));
        rooms__pg_dropped(pg, "max_pending_bytes are waiting to be sent");
    }
    int error = rooms__pg_queue_add(&pg->queue, message);
    if (error)
        rooms__pg_dropped(pg, "out of memory");
    else
        rooms__pg_schedule(pg);
    return error;
}

/* ----------------------------------------------------------------- cleaning */

/* Nodes that started together do not come together. */
static void on_cleanup(void *ctx)
{
    struct rooms_postgresql *pg = ctx;
    pg->cleanup_due = true;
    base_timer_start(&pg->cleanup,
                     pg->options.cleanup_interval_ms + randombytes_uniform(pg->options.cleanup_interval_ms / 8 + 1));
    rooms__pg_schedule(pg);
}

void rooms__pg_cleaned(struct rooms_postgresql *pg, const PGresult *result)
{
    if (PQresultStatus(result) != PGRES_COMMAND_OK) return;
    long deleted = strtol(PQcmdTuples((PGresult *)(uintptr_t)result), NULL, 10);
    pg->stats.attachments_deleted += (uint64_t)deleted;
    if (deleted == ROOMS__PG_CLEAN_ROWS) base_timer_start(&pg->cleanup, CLEAN_AGAIN_MS);
}

/* ------------------------------------------------------------ from the start */

static const char *options_fault(const struct rooms_postgresql_options *options)
{
    if (!options->url || !rooms_postgresql_url_is_valid(options->url)) return "url is not that of a PostgreSQL";
    if (!options->client_name || !options->channel_prefix || !options->table)
        return "client_name, channel_prefix and table are required";
    if (strlen(options->client_name) > 48) return "client_name is longer than 48 characters";
    if (!rooms_postgresql_table_is_valid(options->table)) return "table is not a name";
    if (!options->cleanup_interval_ms || !options->connect_timeout_ms || !options->liveness_ms ||
        !options->reconnect_min_ms || !options->request_timeout_ms || !options->heartbeat_interval_ms)
        return "times must not be 0";
    if (options->reconnect_max_ms < options->reconnect_min_ms) return "reconnect_max_ms is less than reconnect_min_ms";
    if (options->max_message_bytes < 1024 || options->max_message_bytes > MESSAGE_BYTES_MAX)
        return "max_message_bytes must be from 1024 to 536870912";
    return NULL;
}

static bool copy_strings(struct rooms_postgresql_options *options)
{
    options->url = strdup(options->url);
    options->client_name = strdup(options->client_name);
    options->channel_prefix = strdup(options->channel_prefix);
    options->table = strdup(options->table);
    return options->url && options->client_name && options->channel_prefix && options->table;
}

static void free_strings(struct rooms_postgresql_options *options)
{
    free((char *)(uintptr_t)options->url);
    free((char *)(uintptr_t)options->client_name);
    free((char *)(uintptr_t)options->channel_prefix);
    free((char *)(uintptr_t)options->table);
}

static struct rooms_name channel_of(const void *item)
{
    const struct rooms__pg_adapter *adapter = item;
    return (struct rooms_name){adapter->channel, strlen(adapter->channel)};
}

static void clear_parts(struct rooms_postgresql *pg)
{
    rooms__pg_inbox_clear(pg);
    for (size_t i = 0; i < ROOMS__PG_LINKS; i++) rooms__pg_link_clear(&pg->links[i]);
    base_timer_clear(&pg->cleanup);
    base_timer_clear(&pg->retry);
    base_timers_clear(&pg->timers);
    rooms__table_clear(&pg->adapters);
    rooms__pg_queue_clear(&pg->queue);
    while (pg->gone) {
        struct rooms__pg_gone *gone = pg->gone;
        pg->gone = gone->next;
        free(gone);
    }
}

static int init_parts(struct rooms_postgresql *pg)
{
    randombytes_buf(pg->key, sizeof pg->key);
    rooms__table_init(&pg->adapters, channel_of, pg->key);
    if (event_assign(&pg->flush_event, pg->base, -1, 0, on_flush, pg) != 0) return ROOMS_ENOMEM;
    if (base_timers_init(&pg->timers, pg->base, NULL, NULL) != BASE_OK) return ROOMS_ENOMEM;
    int error = base_timer_init(&pg->cleanup, &pg->timers, on_cleanup, pg);
    if (!error) error = base_timer_init(&pg->retry, &pg->timers, on_retry, pg);
    if (!error) error = rooms__pg_inbox_init(pg);
    for (unsigned i = 0; !error && i < ROOMS__PG_LINKS; i++)
        error = rooms__pg_link_init(&pg->links[i], pg, (enum rooms__pg_role)i);
    if (error) clear_parts(pg);
    return error;
}

struct rooms_postgresql *rooms_postgresql_new(struct event_base *base, const struct rooms_postgresql_options *options,
                                              const char **why)
{
    const char *unused;
    if (!why) why = &unused;
    *why = options_fault(options);
    if (*why) return NULL;
    *why = "out of memory";
    struct rooms_postgresql *pg = calloc(1, sizeof *pg);
    if (!pg) return NULL;
    pg->base = base;
    pg->options = *options;
    if (!copy_strings(&pg->options) || init_parts(pg) != ROOMS_OK) {
        free_strings(&pg->options);
        free(pg);
        return NULL;
    }
    *why = NULL;
    update_health(pg);
    for (size_t i = 0; i < ROOMS__PG_LINKS; i++) rooms__pg_link_start(&pg->links[i]);
    base_timer_start(&pg->cleanup, pg->options.cleanup_interval_ms);
    return pg;
}

void rooms_postgresql_free(struct rooms_postgresql *pg)
{
    if (!pg) return;
    pg->freeing = true;
    if (pg->links[ROOMS__PG_SENDER].state == ROOMS__PG_READY) send_queue(pg);
    rooms__pg_link_flush(&pg->links[ROOMS__PG_SENDER]);
    clear_parts(pg);
    event_del(&pg->flush_event);
    free_strings(&pg->options);
    free(pg);
}

/* ----------------------------------------------------------------- adapters */

int rooms__pg_adapter_add(struct rooms_postgresql *pg, struct rooms__pg_adapter *adapter)
{
    if (rooms__table_find(&pg->adapters, channel_of(adapter))) return ROOMS_EINVAL;
    int error = rooms__table_insert(&pg->adapters, adapter);
    if (!error) rooms__pg_schedule(pg);
    return error;
}

/* Without memory the node stays on the channel, and ignores what comes. */
void rooms__pg_adapter_remove(struct rooms_postgresql *pg, struct rooms__pg_adapter *adapter)
{
    size_t size = strlen(adapter->channel) + 1;
    struct rooms__pg_gone *gone = adapter->listening == ROOMS__PG_WANTED ? NULL : malloc(sizeof *gone + size);
    want(pg, adapter);
    rooms__table_remove(&pg->adapters, adapter);
    rooms__pg_inbox_forget(pg, adapter);
    if (!gone) return;
    memcpy(gone->channel, adapter->channel, size);
    gone->next = pg->gone;
    pg->gone = gone;
    rooms__pg_schedule(pg);
}
