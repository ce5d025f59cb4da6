/* Connections that are carried to another node: readers that are slow or stall, nodes that die, fall silent, or forget.
 */
#include "tunnel_nodes.h"

#include <sys/ioctl.h>

enum { BIG = 60000, PING_S = 25 };

static struct tunnel_nodes nodes;

static struct eio_session *session_of(const char *sid)
{
    return eio_server_find(sio_server_engine(nodes.node[0].io), sid, strlen(sid));
}

static void send_big(const char *sid, int count)
{
    for (int i = 0; i < count; i++) {
        uint8_t *out = eio_session_reserve(session_of(sid), EIO_TEXT, BIG);
        assert_non_null(out);
        memset(out, 'b', BIG);
    }
}

struct reader {
    struct client *client;
    size_t matched;    /* bytes of a ping, which may come in pieces */
    unsigned silent_s; /* since the last ping, on the servers' clock */
};

/* So many bytes, and an answer to each ping among them. */
static size_t take(struct reader *reader, size_t limit)
{
    static const char ping[] = "\x81\x01\x32";
    static char bytes[1 << 16];
    ssize_t n = recv(reader->client->fd, bytes, limit < sizeof bytes ? limit : sizeof bytes, MSG_DONTWAIT);
    for (ssize_t i = 0; i < n; i++) {
        reader->matched = bytes[i] == ping[reader->matched] ? reader->matched + 1 : bytes[i] == ping[0];
        if (!ping[reader->matched]) {
            say(reader->client, "3");
            reader->matched = reader->silent_s = 0;
        }
    }
    return n > 0 ? (size_t)n : 0;
}

/* At least a byte. The clock of the servers stands still for as long as the system's sockets need. */
static size_t take_some(struct reader *reader, size_t limit)
{
    uint64_t end = client_now_ms() + CLIENT_WAIT_MS;
    size_t n;
    while ((n = take(reader, limit)) == 0 && client_now_ms() < end) turn(&nodes);
    return n;
}

/* A second, and at its end so many bytes. A ping that is due has come, and its answer has arrived, before the next. */
static void pass_second(struct reader *reader, size_t limit)
{
    int under_way = 0;
    pass(&nodes, 1000);
    reader->silent_s++;
    take(reader, limit);
    TURN_UNTIL(&nodes, reader->silent_s <= PING_S || (take(reader, limit), reader->silent_s == 0));
    TURN_UNTIL(&nodes, !ioctl(reader->client->fd, TIOCOUTQ, &under_way) && !under_way);
}

static size_t tunnels(void)
{
    return stats_of(&nodes.node[0]).tunnels + stats_of(&nodes.node[1]).tunnels;
}

static bool is_cut(struct client *client)
{
    TURN_UNTIL(&nodes, (client_take(client), client->eof || client->reset));
    return client->eof || client->reset;
}

TEST(tunnel, carries_a_websocket_for_long)
{
    struct client client;
    char sid[SID_CHARS + 1];
    tunnel_nodes_start(&nodes);
    open_carried(&client, &nodes, sid);
    struct reader reader = {.client = &client};
    for (int i = 0; i < 200; i++) {
        pass_second(&reader, 100);
    }
    assert_int_equal(tunnels(), 2);
    assert_non_null(session_of(sid));
    assert_int_equal(stats_of(&nodes.node[1]).peers_lost + stats_of(&nodes.node[0]).peers_lost, 0);
    client_close(&client);
    TURN_UNTIL(&nodes, tunnels() == 0);
    assert_int_equal(tunnels(), 0);
    tunnel_nodes_stop(&nodes);
}

TEST(tunnel, a_reader_that_stalls_is_bounded_and_let_go_and_others_are_served)
{
    struct client client, other;
    char sid[SID_CHARS + 1], sid_of_other[SID_CHARS + 1];
    tunnel_nodes_start(&nodes);
    open_carried(&client, &nodes, sid);
    open_carried(&other, &nodes, sid_of_other);
    send_big(sid, 200);
    settle(&nodes);
    settle(&nodes);
    assert_true(eio_session_queued_bytes(session_of(sid)) > 0); /* not all of it lies in between */
    struct reader reader = {.client = &other};
    for (int i = 0; i < 46; i++) {
        pass_second(&reader, 1000);
    }
    assert_null(session_of(sid));
    assert_non_null(session_of(sid_of_other));
    for (int i = 0; i < 130; i++) {
        pass_second(&reader, 1000);
    }
    assert_int_equal(tunnels(), 2); /* the other's */
    assert_non_null(session_of(sid_of_other));
    client_close(&client);
    client_close(&other);
    tunnel_nodes_stop(&nodes);
}

TEST(tunnel, a_reader_that_is_slow_and_steady_gets_everything)
{
    struct client client;
    char sid[SID_CHARS + 1];
    size_t got = 0;
    tunnel_nodes_start(&nodes);
    open_carried(&client, &nodes, sid);
    send_big(sid, 150);
    struct reader reader = {.client = &client};
    for (int s = 0; s < 200 && got < 150 * (BIG + 5); s++) {
        got += take_some(&reader, 65536);
        pass(&nodes, 1000);
        assert_non_null(session_of(sid));
    }
    assert_true(got >= 150 * (size_t)(BIG + 5));
    client_close(&client);
    tunnel_nodes_stop(&nodes);
}

TEST(tunnel, ends_when_the_owner_has_left_redis)
{
    struct client client;
    char sid[SID_CHARS + 1];
    tunnel_nodes_start(&nodes);
    open_carried(&client, &nodes, sid);
    nodes.node[0].box->is_gone = true;
    pass(&nodes, 5000);
    assert_true(is_cut(&client));
    assert_int_equal(stats_of(&nodes.node[1]).peers_lost, 1);
    assert_int_equal(stats_of(&nodes.node[1]).tunnels, 0);
    client_close(&client);
    tunnel_nodes_stop(&nodes);
}

TEST(tunnel, ends_when_a_node_falls_silent_on_either_side)
{
    for (size_t silent = 0; silent < TUNNEL_NODES; silent++) {
        struct client client;
        char sid[SID_CHARS + 1];
        tunnel_nodes_start(&nodes);
        open_carried(&client, &nodes, sid);
        pass(&nodes, 6000); /* each has heard the other's signs of life */
        nodes.node[silent].box->is_stuck = true;
        pass(&nodes, 9000);
        assert_non_null(session_of(sid));
        pass(&nodes, 6000);
        assert_true(is_cut(&client));
        assert_null(session_of(sid));
        assert_int_equal(tunnels(), 0);
        assert_int_equal(stats_of(&nodes.node[0]).peers_lost, 1);
        assert_int_equal(stats_of(&nodes.node[1]).peers_lost, 1);
        client_close(&client);
        tunnel_nodes_stop(&nodes);
    }
}

/* A version without signs of life takes part; it is not found missing for want of them. */
TEST(tunnel, does_not_end_for_want_of_signs_that_never_came)
{
    struct client client;
    char sid[SID_CHARS + 1];
    tunnel_nodes_start(&nodes);
    open_carried(&client, &nodes, sid);
    nodes.node[0].box->is_stuck = true;
    pass(&nodes, 20000);
    assert_int_equal(stats_of(&nodes.node[1]).tunnels, 1);
    client_close(&client);
    tunnel_nodes_stop(&nodes);
}

/* The second node answers by itself, and does not leave behind what the first one has accepted meanwhile. */
static void assert_nothing_is_left(struct client *client, const char *sid)
{
    assert_comes(&nodes, client, "400 Bad Request");
    settle(&nodes);
    assert_int_equal(tunnels(), 0);
    assert_non_null(session_of(sid));
    client_close(client);
    tunnel_nodes_stop(&nodes);
}

TEST(tunnel, ends_on_both_sides_when_the_acceptance_is_lost)
{
    struct client client;
    char sid[SID_CHARS + 1];
    tunnel_nodes_start(&nodes);
    open_session(&nodes, sid);
    nodes.node[1].box->is_deaf = true; /* it has not subscribed yet */
    connect_to(&client, &nodes, 1);
    ask_upgrade(&client, sid);
    TURN_UNTIL(&nodes, stats_of(&nodes.node[0]).accepted > 0);
    turn(&nodes);
    nodes.node[1].box->is_deaf = false;
    assert_int_equal(tunnels(), 2);
    assert_nothing_is_left(&client, sid);
}

TEST(tunnel, ends_on_both_sides_when_the_opener_leaves_redis_before_it_is_accepted)
{
    struct client client;
    char sid[SID_CHARS + 1];
    tunnel_nodes_start(&nodes);
    open_session(&nodes, sid);
    nodes.node[1].box->is_deaf = true;
    connect_to(&client, &nodes, 1);
    ask_upgrade(&client, sid);
    TURN_UNTIL(&nodes, stats_of(&nodes.node[0]).accepted > 0);
    nodes.node[1].box->handlers.on_down(nodes.node[1].box->ctx);
    assert_nothing_is_left(&client, sid);
}

TEST_MAIN
