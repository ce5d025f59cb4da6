/* rooms_redis_sharded.c: nodes on a real redis-server, Redis 7's sharded channels. */
#include "redis_nodes.h"

static void open_nodes(size_t count)
{
    nodes_open(count, rooms_adapter_redis_sharded, NULL, NULL);
}

static void emit_to(size_t i, const char *room, const char *json)
{
    struct rooms_name rooms_of[] = {name(room)};
    struct rooms_selector who = {rooms_of, 1, NULL, 0};
    struct rooms_message message = text_message(json);
    assert_int_equal(rooms_cluster_broadcast(adapter(i), &who, &plain, &message), 0);
}

static const char *listeners(const char *channel)
{
    static char answer[32];
    char line[128];
    snprintf(line, sizeof line, "PUBSUB SHARDNUMSUB %s", channel);
    const char *number = strrchr(server_tell(&server, line), ':');
    snprintf(answer, sizeof answer, "%d", number ? atoi(number + 1) : -1);
    return answer;
}

TEST(sharded, what_is_said_is_done_everywhere)
{
    open_nodes(3);
    broadcast(0, "[\"a\"]");
    WAIT_LINES("A deliver [\"a\"]", "B deliver [\"a\"]", "C deliver [\"a\"]");
    struct rooms_bytes binary = {(const uint8_t *)"\0\377", 2};
    struct rooms_message message = text_message("[\"e\",{\"_placeholder\":true,\"num\":0}]");
    message.attachments = &binary;
    message.attachment_count = 1;
    rooms_cluster_broadcast(adapter(1), &selector, &plain, &message);
    nodes_settle();
    assert_non_null(strstr(said, "C deliver +r1 +r2 -x [\"e\",{\"_placeholder\":true,\"num\":0}] <"));
    assert_non_null(strstr(said, "A deliver +r1 +r2 -x [\"e\",{\"_placeholder\":true,\"num\":0}] <"));
    said[0] = '\0';
    rooms_cluster_join(adapter(1), &selector, &plain, rooms, 2);
    rooms_cluster_disconnect(adapter(1), &selector, &plain, true);
    WAIT_LINES("A join +r1 +r2 -x r1 r2", "B join +r1 +r2 -x r1 r2", "C join +r1 +r2 -x r1 r2",
               "A disconnect close +r1 +r2 -x", "B disconnect close +r1 +r2 -x", "C disconnect close +r1 +r2 -x");
    nodes_close();
}

TEST(sharded, all_nodes_answer)
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

/* The size of a publish's audience: only who has members listens. */
TEST(sharded, a_room_has_a_channel_while_it_has_members_here)
{
    open_nodes(2);
    const struct rooms_adapter_ops *ops = adapter(1)->ops;
    ops->room_created(adapter(1), name("kitchen"));
    ops->room_created(adapter(1), name("01234567890123456789")); /* may be an id: everybody's channel is used */
    ops->room_created(adapter(1), name("kitchen and bathroom")); /* 20 characters, but no id */
    RUN_UNTIL(&nodes[0], strcmp(listeners("'socket.io#/#kitchen and bathroom#'"), "1") == 0);
    assert_string_equal(listeners("socket.io#/#kitchen#"), "1");
    assert_string_equal(listeners("socket.io#/#01234567890123456789#"), "0");
    assert_string_equal(listeners("socket.io#/#"), "2");
    emit_to(0, "kitchen", "[1]");
    emit_to(0, "kitchen and bathroom", "[2]");
    emit_to(0, "01234567890123456789", "[3]");
    emit_to(0, "hall", "[4]");
    nodes_settle();
    assert_non_null(strstr(said, "B deliver +kitchen [1]\n"));
    assert_non_null(strstr(said, "B deliver +kitchen and bathroom [2]\n"));
    assert_non_null(strstr(said, "B deliver +01234567890123456789 [3]\n"));
    assert_null(strstr(said, "B deliver +hall"));
    ops->room_deleted(adapter(1), name("kitchen"));
    ops->room_deleted(adapter(1), name("never"));
    RUN_UNTIL(&nodes[0], strcmp(listeners("socket.io#/#kitchen#"), "0") == 0);
    nodes_close();
}

static void make_static(struct rooms_redis_options *options)
{
    options->mode = ROOMS_REDIS_STATIC;
}

static void make_private(struct rooms_redis_options *options)
{
    options->mode = ROOMS_REDIS_DYNAMIC_PRIVATE;
}

TEST(sharded, in_static_mode_there_is_one_channel)
{
    nodes_open(2, rooms_adapter_redis_sharded, NULL, make_static);
    adapter(1)->ops->room_created(adapter(1), name("r"));
    nodes_settle();
    assert_string_equal(listeners("socket.io#/#r#"), "0");
    emit_to(0, "r", "[1]");
    WAIT_LINES("A deliver +r [1]", "B deliver +r [1]");
    nodes_close();
}

TEST(sharded, in_private_mode_every_room_has_one)
{
    nodes_open(2, rooms_adapter_redis_sharded, NULL, make_private);
    adapter(1)->ops->room_created(adapter(1), name("01234567890123456789"));
    RUN_UNTIL(&nodes[0], strcmp(listeners("socket.io#/#01234567890123456789#"), "1") == 0);
    emit_to(0, "01234567890123456789", "[1]");
    WAIT_LINES("A deliver +01234567890123456789 [1]", "B deliver +01234567890123456789 [1]");
    nodes_close();
}

static void beat_quickly(struct rooms_redis_options *options)
{
    options->heartbeat_interval_ms = 100;
    options->heartbeat_timeout_ms = 600;
    options->request_timeout_ms = 1000;
}

/* One whose connections stand, but who says nothing, is not waited for; one who is gone neither. */
TEST(sharded, a_node_that_falls_silent_is_not_waited_for)
{
    nodes_open(3, rooms_adapter_redis_sharded, NULL, beat_quickly);
    struct rooms_cluster *a = (struct rooms_cluster *)adapter(0), *c = (struct rooms_cluster *)adapter(2);
    RUN_UNTIL(&nodes[0], a->state->nodes.table.count == 2);
    base_timer_stop(&c->state->heartbeat); /* as if it had stopped */
    RUN_UNTIL(&nodes[0], node_stats(&nodes[0]).nodes_lost > 0);
    assert_int_equal(node_stats(&nodes[0]).nodes_lost, 1);
    rooms_cluster_server_count(adapter(0), on_count, NULL);
    wait_said("count 0 2\n");
    node_close(2);
    RUN_UNTIL(&nodes[0], strcmp(listeners("socket.io#/#"), "2") == 0);
    rooms_cluster_server_count(adapter(0), on_count, NULL);
    wait_said("count 0 2\n");
    nodes_close();
}

TEST(sharded, who_is_missing_is_named)
{
    nodes_open(2, rooms_adapter_redis_sharded, NULL, beat_quickly);
    peers[1]->answers_late = true;
    ask_event(0);
    wait_said("B event [\"q\"]\ndone -5 missing B\n");
    assert_non_null(strstr(nodes[0].log, ((struct rooms_cluster *)adapter(1))->state->uid)); /* in the log, too */
    nodes_close();
}

TEST(sharded, without_redis_all_goes_on_here)
{
    nodes_open(2, rooms_adapter_redis_sharded, NULL, beat_quickly);
    server_kill(&server);
    RUN_UNTIL(&nodes[0], !node_is_up(&nodes[0]) && !node_is_up(&nodes[1]));
    broadcast(0, "[1]");
    fetch(0);
    ask_event(0);
    assert_said("A deliver [1]\nsocket {\"A\":1}\nsocket {\"A\":2}\ndone -5 missing B\ndone -5 missing B\n");
    server_start(&server);
    for (size_t i = 0; i < 2; i++) RUN_UNTIL(&nodes[0], node_is_up(&nodes[i]));
    fetch(0);
    RUN_UNTIL(&nodes[0], strstr(said, "done 0\n"));
    assert_non_null(strstr(said, "socket {\"B\":2}\ndone 0\n"));
    nodes_close();
}

TEST(sharded, garbage_is_counted_and_ignored)
{
    open_nodes(1);
    static const char *const garbage[] = {"{", "{}", "x", "\"\\x93\\xa1\"", "'{\"type\":3,\"nsp\":\"/\"}'"};
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        char line[128];
        snprintf(line, sizeof line, "SPUBLISH socket.io#/# %s", garbage[i]);
        server_tell(&server, line);
    }
    RUN_UNTIL(&nodes[0], node_stats(&nodes[0]).ignored == 5);
    broadcast(0, "[1]");
    wait_said("A deliver [1]\n");
    nodes_close();
}

TEST_MAIN
