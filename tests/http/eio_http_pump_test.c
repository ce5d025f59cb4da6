/* TLS connections for the sessions of other nodes: the TLS stays, the bytes are pumped to the owner. */
#include "http_nodes.h"

#include "http_peer.h"
#include "test.h"

static struct nodes nodes;
static struct peer peer;
static char sid[21], other_sid[21];

static void settle(int turns)
{
    for (int i = 0; i < turns; i++) eio_loop_turn(nodes.loop, 1);
}

/* ---------------------------------------------------------------- requests */

static void forget(struct peer *one)
{
    one->size = 0;
    one->text[0] = '\0';
}

static bool answered(struct peer *one, struct answer *answer)
{
    const char *end = strstr(one->text, "\r\n\r\n"), *length = strstr(one->text, "Content-Length: ");
    if (!end || !length || sscanf(one->text, "HTTP/1.1 %d", &answer->status) != 1) return false;
    answer->body = end + 4;
    return one->size - (size_t)(answer->body - one->text) >= (size_t)atoi(length + 16);
}

static void ask_only(const char *session, const char *body)
{
    char head[512];
    forget(&peer);
    snprintf(head, sizeof head, "%s /engine.io/?EIO=4&transport=polling%s%s HTTP/1.1\r\nHost: h\r\n",
             body ? "POST" : "GET", session ? "&sid=" : "", session ? session : "");
    peer_say(&peer, head);
    if (body) {
        snprintf(head, sizeof head, "Content-Length: %zu\r\n", strlen(body));
        peer_say(&peer, head);
    }
    peer_say(&peer, "\r\n");
    if (body) peer_say(&peer, body);
}

static struct answer ask(const char *session, const char *body)
{
    struct answer answer = {0};
    ask_only(session, body);
    UNTIL(&peer, answered(&peer, &answer));
    return answer;
}

static void echo(const char *session, const char *packet)
{
    struct answer answer = ask(session, packet);
    assert_int_equal(answer.status, 200);
    answer = ask(session, NULL);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, packet);
}

static void open_at(unsigned i)
{
    peer_open(&peer, nodes.loop, eio_http_port(nodes.node[i].http));
}

static void handshake(unsigned i, char id[21])
{
    open_at(i);
    struct answer answer = ask(NULL, NULL);
    assert_memory_equal(answer.body, "0{\"sid\":\"", 9);
    memcpy(id, answer.body + 9, 20);
    id[20] = '\0';
    peer_close(&peer);
}

static void init(size_t count)
{
    nodes_init(&nodes, count);
    nodes.http.tls_cert_file = cert_file;
    nodes.http.tls_key_file = key_file;
}

static void start(size_t count)
{
    init(count);
    nodes_start(&nodes);
}

static void stop(void)
{
    peer_close(&peer);
    nodes_stop(&nodes);
}

/* ------------------------------------------------------------ conversations */

TEST(pump, carries_polls_and_posts_and_their_being_secure)
{
    start(2);
    handshake(0, sid);
    open_at(1);
    echo(sid, "4hello");
    echo(sid, "4again");
    assert_int_equal(nodes.node[0].messages, 2);
    assert_true(nodes.node[0].secure);
    assert_int_equal(node_stats(&nodes.node[1]).pumps, 1);
    assert_int_equal(node_stats(&nodes.node[1]).connections, 0);
    assert_int_equal(node_stats(&nodes.node[0]).connections, 1);
    peer_close(&peer);
    settle(20);
    assert_int_equal(node_stats(&nodes.node[1]).pumps, 0);
    assert_int_equal(node_stats(&nodes.node[0]).connections, 0);
    nodes_stop(&nodes);
}

TEST(pump, carries_a_connection_on_to_a_third_and_home_again)
{
    char home_sid[21];
    start(3);
    handshake(0, home_sid);
    handshake(1, sid);
    handshake(2, other_sid);
    open_at(0);
    for (int i = 0; i < 3; i++) {
        echo(sid, "4one");
        echo(other_sid, "4two");
        echo(home_sid, "4home");
    }
    assert_int_equal(node_stats(&nodes.node[0]).pumps, 1);
    assert_int_equal(nodes.node[0].messages, 3);
    stop();
}

TEST(pump, carries_an_upgrade_and_frames_both_ways)
{
    start(2);
    handshake(0, sid);
    open_at(1);
    char head[512];
    snprintf(head, sizeof head,
             "GET /engine.io/?EIO=4&transport=websocket&sid=%s HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"
             "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
             sid);
    peer_say(&peer, head);
    peer_send(&peer,
              "\x81\x86\0\0\0\0"
              "2probe",
              12);
    UNTIL(&peer, peer_has(&peer, "HTTP/1.1 101"));
    UNTIL(&peer, memmem(peer.text, peer.size, "3probe", 6));
    peer_send(&peer,
              "\x81\x81\0\0\0\0"
              "5",
              7);
    for (int i = 0; i < 100; i++) {
        char frame[32];
        memcpy(frame, "\x81\x85\0\0\0\0", 6);
        snprintf(frame + 6, sizeof frame - 6, "4m%03d", i);
        peer_send(&peer, frame, 11);
    }
    UNTIL(&peer, memmem(peer.text, peer.size, "4m099", 5));
    assert_int_equal(nodes.node[0].messages, 100);
    peer_close(&peer);
    settle(20);
    assert_int_equal(nodes.node[0].closed, 1);
    assert_int_equal(node_stats(&nodes.node[1]).pumps, 0);
    nodes_stop(&nodes);
}

TEST(pump, carries_large_bodies_both_ways)
{
    static char body[900001];
    start(2);
    handshake(0, sid);
    open_at(1);
    memset(body, 'x', sizeof body - 1);
    body[0] = '4';
    echo(sid, body);
    stop();
}

TEST(pump, stays_away_where_the_offer_is_declined)
{
    start(2);
    handshake(0, sid);
    open_at(1);
    nodes.node[1].decline = true;
    struct answer answer = ask(sid, NULL);
    assert_int_equal(answer.status, 400);
    assert_string_equal(answer.body, UNKNOWN_SESSION);
    assert_int_equal(node_stats(&nodes.node[1]).pumps, 0);
    nodes.node[1].decline = false;
    echo(sid, "4x");
    stop();
}

TEST(pump, answers_itself_when_the_owner_went)
{
    start(2);
    handshake(0, sid);
    node_stop(&nodes, 0);
    open_at(1);
    struct answer answer = ask(sid, NULL);
    assert_int_equal(answer.status, 400);
    answer = ask(NULL, NULL);
    assert_int_equal(answer.status, 200);
    stop();
}

/* --------------------------------------------------- with the other end in hand */

/* The owner is this test. */
static int take_by_hand(void)
{
    start(2);
    handshake(0, sid);
    nodes.node[1].by_hand = true;
    open_at(1);
    ask_only(sid, NULL);
    struct node *node = &nodes.node[1];
    UNTIL(&peer, node->taken.fd >= 0);
    assert_true(node->taken.secure);
    assert_string_equal(node->taken.address, "127.0.0.1");
    assert_memory_equal(node->taken.bytes, "GET /engine.io/", 15);
    assert_int_equal(node_stats(node).pumps, 1);
    return node->taken.fd;
}

static bool hand_has_ended(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

static void give_back(int fd)
{
    nodes.node[1].taken.fd = -1;
    close(fd);
}

/* Turns of the loop in which nothing more is taken: then nobody reads on. Not a time, in which a busy machine may take
 * none. */
enum { QUIET_TURNS = 20000 };

TEST(pump, stops_reading_the_client_when_the_owner_does_not_read)
{
    enum { SIZE = 32 << 20 };
    int fd = take_by_hand();
    char *block = calloc(1, 1 << 16), *seen = malloc(1 << 16);
    size_t sent = 0, got = 0;
    for (int turns = 0; sent < SIZE && turns < QUIET_TURNS; turns++) {
        for (size_t i = 0; i < 1 << 16; i += 8) memcpy(block + i, &(uint64_t){sent + i}, 8);
        int n = SSL_write(peer.ssl, block, 8192);
        if (n > 0) turns = 0;
        if (n > 0) assert_int_equal(n, 8192);
        if (n > 0) sent += (size_t)n;
        eio_loop_turn(nodes.loop, 0);
    }
    assert_true(sent < SIZE); /* it does not go on for ever */
    while (got < sent) {
        ssize_t n = recv(fd, seen, 1 << 16, 0);
        for (ssize_t i = 0; i < n; i++) {
            uint64_t at = (got + (size_t)i) / 8 * 8;
            assert_int_equal(seen[i], ((char *)&at)[(got + (size_t)i) % 8]);
        }
        if (n > 0) got += (size_t)n;
        eio_loop_turn(nodes.loop, 0);
    }
    free(block);
    free(seen);
    stop();
}

TEST(pump, stops_reading_the_owner_when_the_client_does_not_read)
{
    enum { SIZE = 32 << 20 };
    int fd = take_by_hand();
    char *block = calloc(1, 1 << 16);
    size_t sent = 0;
    for (int turns = 0; sent < SIZE && turns < QUIET_TURNS; turns++) {
        for (size_t i = 0; i < 1 << 16; i += 8) memcpy(block + i, &(uint64_t){sent + i}, 8);
        ssize_t n = send(fd, block, 1 << 13, MSG_NOSIGNAL);
        if (n > 0) turns = 0;
        if (n > 0) sent += (size_t)n / 8 * 8;
        eio_loop_turn(nodes.loop, 0);
    }
    assert_true(sent < SIZE);
    /* A slow reader gets everything, however long it takes, though the owner has long gone, and with what the reader
     * said to it unread. */
    assert_int_equal(SSL_write(peer.ssl, "unread", 6), 6);
    settle(20);
    give_back(fd);
    assert_int_equal(SSL_write(peer.ssl, "more", 4), 4);
    settle(20);
    size_t got = 0;
    for (int step = 0; got < sent && !peer.failed && !peer.ended; step++) {
        forget(&peer);
        int n = SSL_read(peer.ssl, peer.text, 1 << 15);
        if (n <= 0) peer_note(&peer, n);
        if (n > 0) got += (size_t)n;
        if (step % 100 == 0) eio_loop_advance(nodes.loop, 5000);
        eio_loop_turn(nodes.loop, 0);
    }
    assert_int_equal(got, sent);
    UNTIL(&peer, peer.ended);
    settle(20);
    free(block);
    stop();
}

TEST(pump, gives_up_a_client_that_takes_nothing_of_what_the_owner_left)
{
    int fd = take_by_hand();
    char *block = calloc(1, 1 << 16);
    for (int turns = 0; turns < QUIET_TURNS; turns++) {
        if (send(fd, block, 1 << 16, MSG_NOSIGNAL) > 0) turns = 0;
        eio_loop_turn(nodes.loop, 0);
    }
    give_back(fd);
    settle(20);
    eio_loop_advance(nodes.loop, nodes.http.idle_timeout_ms - 1000);
    assert_int_equal(node_stats(&nodes.node[1]).pumps, 1);
    eio_loop_advance(nodes.loop, nodes.http.idle_timeout_ms + 2000);
    assert_int_equal(node_stats(&nodes.node[1]).pumps, 0);
    assert_int_equal(node_stats(&nodes.node[1]).limit_hits[EIO_LIMIT_DRAIN_TIMEOUT], 1);
    free(block);
    stop();
}

TEST(pump, leaves_a_client_that_takes_nothing_to_an_owner_that_is_there)
{
    int fd = take_by_hand();
    char *block = calloc(1, 1 << 16);
    for (int turns = 0; turns < QUIET_TURNS; turns++) {
        if (send(fd, block, 1 << 16, MSG_NOSIGNAL) > 0) turns = 0;
        eio_loop_turn(nodes.loop, 0);
    }
    eio_loop_advance(nodes.loop, 10ull * nodes.http.idle_timeout_ms);
    assert_int_equal(node_stats(&nodes.node[1]).pumps, 1);
    free(block);
    stop();
}

TEST(pump, passes_the_clients_end_on_and_then_the_owners_answer)
{
    int fd = take_by_hand();
    peer_say(&peer, "the last words");
    SSL_shutdown(peer.ssl);
    shutdown(peer.tcp.fd, SHUT_WR);
    settle(20);
    char text[64] = "";
    assert_int_equal(recv(fd, text, sizeof text - 1, 0), 14);
    assert_string_equal(text, "the last words");
    assert_true(hand_has_ended(fd));
    assert_int_equal(node_stats(&nodes.node[1]).pumps, 1);
    assert_int_equal(send(fd, "goodbye", 7, MSG_NOSIGNAL), 7);
    give_back(fd);
    UNTIL(&peer, peer_has(&peer, "goodbye"));
    settle(20);
    assert_int_equal(node_stats(&nodes.node[1]).pumps, 0);
    stop();
}

TEST(pump, tells_the_client_of_the_owners_end_and_waits_a_moment)
{
    int fd = take_by_hand();
    assert_int_equal(send(fd, "goodbye", 7, MSG_NOSIGNAL), 7);
    give_back(fd);
    UNTIL(&peer, peer.ended);
    assert_string_equal(peer.text, "goodbye");
    assert_int_equal(node_stats(&nodes.node[1]).pumps, 1); /* the client has not closed */
    eio_loop_advance(nodes.loop, nodes.http.linger_ms + 1);
    assert_int_equal(node_stats(&nodes.node[1]).pumps, 0);
    stop();
}

/* As with a request that is refused while its body still comes: the refusal must arrive. */
TEST(pump, delivers_an_answer_to_a_client_that_still_sends_to_an_owner_that_went)
{
    int fd = take_by_hand();
    peer_say(&peer, "unread");
    settle(20);
    assert_int_equal(send(fd, "too much", 8, MSG_NOSIGNAL), 8);
    give_back(fd); /* with bytes unread: a reset */
    for (int i = 0; i < 50 && !peer.failed; i++) peer_say(&peer, "more and more and more");
    UNTIL(&peer, peer_has(&peer, "too much"));
    assert_false(peer.failed);
    stop();
}

TEST(pump, ends_the_owners_side_when_the_client_resets)
{
    int fd = take_by_hand();
    client_reset(&peer.tcp);
    settle(20);
    assert_true(hand_has_ended(fd));
    assert_int_equal(node_stats(&nodes.node[1]).pumps, 0);
    stop();
}

TEST(pump, ends_on_bytes_that_are_no_tls)
{
    int fd = take_by_hand();
    client_send(&peer.tcp, "this is not a record");
    settle(20);
    assert_true(hand_has_ended(fd));
    assert_int_equal(node_stats(&nodes.node[1]).pumps, 0);
    stop();
}

TEST(pump, closes_with_its_server)
{
    int fd = take_by_hand();
    assert_int_equal(send(fd, "almost", 6, MSG_NOSIGNAL), 6);
    settle(20);
    nodes.node[1].taken.fd = -1;
    node_stop(&nodes, 1);
    assert_true(hand_has_ended(fd));
    close(fd);
    UNTIL(&peer, peer.ended || peer.failed);
    assert_string_equal(peer.text, "almost");
    stop();
}

/* ------------------------------------------------------------------ limits */

TEST(pump, counts_as_a_connection_of_both)
{
    init(2);
    nodes.http.max_connections_per_address = 1;
    nodes_start(&nodes);
    handshake(0, sid);
    settle(20);
    open_at(1);
    echo(sid, "4x");
    struct peer second;
    peer_open(&second, nodes.loop, eio_http_port(nodes.node[1].http));
    peer_say(&second, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    UNTIL(&second, peer_has(&second, "HTTP/1.1 429"));
    peer_close(&second);
    peer_close(&peer);
    settle(20);
    eio_loop_advance(nodes.loop, nodes.http.linger_ms + 1000);
    settle(20);
    open_at(1);
    echo(sid, "4x"); /* there is room again */
    stop();
}

TEST(pump, leaves_no_descriptor_behind)
{
    start(2);
    handshake(0, sid);
    handshake(1, other_sid);
    settle(20);
    size_t before = open_descriptors();
    for (int i = 0; i < 50; i++) {
        open_at((unsigned)i & 1);
        ask(i & 1 ? sid : other_sid, "4x");
        ask(i & 1 ? other_sid : sid, "4x");
        peer_close(&peer);
    }
    settle(20);
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(node_stats(&nodes.node[0]).pumps + node_stats(&nodes.node[1]).pumps, 0);
    nodes_stop(&nodes);
}

int main(void)
{
    return _cmocka_run_group_tests(__FILE__, test_list, test_count, make_certificates, remove_certificates);
}
