/* rooms_cluster.c, _requests.c, _nodes.c: questions, answers, and who is there. */
#include "cluster_wire.h"

TEST(cluster, what_is_said_is_done_everywhere)
{
    setup(3);
    struct rooms_bytes binary = {(const uint8_t *)"bin", 3};
    struct rooms_message message = text_message("[\"e\",{\"_placeholder\":true,\"num\":0}]");
    struct rooms_flags flags = {.is_volatile = true};
    message.attachments = &binary;
    message.attachment_count = 1;
    rooms_cluster_broadcast(adapter(0), &selector, &flags, &message);
    assert_said("A deliver volatile +r1 +r2 -x [\"e\",{\"_placeholder\":true,\"num\":0}] <bin>\n");
    settle();
    assert_said("B deliver volatile +r1 +r2 -x [\"e\",{\"_placeholder\":true,\"num\":0}] <bin>\n"
                "C deliver volatile +r1 +r2 -x [\"e\",{\"_placeholder\":true,\"num\":0}] <bin>\n");
    rooms_cluster_join(adapter(1), &selector, &plain, rooms, 2);
    rooms_cluster_leave(adapter(1), &selector, &plain, rooms, 1);
    rooms_cluster_disconnect(adapter(1), &selector, &plain, true);
    settle();
    assert_said("B join +r1 +r2 -x r1 r2\nB leave +r1 +r2 -x r1\nB disconnect close +r1 +r2 -x\n"
                "A join +r1 +r2 -x r1 r2\nC join +r1 +r2 -x r1 r2\n"
                "A leave +r1 +r2 -x r1\nC leave +r1 +r2 -x r1\n"
                "A disconnect close +r1 +r2 -x\nC disconnect close +r1 +r2 -x\n");
    teardown();
}

TEST(cluster, what_is_local_is_not_said)
{
    setup(2);
    struct rooms_message message = text_message("[\"e\"]");
    rooms_cluster_broadcast(adapter(0), &selector, &here, &message);
    rooms_cluster_join(adapter(0), &selector, &here, rooms, 1);
    rooms_cluster_fetch(adapter(0), &selector, &here, on_socket, on_done, adapter(0));
    rooms_cluster_broadcast_with_ack(adapter(0), &selector, &here, &message, &sink);
    assert_int_equal(wire_count, 0);
    assert_said("A deliver +r1 +r2 -x [\"e\"]\nA join +r1 +r2 -x r1\n"
                "socket {\"A\":1}\nsocket {\"A\":2}\ndone 0\nA ask 0 +r1 +r2 -x [\"e\"]\nclients 0\ncounted\n");
    teardown();
}

TEST(cluster, a_carrier_that_fails_does_not_keep_anything_from_being_done_here)
{
    setup(2);
    nodes[0]->is_cut = true;
    broadcast(0, "[1]");
    rooms_cluster_join(adapter(0), &selector, &plain, rooms, 1);
    assert_said("A deliver [1]\nA join +r1 +r2 -x r1\n");
    teardown();
}

static void fetching_and_events(void)
{
    fetch(0);
    settle();
    assert_said(
        "socket {\"A\":1}\nsocket {\"A\":2}\nsocket {\"B\":1}\nsocket {\"B\":2}\nsocket {\"C\":1}\nsocket {\"C\":2}\n"
        "done 0\n");
    ask_event(2);
    settle();
    assert_said("A event [\"q\"]\nB event [\"q\"]\nanswer [\"A\"]\nanswer [\"B\"]\ndone 0\n");
    struct rooms_message message = text_message("[\"e\"]");
    assert_int_equal(rooms_cluster_server_side_emit(adapter(1), &plain, &message, NULL, NULL, NULL), 0);
    settle();
    assert_said("A event [\"e\"]\nC event [\"e\"]\n");
    rooms_cluster_server_count(adapter(0), on_count, NULL);
    assert_said("count 0 3\n");
}

TEST(cluster, nodes_that_beat_are_waited_for)
{
    heartbeats = true;
    setup(3);
    fetching_and_events();
    teardown();
}

TEST(cluster, nodes_that_are_counted_are_waited_for)
{
    counts = true;
    setup(3);
    fetching_and_events();
    teardown();
}

/* Edge case 59: a count of 0 others, or none at all, is no reason to wait. */
TEST(cluster, one_that_is_alone_does_not_wait)
{
    counts = true;
    setup(1);
    fetch(0);
    ask_event(0);
    ask_acks(0, 100);
    assert_said("socket {\"A\":1}\nsocket {\"A\":2}\ndone 0\ndone 0\nA ask 100 [\"q\"]\nclients 0\ncounted\n");
    count_fails = true;
    fetch(0);
    assert_said("socket {\"A\":1}\nsocket {\"A\":2}\ndone -5\n");
    teardown();
}

TEST(cluster, acks_come_from_all_nodes)
{
    counts = true;
    setup(3);
    for (size_t i = 0; i < 3; i++) peers[i]->acks = (unsigned)i;
    ask_acks(0, 700);
    settle();
    assert_said("A ask 700 [\"q\"]\nclients 0\nB ask 700 [\"q\"]\nC ask 700 [\"q\"]\nclients 1\nclients 2\ncounted\n");
    ack_from(2, "[1]");
    ack_from(1, "[2]");
    ack_from(2, "[3]");
    settle();
    assert_said("ack [1]\nack [2]\nack [3]\n");
    assert_null(nodes[0]->cluster.state->first_request); /* over, before its time */
    assert_null(nodes[2]->cluster.state->first_served);
    teardown();
}

TEST(cluster, an_ack_may_come_before_the_count)
{
    counts = true;
    setup(2);
    peers[1]->acks = 1;
    ask_acks(0, 700);
    hand_over(0, false);
    ack_from(1, "[1]");
    said[0] = '\0';
    hand_over(1, false);
    assert_said("ack [1]\n");
    settle();
    assert_said("clients 1\ncounted\n");
    assert_null(nodes[0]->cluster.state->first_request);
    teardown();
}

TEST(cluster, answers_to_acks_end_with_their_timeout)
{
    counts = true;
    setup(2);
    peers[1]->acks = 2;
    ask_acks(0, 300);
    settle();
    ack_from(1, "[1]");
    settle();
    said[0] = '\0';
    pass(400);
    ack_from(1, "[2]");
    settle();
    assert_said("");
    assert_int_equal(stats.ignored, 1);
    teardown();
}

TEST(cluster, who_asked_for_acks_and_does_not_get_them_is_let_go_of)
{
    setup(2);
    heartbeats = true;
    peers[1]->acks = 1;
    rooms_cluster_node_seen(&nodes[0]->cluster, (struct rooms_name){nodes[1]->cluster.state->uid, ROOMS_UID_SIZE});
    ask_acks(0, 300);
    settle();
    assert_non_null(nodes[1]->cluster.state->first_served);
    pass(31000);
    assert_null(nodes[1]->cluster.state->first_served);
    teardown();
}

TEST(cluster, what_is_lost_is_named)
{
    heartbeats = true;
    setup(3);
    fetch(0);
    lose(1); /* to C */
    settle();
    assert_said("socket {\"A\":1}\nsocket {\"A\":2}\nsocket {\"B\":1}\nsocket {\"B\":2}\n");
    pass(5000);
    assert_said("done -5 missing C\n");
    assert_int_equal(stats.request_timeouts, 1);
    teardown();
}

TEST(cluster, those_of_whom_only_the_number_is_known_are_numbered)
{
    counts = true;
    setup(3);
    count_extra = 1;
    broadcast(1, "[1]"); /* A hears of B */
    settle();
    said[0] = '\0';
    fetch(0);
    lose(0);
    lose(0);
    pass(5000);
    assert_said("socket {\"A\":1}\nsocket {\"A\":2}\ndone -5 missing B, 2 more\n");
    count_extra = 0;
    teardown();
}

TEST(cluster, an_answer_that_comes_twice_counts_once)
{
    heartbeats = true;
    setup(3);
    fetch(0);
    hand_over(0, true); /* B is asked twice, and answers once */
    hand_over(0, false);
    assert_int_equal(stats.repeated, 1);
    hand_over(1, true); /* its answer comes twice */
    hand_over(1, false);
    assert_int_equal(stats.repeated, 2);
    assert_said("socket {\"A\":1}\nsocket {\"A\":2}\nsocket {\"B\":1}\nsocket {\"B\":2}\n");
    settle();
    assert_said("socket {\"C\":1}\nsocket {\"C\":2}\ndone 0\n");
    teardown();
}

TEST(cluster, acks_that_come_twice_count_once)
{
    counts = true;
    setup(3);
    peers[1]->acks = peers[2]->acks = 1;
    ask_acks(0, 700);
    settle();
    ack_from(1, "[1]");
    said[0] = '\0';
    hand_over(0, true);
    hand_over(0, false);
    assert_said("ack [1]\n");
    assert_int_equal(stats.repeated, 1);
    teardown();
}

TEST(cluster, an_answer_that_comes_too_late_is_dropped)
{
    heartbeats = true;
    setup(2);
    fetch(0);
    hand_over(0, false);
    struct sent late = wire[0];
    wire_count = 0;
    pass(5000);
    said[0] = '\0';
    wire[wire_count++] = late;
    settle();
    assert_said("");
    assert_int_equal(stats.ignored, 1);
    teardown();
}

TEST(cluster, a_node_that_falls_silent_is_not_waited_for)
{
    heartbeats = true;
    setup(3);
    pass(20000); /* all beat */
    assert_int_equal(stats.nodes_lost, 0);
    nodes[2]->is_cut = true;
    pass(6000);
    struct rooms_selector everybody = {0};
    struct rooms_flags patient = {.timeout_ms = 60000};
    rooms_cluster_fetch(adapter(0), &everybody, &patient, on_socket, on_done, adapter(0));
    settle();
    said[0] = '\0';
    pass(9000);
    assert_said("done 0\n");
    fetch(0);
    settle();
    assert_said("socket {\"A\":1}\nsocket {\"A\":2}\nsocket {\"B\":1}\nsocket {\"B\":2}\ndone 0\n");
    assert_int_equal(stats.nodes_lost, 2 + 2); /* and C lost A and B */
    nodes[2]->is_cut = false;                  /* it is back */
    pass(6000);
    rooms_cluster_server_count(adapter(0), on_count, NULL);
    assert_said("count 0 3\n");
    teardown();
}

TEST(cluster, a_node_that_says_goodbye_is_not_waited_for)
{
    heartbeats = true;
    setup(3);
    fetch(0);
    lose(1);
    settle();
    said[0] = '\0';
    node_free(2);
    assert_said("done 0\n");
    rooms_cluster_server_count(adapter(0), on_count, NULL);
    assert_said("count 0 2\n");
    teardown();
}

TEST(cluster, a_carrier_may_know_by_itself_who_is_there)
{
    setup(2);
    struct rooms_name b = {nodes[1]->cluster.state->uid, ROOMS_UID_SIZE};
    rooms_cluster_node_seen(&nodes[0]->cluster, b);
    peers[1]->answers_late = true;
    ask_event(0);
    settle();
    assert_said("B event [\"q\"]\n");
    pass(1000);
    rooms_cluster_node_gone(&nodes[0]->cluster, b);
    assert_said("done 0\n");
    rooms_cluster_server_count(adapter(0), on_count, NULL);
    assert_said("count 0 1\n");
    teardown();
}

TEST(cluster, a_server_s_answer_may_come_later)
{
    counts = true;
    setup(2);
    peers[1]->answers_late = true;
    ask_event(0);
    settle();
    pass(200);
    struct rooms_message args = text_message("[\"late\"]");
    peers[1]->answer(peers[1]->answer_ctx, &args);
    settle();
    assert_said("B event [\"q\"]\nanswer [\"late\"]\ndone 0\n");
    assert_null(nodes[1]->cluster.state->first_served);
    teardown();
}

TEST(cluster, whoever_waits_when_the_node_ends_is_told)
{
    heartbeats = true;
    setup(2);
    fetch(0);
    ask_event(0);
    said[0] = '\0';
    node_free(0);
    assert_true(strstr(said, "done -5 missing B\n") && strstr(strstr(said, "done") + 1, "done -5 missing B\n"));
    teardown();
}

TEST(cluster, requests_have_a_limit)
{
    counts = true;
    setup(2);
    count_extra = 1;
    for (int i = 0; i < 3; i++) fetch(0);
    said[0] = '\0';
    fetch(0);
    assert_said("socket {\"A\":1}\nsocket {\"A\":2}\ndone -5\n");
    struct rooms_message message = text_message("[\"q\"]");
    assert_int_equal(rooms_cluster_server_side_emit(adapter(0), &plain, &message, on_answer, on_done, NULL),
                     ROOMS_ELIMIT);
    ask_acks(0, 100);
    assert_said("A ask 100 [\"q\"]\nclients 0\ncounted\n");
    assert_int_equal(stats.limit_requests, 3);
    teardown();
}

TEST(cluster, nodes_have_a_limit)
{
    heartbeats = true;
    setup(1);
    char uid[20];
    for (int i = 0; i < 9; i++) {
        snprintf(uid, sizeof uid, "node%d", i);
        struct rooms_cluster_message beat = {.type = ROOMS_CLUSTER_HEARTBEAT, .uid = {uid, 5}};
        rooms_cluster_receive(&nodes[0]->cluster, &beat);
    }
    rooms_cluster_server_count(adapter(0), on_count, NULL);
    assert_said("count 0 6\n");
    assert_int_equal(stats.limit_nodes, 4);
    teardown();
}

TEST(cluster, what_makes_no_sense_is_counted_and_ignored)
{
    counts = true;
    setup(1);
    struct rooms_cluster *cluster = &nodes[0]->cluster;
    char long_uid[100] = "x";
    for (int type = -1; type < 20; type++) {
        if (type == ROOMS_CLUSTER_BROADCAST || type == ROOMS_CLUSTER_SERVER_SIDE_EMIT ||
            type == ROOMS_CLUSTER_SOCKETS_JOIN || type == ROOMS_CLUSTER_SOCKETS_LEAVE ||
            type == ROOMS_CLUSTER_DISCONNECT_SOCKETS)
            continue;
        struct rooms_cluster_message message = {.type = (enum rooms_cluster_type)type, .uid = {long_uid, 100}};
        rooms_cluster_receive(cluster, &message);
    }
    assert_said("");
    assert_int_equal(stats.ignored, 2 + 6 + 5);
    teardown();
}

TEST(cluster, what_is_for_rooms_without_members_here_is_not_delivered)
{
    setup(2);
    struct rooms_index *index = rooms_index_new(NULL, NULL, NULL);
    struct rooms_member member = {0};
    struct rooms_message message = text_message("[1]");
    nodes[1]->cluster.adapter.local.index = index;
    rooms_add(index, &member, "id", 2);
    rooms_join(index, &member, (struct rooms_name){"r3", 2});
    struct rooms_name elsewhere[] = {{"r1", 2}, {"r2", 2}}, own[] = {{"r1", 2}, {"id", 2}}, here_too[] = {{"r3", 2}};
    struct rooms_selector whom[] = {
        {elsewhere, 2, NULL, 0}, {own, 2, NULL, 0}, {here_too, 1, NULL, 0}, {NULL, 0, NULL, 0}};
    for (size_t i = 0; i < 4; i++) rooms_cluster_broadcast(adapter(0), &whom[i], &plain, &message);
    said[0] = '\0';
    settle();
    assert_said("B deliver +r1 +id [1]\nB deliver +r3 [1]\nB deliver [1]\n");
    rooms_remove(index, &member);
    rooms_index_free(index);
    nodes[1]->cluster.adapter.local.index = NULL;
    teardown();
}

/* Whoever only emits is nobody's node. */
TEST(cluster, an_emitter_is_heard_and_not_waited_for)
{
    heartbeats = true;
    setup(1);
    struct rooms_cluster_message message = {
        .type = ROOMS_CLUSTER_BROADCAST, .uid = {"emitter", 7}, .packet = text_message("[1]")};
    rooms_cluster_receive(&nodes[0]->cluster, &message);
    rooms_cluster_server_count(adapter(0), on_count, NULL);
    assert_said("A deliver [1]\ncount 0 1\n");
    teardown();
}

TEST_MAIN
