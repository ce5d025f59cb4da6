/* rooms_redis_streams.c, _reader.c, _session.c: nodes on a real redis-server whose log is a stream. */
#include "redis_nodes.h"
#include "rooms_redis_streams.h"

static const struct rooms_recovery limits = {.max_disconnection_ms = 60000, .liveness_ms = 200};

/* Where the stream ends, after all that the nodes have added. */
static struct rooms__stream_id stream_end(const char *stream)
{
    static const char field[] = "last-generated-id\r\n";
    struct rooms__stream_id id = {0, 0};
    char line[64];
    snprintf(line, sizeof line, "XINFO STREAM %s", stream);
    const char *at = strstr(server_tell(&server, line), field);
    at = at ? strchr(at + sizeof field, '\n') : NULL; /* behind the length of the value */
    if (at) rooms__stream_id_read((struct rooms_name){at + 1, strcspn(at + 1, "\r")}, &id);
    return id;
}

static bool has_read(size_t i, struct rooms__stream_id end)
{
    const struct rooms__streams_adapter *self = (const struct rooms__streams_adapter *)adapter(i);
    return self->stream->is_known && self->streams->is_reading && !rooms__stream_id_after(end, self->stream->last);
}

/* Runs until each node has read all that any of them has added. */
static void read_all(void)
{
    nodes_settle();
    for (size_t i = 0; i < REDIS_NODES; i++) {
        if (!peers[i]) continue;
        struct rooms__stream_id end = stream_end(((struct rooms__streams_adapter *)adapter(i))->stream->name);
        RUN_UNTIL(&nodes[0], has_read(i, end));
    }
}

static void open_streams(size_t count, const struct rooms_recovery *recovery,
                         void (*prepare)(struct rooms_redis_options *options))
{
    nodes_open(count, rooms_adapter_redis_streams, recovery, prepare);
    read_all();
}

static void open_nodes(size_t count)
{
    open_streams(count, NULL, NULL);
}

static void open_recovering(size_t count)
{
    open_streams(count, &limits, NULL);
}

/* What was said without the offsets, which are put into `offsets`. */
static char offsets[16][ROOMS_OFFSET_SIZE];

static size_t take_offsets(void)
{
    size_t count = 0;
    for (char *at = strstr(said, " @"); at; at = strstr(at, " @")) {
        size_t n = strcspn(at + 2, "\n");
        snprintf(offsets[count++], ROOMS_OFFSET_SIZE, "%.*s", (int)n, at + 2);
        memmove(at, at + 2 + n, strlen(at + 2 + n) + 1);
    }
    return count;
}

TEST(streams, what_is_said_is_done_everywhere)
{
    open_nodes(3);
    broadcast(0, "[\"a\"]");
    WAIT_LINES("A deliver [\"a\"]", "B deliver [\"a\"]", "C deliver [\"a\"]");
    struct rooms_bytes binary = {(const uint8_t *)"\1\377", 2};
    struct rooms_message message = text_message("[\"e\",{\"_placeholder\":true,\"num\":0}]");
    message.attachments = &binary;
    message.attachment_count = 1;
    rooms_cluster_broadcast(adapter(1), &selector, &plain, &message);
    WAIT_LINES("A deliver +r1 +r2 -x [\"e\",{\"_placeholder\":true,\"num\":0}] <\1\377>",
               "B deliver +r1 +r2 -x [\"e\",{\"_placeholder\":true,\"num\":0}] <\1\377>",
               "C deliver +r1 +r2 -x [\"e\",{\"_placeholder\":true,\"num\":0}] <\1\377>");
    rooms_cluster_join(adapter(1), &selector, &plain, rooms, 2);
    rooms_cluster_disconnect(adapter(1), &selector, &plain, true);
    WAIT_LINES("A join +r1 +r2 -x r1 r2", "B join +r1 +r2 -x r1 r2", "C join +r1 +r2 -x r1 r2",
               "A disconnect close +r1 +r2 -x", "B disconnect close +r1 +r2 -x", "C disconnect close +r1 +r2 -x");
    nodes_close();
}

TEST(streams, all_nodes_answer)
{
    open_nodes(3);
    fetch(0);
    WAIT_LINES("socket {\"A\":1}", "socket {\"A\":2}", "socket {\"B\":1}", "socket {\"B\":2}", "socket {\"C\":1}",
               "socket {\"C\":2}", "done 0");
    ask_event(2);
    WAIT_LINES("A event [\"q\"]", "B event [\"q\"]", "answer [\"A\"]", "answer [\"B\"]", "done 0");
    peers[1]->acks = 1;
    ask_acks(0, 700);
    WAIT_LINES("A ask 700 [\"q\"]", "B ask 700 [\"q\"]", "C ask 700 [\"q\"]", "clients 0", "clients 0", "clients 1",
               "counted");
    ack_from(1, "[{\"a\":1}]");
    wait_said("ack [{\"a\":1}]\n");
    rooms_cluster_server_count(adapter(0), on_count, NULL);
    wait_said("count 0 3\n");
    nodes_close();
}

static void four_streams(struct rooms_redis_options *options)
{
    options->stream_count = 4;
}

TEST(streams, several_streams_are_one_log)
{
    open_streams(2, NULL, four_streams);
    broadcast(0, "[1]");
    WAIT_LINES("A deliver [1]", "B deliver [1]");
    assert_non_null(strstr(server_tell(&server, "XLEN socket.io-3"), ":1"));
    nodes_close();
}

/* With recovery every node delivers in the log's order, its own too. */
TEST(streams, what_is_logged_has_the_same_offset_and_order_everywhere)
{
    open_recovering(2);
    for (int i = 0; i < 4; i++) {
        char json[16];
        snprintf(json, sizeof json, "[%d]", i);
        broadcast((size_t)i % 2, json);
    }
    read_all();
    char a[1024] = "", b[1024] = "";
    for (char *line = strtok(said, "\n"); line; line = strtok(NULL, "\n"))
        strcat(strcat(line[0] == 'A' ? a : b, line + 1), "\n");
    assert_string_equal(a, b);
    assert_non_null(strstr(a, " @1"));
    nodes_close();
}

TEST(streams, volatile_events_have_no_offset)
{
    open_recovering(1);
    struct rooms_flags flags = {.is_volatile = true, .compress = true};
    struct rooms_message message = text_message("[1]");
    broadcast(0, "[0]");
    rooms_cluster_broadcast(adapter(0), &(struct rooms_selector){0}, &flags, &message);
    RUN_UNTIL(&nodes[0], strstr(said, "volatile"));
    read_all();
    assert_int_equal(take_offsets(), 1);
    assert_said("A deliver [0]\nA deliver volatile [1]\n"); /* and does not overtake */
    nodes_close();
}

TEST(streams, delivery_does_not_wait_for_a_redis_that_is_away)
{
    open_recovering(1);
    server_kill(&server);
    RUN_UNTIL(&nodes[0], !node_is_up(&nodes[0]));
    broadcast(0, "[1]");
    assert_said("A deliver [1]\n");
    nodes_close();
}

static void patient(struct rooms_redis_options *options)
{
    options->liveness_ms = 5000;
}

TEST(streams, delivery_does_not_wait_long_for_a_redis_that_is_slow)
{
    open_streams(1, &limits, patient);
    kill(server.pid, SIGSTOP);
    broadcast(0, "[1]");
    assert_said("");
    run_until_said(1);
    assert_said("A deliver [1]\n");
    broadcast(0, "[2]");
    assert_said("A deliver [2]\n");
    assert_int_equal(node_stats(&nodes[0]).log_late, 1);
    kill(server.pid, SIGCONT);
    nodes_close();
}

/* What was added to the stream while a node was not connected. */
TEST(streams, what_happened_while_redis_was_not_reached_is_read_later)
{
    open_nodes(2);
    server_tell(&server, "CLIENT KILL TYPE normal");
    server_tell(&server, "XADD socket.io * uid x nsp / type 3 data "
                         "'{\"packet\":{\"type\":2,\"data\":[7]},\"opts\":{\"rooms\":[],\"except\":[],\"flags\":{}}}'");
    WAIT_LINES("A deliver [7]", "B deliver [7]");
    nodes_close();
}

TEST(streams, garbage_is_counted_and_ignored)
{
    open_nodes(1);
    server_tell(&server, "XADD socket.io * a b");
    server_tell(&server, "XADD socket.io * nsp / type 3");
    server_tell(&server, "XADD socket.io * nsp / uid x type 99 data {}");
    server_tell(&server, "XADD socket.io * nsp / uid x type 3 data {");
    server_tell(&server, "XADD socket.io * nsp / uid x type 3 data ====");
    server_tell(&server, "XADD socket.io * nsp /other uid x type 3 data ====");
    RUN_UNTIL(&nodes[0], node_stats(&nodes[0]).ignored == 4);
    broadcast(0, "[1]");
    wait_said("A deliver [1]\n");
    nodes_close();
}

/* ----------------------------------------------------------------- recovery */

static void on_replayed_event(void *ctx, const struct rooms_selector *who, const struct rooms_message *message)
{
    (void)ctx;
    say("replay");
    say_who(who);
    say_message(message);
    say("\n");
}

static void on_replay_end(void *ctx, int error)
{
    (void)ctx;
    say("end %d\n", error);
}

static char restored_offset[ROOMS_OFFSET_SIZE];

static void on_restored(void *ctx, const struct rooms_session *session)
{
    (void)ctx;
    if (!session) {
        say("nothing\n");
        return;
    }
    say("session %.*s %.*s", (int)session->sid.n, session->sid.p, (int)session->data.n, (const char *)session->data.p);
    for (size_t i = 0; i < session->room_count; i++) say(" %.*s", (int)session->rooms[i].n, session->rooms[i].p);
    say("\n");
    snprintf(restored_offset, sizeof restored_offset, "%.*s", (int)session->offset.n, session->offset.p);
}

/* connected_ms ago it began, where `began` is. */
static void begin_save(size_t i, const char *began, uint64_t connected_ms)
{
    struct rooms_name rooms_of[] = {name("sid"), name("kitchen")};
    struct rooms_session session = {
        .sid = name("sid"),
        .pid = name("pid"),
        .rooms = rooms_of,
        .room_count = 2,
        .data = rooms__text("{\"n\":1}"),
        .connected_ms = local_now_ms(NULL) - connected_ms,
        .offset = name(began),
    };
    assert_int_equal(adapter(i)->ops->session_save(adapter(i), &session), 0);
}

static void save(size_t i, const char *began, uint64_t connected_ms)
{
    begin_save(i, began, connected_ms);
    nodes_settle();
}

static void restore(size_t i, const char *offset)
{
    restored_offset[0] = '\0';
    adapter(i)->ops->session_restore(adapter(i), name("pid"), name(offset), on_restored, NULL);
    run_until_said(1);
}

static void replay(size_t i, const char *offset)
{
    adapter(i)->ops->replay(adapter(i), name(offset), on_replayed_event, on_replay_end, NULL);
}

static const char *last_offset(size_t i)
{
    static char out[ROOMS_OFFSET_SIZE];
    adapter(i)->ops->last_offset(adapter(i), out);
    return out;
}

TEST(recovery, a_session_is_taken_by_another_node_with_what_was_missed)
{
    open_recovering(2);
    broadcast(0, "[1]");
    read_all();
    assert_int_equal(take_offsets(), 2);
    said[0] = '\0';
    save(0, "0-0", 0);
    broadcast(0, "[2]");
    broadcast(1, "[3]");
    read_all();
    said[0] = '\0';
    restore(1, offsets[0]);
    assert_said("session sid {\"n\":1} sid kitchen\n");
    assert_string_equal(restored_offset, offsets[0]);
    replay(1, restored_offset);
    RUN_UNTIL(&nodes[0], strstr(said, "end"));
    assert_int_equal(take_offsets(), 2); /* edge case 63 */
    assert_said("replay [2]\nreplay [3]\nend 0\n");
    restore(1, offsets[0]);
    assert_said("nothing\n"); /* it was taken */
    nodes_close();
}

/* ------------------------------------------------------------------ evicting */

static void save_evicted(struct peer *peer)
{
    begin_save((size_t)(peer->name - 'A'), "0-0", 0);
}

static void hold(size_t i, const char *pid)
{
    peer_of[i].holds = pid;
    peer_of[i].save = save_evicted;
}

/* Pass by pass, so that no answer is read before the test goes on. */
static void pass_until_asked(const struct rooms__streams_adapter *self)
{
    for (int i = 0; i < 10000 && !self->evictions; i++) event_base_loop(nodes[0].base, EVLOOP_ONCE);
    assert_non_null(self->evictions);
}

/* Edge case 66. */
TEST(recovery, the_old_connection_at_another_node_is_evicted)
{
    open_recovering(3);
    hold(2, "pid");
    restore(0, "");
    wait_said("C evict\nsession sid {\"n\":1} sid kitchen\n");
    assert_string_equal(restored_offset, "0-0");
    restore(1, "");
    wait_said("nothing\n"); /* it was taken */
    nodes_close();
}

/* As on one node: what is not to be restored ends all the same. */
TEST(recovery, the_old_connection_is_evicted_by_a_client_with_a_wrong_offset)
{
    open_recovering(2);
    hold(1, "pid");
    restore(0, "nonsense");
    wait_said("B evict\nnothing\n");
    nodes_close();
}

TEST(recovery, the_pid_of_an_eviction_is_any_text)
{
    open_recovering(2);
    hold(1, "\"\\\n\xc3\xbc");
    adapter(0)->ops->session_restore(adapter(0), name("\"\\\n\xc3\xbc"), name(""), on_restored, NULL);
    wait_said("B evict\nnothing\n"); /* saved under another one */
    nodes_close();
}

/* Its connection broke by itself after the session was looked for: nobody has it, but it is saved now. */
TEST(recovery, a_session_that_is_saved_while_others_are_asked_is_found)
{
    open_recovering(2);
    adapter(0)->ops->session_restore(adapter(0), name("pid"), name(""), on_restored, NULL);
    struct rooms__streams_adapter *self = (struct rooms__streams_adapter *)adapter(0);
    pass_until_asked(self);
    struct rooms_session session = {
        .sid = name("sid"), .pid = name("pid"), .data = rooms__text("{}"), .offset = name("0-0")};
    adapter(1)->ops->session_save(adapter(1), &session);
    wait_said("session sid {}\n");
    nodes_close();
}

static void impatient(struct rooms_redis_options *options)
{
    options->request_timeout_ms = 100;
}

/* One that stands still, and one that lies: who asks does not wait for ever. */
TEST(recovery, who_does_not_answer_is_waited_for_no_longer_than_a_request)
{
    struct listener silent;
    open_streams(1, &limits, impatient);
    node_start(&nodes[1]);
    listen_to(&nodes[1], &silent, ROOMS__REDIS_CHANNEL, "socket.io-evict#/#");
    RUN_UNTIL(&nodes[0], node_is_up(&nodes[1]) && silent.active);
    restore(0, "");
    wait_said("nothing\n");
    assert_int_equal(silent.count, 1);
    assert_int_equal(node_stats(&nodes[0]).request_timeouts, 1);
    unlisten(&nodes[1], &silent);
    rooms_redis_free(nodes[1].redis);
    nodes[1].redis = NULL;
    nodes_close();
}

TEST(recovery, garbage_that_asks_for_evictions_is_counted_and_ignored)
{
    static const char *const garbage[] = {"",
                                          "x",
                                          "[]",
                                          "{}",
                                          "{\"uid\":1,\"id\":1,\"pid\":\"pid\"}",
                                          "{\"uid\":\"u\",\"id\":-1,\"pid\":\"pid\"}",
                                          "{\"uid\":\"u\",\"id\":1,\"pid\":\"\"}"};
    char uid_channel[64], long_pid[600] = "{\"uid\":\"u\",\"id\":1,\"pid\":\"";
    enum { COUNT = sizeof garbage / sizeof garbage[0] };
    open_recovering(1);
    hold(0, "pid");
    struct rooms_cluster *self = (struct rooms_cluster *)adapter(0);
    snprintf(uid_channel, sizeof uid_channel, "socket.io-evict#/#%s#", self->state->uid);
    for (size_t i = 0; i < COUNT; i++) publish(&nodes[0], "socket.io-evict#/#", garbage[i]);
    for (size_t i = 0; i < 4; i++) publish(&nodes[0], uid_channel, garbage[i]);
    publish(&nodes[0], uid_channel, "{\"id\":1,\"evicted\":true}"); /* an answer to nothing */
    memset(long_pid + strlen(long_pid), 'p', 400);
    strcat(long_pid, "\"}");
    publish(&nodes[0], "socket.io-evict#/#", long_pid);
    RUN_UNTIL(&nodes[0], node_stats(&nodes[0]).ignored == COUNT + 5);
    assert_said("");
    publish(&nodes[0], "socket.io-evict#/#", "{\"uid\":\"u\",\"id\":1,\"pid\":\"pid\"}");
    wait_said("A evict\n");
    nodes_close();
}

TEST(recovery, whoever_waits_for_an_eviction_when_the_node_ends_is_told)
{
    open_recovering(2);
    struct rooms__streams_adapter *self = (struct rooms__streams_adapter *)adapter(0);
    adapter(0)->ops->session_restore(adapter(0), name("pid"), name(""), on_restored, NULL);
    pass_until_asked(self);
    node_close(0);
    assert_said("nothing\n");
    nodes_close();
}

/* Edge case 65. */
TEST(recovery, without_an_offset_it_begins_where_the_connection_did)
{
    open_recovering(2);
    char began[ROOMS_OFFSET_SIZE];
    strcpy(began, last_offset(0));
    assert_string_equal(began, "0-0");
    save(0, began, 0);
    broadcast(0, "[1]");
    read_all();
    said[0] = '\0';
    restore(1, "");
    assert_said("session sid {\"n\":1} sid kitchen\n");
    replay(1, restored_offset);
    RUN_UNTIL(&nodes[0], strstr(said, "end"));
    take_offsets();
    assert_said("replay [1]\nend 0\n");
    nodes_close();
}

/* Edge case 61. */
TEST(recovery, wrong_offsets_restore_nothing)
{
    static const char *const wrong[] = {"x", "1-0", "99999999999999-0", "1-0-0"};
    open_recovering(1);
    broadcast(0, "[1]");
    read_all();
    char began[ROOMS_OFFSET_SIZE];
    strcpy(began, last_offset(0));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        save(0, began, 0);
        said[0] = '\0';
        restore(0, wrong[i]);
        assert_said("nothing\n");
    }
    nodes_close();
}

/* What the reader delivers while the log is read is neither missed nor said twice. */
TEST(recovery, a_replay_ends_where_delivery_goes_on)
{
    open_recovering(2);
    for (int i = 0; i < 5; i++) broadcast(0, "[1]");
    read_all();
    said[0] = '\0';
    replay(1, "0-0");
    for (int i = 0; i < 5; i++) broadcast(0, "[2]");
    RUN_UNTIL(&nodes[0], strstr(said, "end"));
    char until[LOG_SIZE];
    strcpy(until, said);
    *strstr(until, "end") = '\0';
    size_t replayed = 0, delivered = 0;
    for (const char *at = until; (at = strstr(at, "replay")); at++) replayed++;
    for (const char *at = until; (at = strstr(at, "B deliver")); at++) delivered++;
    assert_int_equal(replayed, 5 + delivered);
    read_all();
    for (const char *at = said + strlen(until); (at = strstr(at, "B deliver")); at++) delivered++;
    assert_int_equal(delivered, 5);
    nodes_close();
}

/* The clock of Redis, which is this machine's. */
static bool is_past(const struct rooms__stream_id *id)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000 > id->ms;
}

/* A client has seen more, on another node, than this one: then what it has seen is waited for. */
TEST(recovery, a_client_that_knows_more_than_its_node_hears_nothing_twice)
{
    open_recovering(1);
    broadcast(0, "[1]");
    read_all();
    said[0] = '\0';
    struct rooms__streams_adapter *self = (struct rooms__streams_adapter *)adapter(0);
    struct rooms__stream_id ahead = self->stream->last;
    char offset[ROOMS_OFFSET_SIZE];
    ahead.ms += 5;
    replay(0, rooms__stream_id_put(ahead, offset).p);
    assert_said("");
    RUN_UNTIL(&nodes[0], is_past(&ahead)); /* what is added now has a later id */
    broadcast(0, "[2]");
    RUN_UNTIL(&nodes[0], strstr(said, "end"));
    bool is_after = rooms__stream_id_after(self->stream->last, ahead);
    assert_true(is_after);
    take_offsets();
    assert_said("A deliver [2]\nreplay [2]\nend 0\n");
    nodes_close();
}

static void short_stream(struct rooms_redis_options *options)
{
    options->stream_max_length = 100;
}

TEST(recovery, what_the_log_has_lost_is_not_recovered)
{
    open_streams(1, &limits, short_stream);
    save(0, "0-0", 0);
    for (int i = 0; i < 500; i++) broadcast(0, "[1]");
    read_all();
    said[0] = '\0';
    restore(0, "");
    assert_said("nothing\n");
    replay(0, "0-0");
    RUN_UNTIL(&nodes[0], strstr(said, "end"));
    assert_non_null(strstr(said, "end -3\n"));
    nodes_close();
}

/* A client in quiet rooms has an old offset, that the log has long lost; but it answered pings since. */
TEST(recovery, what_surely_arrived_need_not_be_in_the_log)
{
    open_streams(1, &limits, short_stream);
    struct rooms__streams_adapter *self = (struct rooms__streams_adapter *)adapter(0);
    now = local_now_ms(NULL); /* stands still from here on */
    for (int i = 0; i < 500; i++) broadcast(0, "[1]");
    RUN_UNTIL(&nodes[0], !self->pending_first);
    now += limits.liveness_ms + 100;
    broadcast(0, "[2]");
    RUN_UNTIL(&nodes[0], !self->pending_first);
    said[0] = '\0';
    save(0, "0-0", 400);
    restore(0, "");
    assert_said("session sid {\"n\":1} sid kitchen\n");
    replay(0, restored_offset);
    RUN_UNTIL(&nodes[0], strstr(said, "end"));
    assert_non_null(strstr(said, "replay [2]"));
    assert_non_null(strstr(said, "end 0\n"));
    nodes_close();
}

TEST(recovery, a_long_log_is_read_in_pages)
{
    open_recovering(1);
    for (int i = 0; i < 2500; i++) {
        broadcast(0, "[1]");
        if (i % 100 == 0) {
            read_all();
            said[0] = '\0';
        }
    }
    read_all();
    struct rooms__streams_adapter *self = (struct rooms__streams_adapter *)adapter(0);
    assert_null(self->pending_first);
    said[0] = '\0';
    replay(0, "0-0");
    RUN_UNTIL(&nodes[0], !self->questions);
    nodes_close();
}

TEST(recovery, whoever_waits_when_the_node_ends_is_told)
{
    open_recovering(1);
    broadcast(0, "[1]");
    read_all();
    said[0] = '\0';
    replay(0, "0-0");
    adapter(0)->ops->session_restore(adapter(0), name("pid"), name(""), on_restored, NULL);
    node_close(0);
    assert_said("nothing\nend -3\n");
    nodes_close();
}

TEST(recovery, without_redis_there_is_none)
{
    open_recovering(1);
    server_kill(&server);
    RUN_UNTIL(&nodes[0], !node_is_up(&nodes[0]));
    restore(0, "");
    assert_said("nothing\n");
    nodes_close();
}

TEST_MAIN
