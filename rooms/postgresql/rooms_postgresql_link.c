/* One connection to PostgreSQL on the loop: commands and their answers, liveness, its end and the next attempt. libpq
 * is in pipeline mode, and waits for nothing. */
#include "rooms_postgresql_int.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

enum {
    ARGS_MAX = 3,
    TLS_READS_MAX = 16, /* in a row */
};

static const char *link_name(const struct rooms__pg_link *link)
{
    static const char *const names[] = {"sender", "listener"};
    return names[link->role];
}

/* The only place that assigns it. */
static void set_state(struct rooms__pg_link *link, enum rooms__pg_state state)
{
    static const char *const names[] = {"idle", "away", "connecting", "ready"};
    BASE_CHECK(state <= ROOMS__PG_AWAY || state == link->state + 1);
    rooms__pg_log(link->pg, ROOMS_LOG_DEBUG, "postgresql %s: %s -> %s", link_name(link), names[link->state],
                  names[state]);
    link->state = state;
}

/* ------------------------------------------------------------------ ending */

static void close_all(struct rooms__pg_link *link)
{
    base_timer_stop(&link->timer);
    rooms__pg_attempt_cancel(link->attempt);
    link->attempt = NULL;
    if (link->conn) {
        event_del(&link->read_event);
        event_del(&link->write_event);
        PQfinish(link->conn);
        link->conn = NULL;
    }
    link->pinged = link->paused = link->failed = false;
    link->messages = link->message_bytes = 0;
}

static uint32_t hash_of(const char *text)
{
    uint32_t sum = 2166136261u;
    for (; *text; text++) sum = (sum ^ (uint8_t)*text) * 16777619u;
    return sum;
}

/* The same failure is logged once, until the connection has been ready for a while. */
static void log_lost(struct rooms__pg_link *link, const char *why, uint32_t delay_ms)
{
    bool again = link->said == hash_of(why);
    link->said = hash_of(why);
    rooms__pg_trouble(link->pg, "%s: %s", link_name(link), why);
    rooms__pg_log(link->pg, again ? ROOMS_LOG_DEBUG : ROOMS_LOG_WARN, "postgresql %s: %s; next attempt in %u ms",
                  link_name(link), why, delay_ms);
}

static void lose(struct rooms__pg_link *link, const char *text)
{
    struct rooms_postgresql *pg = link->pg;
    char why[160];
    if (link->state <= ROOMS__PG_AWAY) return;
    snprintf(why, sizeof why, "%.*s", (int)strcspn(text, "\n"), text);
    uint32_t chance = (uint32_t)(base_clock_us() * 2654435761u >> 7) ^ (uint32_t)(uintptr_t)link;
    uint32_t delay_ms =
        rooms__backoff_ms(link->attempts, pg->options.reconnect_min_ms, pg->options.reconnect_max_ms, chance);
    if (link->attempts < 1000) link->attempts++;
    pg->stats.lost++;
    log_lost(link, why, delay_ms);
    close_all(link);
    set_state(link, ROOMS__PG_AWAY);
    while (link->count > 0) {
        struct rooms__pg_command command = link->commands[link->first];
        link->first = (link->first + 1) % ROOMS__PG_COMMANDS_MAX;
        link->count--;
        if (command.kind == ROOMS__PG_IS_FETCH && command.ctx && !command.is_answered)
            rooms__pg_inbox_lost(pg, command.ctx);
    }
    link->flight_bytes = link->syncs = 0;
    base_timer_start(&link->timer, delay_ms);
    rooms__pg_changed(pg);
}

static void lose_to_error(struct rooms__pg_link *link)
{
    const char *text = PQerrorMessage(link->conn);
    lose(link, *text ? text : "PostgreSQL closed the connection");
}

/* ----------------------------------------------------------------- writing */

bool rooms__pg_link_has_room(const struct rooms__pg_link *link, size_t commands)
{
    return link->state == ROOMS__PG_READY && link->count + commands < ROOMS__PG_COMMANDS_MAX &&
           link->flight_bytes < ROOMS__PG_FLIGHT_BYTES_MAX;
}

static void note_sent(struct rooms__pg_link *link, struct rooms__pg_command command)
{
    BASE_CHECK(link->count < ROOMS__PG_COMMANDS_MAX);
    link->commands[(link->first + link->count++) % ROOMS__PG_COMMANDS_MAX] = command;
    link->flight_bytes += command.bytes;
    link->syncs += command.kind == ROOMS__PG_IS_SYNC;
}

bool rooms__pg_link_send(struct rooms__pg_link *link, const struct rooms__pg_statement *statement)
{
    static const int formats[ARGS_MAX] = {1, 1, 1};
    const char *values[ARGS_MAX];
    int sizes[ARGS_MAX], count = (int)statement->arg_count;
    BASE_CHECK(count <= ARGS_MAX);
    for (int i = 0; i < count; i++) {
        values[i] = statement->args[i].p ? (const char *)statement->args[i].p : "";
        sizes[i] = (int)statement->args[i].n;
    }
    int sent = statement->sql ? PQsendQueryParams(link->conn, statement->sql, 0, NULL, NULL, NULL, NULL, 1)
                              : PQsendQueryPrepared(link->conn, statement->name, count, values, sizes, formats, 1);
    if (!sent) {
        lose_to_error(link);
        return false;
    }
    note_sent(link, (struct rooms__pg_command){statement->kind, false, statement->bytes, statement->ctx});
    return true;
}

bool rooms__pg_link_sync(struct rooms__pg_link *link)
{
    if (!PQpipelineSync(link->conn)) {
        lose_to_error(link);
        return false;
    }
    note_sent(link, (struct rooms__pg_command){.kind = ROOMS__PG_IS_SYNC});
    return true;
}

void rooms__pg_link_flush(struct rooms__pg_link *link)
{
    if (link->state != ROOMS__PG_READY) return;
    int left = PQflush(link->conn);
    if (left < 0)
        lose_to_error(link);
    else if (left > 0 && event_add(&link->write_event, NULL) != 0)
        lose(link, "out of memory");
}

static void on_write(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd, (void)what;
    rooms__pg_link_flush(ctx);
}

/* ----------------------------------------------------------------- reading */

static const char *error_of(const PGresult *result)
{
    const char *said = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    return said ? said : "a command failed";
}

static void pop(struct rooms__pg_link *link)
{
    link->flight_bytes -= link->commands[link->first].bytes;
    link->syncs -= link->commands[link->first].kind == ROOMS__PG_IS_SYNC;
    link->first = (link->first + 1) % ROOMS__PG_COMMANDS_MAX;
    link->count--;
}

static void end_transaction(struct rooms__pg_link *link)
{
    pop(link);
    rooms__pg_committed(link->pg, link);
    link->messages = link->message_bytes = 0;
    link->failed = false;
    link->pinged = false;
}

/* Returns true if the result was taken over. */
static bool take_result(struct rooms__pg_link *link, struct rooms__pg_command *command, PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    bool is_error = status == PGRES_FATAL_ERROR;
    if (is_error) rooms__pg_refused(link->pg, error_of(result));
    link->failed = link->failed || is_error || status == PGRES_PIPELINE_ABORTED;
    if (command->is_answered) return false;
    command->is_answered = true;
    if (command->kind == ROOMS__PG_IS_FETCH && command->ctx)
        return rooms__pg_inbox_answer(link->pg, command->ctx, result);
    if (command->kind == ROOMS__PG_IS_MESSAGE) {
        link->messages++;
        link->message_bytes += command->bytes;
    } else if (command->kind == ROOMS__PG_IS_CLEAN) {
        rooms__pg_cleaned(link->pg, result);
    }
    return false;
}

/* The end of a transaction has no NULL after it; an error of the commit precedes it. */
static void take_results(struct rooms__pg_link *link)
{
    bool was_null = false;
    while (link->count > 0 && !PQisBusy(link->conn)) {
        struct rooms__pg_command *command = &link->commands[link->first];
        PGresult *result = PQgetResult(link->conn);
        if (!result) {
            if (command->kind != ROOMS__PG_IS_SYNC && command->is_answered)
                pop(link);
            else if (was_null)
                return;
            was_null = true;
            continue;
        }
        was_null = false;
        bool is_end = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
        if (is_end) end_transaction(link);
        if (is_end || !take_result(link, command, result)) PQclear(result);
    }
}

static void take_notifications(struct rooms__pg_link *link)
{
    for (PGnotify *notify; (notify = PQnotifies(link->conn)) != NULL; PQfreemem(notify))
        rooms__pg_notified(link->pg, notify);
}

/* What TLS has decrypted does not show at the socket any more. */
static bool has_decrypted(const struct rooms__pg_link *link)
{
    SSL *ssl = PQsslInUse(link->conn) ? PQsslStruct(link->conn, "OpenSSL") : NULL;
    return ssl && SSL_pending(ssl) > 0;
}

/* While it is paused, only what was decrypted is left for later: the socket shows the rest. */
static void on_read(evutil_socket_t fd, short what, void *ctx)
{
    struct rooms__pg_link *link = ctx;
    (void)fd, (void)what;
    for (int reads = 0; reads == 0 || (has_decrypted(link) && reads < TLS_READS_MAX); reads++) {
        link->heard_us = base_clock_us();
        bool is_open = PQconsumeInput(link->conn) == 1;
        take_results(link);
        take_notifications(link);
        if (!is_open || PQstatus(link->conn) == CONNECTION_BAD) {
            lose_to_error(link);
            return;
        }
        if (link->paused) return;
    }
    if (has_decrypted(link)) event_active(&link->read_event, EV_READ, 0);
    rooms__pg_schedule(link->pg); /* there is room for more commands */
}

void rooms__pg_link_pause(struct rooms__pg_link *link, bool paused)
{
    if (link->state != ROOMS__PG_READY || link->paused == paused) return;
    link->paused = paused;
    if (paused) {
        event_del(&link->read_event);
        return;
    }
    link->heard_us = base_clock_us();
    if (event_add(&link->read_event, NULL) != 0)
        lose(link, "out of memory");
    else if (has_decrypted(link))
        event_active(&link->read_event, EV_READ, 0);
}

void rooms__pg_link_forget(struct rooms__pg_link *link, const void *ctx)
{
    for (size_t i = 0; i < link->count; i++) {
        struct rooms__pg_command *command = &link->commands[(link->first + i) % ROOMS__PG_COMMANDS_MAX];
        if (command->ctx == ctx) command->ctx = NULL;
    }
}

/* -------------------------------------------------------------- connecting */

static void on_attempt(void *ctx, PGconn *conn, const char *why)
{
    struct rooms__pg_link *link = ctx;
    struct event_base *base = link->pg->base;
    link->attempt = NULL;
    if (!conn) {
        lose(link, why);
        return;
    }
    int fd = PQsocket(conn);
    if (event_assign(&link->read_event, base, fd, EV_READ | EV_PERSIST, on_read, link) != 0 ||
        event_assign(&link->write_event, base, fd, EV_WRITE, on_write, link) != 0 ||
        event_add(&link->read_event, NULL) != 0) {
        PQfinish(conn);
        lose(link, "out of memory");
        return;
    }
    link->conn = conn;
    link->heard_us = base_clock_us();
    set_state(link, ROOMS__PG_READY);
    base_timer_start(&link->timer, link->pg->options.liveness_ms);
    rooms__pg_ready(link->pg, link->role);
}

static void try_to_connect(struct rooms__pg_link *link)
{
    set_state(link, ROOMS__PG_CONNECTING);
    link->attempt = rooms__pg_attempt_start(link->pg->base, link->role, &link->pg->options, on_attempt, link);
    if (!link->attempt) lose(link, "cannot start a thread to connect");
}

/* A silent connection is asked something; if it stays silent it is lost. */
static void check_liveness(struct rooms__pg_link *link)
{
    uint64_t liveness_us = (uint64_t)link->pg->options.liveness_ms * 1000u;
    uint64_t silent_us = base_clock_us() - link->heard_us;
    link->attempts = 0;
    link->said = 0;
    if (silent_us < liveness_us || link->paused) {
        uint64_t left_us = link->paused ? liveness_us : liveness_us - silent_us;
        base_timer_start(&link->timer, left_us / 1000u + 1);
        return;
    }
    if (link->pinged) {
        char why[64];
        snprintf(why, sizeof why, "no data for %llu ms", (unsigned long long)silent_us / 1000u);
        lose(link, why);
        return;
    }
    link->pinged = true;
    base_timer_start(&link->timer, link->pg->options.liveness_ms);
    const struct rooms__pg_statement ping = {.kind = ROOMS__PG_IS_PING, .sql = "SELECT 1"};
    if (link->count > 0) return; /* an answer is due anyway */
    if (rooms__pg_link_send(link, &ping) && rooms__pg_link_sync(link)) rooms__pg_link_flush(link);
}

static void on_timer(void *ctx)
{
    struct rooms__pg_link *link = ctx;
    if (link->state == ROOMS__PG_AWAY)
        try_to_connect(link);
    else if (link->state == ROOMS__PG_READY)
        check_liveness(link);
}

int rooms__pg_link_init(struct rooms__pg_link *link, struct rooms_postgresql *pg, enum rooms__pg_role role)
{
    *link = (struct rooms__pg_link){.pg = pg, .role = role};
    return base_timer_init(&link->timer, &pg->timers, on_timer, link) == BASE_OK ? ROOMS_OK : ROOMS_ENOMEM;
}

void rooms__pg_link_start(struct rooms__pg_link *link)
{
    set_state(link, ROOMS__PG_AWAY);
    base_timer_start(&link->timer, 0);
}

void rooms__pg_link_clear(struct rooms__pg_link *link)
{
    if (!link->pg) return;
    close_all(link);
    set_state(link, ROOMS__PG_IDLE);
    base_timer_clear(&link->timer);
}
