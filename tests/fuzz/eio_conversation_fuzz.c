/* Random conversations with an Engine.IO server on a fake clock: the input decides what peers and the server do, when
 * time passes, and what callbacks do. Checked: on_close once per session and nothing after it, every request answered
 * or aborted once, counters back at 0, and that what a peer receives is well-formed frames in which attachments follow
 * their packet, whatever a full queue dropped. */
#include "eio_received.h"

#include <sys/socket.h>
#include <unistd.h>

enum { PEERS = 6, RECORDS = 256, PENDING_MAX = 8192, RECEIVED_MAX = 262144, SEND_BUFFER = 4608, STEPS_MAX = 400 };

/* What the callbacks saw of a session. */
struct record {
    struct eio_session *session; /* NULL once it is closed */
    int opened, closed;
};

/* The other side of a session. */
struct peer {
    int fd; /* -1: none */
    char sid[21];
    struct eio__test_reply *get; /* the last GET; NULL: none */
    uint8_t *pending;
    size_t pending_size;
    struct received received;
};

static const uint8_t *input;
static size_t input_left;
static struct eio_loop *loop;
static struct eio_server *server;
static struct record records[RECORDS];
static size_t record_count;
static struct peer peers[PEERS];
static int hook_actions;

static uint8_t byte(void)
{
    if (input_left == 0) return 0;
    input_left--;
    return *input++;
}

/* Up to n bytes of the input as they are. */
static size_t take(void *out, size_t n)
{
    if (n > input_left) n = input_left;
    if (n) memcpy(out, input, n);
    input += n;
    input_left -= n;
    return n;
}

static size_t amount(void)
{
    size_t n = byte();
    return n < 200 ? n : (n - 199) * 61;
}

/* ------------------------------------------------------------ the server's side */

static void act(struct eio_session *session);

/* Any session that is open, or NULL. */
static struct eio_session *pick_session(void)
{
    if (record_count == 0) return NULL;
    size_t from = byte();
    for (size_t i = 0; i < record_count; i++)
        if (records[(from + i) % record_count].session) return records[(from + i) % record_count].session;
    return NULL;
}

static struct eio_frame *frame_of(enum eio_kind kind, char first, size_t size)
{
    uint8_t *message;
    struct eio_frame *frame = eio_frame_new(kind, size ? size : 1, &message);
    BASE_CHECK(frame);
    memset(message, 'x', size);
    message[0] = (uint8_t)first;
    return frame;
}

/* A packet with attachments: "G<n>" and n binary messages "A". */
static struct eio_batch *group(int attachments)
{
    struct eio_batch *batch = eio_batch_new();
    BASE_CHECK(batch);
    for (int i = 0; i <= attachments; i++) {
        uint8_t *message;
        struct eio_frame *frame = i == 0 ? eio_frame_new(EIO_TEXT, 2, &message) : frame_of(EIO_BINARY, 'A', amount());
        if (i == 0) {
            message[0] = 'G';
            message[1] = (uint8_t)('0' + attachments);
        }
        if (i < attachments) eio_frame_set_more(frame);
        BASE_CHECK(eio_batch_add(batch, frame) == 0);
        eio_frame_unref(frame);
    }
    return batch;
}

static void send_group(struct eio_session *session, bool one_by_one)
{
    struct eio_batch *batch = group(byte() % 4);
    if (one_by_one) {
        int result = 0;
        for (size_t i = 0; i < eio_batch_count(batch); i++) {
            int next = eio_session_send(session, eio_batch_frame(batch, i));
            BASE_CHECK(i == 0 || result != 0 || next == 0 || !eio_session_is_open(session));
            result = next;
        }
    } else {
        struct eio_session *other = pick_session();
        eio_session_send_batch(session, batch);
        if (other) eio_session_send_batch(other, batch);
    }
    eio_batch_free(batch);
}

static void reserve(struct eio_session *session)
{
    enum eio_kind kind = byte() & 1 ? EIO_BINARY : EIO_TEXT;
    size_t size = 1 + amount();
    uint8_t *out = eio_session_reserve(session, kind, size);
    if (!out) return;
    memset(out, 'y', size);
    out[0] = 'P';
}

static void send_plain(struct eio_session *session)
{
    struct eio_frame *frame = frame_of(byte() & 1 ? EIO_BINARY : EIO_TEXT, 'P', amount());
    if (!eio_session_is_writable(session)) eio_session_count_drop(session);
    eio_session_send(session, frame);
    eio_frame_unref(frame);
}

static void close_one(struct eio_session *session, void *ctx)
{
    (void)ctx;
    if (byte() & 1) eio_session_close(session, EIO_CLOSE_FORCED, NULL);
}

static void act(struct eio_session *session)
{
    switch (byte() % 16) {
    case 1:
    case 2:
        send_plain(session);
        break;
    case 3:
    case 4:
        reserve(session);
        break;
    case 5:
        send_group(session, true);
        break;
    case 6:
        send_group(session, false);
        break;
    case 7:
        eio_session_close(session, EIO_CLOSE_FORCED, "closed by the fuzzer");
        break;
    case 8:
        eio_session_abort(session, EIO_CLOSE_TRANSPORT_ERROR, "aborted by the fuzzer");
        break;
    case 9:
        hook_actions++;
        break;
    case 10: {
        struct eio_session *other = pick_session();
        if (other) act(other);
        break;
    }
    case 11:
        if (byte() > 200) eio_server_close_all(server, EIO_CLOSE_SHUTTING_DOWN);
        break;
    case 12:
        if (byte() > 100) eio_server_each(server, close_one, NULL);
        break;
    case 13: {
        char text[256];
        BASE_CHECK(eio_session_describe(session, text, sizeof text) > 0);
        break;
    }
    default:
        break;
    }
}

static void on_hook(void *ctx)
{
    (void)ctx;
    for (int n = hook_actions; n > 0; n--) {
        struct eio_session *session = pick_session();
        if (session) act(session);
        hook_actions--;
    }
}

static void on_open(struct eio_session *session, void *ctx)
{
    (void)ctx;
    BASE_CHECK(record_count < RECORDS && !eio_session_data(session));
    struct record *record = &records[record_count++];
    *record = (struct record){session, 1, 0};
    eio_session_set_data(session, record);
    act(session);
}

static void on_message(struct eio_session *session, const struct eio_message *message, void *ctx)
{
    (void)ctx;
    struct record *record = eio_session_data(session);
    BASE_CHECK(record && record->opened == 1 && record->closed == 0);
    BASE_CHECK(message->kind == EIO_BINARY || base_utf8_valid(message->bytes, message->size));
    act(session);
}

static void on_close(struct eio_session *session, enum eio_close_reason reason, const char *detail, void *ctx)
{
    (void)ctx;
    struct record *record = eio_session_data(session);
    BASE_CHECK(record && record->opened == 1 && record->closed == 0 && detail && reason <= EIO_CLOSE_POLICY);
    BASE_CHECK(!eio_session_is_open(session) && !eio_session_is_writable(session));
    record->closed++;
    record->session = NULL;
    act(session);
}

/* ------------------------------------------------------------ what peers receive */

/* Looks at the answer of a GET and forgets it. */
static void take_answer(struct peer *peer)
{
    struct eio__test_reply *get = peer->get;
    if (!get || !get->answered) return;
    peer->get = NULL;
    if (get->status == 200) received_payload(&peer->received, get);
    free(get->body);
    free(get);
}

/* ------------------------------------------------------------ the peers' side */

/* A small send buffer, so that it is full soon; and what the handshake may have negotiated. */
static void prepare(struct peer *peer, struct eio_session *session)
{
    int size = SEND_BUFFER;
    struct eio__transport *transport = !session             ? NULL
                                       : session->candidate ? session->candidate->transport
                                                            : session->transport;
    if (!transport || transport->fd < 0) return;
    setsockopt(transport->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    peer->received.deflate = server->options.per_message_deflate && byte() % 4;
    eio__ws_set_deflate(eio__ws_of(transport), !peer->received.deflate ? 0 : byte() & 1 ? 15 : 9);
}

static void peer_clear(struct peer *peer)
{
    if (peer->fd >= 0) close(peer->fd);
    take_answer(peer);
    if (peer->get) {
        BASE_CHECK(peer->get->request);
        eio__test_abort(peer->get);
        free(peer->get);
    }
    free(peer->pending);
    free(peer->received.bytes);
    *peer = (struct peer){.fd = -1};
}

static void open_websocket(struct peer *peer)
{
    static const int protocols[] = {4, 4, 3, 0};
    if (record_count == RECORDS || server->leaving) return;
    peer_clear(peer);
    int protocol = protocols[byte() % 4];
    struct eio_session *session;
    if (protocol == 0) {
        int pair[2];
        BASE_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
        struct eio_http_head *head = calloc(1, sizeof *head);
        BASE_CHECK(head);
        head->text = head->address = "";
        session = eio__ws_open_on(server, &(struct eio__opening){0}, (struct eio__wire){pair[0], NULL}, head, false);
        peer->fd = pair[1];
    } else {
        session = eio__test_websocket_of(server, protocol, &peer->fd);
    }
    BASE_CHECK(session);
    peer->received.protocol = protocol;
    prepare(peer, session);
}

/* The id in an open packet, whatever it is dressed in. */
static void read_sid(struct peer *peer, const char *body)
{
    const char *sid = strstr(body, "sid");
    BASE_CHECK(sid);
    sid += 3 + strspn(sid + 3, "\\\":");
    memcpy(peer->sid, sid, 20);
}

static const char *target(const struct peer *peer, const char *transport)
{
    static char text[128];
    const struct received *received = &peer->received;
    snprintf(text, sizeof text, "/engine.io/?EIO=%d&transport=%s%s%s%s%s", received->protocol, transport,
             received->base64 ? "&b64=1" : "", received->jsonp ? "&j=0" : "", peer->sid[0] ? "&sid=" : "", peer->sid);
    return text;
}

static void open_polling(struct peer *peer)
{
    if (record_count == RECORDS) return;
    peer_clear(peer);
    uint8_t form = byte();
    peer->received.protocol = form & 1 ? 3 : 4;
    peer->received.jsonp = form & 2;
    peer->received.base64 = (form & 5) == 5;
    struct eio__test_reply reply;
    eio__test_request(server, EIO_HTTP_GET, target(peer, "polling"), NULL, &reply);
    BASE_CHECK(reply.answered && (reply.status == 200 || server->leaving));
    if (reply.status == 200) read_sid(peer, reply.body);
    if (reply.status == 200) received_payload(&peer->received, &reply);
    free(reply.body);
}

static void upgrade(struct peer *peer)
{
    int fd;
    if (!peer->sid[0] || eio__test_upgrade(server, target(peer, "websocket"), &fd) != 0) return;
    if (peer->fd >= 0) close(peer->fd);
    peer->fd = fd;
    peer->received.close_seen = false;
    peer->pending_size = peer->received.size = 0;
    prepare(peer, eio_server_find(server, peer->sid, 20));
}

static void poll_get(struct peer *peer)
{
    take_answer(peer);
    if (!peer->sid[0]) return;
    struct eio__test_reply *get = calloc(1, sizeof *get);
    BASE_CHECK(get);
    eio__test_request(server, EIO_HTTP_GET, target(peer, "polling"), NULL, get);
    if (!peer->get) {
        peer->get = get;
        return;
    }
    BASE_CHECK(get->answered && get->status >= 400); /* a second GET beside the first */
    free(get->body);
    free(get);
}

/* As the protocol wants it: with a length, in the binary form, in a form field. Some say that it is what it is not. */
static void post_dressed(struct peer *peer, const char *text, int how)
{
    static const char digits[] = "0123456789abcdef";
    char packets[256], form[3 * sizeof packets];
    const struct received *received = &peer->received;
    bool binary = received->protocol == 3 && how % 4 == 1;
    size_t n = strlen(text), size = n, at;
    if (binary)
        size = (size_t)sprintf(packets, "%c%c%c%c%s", how & 8, (int)((n + 1) / 10), (int)((n + 1) % 10), 0xff, text);
    else if (received->protocol == 3 && how != 15)
        size = (size_t)sprintf(packets, "%zu:%s%s", eio__utf16_size((const uint8_t *)text, n), text,
                               how & 8 ? "2:4x1:2" : "");
    else
        memcpy(packets, text, n);
    if (binary) size = 4 + n;
    if (binary) memcpy(packets + 4, text, n);
    at = (size_t)sprintf(form, "d=");
    for (size_t i = 0; i < size; i++) {
        form[at++] = '%';
        form[at++] = digits[(uint8_t)packets[i] >> 4];
        form[at++] = digits[packets[i] & 15];
    }
    struct eio__test_reply reply;
    bool dressed = received->jsonp && how != 14;
    eio__test_fields(binary || how == 13 ? "Content-Type: application/octet-stream\r\n" : "");
    eio__test_post(server, target(peer, "polling"), dressed ? form : packets, dressed ? at : size, &reply);
    eio__test_fields("");
    BASE_CHECK(reply.answered);
    free(reply.body);
}

static void post(struct peer *peer)
{
    static const char *const bodies[] = {"4hello",
                                         "3",
                                         "4a\x1e"
                                         "4b\x1e"
                                         "3",
                                         "bQUJD",
                                         "1",
                                         "2",
                                         "4a\x1e",
                                         "\x1e",
                                         "9",
                                         "b***",
                                         "",
                                         "6",
                                         "5",
                                         "4\xff",
                                         "4"};
    if (!peer->sid[0]) return;
    char random[64];
    const char *body = random;
    uint8_t which = byte();
    if (which % 16 < 15) {
        body = bodies[which % 16];
    } else {
        random[take(random, byte() % sizeof random)] = '\0';
    }
    post_dressed(peer, body, which >> 4);
}

static void add_pending(struct peer *peer, const uint8_t *p, size_t n)
{
    if (!peer->pending) peer->pending = malloc(PENDING_MAX);
    BASE_CHECK(peer->pending);
    if (n > PENDING_MAX - peer->pending_size) return;
    memcpy(peer->pending + peer->pending_size, p, n);
    peer->pending_size += n;
}

/* A frame that makes sense, most of the time. */
static void add_frame(struct peer *peer)
{
    static const char *const texts[] = {"4hello", "3", "2probe", "5", "1", "4", "bQUJD", "2", "", "x"};
    static const uint8_t firsts[] = {0x81, 0x81, 0x81, 0x82, 0x01, 0x80, 0x00, 0x89, 0x8a, 0x88, 0x02, 0xc1, 0xc2};
    uint8_t wire[2048], payload[1900];
    uint8_t first = firsts[byte() % sizeof firsts];
    size_t n;
    if (first == 0x81 || first == 0x01) {
        const char *text = texts[byte() % 10];
        n = strlen(text);
        memcpy(payload, text, n);
    } else {
        n = first >= 0x88 && first <= 0x8a ? byte() % 126 : amount() % sizeof payload;
        memset(payload, 'z', n);
        if (first == 0x88 && n >= 2) memcpy(payload, "\x03\xe8", 2);
        if ((first & 0x0f) == 2 && n > 0 && peer->received.protocol == 3) payload[0] = 4;
        uint8_t *deflated;
        if (n > 0 && first >= 0xc1) payload[0] = '4';
        if (first >= 0xc1 && deflate_whole(payload, n, 15, 1, &deflated, &n)) {
            memcpy(payload, deflated, n);
            free(deflated);
        }
    }
    size_t at = 0;
    wire[at++] = first;
    if (n < 126) {
        wire[at++] = (uint8_t)(0x80 | n);
    } else {
        wire[at++] = 0xfe;
        wire[at++] = (uint8_t)(n >> 8);
        wire[at++] = (uint8_t)n;
    }
    memset(wire + at, 0, 4); /* a mask of zeros */
    at += 4;
    memcpy(wire + at, payload, n);
    add_pending(peer, wire, at + n);
}

static void add_garbage(struct peer *peer)
{
    uint8_t bytes[64];
    add_pending(peer, bytes, take(bytes, byte() % sizeof bytes));
}

static void peer_write(struct peer *peer, size_t n)
{
    if (peer->fd < 0 || peer->pending_size == 0) return;
    if (n > peer->pending_size) n = peer->pending_size;
    ssize_t sent = send(peer->fd, peer->pending, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent <= 0) return;
    peer->pending_size -= (size_t)sent;
    memmove(peer->pending, peer->pending + sent, peer->pending_size);
}

static void peer_read(struct peer *peer, size_t n)
{
    struct received *received = &peer->received;
    take_answer(peer);
    if (peer->fd < 0) return;
    if (!received->bytes) received->bytes = malloc(RECEIVED_MAX);
    BASE_CHECK(received->bytes);
    if (n > RECEIVED_MAX - received->size) n = RECEIVED_MAX - received->size;
    ssize_t got = recv(peer->fd, received->bytes + received->size, n, MSG_DONTWAIT);
    if (got <= 0) return;
    received->size += (size_t)got;
    received_frames(received);
}

/* ------------------------------------------------------------ the conversation */

static void sum_queued(struct eio_session *session, void *ctx)
{
    *(size_t *)ctx += eio_session_queued_bytes(session);
}

static void check_counters(void)
{
    struct eio_server_stats stats;
    eio_server_get_stats(server, &stats);
    size_t queued = 0, open = 0;
    eio_server_each(server, sum_queued, &queued);
    for (size_t i = 0; i < record_count; i++) open += records[i].session != NULL;
    BASE_CHECK(stats.queued_bytes >= queued); /* sessions that linger count too */
    BASE_CHECK(stats.sessions == open);
    uint64_t closed = 0;
    for (size_t i = 0; i <= EIO_CLOSE_POLICY; i++) closed += stats.closed[i];
    BASE_CHECK(stats.opened == record_count && closed == record_count - open);
}

static void step_peer(struct peer *peer, uint8_t what)
{
    switch (what) {
    case 0:
        open_websocket(peer);
        break;
    case 1:
        open_polling(peer);
        break;
    case 2:
        upgrade(peer);
        break;
    case 3:
    case 4:
        poll_get(peer);
        break;
    case 5:
    case 6:
        post(peer);
        break;
    case 7:
        if (peer->get && !peer->get->answered) eio__test_abort(peer->get), free(peer->get), peer->get = NULL;
        break;
    case 8:
    case 9:
    case 10:
    case 11:
        add_frame(peer);
        peer_write(peer, SIZE_MAX);
        break;
    case 12:
        add_frame(peer);
        break;
    case 13:
        add_garbage(peer);
        break;
    case 14:
        peer_write(peer, byte());
        break;
    case 15:
        peer_read(peer, amount());
        break;
    case 16:
        peer_read(peer, SIZE_MAX);
        break;
    case 17:
        if (peer->fd >= 0) shutdown(peer->fd, byte() & 1 ? SHUT_WR : SHUT_RD);
        break;
    default:
        peer_clear(peer);
        break;
    }
}

/* Returns false when the conversation is over. */
static bool step(void)
{
    uint8_t what = byte() % 32;
    struct eio_session *session;
    switch (what) {
    case 19:
    case 20:
    case 21:
    case 22:
        session = pick_session();
        if (session) act(session);
        break;
    case 23:
        hook_actions++;
        break;
    case 24:
        eio_loop_advance(loop, amount());
        break;
    case 25:
        eio_loop_advance(loop, (uint64_t)amount() * 10);
        break;
    case 26:
        if (byte() > 200) return false;
        break;
    case 27:
        loop->now_ms += (uint64_t)amount() * 10;
        break; /* the process stood still */
    default:
        if (what < 19)
            step_peer(&peers[byte() % PEERS], what);
        else
            eio_loop_turn(loop, 0);
    }
    return input_left > 0;
}

static void start(void)
{
    memset(peers, 0, sizeof peers);
    for (int i = 0; i < PEERS; i++) peers[i].fd = -1;
    record_count = 0;
    hook_actions = 0;
    loop = eio_loop_new_with_fake_clock();
    BASE_CHECK(loop);
    struct eio_options options;
    eio_options_init(&options);
    uint8_t flags = byte();
    options.queue_policy = flags & 1 ? EIO_QUEUE_DROP_OLDEST : EIO_QUEUE_CLOSE;
    options.high_water_bytes = flags & 2 ? 1000 : 4000;
    options.max_queue_bytes = flags & 4 ? 2000 : 9000;
    options.max_payload_bytes = 1500;
    options.max_fragments = 6;
    options.ping_interval_ms = flags & 8 ? 300 : 25000;
    options.ping_timeout_ms = flags & 16 ? 200 : 20000;
    options.upgrade_timeout_ms = 500;
    options.close_timeout_ms = flags & 32 ? 400 : 30000;
    options.per_message_deflate = flags & 64;
    options.deflate_threshold_bytes = 30;
    options.allow_eio3 = true;
    struct eio_handlers handlers = {on_open, on_message, on_close};
    server = eio_server_new(loop, &options, &handlers, NULL);
    BASE_CHECK(server && eio_loop_add_flush_hook(loop, on_hook, NULL) == 0);
}

/* All peers go away, time passes: everything must be back at 0. */
static void wind_down(void)
{
    eio_server_close_all(server, EIO_CLOSE_SHUTTING_DOWN);
    for (int i = 0; i < PEERS; i++) peer_read(&peers[i], SIZE_MAX);
    for (int i = 0; i < PEERS; i++) peer_clear(&peers[i]);
    eio_loop_advance(loop, 120000);
    struct eio_server_stats stats;
    eio_server_get_stats(server, &stats);
    BASE_CHECK(stats.sessions == 0 && stats.queued_bytes == 0 && stats.polling_sessions == 0);
    BASE_CHECK(server->linger.head.next == &server->linger.head && server->noop.head.next == &server->noop.head);
    check_counters();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input = data;
    input_left = size;
    start();
    bool graceful = byte() & 1;
    for (int i = 0; i < STEPS_MAX && step(); i++) check_counters();
    input_left = 0;
    if (graceful) wind_down();
    eio_server_free(server);
    for (size_t i = 0; i < record_count; i++) BASE_CHECK(records[i].opened == 1 && records[i].closed == 1);
    for (int i = 0; i < PEERS; i++) {
        take_answer(&peers[i]);
        BASE_CHECK(!peers[i].get); /* every parked poll was answered */
        peer_read(&peers[i], SIZE_MAX);
        peer_clear(&peers[i]);
    }
    eio_loop_free(loop);
    return 0;
}
