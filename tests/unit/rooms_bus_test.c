/* rooms_bus*.c: several processes' ends of the bus in one process, over real socket pairs. */
#include "cluster_local.h"
#include "rooms_bus_int.h"
#include "rooms_wire.h"

#include <sys/socket.h>
#include <unistd.h>

enum { NODES = 3, TURNS = 40 };

struct node {
    struct event_base *base;
    struct rooms_bus *bus;
    struct peer peer;
};
static struct node nodes[NODES];

static void turn(void)
{
    for (int round = 0; round < TURNS; round++)
        for (size_t i = 0; i < NODES; i++)
            if (nodes[i].base) event_base_loop(nodes[i].base, EVLOOP_NONBLOCK);
}

static void pair(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

static void connect_nodes(size_t a, size_t b)
{
    int fds[2];
    pair(fds);
    assert_int_equal(rooms_bus_add_peer(nodes[a].bus, b, fds[0]), ROOMS_OK);
    assert_int_equal(rooms_bus_add_peer(nodes[b].bus, a, fds[1]), ROOMS_OK);
}

static const struct rooms_recovery *recovery; /* of nodes that are opened */

static void open_nodes(const struct rooms_bus_options *options)
{
    now = 0;
    said[0] = '\0';
    for (size_t i = 0; i < NODES; i++) {
        struct node *node = &nodes[i];
        *node = (struct node){.base = event_base_new(), .peer = {.name = (char)('A' + i)}};
        node->bus = rooms_bus_new(node->base, options);
        assert_non_null(node->bus);
        struct rooms_local local = peer_local(&node->peer, recovery);
        node->peer.adapter = rooms_adapter_bus(node->bus, "/", &local);
        assert_non_null(node->peer.adapter);
        peers[i] = &node->peer;
    }
    for (size_t i = 0; i < NODES; i++)
        for (size_t k = i + 1; k < NODES; k++) connect_nodes(i, k);
    turn();
}

static void close_node(size_t i)
{
    if (!nodes[i].bus) return;
    nodes[i].peer.adapter->ops->free(nodes[i].peer.adapter);
    rooms_bus_free(nodes[i].bus);
    event_base_free(nodes[i].base);
    nodes[i] = (struct node){NULL};
    peers[i] = NULL;
}

static void close_nodes(void)
{
    for (size_t i = 0; i < NODES; i++) close_node(i);
}

static struct rooms_bus_stats stats_of(size_t i)
{
    struct rooms_bus_stats stats;
    rooms_bus_get_stats(nodes[i].bus, &stats);
    return stats;
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In any order: which node is first does not matter. */
static void assert_lines(const char *expected)
{
    char *lists[2] = {strdup(said), strdup(expected)};
    char sorted[2][LOG_SIZE] = {"", ""};
    for (int k = 0; k < 2; k++) {
        char *lines[200];
        size_t count = 0;
        for (char *line = strtok(lists[k], "\n"); line && count < 200; line = strtok(NULL, "\n")) lines[count++] = line;
        if (count) qsort(lines, count, sizeof *lines, compare_lines);
        for (size_t i = 0; i < count; i++) strcat(strcat(sorted[k], lines[i]), "\n");
        free(lists[k]);
    }
    said[0] = '\0';
    assert_string_equal(sorted[0], sorted[1]);
}

static void to_room(size_t i, const char *room, const char *json)
{
    struct rooms_name names[] = {{room, strlen(room)}};
    struct rooms_selector who = {names, 1, NULL, 0};
    struct rooms_message message = text_message(json);
    assert_int_equal(rooms_cluster_broadcast(adapter(i), &who, &plain, &message), ROOMS_OK);
}

static void has_room(size_t i, const char *room, bool is_there)
{
    struct rooms_name name = {room, strlen(room)};
    if (is_there)
        adapter(i)->ops->room_created(adapter(i), name);
    else
        adapter(i)->ops->room_deleted(adapter(i), name);
}

/* ----------------------------------------------------------------- messages */

TEST(bus, what_is_said_is_done_everywhere)
{
    open_nodes(NULL);
    for (size_t i = 0; i < NODES; i++) has_room(i, "r1", true);
    turn();
    struct rooms_bytes binary[] = {{(const uint8_t *)"\1\2", 2}, {(const uint8_t *)"xyz", 3}};
    struct rooms_message message = text_message("[\"e\",{\"_placeholder\":true,\"num\":0}]");
    message.attachments = binary;
    message.attachment_count = 2;
    rooms_cluster_broadcast(adapter(1), &selector, &plain, &message);
    turn();
    assert_lines("A deliver +r1 +r2 -x [\"e\",{\"_placeholder\":true,\"num\":0}] <\1\2> <xyz>\n"
                 "B deliver +r1 +r2 -x [\"e\",{\"_placeholder\":true,\"num\":0}] <\1\2> <xyz>\n"
                 "C deliver +r1 +r2 -x [\"e\",{\"_placeholder\":true,\"num\":0}] <\1\2> <xyz>\n");
    rooms_cluster_join(adapter(1), &selector, &plain, rooms, 2);
    rooms_cluster_leave(adapter(1), &selector, &plain, rooms, 1);
    rooms_cluster_disconnect(adapter(1), &selector, &plain, true);
    turn();
    assert_lines("A join +r1 +r2 -x r1 r2\nB join +r1 +r2 -x r1 r2\nC join +r1 +r2 -x r1 r2\n"
                 "A leave +r1 +r2 -x r1\nB leave +r1 +r2 -x r1\nC leave +r1 +r2 -x r1\n"
                 "A disconnect close +r1 +r2 -x\nB disconnect close +r1 +r2 -x\nC disconnect close +r1 +r2 -x\n");
    rooms_cluster_broadcast(adapter(0), &selector, &here, &message);
    turn();
    assert_lines("A deliver +r1 +r2 -x [\"e\",{\"_placeholder\":true,\"num\":0}] <\1\2> <xyz>\n");
    close_nodes();
}

TEST(bus, all_nodes_answer)
{
    open_nodes(NULL);
    fetch(0);
    turn();
    assert_lines("socket {\"A\":1}\nsocket {\"A\":2}\nsocket {\"B\":1}\nsocket {\"B\":2}\nsocket {\"C\":1}\n"
                 "socket {\"C\":2}\ndone 0\n");
    ask_event(2);
    turn();
    assert_lines("A event [\"q\"]\nB event [\"q\"]\nanswer [\"A\"]\nanswer [\"B\"]\ndone 0\n");
    peers[1]->acks = 1;
    ask_acks(0, 700);
    turn();
    ack_from(1, "[7]");
    turn();
    assert_lines("A ask 700 [\"q\"]\nB ask 700 [\"q\"]\nC ask 700 [\"q\"]\nclients 0\nclients 0\nclients 1\ncounted\n"
                 "ack [7]\n");
    rooms_cluster_server_count(adapter(0), on_count, NULL);
    assert_lines("count 0 3\n");
    close_nodes();
}

TEST(bus, what_one_turn_says_leaves_in_one_write_for_each_peer)
{
    open_nodes(NULL);
    uint64_t before = stats_of(0).writes;
    for (int i = 0; i < 100; i++) broadcast(0, "[\"a\"]");
    turn();
    assert_int_equal(stats_of(0).writes - before, NODES - 1);
    assert_int_equal(stats_of(1).received - stats_of(2).received, 0);
    close_nodes();
}

/* ------------------------------------------------------------------ filters */

TEST(bus, a_room_without_members_elsewhere_goes_nowhere)
{
    open_nodes(NULL);
    has_room(1, "lobby", true);
    turn();
    uint64_t received = stats_of(2).received, sent = stats_of(0).sent_bytes;
    to_room(0, "nobody", "[\"a\"]");
    turn();
    assert_lines("A deliver +nobody [\"a\"]\n");
    assert_int_equal(stats_of(0).filtered, 2);
    assert_int_equal(stats_of(0).sent_bytes, sent);
    assert_int_equal(stats_of(2).received, received);
    to_room(0, "lobby", "[\"b\"]");
    turn();
    assert_lines("A deliver +lobby [\"b\"]\nB deliver +lobby [\"b\"]\n");
    has_room(1, "lobby", false);
    turn();
    to_room(0, "lobby", "[\"c\"]");
    turn();
    assert_lines("A deliver +lobby [\"c\"]\n");
    close_nodes();
}

TEST(bus, a_room_that_was_told_before_a_message_is_left_gets_it)
{
    open_nodes(NULL);
    to_room(0, "late", "[\"a\"]");
    has_room(2, "late", true);
    rooms_bus_flush(nodes[2].bus); /* C says so before A's turn ends, and A has not read it */
    turn();
    assert_lines("A deliver +late [\"a\"]\nC deliver +late [\"a\"]\n");
    close_nodes();
}

TEST(bus, ids_of_sockets_and_many_rooms_go_to_all)
{
    open_nodes(NULL);
    to_room(0, "abcdefghijklmnopqrst", "[\"a\"]");
    turn();
    assert_lines("A deliver +abcdefghijklmnopqrst [\"a\"]\nB deliver +abcdefghijklmnopqrst [\"a\"]\n"
                 "C deliver +abcdefghijklmnopqrst [\"a\"]\n");
    struct rooms_name many[] = {{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}, {"e", 1}};
    struct rooms_selector who = {many, 5, NULL, 0};
    struct rooms_message message = text_message("[\"m\"]");
    rooms_cluster_broadcast(adapter(0), &who, &plain, &message);
    turn();
    assert_int_equal(stats_of(0).filtered, 0);
    close_nodes();
}

TEST(bus, a_process_that_joins_later_learns_of_all_rooms)
{
    open_nodes(NULL);
    for (int i = 0; i < 5000; i++) {
        char room[24];
        snprintf(room, sizeof room, "room %d", i);
        has_room(0, room, true);
    }
    turn();
    close_node(2);
    turn();
    nodes[2] = (struct node){.base = event_base_new(), .peer = {.name = 'C'}};
    nodes[2].bus = rooms_bus_new(nodes[2].base, NULL);
    struct rooms_local local = peer_local(&nodes[2].peer, NULL);
    nodes[2].peer.adapter = rooms_adapter_bus(nodes[2].bus, "/", &local);
    peers[2] = &nodes[2].peer;
    connect_nodes(0, 2);
    connect_nodes(1, 2);
    turn();
    to_room(2, "room 4321", "[\"a\"]");
    turn();
    assert_lines("C deliver +room 4321 [\"a\"]\nA deliver +room 4321 [\"a\"]\n");
    fetch(2);
    turn();
    assert_non_null(strstr(said, "done 0"));
    close_nodes();
}

/* ------------------------------------------------------------------- faults */

/* One end of a peer that is no bus. */
static int stranger(size_t i)
{
    int fds[2];
    pair(fds);
    assert_int_equal(rooms_bus_add_peer(nodes[i].bus, 99, fds[0]), ROOMS_OK);
    return fds[1];
}

static bool is_closed(int fd)
{
    char bytes[65536];
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) continue;
    return n == 0;
}

static void put_hello(struct rooms_packer *out, uint32_t version)
{
    size_t start = rooms__bus_begin(out, ROOMS__BUS_HELLO);
    rooms__bus_put_u32(out, version);
    rooms__bus_put_bytes(out, "stranger-1234567", ROOMS_UID_SIZE);
    rooms__bus_end(out, start);
}

TEST(bus, garbage_closes_that_connection_only)
{
    static const struct {
        const char *bytes;
        size_t size;
        bool greets;
    } garbage[] = {
        {"GET / HTTP/1.1\r\n\r\n", 18, false},   /* a size beyond the limit */
        {"\0\0\0\0", 4, false},                  /* no kind */
        {"\0\0\0\0", 4, true},                   /* likewise */
        {"\1\0\0\0\2", 5, false},                /* nothing before the greeting */
        {"\1\0\0\0\377", 5, true},               /* a kind nobody knows */
        {"\1\0\0\0\1", 5, true},                 /* a second greeting, cut */
        {"\5\0\0\0\4\1\2\3\4", 9, true},         /* a filter of four bytes */
        {"\5\0\0\0\5\377\377\377\377", 9, true}, /* a bucket that is none */
        {"\5\0\0\0\6\377\377\377\377", 9, true}, /* a message whose namespace is longer than it */
    };
    open_nodes(NULL);
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        int fd = stranger(0);
        struct rooms_packer out;
        rooms_packer_init(&out);
        if (garbage[i].greets) put_hello(&out, ROOMS__BUS_VERSION);
        rooms__put_bytes(&out, garbage[i].bytes, garbage[i].size);
        assert_int_equal(send(fd, out.bytes, out.size, 0), out.size);
        rooms_packer_clear(&out);
        turn();
        bool is_cut = garbage[i].size == 4 && !memcmp(garbage[i].bytes, "\0\0\0\0", 4);
        if (is_cut) { /* seen when there is a fifth byte */
            assert_int_equal(send(fd, "x", 1, 0), 1);
            turn();
        }
        if (!is_closed(fd)) fail_msg("garbage %zu is taken", i);
        close(fd);
        assert_int_equal(stats_of(0).garbage, i + 1);
        broadcast(0, "[\"a\"]");
        turn();
        assert_lines("A deliver [\"a\"]\nB deliver [\"a\"]\nC deliver [\"a\"]\n");
    }
    assert_int_equal(stats_of(0).peers, 2);
    close_nodes();
}

TEST(bus, another_version_is_not_spoken_with)
{
    open_nodes(NULL);
    int fd = stranger(0);
    struct rooms_packer out;
    rooms_packer_init(&out);
    put_hello(&out, ROOMS__BUS_VERSION + 1);
    send(fd, out.bytes, out.size, 0);
    rooms_packer_clear(&out);
    turn();
    assert_true(is_closed(fd));
    close(fd);
    close_nodes();
}

TEST(bus, messages_arrive_whole_whatever_the_pieces)
{
    open_nodes(NULL);
    int fd = stranger(0);
    struct rooms_packer out;
    struct rooms_message event = text_message("[\"piecewise\"]");
    struct rooms_cluster_message message = {.type = ROOMS_CLUSTER_BROADCAST, .packet = event, .who = selector};
    has_room(0, "r1", true);
    rooms_packer_init(&out);
    put_hello(&out, ROOMS__BUS_VERSION);
    message.who = (struct rooms_selector){0};
    for (int i = 0; i < 3; i++) rooms__bus_put_message(&out, (struct rooms_name){"/", 1}, 0, &message);
    for (size_t i = 0; i < out.size; i++) {
        assert_int_equal(send(fd, out.bytes + i, 1, 0), 1);
        event_base_loop(nodes[0].base, EVLOOP_NONBLOCK);
    }
    assert_lines("A deliver [\"piecewise\"]\nA deliver [\"piecewise\"]\nA deliver [\"piecewise\"]\n");
    /* Every message that is cut is refused, and nothing is read beyond it. */
    for (size_t cut = 1; cut < 40; cut++) {
        struct rooms_packer one;
        rooms_packer_init(&one);
        rooms__bus_put_message(&one, (struct rooms_name){"/", 1}, 0, &message);
        struct rooms__bus_message read;
        uint8_t *copy = malloc(one.size - cut);
        memcpy(copy, one.bytes, one.size - cut);
        struct rooms__bus_reader in = {copy + ROOMS__BUS_HEAD, copy + one.size - cut, false};
        assert_int_equal(rooms__bus_read_message(&in, &read), ROOMS_EINVAL);
        free(copy);
        rooms_packer_clear(&one);
    }
    rooms_packer_clear(&out);
    close(fd);
    close_nodes();
}

TEST(bus, a_process_that_reads_nothing_costs_the_others_nothing_and_has_a_bounded_queue)
{
    struct rooms_bus_options options;
    rooms_bus_options_init(&options);
    options.max_queue_bytes = 1 << 20;
    open_nodes(&options);
    struct event_base *stopped = nodes[1].base;
    nodes[1].base = NULL;
    char json[10003];
    memset(json, 'x', sizeof json);
    memcpy(json, "[\"", 2);
    memcpy(json + sizeof json - 3, "\"]", 3);
    for (int i = 0; i < 500; i++) {
        broadcast(0, json);
        said[0] = '\0';
        event_base_loop(nodes[0].base, EVLOOP_NONBLOCK);
        event_base_loop(nodes[2].base, EVLOOP_NONBLOCK);
    }
    turn();
    assert_true(stats_of(2).received >= 500);
    assert_true(stats_of(0).dropped > 100);
    assert_true(stats_of(0).queued_bytes <= options.max_queue_bytes);
    /* Rooms change meanwhile: more than it can be told one by one. */
    for (int i = 0; i < 3000; i++) {
        char room[24];
        snprintf(room, sizeof room, "room %d", i);
        has_room(0, room, true);
        if (i % 100 == 0) event_base_loop(nodes[0].base, EVLOOP_NONBLOCK);
    }
    turn();
    nodes[1].base = stopped;
    for (int i = 0; i < 20; i++) {
        said[0] = '\0';
        turn();
    }
    assert_int_equal(stats_of(0).queued_bytes, 0);
    assert_int_equal(stats_of(1).garbage, 0);
    said[0] = '\0';
    to_room(1, "room 2999", "[\"a\"]");
    turn();
    assert_lines("B deliver +room 2999 [\"a\"]\nA deliver +room 2999 [\"a\"]\n");
    close_nodes();
}

TEST(bus, messages_beyond_the_limit_are_dropped_and_counted)
{
    struct rooms_bus_options options;
    rooms_bus_options_init(&options);
    options.max_message_bytes = 40000; /* a filter must fit */
    open_nodes(&options);
    char json[50000];
    memset(json, 'x', sizeof json);
    memcpy(json, "[\"", 2);
    memcpy(json + sizeof json - 3, "\"]", 3);
    broadcast(0, json);
    turn();
    assert_int_equal(stats_of(0).dropped, 1);
    assert_int_equal(stats_of(1).garbage, 0);
    said[0] = '\0';
    broadcast(0, "[\"a\"]");
    turn();
    assert_lines("A deliver [\"a\"]\nB deliver [\"a\"]\nC deliver [\"a\"]\n");
    close_nodes();
}

/* A minute at most. */
#define TURN_UNTIL(condition)                                                        \
    do {                                                                             \
        uint64_t turn_end_ms = base_clock_ms() + 300000;                             \
        while (!(condition) && base_clock_ms() < turn_end_ms) {                      \
            turn();                                                                  \
            usleep(2000);                                                            \
        }                                                                            \
        if (!(condition)) fail_msg("%d: never: %s\n%s", __LINE__, #condition, said); \
    } while (0)

TEST(bus, a_silent_process_is_not_waited_for_until_it_speaks)
{
    struct rooms_bus_options options;
    rooms_bus_options_init(&options);
    options.silent_ms = 500;
    open_nodes(&options);
    struct event_base *stopped = nodes[1].base;
    nodes[1].base = NULL;
    fetch(0);
    turn();
    assert_null(strstr(said, "done"));
    TURN_UNTIL(strstr(said, "done"));
    assert_lines("socket {\"A\":1}\nsocket {\"A\":2}\nsocket {\"C\":1}\nsocket {\"C\":2}\ndone 0\n");
    assert_int_equal(stats_of(0).silent, 1);
    fetch(0);
    turn();
    assert_lines("socket {\"A\":1}\nsocket {\"A\":2}\nsocket {\"C\":1}\nsocket {\"C\":2}\ndone 0\n");
    nodes[1].base = stopped;
    TURN_UNTIL(stats_of(0).silent == 0);
    said[0] = '\0';
    fetch(0);
    turn();
    assert_lines("socket {\"A\":1}\nsocket {\"A\":2}\nsocket {\"B\":1}\nsocket {\"B\":2}\nsocket {\"C\":1}\n"
                 "socket {\"C\":2}\ndone 0\n");
    close_nodes();
}

TEST(bus, a_process_that_ends_is_not_waited_for)
{
    open_nodes(NULL);
    nodes[2].peer.answers_late = true;
    ask_event(0);
    turn();
    assert_lines("B event [\"q\"]\nC event [\"q\"]\nanswer [\"B\"]\n");
    close_node(2);
    turn();
    assert_lines("done 0\n");
    assert_int_equal(stats_of(0).peers, 1);
    rooms_cluster_server_count(adapter(0), on_count, NULL);
    assert_lines("count 0 2\n");
    close_nodes();
}

TEST(bus, a_namespace_that_only_some_have_is_asked_there)
{
    open_nodes(NULL);
    struct peer child = {.name = 'b'};
    struct rooms_local local = peer_local(&child, NULL);
    child.adapter = rooms_adapter_bus(nodes[1].bus, "/child", &local);
    struct peer other = {.name = 'a'};
    local = peer_local(&other, NULL);
    other.adapter = rooms_adapter_bus(nodes[0].bus, "/child", &local);
    turn();
    rooms_cluster_server_count(child.adapter, on_count, NULL);
    assert_lines("count 0 2\n");
    child.adapter->ops->free(child.adapter);
    turn();
    rooms_cluster_server_count(other.adapter, on_count, NULL);
    assert_lines("count 0 1\n");
    other.adapter->ops->free(other.adapter);
    close_nodes();
}

/* ----------------------------------------------------------------- recovery */

static const struct rooms_recovery limits = {60000, 1000, 1 << 20, 1000, 100};

static void open_recovering(void)
{
    recovery = &limits;
    open_nodes(NULL);
    recovery = NULL;
}

static void replay_one(void *ctx, const struct rooms_selector *who, const struct rooms_message *message)
{
    (void)ctx, (void)who;
    say(" %.*s", (int)message->json.n, (const char *)message->json.p);
}

static void on_replayed(void *ctx, int error)
{
    (void)ctx;
    say(error ? " (%d)\n" : "\n", error);
}

/* Says the session and what is replayed from it. */
static void on_restored(void *ctx, const struct rooms_session *session)
{
    struct rooms_adapter *at = ctx;
    if (!session) {
        say("no session\n");
        return;
    }
    say("session %.*s", (int)session->sid.n, session->sid.p);
    for (size_t i = 0; i < session->room_count; i++) say(" +%.*s", (int)session->rooms[i].n, session->rooms[i].p);
    say(" %.*s:", (int)session->data.n, (const char *)session->data.p);
    at->ops->replay(at, session->offset, replay_one, on_replayed, NULL);
}

static void restore(size_t i, const char *offset)
{
    said[0] = '\0';
    adapter(i)->ops->session_restore(adapter(i), (struct rooms_name){"pid", 3},
                                     (struct rooms_name){offset, strlen(offset)}, on_restored, adapter(i));
    turn();
}

static const char *offset_of(size_t i)
{
    static char out[ROOMS_OFFSET_SIZE];
    struct rooms_name name = adapter(i)->ops->last_offset(adapter(i), out);
    assert_true(name.n > 0);
    return out;
}

static void save(size_t i, const char *connected)
{
    static const struct rooms_name in[] = {{"pid's sid", 9}, {"room", 4}};
    struct rooms_session session = {.sid = in[0],
                                    .pid = {"pid", 3},
                                    .rooms = in,
                                    .room_count = 2,
                                    .data = {(const uint8_t *)"{\"a\":1}", 7},
                                    .connected_ms = local_now_ms(NULL),
                                    .offset = {connected, strlen(connected)}};
    assert_int_equal(adapter(i)->ops->session_save(adapter(i), &session), ROOMS_OK);
}

static void speak(size_t i, const char *json)
{
    struct rooms_selector everybody = {0};
    struct rooms_message message = text_message(json);
    adapter(i)->ops->broadcast(adapter(i), &everybody, &plain, &message);
}

TEST(bus_recovery, a_session_is_found_where_it_was_kept_with_all_that_was_missed)
{
    char connected[ROOMS_OFFSET_SIZE], seen[ROOMS_OFFSET_SIZE];
    open_recovering();
    speak(0, "[\"before\"]");
    turn();
    strcpy(connected, offset_of(1));
    speak(0, "[1]");
    speak(2, "[2]");
    turn();
    strcpy(seen, offset_of(1));
    save(1, connected);
    speak(0, "[3]");
    speak(1, "[4]");
    speak(2, "[5]");
    turn();
    restore(2, seen);
    assert_non_null(strstr(said, "session pid's sid +pid's sid +room {\"a\":1}:"));
    /* Its order is that of the log where it is. */
    assert_true(strstr(said, "[3]") && strstr(said, "[4]") && strstr(said, "[5]"));
    assert_true(!strstr(said, "[1]") && !strstr(said, "[2]") && !strstr(said, "before"));
    restore(2, seen);
    assert_said("no session\n");
    assert_int_equal(stats_of(1).sessions_given, 1);
    assert_int_equal(stats_of(2).sessions_taken, 1);
    close_nodes();
}

TEST(bus_recovery, logs_of_different_order_give_each_message_once)
{
    char connected[ROOMS_OFFSET_SIZE], seen[ROOMS_OFFSET_SIZE];
    open_recovering();
    strcpy(connected, offset_of(1));
    /* B hears A, then C; C has said its own first. */
    speak(2, "[\"c1\"]");
    speak(0, "[\"a1\"]");
    event_base_loop(nodes[0].base, EVLOOP_NONBLOCK);
    event_base_loop(nodes[1].base, EVLOOP_NONBLOCK);
    assert_non_null(strstr(said, "B deliver [\"a1\"]"));
    assert_null(strstr(said, "B deliver [\"c1\"]"));
    strcpy(seen, offset_of(1));
    save(1, connected);
    restore(2, seen); /* it has a1, which C may not have heard yet, and not c1, which comes first in C's log */
    assert_non_null(strstr(said, "session pid's sid +pid's sid +room {\"a\":1}: [\"c1\"]\n"));
    assert_null(strstr(said, ": [\"a1\"]"));
    /* The same again from there: what was skipped stays skipped. */
    struct rooms_name offset = {NULL, 0};
    (void)offset;
    close_nodes();
}

TEST(bus_recovery, without_an_offset_everything_since_it_connected_is_missed)
{
    char connected[ROOMS_OFFSET_SIZE];
    open_recovering();
    speak(0, "[\"before\"]");
    turn();
    strcpy(connected, offset_of(1));
    save(1, connected);
    speak(0, "[1]");
    turn();
    restore(0, "");
    assert_non_null(strstr(said, "{\"a\":1}: [1]\n"));
    close_nodes();
}

TEST(bus_recovery, what_died_with_its_process_is_a_new_session)
{
    char connected[ROOMS_OFFSET_SIZE];
    open_recovering();
    strcpy(connected, offset_of(1));
    save(1, connected);
    close_node(1);
    turn();
    restore(0, connected);
    assert_said("no session\n");
    close_nodes();
}

TEST(bus_recovery, a_process_that_was_not_there_gives_no_session_with_holes)
{
    char connected[ROOMS_OFFSET_SIZE];
    open_recovering();
    close_node(2);
    turn();
    speak(0, "[\"before\"]");
    turn();
    strcpy(connected, offset_of(1));
    save(1, connected);
    speak(0, "[\"missed\"]");
    turn();
    nodes[2] = (struct node){.base = event_base_new(), .peer = {.name = 'C'}};
    nodes[2].bus = rooms_bus_new(nodes[2].base, NULL);
    struct rooms_local local = peer_local(&nodes[2].peer, &limits);
    nodes[2].peer.adapter = rooms_adapter_bus(nodes[2].bus, "/", &local);
    peers[2] = &nodes[2].peer;
    connect_nodes(0, 2);
    connect_nodes(1, 2);
    turn();
    restore(2, connected);
    assert_said("no session\n");
    /* With nothing missed it is found. */
    strcpy(connected, offset_of(1));
    save(1, connected);
    speak(0, "[\"now\"]");
    turn();
    restore(2, connected);
    assert_non_null(strstr(said, "{\"a\":1}: [\"now\"]\n"));
    close_nodes();
}

TEST(bus_recovery, a_process_that_stands_still_is_not_waited_for)
{
    char connected[ROOMS_OFFSET_SIZE];
    open_recovering();
    strcpy(connected, offset_of(1));
    struct event_base *stopped = nodes[1].base;
    nodes[1].base = NULL;
    restore(0, connected);
    assert_said("");
    TURN_UNTIL(said[0]);
    assert_said("no session\n");
    nodes[1].base = stopped;
    turn();
    close_nodes();
}

TEST(bus_recovery, an_offset_of_any_text_is_no_session)
{
    static const char *const offsets[] = {"?",
                                          "~",
                                          "AAAAAAAA.1~",
                                          "AAAAAAAA.1~0",
                                          "AAAAAAAA.99999999999999999999",
                                          "AAAAAAAA.1~1~1~1~1~1~1~1~1~1~1~1~1~1~1"};
    open_recovering();
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        char connected[ROOMS_OFFSET_SIZE];
        strcpy(connected, offset_of(1));
        save(1, connected);
        restore(0, offsets[i]);
        assert_said("no session\n");
    }
    close_nodes();
}

/* Clients that move at random between processes that speak at random get every message once. */
TEST(bus_recovery, nobody_misses_or_hears_twice_whatever_the_order)
{
    enum { ROUNDS = 400 };
    unsigned random = 1;
    open_recovering();
    char position[ROOMS_OFFSET_SIZE];
    size_t at = 1;
    unsigned spoken = 0, recovered = 0;
    strcpy(position, offset_of(at));
    for (int round = 0; round < ROUNDS; round++) {
        char json[32];
        save(at, position);
        for (int i = 0; i < 3; i++) {
            random = random * 1103515245 + 12345;
            snprintf(json, sizeof json, "[\"m%u.\"]", spoken++);
            speak((random >> 16) % NODES, json);
            if ((random >> 20) % 3 == 0) event_base_loop(nodes[(random >> 24) % NODES].base, EVLOOP_NONBLOCK);
        }
        random = random * 1103515245 + 12345;
        size_t to = (random >> 16) % NODES;
        restore(to, "");
        assert_non_null(strstr(said, "session"));
        char *replayed = strstr(said, "{\"a\":1}:");
        char *end = strchr(replayed, '\n');
        *end = 0;
        for (unsigned k = spoken - 3; k < spoken; k++) {
            snprintf(json, sizeof json, "[\"m%u.\"]", k);
            const char *found = strstr(replayed, json);
            /* What arrived after the replay is delivered. */
            char delivered[48];
            snprintf(delivered, sizeof delivered, "%c deliver %s", (char)('A' + to), json);
            *end = '\n';
            const char *late = strstr(end, delivered);
            *end = 0;
            if (!found == !late) fail_msg("round %d: message %u %s", round, k, found ? "twice" : "never");
            if (found && strstr(found + 1, json)) fail_msg("round %d: message %u twice", round, k);
        }
        snprintf(json, sizeof json, "[\"m%u.\"]", spoken - 4);
        if (spoken > 3 && strstr(replayed, json)) fail_msg("round %d: an old message", round);
        recovered++;
        at = to;
        strcpy(position, offset_of(at));
    }
    assert_int_equal(recovered, ROUNDS);
    close_nodes();
}

TEST_MAIN
