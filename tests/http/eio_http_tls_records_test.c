/* Records of TLS on a taken connection: how many a burst takes, in which pieces they arrive, what OpenSSL sends of its
 * own accord. */
#include "http_owner.h"

#include <signal.h>
#include <sys/syscall.h>

/* Of the server: the peer's OpenSSL has its own way to the socket. */
static unsigned sends;

ssize_t send(int fd, const void *p, size_t n, int flags)
{
    sends++;
    return syscall(SYS_sendto, fd, p, n, flags, NULL, 0);
}

/* What the peer writes from now on stands in memory. */
static BIO *keep_records(struct peer *peer)
{
    BIO *memory = BIO_new(BIO_s_mem());
    SSL_set0_wbio(peer->ssl, memory);
    return memory;
}

static void put_records(struct peer *peer, const void *p, size_t n)
{
    assert_int_equal(syscall(SYS_sendto, peer->tcp.fd, p, n, MSG_NOSIGNAL, NULL, 0), n);
}

static void records_that_have_arrived_are_one_read(void **state)
{
    (void)state;
    struct server server;
    struct peer peer;
    struct owner owner;
    start(&server, NULL);
    take(&owner, &peer, &server);
    owner.reads_much = true;
    BIO *memory = keep_records(&peer);
    for (int i = 0; i < 100; i++) assert_int_equal(SSL_write(peer.ssl, "message", 7), 7);
    char *records;
    size_t size = (size_t)BIO_get_mem_data(memory, &records);
    put_records(&peer, records, size);
    UNTIL(&peer, owner.read == 700);
    assert_int_equal(owner.reads, 1);
    finish(&owner, &peer, &server);
}

static unsigned records_seen;
static void on_record(int is_write, int version, int type, const void *p, size_t n, SSL *ssl, void *ctx)
{
    (void)version;
    (void)n;
    (void)ssl;
    (void)ctx;
    if (!is_write && type == SSL3_RT_HEADER && *(const uint8_t *)p == SSL3_RT_APPLICATION_DATA) records_seen++;
}

/* The guard of what a delivery costs: a burst for one client is one record, and one system call. */
static void what_is_written_at_once_leaves_at_once(void **state)
{
    (void)state;
    struct server server;
    struct peer peer;
    struct owner owner;
    start(&server, NULL);
    take(&owner, &peer, &server);
    peer_say(&peer, "hello");
    UNTIL(&peer, owner.read == 5); /* the tickets are out */
    peer_take(&peer);
    peer.size = 0;
    SSL_set_msg_callback(peer.ssl, on_record);
    static char message[650];
    struct iovec parts[64];
    for (size_t i = 0; i < 64; i++) parts[i] = (struct iovec){message, sizeof message};
    static const struct {
        size_t count;
        unsigned records;
    } rows[] = {{1, 1}, {16, 1}, {25, 1}, {26, 2}, {64, 3}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t n = rows[i].count * sizeof message;
        sends = records_seen = 0;
        assert_int_equal(owner.io->ops->write(owner.io, parts, rows[i].count), n);
        assert_int_equal(sends, 1);
        UNTIL(&peer, peer.size == n);
        assert_int_equal(records_seen, rows[i].records);
        peer.size = 0;
    }
    finish(&owner, &peer, &server);
}

/* Whole, cut in two at every byte, and byte by byte. */
static void records_arrive_in_any_pieces(void **state)
{
    (void)state;
    struct server server;
    struct peer peer;
    struct owner owner;
    start(&server, NULL);
    take(&owner, &peer, &server);
    owner.reads_much = true;
    BIO *memory = keep_records(&peer);
    size_t size = 1;
    for (size_t cut = 0; cut <= size; cut++) {
        BIO_reset(memory);
        owner.read = owner.sum = 0;
        assert_int_equal(SSL_write(peer.ssl, "a", 1), 1);
        assert_int_equal(SSL_write(peer.ssl, "bc", 2), 2);
        assert_int_equal(SSL_write(peer.ssl, "def", 3), 3);
        char *records;
        size = (size_t)BIO_get_mem_data(memory, &records);
        put_records(&peer, records, cut);
        turn(&peer);
        for (size_t at = cut, n; at < size; at += n) {
            n = cut == 0 ? 1 : size - cut;
            put_records(&peer, records + at, n);
            turn(&peer);
        }
        UNTIL(&peer, owner.read == 6);
        uint32_t sum = 0;
        for (const char *p = "abcdef"; *p; p++) sum = sum * 31 + (uint8_t)*p;
        assert_int_equal(owner.sum, sum);
    }
    finish(&owner, &peer, &server);
}

/* Whoever read the beginning of it. */
static void what_comes_behind_the_upgrade_is_whole(void **state)
{
    (void)state;
    enum { SIZE = 100000 };
    static uint8_t body[SIZE];
    for (size_t i = 0; i < SIZE; i++) body[i] = (uint8_t)(i * 7 + i / 251);
    for (size_t size = 1; size <= SIZE; size = size * 3 + 1) {
        struct server server;
        struct peer peer;
        struct owner owner;
        start(&server, NULL);
        peer_connect(&peer, &server);
        BIO *memory = keep_records(&peer);
        SSL_write(peer.ssl, upgrade_text, sizeof upgrade_text - 1);
        for (size_t at = 0; at < size; at += 16000)
            SSL_write(peer.ssl, body + at, (int)(size - at < 16000 ? size - at : 16000));
        char *records;
        size_t records_size = (size_t)BIO_get_mem_data(memory, &records);
        put_records(&peer, records, records_size);
        UNTIL(&peer, server.taken_fd >= 0);
        owner = (struct owner){.io = server.taken_io, .read = server.taken_rest_size, .reads_much = true};
        owner.io->fn = on_io;
        owner.io->ctx = &owner;
        owner.io->ops->watch(owner.io, 0); /* what was ready before there was an owner */
        owner.io->ops->watch(owner.io, EV_READ);
        server.taken_io = NULL;
        server.taken_fd = -1;
        uint32_t sum = 0;
        for (size_t i = 0; i < size; i++) sum = sum * 31 + body[i];
        for (size_t i = 0; i < server.taken_rest_size; i++) owner.sum = owner.sum * 31 + server.taken_rest[i];
        UNTIL(&peer, owner.read == size);
        assert_int_equal(owner.sum, sum);
        finish(&owner, &peer, &server);
    }
}

static void what_was_sent_before_a_break_is_still_read(void **state)
{
    (void)state;
    struct server server;
    struct peer peer;
    struct owner owner;
    start(&server, NULL);
    take(&owner, &peer, &server);
    owner.io->ops->watch(owner.io, 0);
    peer_say(&peer, "bye");
    close(peer.tcp.fd);
    peer.tcp.fd = dup(0);
    char x[] = "x";
    struct iovec part = {x, 1};
    for (uint64_t until = client_now_ms() + WAIT_MS; owner.io->ops->write(owner.io, &part, 1) == 1;) {
        assert_true(client_now_ms() < until);
        turn(&peer);
    }
    assert_int_equal(errno, EPIPE);
    owner.io->ops->watch(owner.io, EV_READ);
    UNTIL(&peer, owner.read == 3);
    UNTIL(&peer, owner.last <= 0);
    assert_string_equal(owner.text, "bye");
    finish(&owner, &peer, &server);
}

static void keys_are_renewed_when_the_peer_asks(void **state)
{
    (void)state;
    struct server server;
    struct peer peer;
    struct owner owner;
    start(&server, NULL);
    take(&owner, &peer, &server);
    char world[] = "world";
    struct iovec part = {world, 5};
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(SSL_key_update(peer.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        peer_say(&peer, "hello");
        UNTIL(&peer, owner.read == 5 * i);
        peer.size = 0;
        assert_int_equal(owner.io->ops->write(owner.io, &part, 1), 5);
        UNTIL(&peer, peer.size == 5);
        assert_memory_equal(peer.text, "world", 5);
    }
    finish(&owner, &peer, &server);
}

/* Every request for new keys has an answer: one who asks and does not read is not read either. */
static void answers_that_nobody_reads_are_bounded(void **state)
{
    (void)state;
    struct server server;
    struct peer peer;
    struct owner owner;
    start(&server, NULL);
    take(&owner, &peer, &server);
    (void)fill(&owner); /* the kernel has no room */
    size_t before = owner.io->ops->pending(owner.io), most = 0;
    bool full = false;
    BIO *memory = keep_records(&peer);
    for (int i = 0; i < 200000 && !full; i++) {
        assert_int_equal(SSL_key_update(peer.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        SSL_write(peer.ssl, "x", 1);
        char *records;
        size_t size = (size_t)BIO_get_mem_data(memory, &records);
        if (size < 30000) continue;
        full = syscall(SYS_sendto, peer.tcp.fd, records, size, MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 0) != (ssize_t)size;
        BIO_reset(memory);
        for (int turns = 0; turns < 3; turns++) eio_loop_turn(server.loop, 0);
        most = owner.io->ops->pending(owner.io);
    }
    assert_true(full); /* it is not read any more */
    assert_true(most >= before && most < 300000);
    finish(&owner, &peer, &server);
}

static void renegotiation_is_refused(void **state)
{
    (void)state;
    struct server server;
    struct peer peer;
    struct owner owner;
    start(&server, NULL);
    peer_open(&peer, server.loop, server.port);
    SSL_set_max_proto_version(peer.ssl, TLS1_2_VERSION);
    peer_say(&peer, upgrade_text);
    UNTIL(&peer, server.taken_fd >= 0);
    owner = (struct owner){.io = server.taken_io, .last = 1};
    owner.io->fn = on_io;
    owner.io->ctx = &owner;
    server.taken_io = NULL;
    server.taken_fd = -1;
    assert_string_equal(SSL_get_version(peer.ssl), "TLSv1.2");
    peer_say(&peer, "before");
    UNTIL(&peer, owner.read == 6);
    assert_int_equal(SSL_renegotiate(peer.ssl), 1);
    SSL_do_handshake(peer.ssl);
    unsigned long error = 0;
    for (uint64_t until = client_now_ms() + WAIT_MS; !error; turn(&peer)) {
        assert_true(client_now_ms() < until);
        char byte;
        ERR_clear_error();
        if (SSL_read(peer.ssl, &byte, 1) <= 0) error = ERR_peek_error();
    }
    assert_int_equal(ERR_GET_REASON(error), SSL_R_NO_RENEGOTIATION);
    assert_int_equal(owner.read, 6);
    finish(&owner, &peer, &server);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_that_have_arrived_are_one_read),
        cmocka_unit_test(what_is_written_at_once_leaves_at_once),
        cmocka_unit_test(records_arrive_in_any_pieces),
        cmocka_unit_test(what_comes_behind_the_upgrade_is_whole),
        cmocka_unit_test(what_was_sent_before_a_break_is_still_read),
        cmocka_unit_test(keys_are_renewed_when_the_peer_asks),
        cmocka_unit_test(answers_that_nobody_reads_are_bounded),
        cmocka_unit_test(renegotiation_is_refused),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
