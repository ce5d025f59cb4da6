/* Peers of the bus: their sockets, what waits for them, and which rooms they have. Nothing here blocks: what a socket
 * does not take waits in the peer's queue, and what that does not take is dropped for that peer alone. */
#include "rooms_bus_int.h"
#include "rooms_wire.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    PING_MS = 400,
    READ_BYTES = 65536,
    READS_MAX = 16, /* from one peer per turn, so that the others get theirs */
    QUEUE_KEPT_BYTES = 65536,
};

void rooms_bus_options_init(struct rooms_bus_options *options)
{
    *options = (struct rooms_bus_options){
        .max_queue_bytes = (size_t)16 << 20,
        .max_message_bytes = (size_t)16 << 20,
        .request_timeout_ms = 5000,
        .silent_ms = 1500,
    };
}

void rooms__bus_log(struct rooms_bus *bus, enum rooms_log_level level, const struct rooms__bus_peer *peer,
                    const char *what)
{
    char line[160];
    if (!bus->options.log) return;
    snprintf(line, sizeof line, "bus: process %llu %s", (unsigned long long)peer->number, what);
    bus->options.log(bus->options.log_ctx, level, line);
}

/* ----------------------------------------------------------------- filters */

/* FNV-1a. Names made to collide only send a peer messages that it then ignores. */
uint32_t rooms__bus_bucket(struct rooms_name nsp, struct rooms_name room)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < nsp.n; i++) hash = (hash ^ (uint8_t)nsp.p[i]) * 1099511628211u;
    hash = (hash ^ 0xff) * 1099511628211u;
    for (size_t i = 0; i < room.n; i++) hash = (hash ^ (uint8_t)room.p[i]) * 1099511628211u;
    return (uint32_t)((hash ^ hash >> 32) & (ROOMS__BUS_BUCKETS - 1));
}

static bool has_bit(const uint8_t *filter, uint32_t bucket)
{
    return filter[bucket / 8] >> bucket % 8 & 1;
}

static void set_bit(uint8_t *filter, uint32_t bucket, bool on)
{
    uint8_t bit = (uint8_t)(1u << bucket % 8);
    filter[bucket / 8] = (uint8_t)(on ? filter[bucket / 8] | bit : filter[bucket / 8] & ~bit);
}

static void owe_filter(struct rooms_bus *bus)
{
    for (struct rooms__bus_peer *peer = bus->peers; peer; peer = peer->next) peer->owes_filter = true;
}

static void schedule(struct rooms_bus *bus)
{
    if (!bus->flush_due) event_active(bus->flush_event, EV_TIMEOUT, 0);
    bus->flush_due = true;
}

void rooms__bus_count_room(struct rooms_bus *bus, struct rooms_name nsp, struct rooms_name room, int by)
{
    uint32_t bucket = rooms__bus_bucket(nsp, room);
    bool before = bus->rooms_in[bucket] > 0;
    if (by < 0 && !before) return;
    bus->rooms_in[bucket] += (uint32_t)by;
    bool now = bus->rooms_in[bucket] > 0;
    if (before == now) return;
    set_bit(bus->filter, bucket, now);
    if (!bus->peers) return;
    schedule(bus);
    if (bus->changed_count == bus->changed_capacity) {
        size_t capacity = bus->changed_capacity ? bus->changed_capacity * 2 : 64;
        uint32_t *grown = capacity <= ROOMS__BUS_BUCKETS / 64 ? realloc(bus->changed, capacity * sizeof *grown) : NULL;
        if (!grown) {
            owe_filter(bus);
            return;
        }
        bus->changed = grown;
        bus->changed_capacity = capacity;
    }
    bus->changed[bus->changed_count++] = bucket;
}

static void put_filter(const struct rooms_bus *bus, struct rooms_packer *out)
{
    size_t start = rooms__bus_begin(out, ROOMS__BUS_FILTER);
    rooms__put_bytes(out, bus->filter, ROOMS__BUS_FILTER_BYTES);
    rooms__bus_end(out, start);
}

static void put_bucket(const struct rooms_bus *bus, struct rooms_packer *out, uint32_t bucket)
{
    size_t start = rooms__bus_begin(out, ROOMS__BUS_BUCKET);
    rooms__bus_put_u32(out, bucket * 2 + (has_bit(bus->filter, bucket) ? 1 : 0));
    rooms__bus_end(out, start);
}

/* ------------------------------------------------------------------- peers */

static void close_peer(struct rooms__bus_peer *peer, const char *why)
{
    if (peer->closed) return;
    peer->closed = true;
    rooms__bus_log(peer->bus, ROOMS_LOG_INFO, peer, why);
    event_del(peer->read_event);
    event_del(peer->write_event);
    close(peer->fd);
    rooms__bus_peer_gone(peer->bus, peer);
}

static void free_peer(struct rooms__bus_peer *peer)
{
    if (peer->read_event) event_free(peer->read_event);
    if (peer->write_event) event_free(peer->write_event);
    rooms_packer_clear(&peer->queue);
    free(peer->filter);
    free(peer->in);
    free(peer);
}

static void forget_item_of(struct rooms_bus *bus, const struct rooms__bus_peer *peer)
{
    for (size_t i = 0; i < bus->item_count; i++)
        if (bus->items[i].only == peer) bus->items[i].size = 0;
}

static void leave(struct rooms_bus *bus)
{
    if (--bus->depth) return;
    for (struct rooms__bus_peer **at = &bus->peers; *at;) {
        struct rooms__bus_peer *peer = *at;
        if (!peer->closed) {
            at = &peer->next;
            continue;
        }
        *at = peer->next;
        forget_item_of(bus, peer);
        free_peer(peer);
    }
}

bool rooms__bus_is_there(const struct rooms__bus_peer *peer)
{
    return !peer->closed && !peer->silent && peer->uid[0];
}

struct rooms__bus_peer *rooms__bus_find_uid(struct rooms_bus *bus, struct rooms_name uid)
{
    for (struct rooms__bus_peer *peer = bus->peers; peer; peer = peer->next)
        if (!peer->closed && uid.n == ROOMS_UID_SIZE && memcmp(peer->uid, uid.p, uid.n) == 0) return peer;
    return NULL;
}

/* ----------------------------------------------------------------- writing */

static size_t queued(const struct rooms__bus_peer *peer)
{
    return peer->queue.size - peer->sent;
}

static void queue_bytes(struct rooms__bus_peer *peer, const uint8_t *p, size_t n)
{
    size_t before = peer->queue.size;
    rooms__put_bytes(&peer->queue, p, n);
    if (!peer->queue.error) return;
    /* Half a frame must not remain. */
    peer->queue.size = before;
    peer->queue.error = 0;
    peer->bus->stats.dropped++;
}

/* Writes what is queued. Calls nothing back. */
static void send_queue(struct rooms__bus_peer *peer)
{
    while (queued(peer)) {
        ssize_t n = send(peer->fd, peer->queue.bytes + peer->sent, queued(peer), MSG_DONTWAIT | MSG_NOSIGNAL);
        peer->bus->stats.writes++;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
            peer->failed = true;
            return;
        }
        if (n < 0) break;
        peer->sent += (size_t)n;
        peer->bus->stats.sent_bytes += (uint64_t)n;
    }
    bool was_waiting = peer->waits;
    peer->waits = queued(peer) > 0;
    if (peer->waits && !was_waiting) event_add(peer->write_event, NULL);
    if (!peer->waits && was_waiting) event_del(peer->write_event);
    if (peer->waits) return;
    peer->sent = peer->queue.size = 0;
    if (peer->queue.capacity > QUEUE_KEPT_BYTES) rooms_packer_clear(&peer->queue);
}

/* Bytes already sent make room for new ones. */
static void compact(struct rooms__bus_peer *peer)
{
    if (peer->sent < peer->queue.size / 2 || !peer->sent) return;
    memmove(peer->queue.bytes, peer->queue.bytes + peer->sent, queued(peer));
    peer->queue.size = queued(peer);
    peer->sent = 0;
}

static bool wants(const struct rooms__bus_peer *peer, const struct rooms__bus_item *item)
{
    if (item->only) return item->only == peer;
    if (!item->bucket_count || !peer->filter) return true;
    for (uint32_t i = 0; i < item->bucket_count; i++)
        if (has_bit(peer->filter, item->buckets[i])) return true;
    return false;
}

/* A peer that cannot take each change gets the whole filter once it reads again. */
static void put_changes(struct rooms__bus_peer *peer)
{
    struct rooms_bus *bus = peer->bus;
    if (peer->waits && bus->changed_count) peer->owes_filter = true;
    if (peer->waits) return;
    if (peer->owes_filter) {
        struct rooms_packer frame;
        rooms_packer_init(&frame);
        put_filter(bus, &frame);
        peer->owes_filter = frame.error != 0;
        if (!frame.error) queue_bytes(peer, frame.bytes, frame.size);
        rooms_packer_clear(&frame);
        return;
    }
    for (size_t i = 0; i < bus->changed_count; i++) put_bucket(bus, &peer->queue, bus->changed[i]);
    peer->failed = peer->queue.error != 0;
}

static void write_peer(struct rooms__bus_peer *peer)
{
    struct rooms_bus *bus = peer->bus;
    put_changes(peer);
    if (peer->failed) return;
    compact(peer);
    for (size_t i = 0; i < bus->item_count; i++) {
        const struct rooms__bus_item *item = &bus->items[i];
        if (!item->size) continue;
        if (!wants(peer, item)) {
            bus->stats.filtered += !item->only;
        } else if (queued(peer) + item->size > bus->options.max_queue_bytes) {
            if (!bus->stats.dropped)
                rooms__bus_log(bus, ROOMS_LOG_WARN, peer, "reads too slowly; dropping messages for it");
            bus->stats.dropped++;
        } else {
            queue_bytes(peer, bus->pass.bytes + item->from, item->size);
            bus->stats.sent++;
        }
    }
    if (!peer->waits) send_queue(peer);
}

static void write_all(struct rooms_bus *bus)
{
    for (struct rooms__bus_peer *peer = bus->peers; peer; peer = peer->next)
        if (!peer->closed && !peer->failed) write_peer(peer);
    bus->item_count = bus->changed_count = 0;
    bus->pass.size = 0;
    if (bus->pass.capacity > QUEUE_KEPT_BYTES * 16) rooms_packer_clear(&bus->pass);
}

/* Callbacks may send something, which belongs to the next pass. */
static void close_failed(struct rooms_bus *bus)
{
    for (struct rooms__bus_peer *peer = bus->peers; peer; peer = peer->next)
        if (peer->failed) close_peer(peer, "is gone");
}

static bool add_item(struct rooms_bus *bus)
{
    if (bus->item_count < bus->item_capacity) return true;
    size_t capacity = bus->item_capacity ? bus->item_capacity * 2 : 64;
    struct rooms__bus_item *grown = realloc(bus->items, capacity * sizeof *grown);
    if (!grown) return false;
    bus->items = grown;
    bus->item_capacity = capacity;
    return true;
}

static void name_buckets(struct rooms__bus_item *item, struct rooms_name nsp, const struct rooms_selector *who)
{
    if (!who || who->room_count > sizeof item->buckets / sizeof item->buckets[0]) return;
    for (size_t i = 0; i < who->room_count; i++)
        if (who->rooms[i].n == ROOMS__BUS_ID_SIZE) return;
    for (size_t i = 0; i < who->room_count; i++) item->buckets[i] = rooms__bus_bucket(nsp, who->rooms[i]);
    item->bucket_count = (uint32_t)who->room_count;
}

void rooms__bus_commit(struct rooms_bus *bus, size_t from, struct rooms__bus_peer *only, struct rooms_name nsp,
                       const struct rooms_selector *who)
{
    size_t size = bus->pass.size - from;
    if (bus->pass.error || size > bus->options.max_message_bytes || !add_item(bus)) {
        bus->pass.size = from;
        bus->pass.error = 0;
        bus->stats.dropped++;
        return;
    }
    struct rooms__bus_item *item = &bus->items[bus->item_count++];
    *item = (struct rooms__bus_item){.from = from, .size = size, .only = only};
    name_buckets(item, nsp, who);
    schedule(bus);
}

/* A frame without contents. */
static void send_frame(struct rooms__bus_peer *peer, enum rooms__bus_kind kind)
{
    struct rooms_bus *bus = peer->bus;
    size_t from = rooms__bus_begin(&bus->pass, kind);
    rooms__bus_end(&bus->pass, from);
    rooms__bus_commit(bus, from, peer, (struct rooms_name){NULL, 0}, NULL);
}

/* ----------------------------------------------------------------- reading */

static int take_hello(struct rooms__bus_peer *peer, struct rooms__bus_reader *in)
{
    uint32_t version = rooms__bus_u32(in);
    struct rooms_name uid = rooms__bus_name(in);
    if (in->failed || version != ROOMS__BUS_VERSION || uid.n != ROOMS_UID_SIZE || peer->uid[0]) return ROOMS_EINVAL;
    if (memchr(uid.p, 0, uid.n)) return ROOMS_EINVAL;
    memcpy(peer->uid, uid.p, uid.n);
    for (struct rooms__bus_adapter *adapter = peer->bus->adapters; adapter; adapter = adapter->next)
        rooms__bus_introduce(adapter, peer);
    return ROOMS_OK;
}

static int take_filter(struct rooms__bus_peer *peer, struct rooms__bus_reader *in)
{
    if (in->end - in->p != ROOMS__BUS_FILTER_BYTES) return ROOMS_EINVAL;
    if (!peer->filter) peer->filter = malloc(ROOMS__BUS_FILTER_BYTES);
    if (peer->filter) memcpy(peer->filter, in->p, ROOMS__BUS_FILTER_BYTES); /* else it gets everything */
    return ROOMS_OK;
}

static int take_bucket(struct rooms__bus_peer *peer, struct rooms__bus_reader *in)
{
    uint32_t value = rooms__bus_u32(in);
    if (in->failed || value / 2 >= ROOMS__BUS_BUCKETS) return ROOMS_EINVAL;
    if (peer->filter) set_bit(peer->filter, value / 2, value & 1);
    return ROOMS_OK;
}

static int take_frame(struct rooms__bus_peer *peer, enum rooms__bus_kind kind, struct rooms__bus_reader *in)
{
    struct rooms_bus *bus = peer->bus;
    if (kind == ROOMS__BUS_HELLO) return take_hello(peer, in);
    if (!peer->uid[0]) return ROOMS_EINVAL;
    switch (kind) {
    case ROOMS__BUS_PING:
        return ROOMS_OK;
    case ROOMS__BUS_WHO:
        for (struct rooms__bus_adapter *adapter = bus->adapters; adapter; adapter = adapter->next)
            rooms__bus_introduce(adapter, peer);
        return ROOMS_OK;
    case ROOMS__BUS_FILTER:
        return take_filter(peer, in);
    case ROOMS__BUS_BUCKET:
        return take_bucket(peer, in);
    default:
        bus->stats.received++;
        return rooms__bus_receive(bus, peer, kind, in);
    }
}

/* Handles all whole frames. Returns false if one is malformed. */
static bool take_frames(struct rooms__bus_peer *peer)
{
    size_t at = 0;
    while (!peer->closed && peer->in_size - at >= ROOMS__BUS_HEAD) {
        uint32_t size;
        memcpy(&size, peer->in + at, sizeof size);
        if (size == 0 || size > peer->bus->options.max_message_bytes) return false;
        if (peer->in_size - at - sizeof size < size) break;
        const uint8_t *frame = peer->in + at + sizeof size;
        struct rooms__bus_reader in = {frame + 1, frame + size, false};
        if (take_frame(peer, (enum rooms__bus_kind)frame[0], &in) == ROOMS_EINVAL) return false;
        at += sizeof size + size;
    }
    peer->in_size -= at;
    if (peer->in_size && at) memmove(peer->in, peer->in + at, peer->in_size);
    return true;
}

/* Room for a whole frame, if its size is known. */
static bool make_room(struct rooms__bus_peer *peer)
{
    uint32_t size = 0;
    if (peer->in_size >= sizeof size) memcpy(&size, peer->in, sizeof size);
    size_t wanted = peer->in_size + READ_BYTES;
    if (size <= peer->bus->options.max_message_bytes && wanted < sizeof size + (size_t)size)
        wanted = sizeof size + (size_t)size;
    if (peer->in_capacity >= wanted) return true;
    uint8_t *grown = realloc(peer->in, wanted);
    if (!grown) return false;
    peer->in = grown;
    peer->in_capacity = wanted;
    return true;
}

static void hear(struct rooms__bus_peer *peer)
{
    peer->heard_ms = base_clock_ms();
    if (!peer->silent) return;
    peer->silent = false;
    rooms__bus_log(peer->bus, ROOMS_LOG_INFO, peer, "answers again");
    send_frame(peer, ROOMS__BUS_WHO);
}

static void read_peer(struct rooms__bus_peer *peer)
{
    struct rooms_bus *bus = peer->bus;
    for (int i = 0; i < READS_MAX && !peer->closed; i++) {
        if (!make_room(peer)) {
            close_peer(peer, "cannot read from it: out of memory");
            return;
        }
        size_t room = peer->in_capacity - peer->in_size;
        ssize_t n = recv(peer->fd, peer->in + peer->in_size, room, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
        if (n <= 0) {
            close_peer(peer, "is gone");
            return;
        }
        bus->stats.received_bytes += (uint64_t)n;
        peer->in_size += (size_t)n;
        hear(peer);
        if (!take_frames(peer)) {
            bus->stats.garbage++;
            close_peer(peer, "sent a malformed message; closing the connection");
            return;
        }
        if ((size_t)n < room) break;
    }
    if (!peer->in_size && peer->in_capacity > 4 * (size_t)READ_BYTES) {
        free(peer->in);
        peer->in = NULL;
        peer->in_capacity = 0;
    }
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    struct rooms__bus_peer *peer = ctx;
    struct rooms_bus *bus = peer->bus;
    (void)fd, (void)what;
    bus->depth++;
    read_peer(peer);
    leave(bus);
}

static void on_writable(evutil_socket_t fd, short what, void *ctx)
{
    struct rooms__bus_peer *peer = ctx;
    struct rooms_bus *bus = peer->bus;
    (void)fd, (void)what;
    bus->depth++;
    send_queue(peer);
    if (peer->failed)
        close_failed(bus);
    else if (!peer->waits && peer->owes_filter)
        schedule(bus);
    leave(bus);
}

void rooms_bus_flush(struct rooms_bus *bus)
{
    if (!bus->flush_due || bus->in_flush) return;
    bus->in_flush = true;
    bus->depth++;
    /* Filters first: a member that joined before this turn's messages must get them. */
    for (struct rooms__bus_peer *peer = bus->peers; peer; peer = peer->next)
        if (!peer->closed) read_peer(peer);
    event_del(bus->flush_event);
    write_all(bus);
    bus->flush_due = false;
    close_failed(bus);
    leave(bus);
    bus->in_flush = false;
}

static void on_flush(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd, (void)what;
    rooms_bus_flush(ctx);
}

/* A process that hangs is noticed by its silence. */
static void on_ping(evutil_socket_t fd, short what, void *ctx)
{
    struct rooms_bus *bus = ctx;
    (void)fd, (void)what;
    bus->depth++;
    /* If it was this process that hung, what the others sent meanwhile is there to be read. */
    for (struct rooms__bus_peer *peer = bus->peers; peer; peer = peer->next)
        if (!peer->closed) read_peer(peer);
    uint64_t now_ms = base_clock_ms();
    for (struct rooms__bus_peer *peer = bus->peers; peer; peer = peer->next) {
        if (peer->closed) continue;
        if (!peer->waits) send_frame(peer, ROOMS__BUS_PING);
        if (peer->silent || peer->heard_ms + bus->options.silent_ms > now_ms) continue;
        peer->silent = true;
        rooms__bus_log(bus, ROOMS_LOG_WARN, peer, "is unresponsive; no longer waiting for its answers");
        rooms__bus_peer_gone(bus, peer);
    }
    leave(bus);
}

/* ---------------------------------------------------------------- lifetime */

struct rooms_bus *rooms_bus_new(struct event_base *base, const struct rooms_bus_options *options)
{
    uint8_t random[ROOMS_UID_SIZE / 2];
    struct timeval ping = {PING_MS / 1000, PING_MS % 1000 * 1000};
    struct rooms_bus *bus = calloc(1, sizeof *bus);
    if (!bus) return NULL;
    rooms_bus_options_init(&bus->options);
    if (options) bus->options = *options;
    bus->base = base;
    rooms_packer_init(&bus->pass);
    randombytes_buf(random, sizeof random);
    sodium_bin2hex(bus->uid, sizeof bus->uid, random, sizeof random);
    bus->rooms_in = calloc(ROOMS__BUS_BUCKETS, sizeof *bus->rooms_in);
    bus->filter = calloc(1, ROOMS__BUS_FILTER_BYTES);
    bus->flush_event = event_new(base, -1, 0, on_flush, bus);
    bus->ping_event = event_new(base, -1, EV_PERSIST, on_ping, bus);
    if (bus->rooms_in && bus->filter && bus->flush_event && bus->ping_event && event_add(bus->ping_event, &ping) == 0)
        return bus;
    rooms_bus_free(bus);
    return NULL;
}

void rooms_bus_free(struct rooms_bus *bus)
{
    if (!bus) return;
    if (bus->flush_event && bus->ping_event) rooms_bus_flush(bus);
    bus->depth++;
    for (struct rooms__bus_peer *peer = bus->peers; peer; peer = peer->next) close_peer(peer, "disconnected");
    leave(bus);
    if (bus->flush_event) event_free(bus->flush_event);
    if (bus->ping_event) event_free(bus->ping_event);
    rooms_packer_clear(&bus->pass);
    free(bus->items);
    free(bus->changed);
    free(bus->rooms_in);
    free(bus->filter);
    free(bus);
}

static void greet(struct rooms__bus_peer *peer)
{
    struct rooms_bus *bus = peer->bus;
    size_t start = rooms__bus_begin(&peer->queue, ROOMS__BUS_HELLO);
    rooms__bus_put_u32(&peer->queue, ROOMS__BUS_VERSION);
    rooms__bus_put_bytes(&peer->queue, bus->uid, ROOMS_UID_SIZE);
    rooms__bus_end(&peer->queue, start);
    put_filter(bus, &peer->queue);
}

int rooms_bus_add_peer(struct rooms_bus *bus, uint64_t number, int take_fd)
{
    rooms_bus_remove_peer(bus, number);
    struct rooms__bus_peer *peer = calloc(1, sizeof *peer);
    if (!peer) {
        close(take_fd);
        return ROOMS_ENOMEM;
    }
    *peer = (struct rooms__bus_peer){.bus = bus, .number = number, .fd = take_fd, .heard_ms = base_clock_ms()};
    rooms_packer_init(&peer->queue);
    peer->read_event = event_new(bus->base, take_fd, EV_READ | EV_PERSIST, on_readable, peer);
    peer->write_event = event_new(bus->base, take_fd, EV_WRITE | EV_PERSIST, on_writable, peer);
    greet(peer);
    if (!peer->read_event || !peer->write_event || peer->queue.error || event_add(peer->read_event, NULL) != 0) {
        free_peer(peer);
        close(take_fd);
        return ROOMS_ENOMEM;
    }
    peer->next = bus->peers;
    bus->peers = peer;
    schedule(bus);
    return ROOMS_OK;
}

void rooms_bus_remove_peer(struct rooms_bus *bus, uint64_t number)
{
    bus->depth++;
    for (struct rooms__bus_peer *peer = bus->peers; peer; peer = peer->next)
        if (peer->number == number) close_peer(peer, "replaced by a new connection");
    leave(bus);
}

void rooms_bus_get_stats(const struct rooms_bus *bus, struct rooms_bus_stats *stats)
{
    *stats = bus->stats;
    stats->requests = bus->cluster_stats.requests;
    stats->request_timeouts = bus->cluster_stats.request_timeouts;
    for (const struct rooms__bus_peer *peer = bus->peers; peer; peer = peer->next) {
        if (peer->closed) continue;
        stats->peers++;
        stats->silent += peer->silent;
        stats->queued_bytes += queued(peer);
    }
}
