/* One connection to Redis: its socket, its greeting, bytes in and out, liveness, its end and the next attempt. It does
 * not interpret commands. */
#include "rooms_redis_conn.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define IN_BYTES ((size_t)65536)
#define IN_BYTES_KEPT ((size_t)1 << 20)
#define RESP_VALUES_MAX ((size_t)1 << 20)
#define TLS_WRITE_BYTES ((size_t)262144) /* encrypted at once */
#define TLS_READ_BYTES ((size_t)16384)
#define WHOLE_FACTOR 4 /* of liveness_ms, in which a reply that has begun must end */

static void try_next(struct rooms__redis_conn *conn, const char *why);

const char *rooms__conn_name(const struct rooms__redis_conn *conn)
{
    static const char *const names[] = {"pub", "sub", "block"};
    return names[conn->role];
}

/* The only place that assigns it. */
static void set_state(struct rooms__redis_conn *conn, enum rooms__redis_state state)
{
    static const char *const names[] = {"idle",     "away",     "resolving", "connecting",
                                        "securing", "greeting", "standing",  "ready"};
    bool back = state <= ROOMS__CONN_AWAY || (state == ROOMS__CONN_RESOLVING && conn->state == ROOMS__CONN_AWAY);
    BASE_CHECK(back || state > conn->state);
    rooms__redis_log(conn->redis, ROOMS_LOG_DEBUG, "redis %s: %s -> %s", rooms__conn_name(conn), names[conn->state],
                     names[state]);
    conn->state = state;
}

bool rooms__conn_is_ready(const struct rooms__redis_conn *conn)
{
    return conn->state >= ROOMS__CONN_SETTLING;
}

static const struct rooms__redis_address *address_of(const struct rooms__redis_conn *conn)
{
    return conn->shard ? &conn->shard->address : &conn->redis->addresses.list[conn->address];
}

/* ------------------------------------------------------------------ ending */

static void record_lost(void *ctx, const struct rooms__redis_record *record)
{
    struct rooms__redis_conn *conn = ctx;
    if (record->kind == ROOMS__RECORD_ASK) rooms__asks_fail(conn->redis, record->request);
    rooms__listen_unanswered(record);
}

/* Keeps only the queue of what is to be published. */
static void close_all(struct rooms__redis_conn *conn)
{
    base_timer_stop(&conn->timer);
    rooms__resolve_cancel(conn->resolving);
    conn->resolving = NULL;
    if (conn->fd >= 0) {
        event_del(&conn->read_event);
        event_del(&conn->write_event);
        close(conn->fd);
        conn->fd = -1;
    }
    rooms__tls_free(conn->tls);
    conn->tls = NULL;
    free(conn->hello);
    free(conn->in);
    conn->hello = conn->in = NULL;
    conn->hello_size = conn->hello_at = conn->in_size = conn->in_capacity = 0;
    conn->scan = (struct rooms__resp_scan){0};
    if (conn->reader) redisReaderFree(conn->reader);
    conn->reader = NULL;
    conn->pinged = conn->settling = false;
}

static uint32_t hash(const char *text)
{
    uint32_t sum = 2166136261u;
    for (; *text; text++) sum = (sum ^ (uint8_t)*text) * 16777619u;
    return sum;
}

/* The same failure at the same address is logged once, until the connection has been ready for a while. */
static void say_lost(struct rooms__redis_conn *conn, const char *why, uint32_t delay_ms)
{
    uint32_t *said = &conn->said[conn->address % ROOMS__ADDRESSES_MAX];
    bool again = *said == hash(why);
    *said = hash(why);
    rooms__redis_trouble(conn->redis, "%s %s: %s", rooms__conn_name(conn), address_of(conn)->text, why);
    rooms__redis_log(conn->redis, again ? ROOMS_LOG_DEBUG : ROOMS_LOG_WARN, "redis %s %s: %s; next attempt in %u ms",
                     rooms__conn_name(conn), address_of(conn)->text, why, delay_ms);
}

void rooms__conn_lose(struct rooms__redis_conn *conn, const char *why, bool another_address)
{
    struct rooms_redis *redis = conn->redis;
    bool stood = rooms__conn_is_ready(conn);
    size_t count = redis->addresses.count;
    if (conn->state <= ROOMS__CONN_AWAY) return;
    uint32_t chance = (uint32_t)(base_clock_us() * 2654435761u >> 7) ^ (uint32_t)(uintptr_t)conn;
    uint32_t delay_ms = rooms__backoff_ms(conn->attempts / (unsigned)count, redis->options.reconnect_min_ms,
                                          redis->options.reconnect_max_ms, chance);
    if (conn->attempts < 1000) conn->attempts++;
    redis->stats.lost++;
    say_lost(conn, why, delay_ms);
    close_all(conn);
    set_state(conn, ROOMS__CONN_AWAY);
    /* The first of several connections to fail chooses the next address for all. */
    if (!conn->shard && (another_address || !stood) && conn->address == redis->address)
        redis->address = (conn->address + 1) % count;
    rooms__redis_queue_lost(&conn->queue, record_lost, conn);
    if (conn->role == ROOMS__CONN_SUB) rooms__listen_lost(conn);
    base_timer_start(&conn->timer, delay_ms);
    rooms__asks_tell_failed(redis);
    rooms__redis_changed(redis);
    rooms__sentinel_ask(redis->sentinel);
    rooms__shards_refresh(redis->shards);
}

/* ----------------------------------------------------------------- writing */

/* Returns bytes written, or negative with the connection lost. */
static ssize_t send_some(struct rooms__redis_conn *conn, struct rooms_bytes bytes)
{
    ssize_t n;
    do n = send(conn->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN) {
        rooms__conn_lose(conn, strerror(errno), false);
        return -1;
    }
    if ((n < 0 || (size_t)n < bytes.n) && event_add(&conn->write_event, NULL) != 0) {
        rooms__conn_lose(conn, "out of memory", false);
        return -1;
    }
    return n < 0 ? 0 : n;
}

/* What TLS has for the socket. Returns false while some of it is left, or with the connection lost. */
static bool send_encrypted(struct rooms__redis_conn *conn)
{
    struct rooms_bytes bytes = rooms__tls_unsent(conn->tls);
    if (bytes.n == 0) return true;
    ssize_t n = send_some(conn, bytes);
    if (n > 0) rooms__tls_sent(conn->tls, (size_t)n);
    return n >= 0 && (size_t)n == bytes.n;
}

/* As send_some(); what is encrypted counts as written. */
static ssize_t write_some(struct rooms__redis_conn *conn, struct rooms_bytes bytes)
{
    if (!conn->tls) return send_some(conn, bytes);
    if (!send_encrypted(conn)) return conn->tls ? 0 : -1;
    bool is_part = bytes.n > TLS_WRITE_BYTES;
    if (is_part) bytes.n = TLS_WRITE_BYTES;
    if (!rooms__tls_encrypt(conn->tls, bytes)) {
        rooms__conn_lose(conn, "out of memory", false);
        return -1;
    }
    bool is_sent = send_encrypted(conn);
    if (!conn->tls) return -1;
    if (is_sent && is_part && event_add(&conn->write_event, NULL) != 0) {
        rooms__conn_lose(conn, "out of memory", false);
        return -1;
    }
    return (ssize_t)bytes.n;
}

static void write_queue(struct rooms__redis_conn *conn)
{
    struct rooms_bytes bytes = rooms__redis_queue_unwritten(&conn->queue);
    if (bytes.n == 0 || conn->fd < 0) return;
    ssize_t n = write_some(conn, bytes);
    if (n <= 0) return;
    struct rooms__redis_sent sent = rooms__redis_queue_wrote(&conn->queue, (size_t)n);
    conn->redis->stats.published += sent.posts;
    conn->redis->stats.published_bytes += sent.bytes;
}

void rooms__conn_flush(struct rooms__redis_conn *conn)
{
    if (!rooms__conn_is_ready(conn) || conn->fd < 0 || event_pending(&conn->write_event, EV_WRITE, NULL)) return;
    write_queue(conn);
}

static void write_hello(struct rooms__redis_conn *conn)
{
    ssize_t n = write_some(conn, (struct rooms_bytes){conn->hello + conn->hello_at, conn->hello_size - conn->hello_at});
    if (n > 0) conn->hello_at += (size_t)n;
}

/* PING or ROLE. */
static bool send_word(struct rooms__redis_conn *conn, const char *word, enum rooms__redis_record_kind kind)
{
    const struct rooms_bytes args[] = {rooms__text(word)};
    const struct rooms__redis_record record = {(uint32_t)rooms__resp_command_size(args, 1), (uint8_t)kind, {NULL}};
    uint8_t *bytes = rooms__redis_queue_add(&conn->queue, &record);
    if (!bytes) return false;
    rooms__resp_command_write(bytes, args, 1);
    rooms__redis_schedule(conn->redis);
    return true;
}

static bool ping(struct rooms__redis_conn *conn)
{
    if (!send_word(conn, "PING", ROOMS__RECORD_PING)) return false;
    conn->pinged = true;
    return true;
}

/* ------------------------------------------------------------ introduction */

static bool may_be_replica(const struct rooms_redis *redis)
{
    return redis->addresses.count > 1 || redis->sentinel;
}

static size_t greeting_args(const struct rooms__redis_conn *conn, unsigned greeting, struct rooms_bytes *args,
                            char *text, size_t text_size)
{
    const struct rooms__redis_address *address = address_of(conn);
    size_t count = 0;
    switch (greeting) {
    case ROOMS__GREET_AUTH:
        if (!address->password) return 0;
        args[count++] = rooms__text("AUTH");
        if (address->user) args[count++] = rooms__text(address->user);
        args[count++] = rooms__text(address->password);
        return count;
    case ROOMS__GREET_SELECT:
        if (address->database == 0) return 0;
        snprintf(text, text_size, "%u", address->database);
        args[0] = rooms__text("SELECT"), args[1] = rooms__text(text);
        return 2;
    case ROOMS__GREET_NAME:
        if (!*conn->redis->options.client_name) return 0;
        snprintf(text, text_size, "%s-%s", conn->redis->options.client_name, rooms__conn_name(conn));
        args[0] = rooms__text("CLIENT"), args[1] = rooms__text("SETNAME"), args[2] = rooms__text(text);
        return 3;
    case ROOMS__GREET_ROLE: /* a replica would accept what is published and deliver it nowhere */
        if (!may_be_replica(conn->redis)) return 0;
        args[0] = rooms__text("ROLE");
        return 1;
    default:
        args[0] = rooms__text("PING");
        return 1;
    }
}

static bool hello_make(struct rooms__redis_conn *conn)
{
    conn->greetings = 0;
    for (unsigned greeting = 1; greeting < ROOMS__GREET_END; greeting *= 2) {
        struct rooms_bytes args[3];
        char text[128];
        size_t count = greeting_args(conn, greeting, args, text, sizeof text);
        if (count == 0) continue;
        size_t size = rooms__resp_command_size(args, count);
        uint8_t *hello = realloc(conn->hello, conn->hello_size + size);
        if (!hello) return false;
        rooms__resp_command_write(hello + conn->hello_size, args, count);
        conn->hello = hello;
        conn->hello_size += size;
        conn->greetings |= greeting;
    }
    return true;
}

static void on_greeted(struct rooms__redis_conn *conn)
{
    free(conn->hello);
    conn->hello = NULL;
    set_state(conn, ROOMS__CONN_SETTLING);
    if (!conn->shard) rooms__redis_connected(conn->redis, conn);
    if (conn->role == ROOMS__CONN_SUB) {
        rooms__listen_connected(conn);
        rooms__listen_flush(conn->redis);
        conn->settling = ping(conn);
        if (!conn->settling) rooms__conn_lose(conn, "out of memory", false);
    } else {
        set_state(conn, ROOMS__CONN_READY);
        rooms__redis_changed(conn->redis);
    }
    if (!rooms__conn_is_ready(conn)) return;
    if (conn->role == ROOMS__CONN_BLOCK)
        base_timer_stop(&conn->timer); /* the deadlines of its commands watch over it */
    else
        base_timer_start(&conn->timer, conn->redis->options.liveness_ms);
    rooms__redis_schedule(conn->redis);
}

static bool is_replica(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 && reply->element[0]->type == REDIS_REPLY_STRING &&
           strcmp(reply->element[0]->str, "slave") == 0;
}

/* Setting the name and reading the role are optional; but an error may also be all that a server sends. */
static bool is_tolerable(unsigned greeting, const char *text)
{
    static const char *const prefixes[] = {"NOPERM", "NOAUTH", "ERR unknown", "ERR This instance", "LOADING"};
    if (greeting != ROOMS__GREET_NAME && greeting != ROOMS__GREET_ROLE) return false;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(text, prefixes[i], strlen(prefixes[i])) == 0) return true;
    return false; /* too many clients, protected mode */
}

/* Returns what is wrong, or NULL. */
static const char *greeting_answered(struct rooms__redis_conn *conn, const redisReply *reply, bool *another_address)
{
    unsigned rest = conn->greetings & ~(conn->greeted - 1), greeting = rest & -rest;
    conn->greeted = greeting * 2;
    if (greeting == ROOMS__GREET_ROLE && is_replica(reply)) {
        rooms__sentinel_doubt(conn->redis->sentinel);
        *another_address = true;
        return "the server is a replica";
    }
    if (reply->type == REDIS_REPLY_ERROR && !is_tolerable(greeting, reply->str)) {
        *another_address = true;
        return reply->str;
    }
    if (greeting != ROOMS__GREET_PING) return NULL;
    if (reply->type != REDIS_REPLY_STATUS) return "PING was not answered with PONG";
    on_greeted(conn);
    return NULL;
}

/* ----------------------------------------------------------------- reading */

static void settled(struct rooms__redis_conn *conn)
{
    conn->settling = false;
    set_state(conn, ROOMS__CONN_READY);
    rooms__redis_changed(conn->redis);
}

static bool is_pong(const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_STATUS) return strcmp(reply->str, "PONG") == 0;
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[0]->type == REDIS_REPLY_STRING &&
           strcmp(reply->element[0]->str, "pong") == 0;
}

/* An array on the subscribing connection that is not a message. */
static bool is_confirmation(const struct rooms__redis_conn *conn, const redisReply *reply)
{
    return conn->role == ROOMS__CONN_SUB && reply->type == REDIS_REPLY_ARRAY && reply->elements == 3;
}

static const char *match_reply(struct rooms__redis_conn *conn, const redisReply *reply, bool *another_address)
{
    struct rooms_redis *redis = conn->redis;
    struct rooms__redis_record record;
    if (is_confirmation(conn, reply)) return rooms__listen_confirm(conn, reply);
    if (!rooms__redis_queue_answered(&conn->queue, &record)) {
        *another_address = reply->type == REDIS_REPLY_ERROR;
        return *another_address ? reply->str : "unexpected reply";
    }
    bool error = reply->type == REDIS_REPLY_ERROR;
    if (error) *another_address = rooms__redis_is_useless(reply->str);
    switch (record.kind) {
    case ROOMS__RECORD_POST:
    case ROOMS__RECORD_ASK:
        if (error)
            rooms__redis_refused(redis, reply->str);
        else
            rooms__redis_accepted(redis);
        if (record.kind == ROOMS__RECORD_ASK)
            rooms__asks_answer(redis, record.request, reply);
        else
            redis->stats.refused += error;
        break;
    case ROOMS__RECORD_PING:
        if (error) return reply->str;
        if (!is_pong(reply)) return "PING was not answered with PONG";
        conn->pinged = false;
        if (conn->settling) settled(conn);
        break;
    case ROOMS__RECORD_ROLE:
        if (!is_replica(reply)) break;
        *another_address = true;
        return "the server became a replica";
    default: /* confirmations are dealt with above */
        if (!error) return "a subscription was answered with another reply";
        rooms__listen_refused(redis, &record, reply->str);
        break;
    }
    return *another_address ? reply->str : NULL;
}

/* Handles one whole reply. Returns what is wrong with it, or NULL; said has room for texts taken from the reply. */
static const char *take_reply(struct rooms__redis_conn *conn, const uint8_t *p, size_t n, char *said, size_t said_size,
                              bool *another_address)
{
    void *reply = NULL;
    if (!conn->reader) conn->reader = redisReaderCreate();
    if (!conn->reader) return "out of memory";
    if (redisReaderFeed(conn->reader, (const char *)p, n) != REDIS_OK ||
        redisReaderGetReply(conn->reader, &reply) != REDIS_OK || !reply) {
        snprintf(said, said_size, "%s", conn->reader->err ? conn->reader->errstr : "malformed reply");
        return said;
    }
    const char *why = conn->state == ROOMS__CONN_GREETING ? greeting_answered(conn, reply, another_address)
                                                          : match_reply(conn, reply, another_address);
    if (why) {
        snprintf(said, said_size, "%.*s", (int)strcspn(why, "\r\n"), why);
        why = said;
    }
    freeReplyObject(reply);
    return why;
}

/* All that is whole in in[]. Returns the bytes it took; stops when the connection is lost. */
static size_t take_whole(struct rooms__redis_conn *conn)
{
    const struct rooms__resp_limits limits = {conn->redis->options.max_message_bytes, RESP_VALUES_MAX};
    size_t at = 0;
    while (at < conn->in_size) {
        const uint8_t *p = conn->in + at;
        size_t n = conn->in_size - at;
        struct rooms__resp_push push;
        const char *why = NULL;
        char said[128];
        bool another_address = false;
        if (conn->role == ROOMS__CONN_SUB && rooms__conn_is_ready(conn)) {
            size_t took = rooms__resp_push(p, n, &push);
            if (took > limits.max_bytes) {
                rooms__conn_lose(conn, "message too large", false);
                return 0;
            }
            if (took > 0) {
                rooms__listen_deliver(conn->redis, &push);
                conn->scan = (struct rooms__resp_scan){0};
                at += took;
                continue;
            }
        }
        long took = rooms__resp_scan(&conn->scan, p, n, &limits, &why);
        if (took == 0) break;
        if (took > 0) {
            conn->scan = (struct rooms__resp_scan){0};
            why = take_reply(conn, p, (size_t)took, said, sizeof said, &another_address);
            at += (size_t)took;
        }
        if (why) rooms__conn_lose(conn, why, another_address);
        if (conn->state < ROOMS__CONN_GREETING) return 0;
    }
    return at;
}

static bool in_reserve(struct rooms__redis_conn *conn, size_t capacity)
{
    if (capacity <= conn->in_capacity) return true;
    uint8_t *in = realloc(conn->in, capacity);
    if (!in) return false;
    conn->in = in;
    conn->in_capacity = capacity;
    return true;
}

/* Parses bytes that were appended to in[]. */
static void take_in(struct rooms__redis_conn *conn)
{
    conn->heard_us = base_clock_us();
    size_t took = take_whole(conn);
    if (conn->state < ROOMS__CONN_GREETING) return;
    conn->in_size -= took;
    if (took > 0) conn->whole_us = conn->heard_us;
    if (conn->in_size && took) memmove(conn->in, conn->in + took, conn->in_size);
    if (conn->in_size == 0 && conn->in_capacity > IN_BYTES_KEPT) {
        free(conn->in);
        conn->in = NULL;
        conn->in_capacity = 0;
    }
}

void rooms__conn_take(struct rooms__redis_conn *conn, const uint8_t *p, size_t n)
{
    if (!in_reserve(conn, conn->in_size + n)) {
        rooms__conn_lose(conn, "out of memory", false);
        return;
    }
    memcpy(conn->in + conn->in_size, p, n);
    conn->in_size += n;
    take_in(conn);
}

/* The buffer grows with what has arrived, not with the size that a reply announces. */
static bool in_grow(struct rooms__redis_conn *conn)
{
    size_t want = conn->in_capacity - conn->in_size < IN_BYTES / 4 ? 2 * conn->in_capacity : conn->in_capacity;
    if (in_reserve(conn, want < IN_BYTES ? IN_BYTES : want)) return true;
    rooms__conn_lose(conn, "out of memory", false);
    return false;
}

/* Returns the number of bytes received, 0 if nothing has arrived, or a negative code if the connection is lost. */
static ssize_t receive_some(struct rooms__redis_conn *conn, uint8_t *p, size_t size)
{
    ssize_t n = recv(conn->fd, p, size, 0);
    if (n > 0) return n;
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    rooms__conn_lose(conn, n < 0 ? strerror(errno) : "Redis closed the connection", false);
    return -1;
}

/* All that was decrypted. */
static void take_decrypted(struct rooms__redis_conn *conn)
{
    const char *why = NULL;
    long n = 1;
    while (n > 0 && conn->tls) {
        if (!in_grow(conn)) return;
        n = rooms__tls_decrypt(conn->tls, conn->in + conn->in_size, conn->in_capacity - conn->in_size, &why);
        if (n <= 0) break;
        conn->in_size += (size_t)n;
        take_in(conn);
    }
    if (n < 0) rooms__conn_lose(conn, why, false);
}

static void say_hello(struct rooms__redis_conn *conn);

static void go_on_securing(struct rooms__redis_conn *conn)
{
    const char *why = NULL;
    int done = rooms__tls_handshake(conn->tls, &why);
    send_encrypted(conn); /* an alert, too */
    if (!conn->tls) return;
    if (done < 0)
        rooms__conn_lose(conn, why, true);
    else if (done > 0)
        say_hello(conn);
}

static void read_encrypted(struct rooms__redis_conn *conn)
{
    uint8_t bytes[TLS_READ_BYTES];
    ssize_t n = receive_some(conn, bytes, sizeof bytes);
    if (n <= 0) return;
    if (!rooms__tls_received(conn->tls, bytes, (size_t)n)) {
        rooms__conn_lose(conn, "out of memory", false);
        return;
    }
    conn->heard_us = base_clock_us();
    if (conn->state == ROOMS__CONN_SECURING) go_on_securing(conn);
    if (conn->state >= ROOMS__CONN_GREETING) take_decrypted(conn);
    if (conn->tls) send_encrypted(conn); /* TLS may have something to say itself */
}

static void on_read(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd, (void)what;
    struct rooms__redis_conn *conn = ctx;
    if (conn->tls) {
        read_encrypted(conn);
        return;
    }
    if (!in_grow(conn)) return;
    ssize_t n = receive_some(conn, conn->in + conn->in_size, conn->in_capacity - conn->in_size);
    if (n <= 0) return;
    conn->in_size += (size_t)n;
    take_in(conn);
}

/* -------------------------------------------------------------- connecting */

static void say_hello(struct rooms__redis_conn *conn)
{
    set_state(conn, ROOMS__CONN_GREETING);
    conn->greeted = 1;
    if (!hello_make(conn))
        rooms__conn_lose(conn, "out of memory", false);
    else
        write_hello(conn);
}

static void secure(struct rooms__redis_conn *conn)
{
    const struct rooms_redis *redis = conn->redis;
    const char *name = *redis->options.tls_name ? redis->options.tls_name : address_of(conn)->host;
    conn->tls = rooms__tls_new(redis->tls, name, redis->options.tls_verify);
    set_state(conn, ROOMS__CONN_SECURING);
    if (conn->tls)
        go_on_securing(conn);
    else
        rooms__conn_lose(conn, "out of memory", false);
}

static void connected(struct rooms__redis_conn *conn)
{
    if (event_add(&conn->read_event, NULL) != 0)
        rooms__conn_lose(conn, "out of memory", false);
    else if (conn->redis->tls)
        secure(conn);
    else
        say_hello(conn);
}

static void on_write(evutil_socket_t fd, short what, void *ctx)
{
    (void)what;
    struct rooms__redis_conn *conn = ctx;
    if (conn->state == ROOMS__CONN_SECURING) {
        send_encrypted(conn);
    } else if (conn->state == ROOMS__CONN_GREETING) {
        if (conn->hello_at < conn->hello_size)
            write_hello(conn);
        else if (conn->tls)
            send_encrypted(conn);
    } else if (rooms__conn_is_ready(conn)) {
        if (!conn->tls || send_encrypted(conn)) write_queue(conn);
    } else {
        int error = 0;
        socklen_t size = sizeof error;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
        if (error)
            try_next(conn, strerror(error));
        else
            connected(conn);
    }
}

/* Returns what is wrong, or NULL. */
static const char *connect_to(struct rooms__redis_conn *conn, const struct sockaddr *address, socklen_t size)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return strerror(errno);
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    int error = connect(fd, address, size) == 0 || errno == EINPROGRESS ? 0 : errno;
    struct event_base *base = conn->redis->base;
    if (!error && (event_assign(&conn->read_event, base, fd, EV_READ | EV_PERSIST, on_read, conn) != 0 ||
                   event_assign(&conn->write_event, base, fd, EV_WRITE, on_write, conn) != 0 ||
                   event_add(&conn->write_event, NULL) != 0))
        error = ENOMEM;
    if (error) {
        close(fd);
        return strerror(error);
    }
    conn->fd = fd;
    return NULL;
}

/* The next of the addresses that a host's name has; why: of the one before. */
static void try_next(struct rooms__redis_conn *conn, const char *why)
{
    if (conn->fd >= 0) {
        event_del(&conn->write_event);
        close(conn->fd);
        conn->fd = -1;
    }
    while (conn->resolved_at < conn->resolved.count) {
        size_t i = conn->resolved_at++;
        why = connect_to(conn, (const struct sockaddr *)&conn->resolved.list[i], conn->resolved.sizes[i]);
        if (!why) return;
    }
    rooms__conn_lose(conn, why, true);
}

static void on_resolved(void *ctx, const struct rooms__resolved *resolved)
{
    struct rooms__redis_conn *conn = ctx;
    conn->resolving = NULL;
    if (resolved != &conn->resolved) conn->resolved = *resolved;
    conn->resolved_at = 0;
    set_state(conn, ROOMS__CONN_CONNECTING);
    try_next(conn, conn->resolved.why);
}

static void attempt(struct rooms__redis_conn *conn)
{
    conn->address = conn->redis->address;
    set_state(conn, ROOMS__CONN_RESOLVING);
    base_timer_start(&conn->timer, conn->redis->options.connect_timeout_ms);
    conn->resolving = rooms__resolve(conn->redis->base, address_of(conn), &conn->resolved, on_resolved, conn);
    if (!conn->resolving) on_resolved(conn, &conn->resolved);
}

/* ------------------------------------------------------------------- timer */

/* A silent connection gets a PING; if it stays silent it is lost. So is one whose reply never ends: all that follows
 * would be taken for part of it. */
static void check_liveness(struct rooms__redis_conn *conn)
{
    uint64_t liveness_us = (uint64_t)conn->redis->options.liveness_ms * 1000u;
    uint64_t silent_us = base_clock_us() - conn->heard_us;
    char why[64];
    if (conn->state == ROOMS__CONN_READY) {
        conn->attempts = 0;
        memset(conn->said, 0, sizeof conn->said);
        if (conn->role == ROOMS__CONN_PUB && may_be_replica(conn->redis)) send_word(conn, "ROLE", ROOMS__RECORD_ROLE);
    }
    if (conn->in_size > 0 && base_clock_us() - conn->whole_us > WHOLE_FACTOR * liveness_us) {
        rooms__conn_lose(conn, "a reply took too long to arrive", true);
        return;
    }
    if (silent_us < liveness_us) {
        base_timer_start(&conn->timer, (uint32_t)((liveness_us - silent_us) / 1000u + 1));
        return;
    }
    if (conn->pinged) {
        snprintf(why, sizeof why, "no data for %llu ms", (unsigned long long)silent_us / 1000u);
        rooms__conn_lose(conn, why, true);
    } else if (!ping(conn)) {
        rooms__conn_lose(conn, "out of memory", false);
    } else {
        base_timer_start(&conn->timer, conn->redis->options.liveness_ms);
    }
}

static void on_timer(void *ctx)
{
    struct rooms__redis_conn *conn = ctx;
    if (conn->state == ROOMS__CONN_AWAY && !conn->shard &&
        conn->redis->addresses.list[conn->redis->address].port == 0) {
        base_timer_start(&conn->timer, conn->redis->options.reconnect_max_ms); /* until it is named */
        rooms__sentinel_ask(conn->redis->sentinel);
    } else if (conn->state == ROOMS__CONN_AWAY)
        attempt(conn);
    else if (rooms__conn_is_ready(conn))
        check_liveness(conn);
    else
        rooms__conn_lose(
            conn, conn->state == ROOMS__CONN_GREETING ? "no answer to the greeting" : "connecting timed out", true);
}

int rooms__conn_init(struct rooms__redis_conn *conn, struct rooms_redis *redis, enum rooms__redis_role role)
{
    *conn = (struct rooms__redis_conn){.redis = redis, .role = role, .state = ROOMS__CONN_IDLE, .fd = -1};
    if (base_timer_init(&conn->timer, &redis->timers, on_timer, conn) == BASE_OK) return ROOMS_OK;
    conn->redis = NULL; /* there is nothing to clear */
    return ROOMS_ENOMEM;
}

void rooms__conn_start(struct rooms__redis_conn *conn, uint32_t delay_ms)
{
    if (conn->state != ROOMS__CONN_IDLE) return;
    set_state(conn, ROOMS__CONN_AWAY);
    base_timer_start(&conn->timer, delay_ms);
}

void rooms__conn_hurry(struct rooms__redis_conn *conn)
{
    conn->attempts = 0;
    if (conn->state == ROOMS__CONN_AWAY) base_timer_start(&conn->timer, 0);
}

void rooms__conn_clear(struct rooms__redis_conn *conn)
{
    if (!conn->redis) return;
    close_all(conn);
    set_state(conn, ROOMS__CONN_IDLE);
    rooms__redis_queue_lost(&conn->queue, record_lost, conn);
    rooms__redis_queue_clear(&conn->queue);
}

void rooms__conn_pretend(struct rooms__redis_conn *conn, enum rooms__redis_state state)
{
    base_timer_stop(&conn->timer);
    conn->greeted = 1;
    conn->greetings = ROOMS__GREET_NAME | ROOMS__GREET_PING;
    set_state(conn, state);
}
