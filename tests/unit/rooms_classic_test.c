/* rooms_classic.c, rooms_classic_ask.c, rooms_classic_answer.c on a Redis in memory: what several nodes make of
 * each other, and what happens when one is missing. */
#include "classic_bus.h"

#include <string.h>

static const struct rooms_flags plain = {.compress = true};
static const struct rooms_flags here = {.compress = true, .local = true};
static const struct rooms_selector everybody = {0};

static struct rooms_name name(const char *text)
{
    return (struct rooms_name){text, strlen(text)};
}

static struct rooms_message text_message(const char *json)
{
    return (struct rooms_message){.json = {(const uint8_t *)json, strlen(json)}};
}

static int emit(size_t node, const struct rooms_selector *who, const struct rooms_flags *flags, const char *json)
{
    struct rooms_message message = text_message(json);
    struct rooms_adapter *adapter = nodes[node].adapter;
    return adapter->ops->broadcast(adapter, who, flags, &message);
}

static int emit_to(size_t node, const char *room, const char *json)
{
    struct rooms_name to = name(room);
    return emit(node, &(struct rooms_selector){&to, 1, NULL, 0}, &plain, json);
}

static void join(size_t node, const char *room)
{
    assert_int_equal(rooms_join(nodes[node].index, &nodes[node].members[0].member, name(room)), 0);
}

static void leave(size_t node, const char *room)
{
    rooms_leave(nodes[node].index, &nodes[node].members[0].member, name(room));
}

static void on_socket(void *ctx, struct rooms_bytes json)
{
    (void)ctx;
    say("socket %.*s\n", (int)json.n, (const char *)json.p);
}

static void on_done(void *ctx, int error)
{
    struct rooms_adapter *adapter = ctx;
    struct rooms_name missing = adapter ? adapter->ops->missing(adapter) : (struct rooms_name){"", 0};
    char copy[CLASSIC_NAMES_SIZE];
    snprintf(copy, sizeof copy, "%.*s", (int)missing.n, missing.p);
    put_letters(copy);
    say("done %d%s%s\n", error, missing.n ? " missing " : "", copy);
}

static void on_answer(void *ctx, const struct rooms_message *args)
{
    (void)ctx;
    say("answer");
    say_message(args);
    say("\n");
}

static void on_count(void *ctx, int error, size_t servers)
{
    (void)ctx;
    say("count %d %zu\n", error, servers);
}

static int fetch(size_t node)
{
    struct rooms_adapter *adapter = nodes[node].adapter;
    return adapter->ops->fetch(adapter, &everybody, &plain, on_socket, on_done, adapter);
}

static int ask_event(size_t node)
{
    struct rooms_adapter *adapter = nodes[node].adapter;
    struct rooms_message message = text_message("[\"q\",1]");
    return adapter->ops->server_side_emit(adapter, &plain, &message, on_answer, on_done, adapter);
}

static int ask_count(size_t node)
{
    return nodes[node].adapter->ops->server_count(nodes[node].adapter, on_count, NULL);
}

static void sink_clients(void *ctx, size_t count)
{
    (void)ctx;
    say("clients %zu\n", count);
}

static void sink_counted(void *ctx)
{
    (void)ctx;
    say("counted\n");
}

static void sink_ack(void *ctx, const struct rooms_message *answer)
{
    (void)ctx;
    say("ack");
    say_message(answer);
    say("\n");
}

static const struct rooms_ack_sink sink = {sink_clients, sink_counted, sink_ack, NULL};

static int ask_acks(size_t node, uint32_t timeout_ms)
{
    struct rooms_adapter *adapter = nodes[node].adapter;
    struct rooms_message message = text_message("[\"q\"]");
    struct rooms_flags flags = {.compress = true, .timeout_ms = timeout_ms};
    return adapter->ops->broadcast_with_ack(adapter, &everybody, &flags, &message, &sink);
}

static void ack_from(size_t node, const char *json)
{
    struct rooms_message message = text_message(json);
    nodes[node].sink.ack(nodes[node].sink.ctx, &message);
}

static void answer_from(size_t node, const char *json)
{
    struct rooms_message message = text_message(json);
    nodes[node].answer(nodes[node].answer_ctx, &message);
}

/* ---------------------------------------------------------------- listening */

TEST(listening, to_the_rooms_that_have_members_here_and_to_all_sockets_by_a_pattern)
{
    char expected[512];
    setup(1);
    snprintf(expected, sizeof expected,
             "P socket.io#/#????????????????????#\nsocket.io#/#\nsocket.io-response#/#\nsocket.io-response#/#%s#\n"
             "socket.io-request#/#\n",
             ((struct classic *)nodes[0].adapter)->uid);
    say_subscriptions(0);
    assert_said(expected);
    join(0, "kitchen");
    join(0, "a room with 20 bytes");
    strcat(expected, "socket.io#/#kitchen#\n");
    say_subscriptions(0);
    assert_said(expected);
    leave(0, "kitchen");
    expected[strlen(expected) - strlen("socket.io#/#kitchen#\n")] = '\0';
    say_subscriptions(0);
    assert_said(expected);
    teardown();
}

TEST(listening, ids_of_other_sizes_have_channels_of_their_own)
{
    setup(2);
    struct member *member = &nodes[1].members[nodes[1].member_count++];
    strcpy(member->id, "/old#AAAAAAAAAAAAAAAAAAAA");
    rooms_add(nodes[1].index, &member->member, member->id, strlen(member->id));
    emit_to(0, member->id, "[1]");
    settle();
    assert_said("A deliver +/old#AAAAAAAAAAAAAAAAAAAA [1]\nB deliver +/old#AAAAAAAAAAAAAAAAAAAA [1]\n");
    teardown();
}

TEST(listening, one_pattern_hears_the_same)
{
    struct rooms_redis_options options = default_options();
    options.mode = ROOMS_REDIS_STATIC;
    options.key_prefix = "my*key";
    said[0] = '\0';
    for (size_t i = 0; i < 2; i++) {
        struct rooms_redis *node = node_new("/n[a]sp", &options);
        struct member *member = &node->members[node->member_count++];
        memset(member->id, node->name, CLASSIC_SOCKET_SIZE);
        rooms_add(node->index, &member->member, member->id, CLASSIC_SOCKET_SIZE);
        join(i, i ? "b" : "a");
    }
    char expected[512];
    snprintf(
        expected, sizeof expected,
        "P my\\*key#/n\\[a\\]sp#*\nmy*key-response#/n[a]sp#\nmy*key-response#/n[a]sp#%s#\nmy*key-request#/n[a]sp#\n",
        ((struct classic *)nodes[0].adapter)->uid);
    say_subscriptions(0);
    assert_said(expected);
    emit(0, &everybody, &plain, "[1]");
    emit_to(0, "b", "[2]");
    emit_to(1, "b", "[3]");
    emit_to(0, "BBBBBBBBBBBBBBBBBBBB", "[4]");
    said[0] = '\0';
    settle();
    assert_said("B deliver [1]\nB deliver +b [2]\nB deliver +BBBBBBBBBBBBBBBBBBBB [4]\n");
    teardown();
}

/* --------------------------------------------------------------- broadcasts */

TEST(broadcast, is_delivered_here_at_once_and_elsewhere_once)
{
    setup(3);
    join(2, "r");
    emit(0, &everybody, &plain, "[1]");
    assert_said("A deliver [1]\n");
    settle();
    assert_said("B deliver [1]\nC deliver [1]\n");
    emit_to(0, "r", "[2]");
    emit_to(0, "CCCCCCCCCCCCCCCCCCCC", "[3]");
    struct rooms_name rooms[] = {name("r"), name("BBBBBBBBBBBBBBBBBBBB")}, except = name("x");
    emit(0, &(struct rooms_selector){rooms, 2, &except, 1}, &(struct rooms_flags){.is_volatile = true}, "[4]");
    said[0] = '\0';
    settle();
    assert_said("C deliver +r [2]\nC deliver +CCCCCCCCCCCCCCCCCCCC [3]\n"
                "B deliver volatile uncompressed +r +BBBBBBBBBBBBBBBBBBBB -x [4]\n"
                "C deliver volatile uncompressed +r +BBBBBBBBBBBBBBBBBBBB -x [4]\n");
    emit(0, &everybody, &here, "[5]");
    assert_said("A deliver [5]\n");
    settle();
    assert_said("");
    teardown();
}

TEST(broadcast, to_nobody_here_is_not_decoded)
{
    setup(2);
    /* What stands in data is no msgpack that could be decoded: text that is not UTF-8. */
    static const char bad[] = "\x93\xa1u\x83\xa4type\x02\xa4"
                              "data\x91\xa1\xff\xa3nsp\xa1/\x81\xa5rooms\x91\xa1r";
    publish("socket.io#/#", bad, sizeof bad - 1);
    assert_int_equal(nodes[0].ignored + nodes[1].ignored, 0);
    join(1, "r");
    publish("socket.io#/#", bad, sizeof bad - 1);
    assert_int_equal(nodes[0].ignored, 0);
    assert_int_equal(nodes[1].ignored, 1);
    teardown();
}

TEST(broadcast, of_other_namespaces_is_passed_over)
{
    struct rooms_redis_options options = default_options();
    setup(1);
    node_new("/a", &options);
    node_new("/a#r", &options);
    join(0, "x");
    struct member *member = &nodes[1].members[nodes[1].member_count++];
    strcpy(member->id, "mmmmmmmmmmmmmmmmmmmm");
    rooms_add(nodes[1].index, &member->member, member->id, CLASSIC_SOCKET_SIZE);
    join(1, "r");
    emit(2, &everybody, &plain, "[\"of /a#r\"]"); /* its channel is that of room r of /a */
    said[0] = '\0';
    settle();
    assert_said("");
    teardown();
}

/* Edge case 60. */
TEST(broadcast, that_cannot_be_published_is_delivered_here)
{
    setup(2);
    nodes[0].is_away = true;
    assert_int_equal(emit(0, &everybody, &plain, "[1]"), ROOMS_ENOMEM);
    struct rooms_adapter *adapter = nodes[0].adapter;
    struct rooms_name room = name("r");
    adapter->ops->join(adapter, &everybody, &plain, &room, 1);
    adapter->ops->leave(adapter, &everybody, &plain, &room, 1);
    adapter->ops->disconnect(adapter, &everybody, &plain, true);
    settle();
    assert_said("A deliver [1]\nA join r\nA leave r\nA disconnect close\n");
    teardown();
}

/* -------------------------------------------------------------------- changes */

TEST(changes, are_made_everywhere_once)
{
    setup(3);
    struct rooms_adapter *adapter = nodes[1].adapter;
    struct rooms_name rooms[] = {name("a"), name("b")}, to = name("t"), except = name("e");
    struct rooms_selector who = {&to, 1, &except, 1};
    adapter->ops->join(adapter, &who, &plain, rooms, 2);
    adapter->ops->leave(adapter, &who, &plain, rooms, 1);
    adapter->ops->disconnect(adapter, &who, &plain, false);
    assert_said("B join +t -e a b\nB leave +t -e a\nB disconnect +t -e\n");
    settle();
    assert_said("A join +t -e a b\nC join +t -e a b\nA leave +t -e a\nC leave +t -e a\nA disconnect +t -e\n"
                "C disconnect +t -e\n");
    adapter->ops->join(adapter, &who, &here, rooms, 1);
    adapter->ops->leave(adapter, &who, &here, rooms, 1);
    adapter->ops->disconnect(adapter, &who, &here, false);
    said[0] = '\0';
    settle();
    assert_said("");
    teardown();
}

TEST(changes, of_emitters_are_made_by_all)
{
    setup(2);
    publish_text("socket.io-request#/#", "{\"type\":2,\"opts\":{\"rooms\":[\"a\"],\"except\":[]},\"rooms\":[\"x\",5]}");
    publish_text("socket.io-request#/#", "{\"type\":4,\"opts\":{\"rooms\":[],\"except\":[\"b\"]},\"close\":true}");
    assert_said("A join +a x 5\nB join +a x 5\nA disconnect close -b\nB disconnect close -b\n");
    teardown();
}

TEST(changes, of_old_versions_concern_whoever_has_the_socket)
{
    setup(2);
    publish_text("socket.io-request#/#",
                 "{\"type\":2,\"requestId\":\"x\",\"sid\":\"BBBBBBBBBBBBBBBBBBBB\",\"room\":\"r\"}");
    publish_text("socket.io-request#/#", "{\"type\":3,\"sid\":\"BBBBBBBBBBBBBBBBBBBB\",\"room\":7}");
    publish_text("socket.io-request#/#", "{\"type\":4,\"sid\":\"AAAAAAAAAAAAAAAAAAAA\",\"close\":true}");
    publish_text("socket.io-request#/#", "{\"type\":4,\"sid\":\"nobody\",\"close\":true}");
    assert_said("B join +BBBBBBBBBBBBBBBBBBBB r\nB leave +BBBBBBBBBBBBBBBBBBBB 7\n"
                "A disconnect close +AAAAAAAAAAAAAAAAAAAA\n");
    teardown();
}

/* ------------------------------------------------------------------ questions */

TEST(questions, are_answered_by_all)
{
    setup(3);
    assert_int_equal(fetch(1), 0);
    assert_said("socket {\"B\":1.10}\nsocket {\"B\":2.10}\n"); /* what is here is not waited for */
    settle();
    assert_said("socket {\"A\":1.10}\nsocket {\"A\":2.10}\nsocket {\"C\":1.10}\nsocket {\"C\":2.10}\ndone 0\n");
    assert_int_equal(ask_event(0), 0);
    settle();
    assert_said("B event? [\"q\",1]\nC event? [\"q\",1]\nanswer [\"B\"]\nanswer [\"C\"]\ndone 0\n");
    struct rooms_message event = text_message("[\"e\"]");
    assert_int_equal(nodes[2].adapter->ops->server_side_emit(nodes[2].adapter, &plain, &event, NULL, NULL, NULL), 0);
    settle();
    assert_said("A event [\"e\"]\nB event [\"e\"]\n");
    ask_count(0);
    settle();
    assert_said("count 0 3\n");
    assert_int_equal(timers_running(), 0);
    teardown();
}

/* Server-side events are answered on the shared one all the same, as by the official adapter. */
TEST(questions, may_be_answered_on_the_asker_s_own_channel)
{
    char own[64];
    setup(2);
    snprintf(own, sizeof own, "socket.io-response#/#%s#", ((struct classic *)nodes[0].adapter)->uid);
    nodes[1].options.specific_response_channel = true;
    fetch(0);
    settle();
    assert_string_equal(last_channel, own);
    nodes[1].acks = 1;
    ask_acks(0, 500);
    settle();
    assert_string_equal(last_channel, own);
    ask_event(0);
    settle();
    assert_string_equal(last_channel, "socket.io-response#/#");
    ack_from(1, "[7]");
    settle();
    assert_string_equal(last_channel, own);
    assert_said("socket {\"A\":1.10}\nsocket {\"A\":2.10}\nsocket {\"B\":1.10}\nsocket {\"B\":2.10}\ndone 0\n"
                "A ask 500 [\"q\"]\nclients 0\nB ask 500 [\"q\"]\nclients 1\ncounted\n"
                "B event? [\"q\",1]\nanswer [\"B\"]\ndone 0\nack [7]\n");
    teardown();
}

/* Edge case 59. */
TEST(questions, of_one_that_is_alone_do_not_wait)
{
    setup(1);
    fetch(0);
    ask_event(0);
    ask_acks(0, 100);
    ask_count(0);
    settle();
    assert_said("socket {\"A\":1.10}\nsocket {\"A\":2.10}\nA ask 100 [\"q\"]\nclients 0\ndone 0\ndone 0\ncounted\n"
                "count 0 1\n");
    teardown();
}

/* Redis may have forgotten all who listened: then it counts nobody, not even the one that asks. */
TEST(questions, of_one_that_is_not_even_counted_do_not_wait)
{
    setup(1);
    struct classic *classic = (struct classic *)nodes[0].adapter;
    nodes[0].watcher->on_down(nodes[0].watcher->ctx);
    rooms__redis_unsubscribe(&nodes[0], &classic->on_requests);
    fetch(0);
    ask_count(0);
    settle();
    assert_said("socket {\"A\":1.10}\nsocket {\"A\":2.10}\ndone 0\ncount 0 1\n");
    teardown();
}

/* Redis was asked before it heard that this node listens, and answers afterwards, on another connection. */
TEST(questions, of_one_that_began_to_listen_meanwhile_count_again)
{
    setup(2);
    struct classic *classic = (struct classic *)nodes[0].adapter;
    nodes[0].watcher->on_down(nodes[0].watcher->ctx);
    rooms__redis_unsubscribe(&nodes[0], &classic->on_requests);
    ask_count(0);
    classic->is_active = true;
    settle_up_to(bus_begin + 1);
    assert_said("");
    rooms__redis_subscribe(&nodes[0], &classic->on_requests, (struct rooms_name){"socket.io-request#/#", 20});
    settle();
    assert_said("count 0 2\n");
    teardown();
}

/* Redis counts the others, and not yet the one that asks. */
TEST(questions, of_one_that_is_not_counted_wait_for_the_others)
{
    setup(2);
    struct classic *classic = (struct classic *)nodes[0].adapter;
    nodes[0].watcher->on_down(nodes[0].watcher->ctx);
    rooms__redis_unsubscribe(&nodes[0], &classic->on_requests);
    nodes[1].answers_late = true;
    ask_event(0);
    ask_count(0);
    settle();
    assert_said("B event? [\"q\",1]\ncount 0 2\n");
    answer_from(1, "[7]");
    settle();
    assert_said("answer [7]\ndone 0\n");
    teardown();
}

/* Only the connection that publishes was lost: the subscriptions are still there, and are not confirmed anew. */
TEST(questions, do_not_wait_for_the_asker_itself_when_redis_is_up_again)
{
    setup(2);
    nodes[0].watcher->on_down(nodes[0].watcher->ctx);
    nodes[0].watcher->on_up(nodes[0].watcher->ctx);
    fetch(0);
    ask_count(0);
    settle();
    assert_said("socket {\"A\":1.10}\nsocket {\"A\":2.10}\ncount 0 2\n"
                "socket {\"B\":1.10}\nsocket {\"B\":2.10}\ndone 0\n");
    teardown();
}

TEST(questions, that_are_local_are_not_asked)
{
    setup(2);
    struct rooms_adapter *adapter = nodes[0].adapter;
    struct rooms_message message = text_message("[\"q\"]");
    adapter->ops->fetch(adapter, &everybody, &here, on_socket, on_done, NULL);
    adapter->ops->server_side_emit(adapter, &here, &message, on_answer, on_done, NULL);
    adapter->ops->broadcast_with_ack(adapter, &everybody, &here, &message, &sink);
    assert_int_equal(bus_end, 0);
    assert_said("socket {\"A\":1.10}\nsocket {\"A\":2.10}\ndone 0\ndone 0\nA ask 0 [\"q\"]\nclients 0\ncounted\n");
    teardown();
}

TEST(questions, while_redis_is_away_give_what_is_here)
{
    setup(2);
    nodes[0].is_away = true;
    fetch(0);
    ask_event(0);
    ask_count(0);
    assert_said("socket {\"A\":1.10}\nsocket {\"A\":2.10}\ndone -5\ndone -5\ncount -5 1\n");
    nodes[0].acks = 1;
    ask_acks(0, 300);
    ack_from(0, "[1]");
    assert_said("A ask 300 [\"q\"]\nclients 1\nack [1]\n"); /* not counted: the others' are missing */
    pass(1000);
    assert_int_equal(timers_running(), 0);
    assert_int_equal(nodes[0].timed_out, 1);
    teardown();
}

TEST(questions, time_out_with_what_came_and_name_who_may_be_missing)
{
    setup(3);
    nodes[2].is_stuck = true;
    fetch(0);
    ask_event(0);
    settle();
    assert_said(
        "socket {\"A\":1.10}\nsocket {\"A\":2.10}\nB event? [\"q\",1]\nsocket {\"B\":1.10}\nsocket {\"B\":2.10}\n"
        "answer [\"B\"]\n");
    pass(1990);
    assert_said("");
    pass(20);
    /* An answer does not say whose it is. The second does not ask for the names once more, nor wait for them. */
    assert_said("log: a request in / timed out; other servers that did not answer: 1 of 2: unknown\ndone -5\n"
                "log: a request in / timed out; other servers that did not answer: 1 of 2: 1 of B, C\n"
                "done -5 missing 1 of B, C\n");
    assert_int_equal(nodes[0].timed_out, 2);
    nodes[1].is_stuck = true;
    fetch(0);
    pass(6000);
    assert_non_null(strstr(said, "done -5 missing B, C\n"));
    teardown();
}

TEST(questions, that_are_late_take_an_answer_until_it_is_known_who_is_missing)
{
    setup(2);
    nodes[1].answers_late = true;
    ask_event(0);
    settle();
    said[0] = '\0';
    now_ms += 1995;
    answer_from(1, "[\"just so\"]");
    now_ms += 5;
    base_timers_run(&timers);
    settle();
    assert_said("answer [\"just so\"]\ndone 0\n");
    teardown();
}

TEST(questions, do_not_wait_for_a_server_that_went_away)
{
    setup(3);
    nodes[2].is_stuck = true;
    fetch(0);
    settle();
    said[0] = '\0';
    node_free(2);
    pass(1010);
    assert_said("log: other servers: 1 of 2 disconnected before answering a request in /\ndone -5\n");
    teardown();
}

TEST(questions, are_limited_in_number)
{
    setup(2);
    nodes[1].is_stuck = true;
    for (int i = 0; i < 8; i++) assert_int_equal(ask_event(0), 0);
    assert_int_equal(ask_event(0), ROOMS_ENOMEM);
    assert_int_equal(fetch(0), ROOMS_ENOMEM);
    assert_int_equal(ask_count(0), ROOMS_ENOMEM);
    assert_int_equal(ask_acks(0, 100), 0); /* delivered all the same */
    assert_non_null(strstr(said, "A ask 100"));
    teardown();
}

TEST(questions, that_wait_when_the_node_ends_are_ended)
{
    setup(2);
    nodes[1].answers_late = true;
    fetch(0);
    ask_event(0);
    ask_count(0);
    nodes[0].acks = 1;
    ask_acks(0, 100);
    said[0] = '\0';
    node_free(0);
    assert_said("count -5 1\ndone -5\ndone -5\n");
    teardown();
}

TEST(questions, get_answers_that_do_not_fit)
{
    setup(2);
    nodes[1].is_stuck = true;
    fetch(0);
    settle();
    said[0] = '\0';
    char text[256];
    struct classic *classic = (struct classic *)nodes[0].adapter;
    const char *id = ((const char *)classic->first_question); /* its id comes first */
    static const char *const forms[][2] = {{"{\"requestId\":\"", "\"}"},
                                           {"{\"sockets\":{},\"requestId\":\"", "\"}"},
                                           {"{\"type\":8,\"clientCount\":1,\"requestId\":\"", "\"}"},
                                           {"{\"sockets\":[]}", ""},
                                           {"{\"requestId\":\"nobody\",\"sockets\":[],\"x\":\"", "\"}"}};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        snprintf(text, sizeof text, "%s%s%s", forms[i][0], id, forms[i][1]);
        publish_text("socket.io-response#/#", text);
    }
    assert_int_equal(nodes[0].ignored, 4);
    assert_int_equal(nodes[1].ignored, 0); /* it has no questions: it does not even look */
    snprintf(text, sizeof text, "{\"requestId\":\"%s\",\"sockets\":[5,{\"id\":\"x\"},null]}", id);
    publish_text("socket.io-response#/#", text);
    assert_said("socket {\"id\":\"x\"}\ndone 0\n");
    teardown();
}

/* ----------------------------------------------------------------------- acks */

TEST(acks, come_from_all_nodes)
{
    setup(3);
    for (size_t i = 0; i < 3; i++) nodes[i].acks = i;
    ask_acks(0, 700);
    settle();
    assert_said("A ask 700 [\"q\"]\nclients 0\nB ask 700 [\"q\"]\nC ask 700 [\"q\"]\nclients 1\nclients 2\ncounted\n");
    ack_from(2, "[1,9]");
    ack_from(1, "[]");
    settle();
    assert_said("ack [1]\nack []\n");
    ack_from(2, "[3]");
    settle();
    assert_said("ack [3]\n");
    assert_int_equal(timers_running(), 0); /* all is over before its time */
    teardown();
}

TEST(acks, of_sockets_here_are_enough_when_nobody_else_has_any)
{
    setup(2);
    nodes[0].acks = 2;
    ask_acks(0, 700);
    ack_from(0, "[1]");
    settle();
    ack_from(0, "[2]");
    assert_said("A ask 700 [\"q\"]\nclients 2\nack [1]\nB ask 700 [\"q\"]\nclients 0\ncounted\nack [2]\n");
    assert_int_equal(timers_running(), 0);
    teardown();
}

TEST(acks, that_come_late_find_nobody)
{
    setup(2);
    nodes[0].acks = nodes[1].acks = 1;
    ask_acks(0, 300);
    settle();
    said[0] = '\0';
    pass(310); /* both are deaf, and remember the sockets that may speak yet */
    assert_int_equal(nodes[0].timed_out, 1);
    ack_from(0, "[\"late\"]");
    ack_from(1, "[\"late\"]");
    settle();
    assert_said("");
    assert_int_equal(timers_running(), 0);
    ask_acks(0, 300);
    settle();
    said[0] = '\0';
    pass(2000);
    assert_said("");
    assert_int_equal(timers_running(), 0);
    teardown();
}

TEST(acks, of_a_server_that_is_stuck_are_missing_until_the_timeout)
{
    setup(3);
    nodes[1].acks = 1;
    nodes[2].is_stuck = true;
    ask_acks(0, 3000);
    settle();
    ack_from(1, "[1]");
    settle();
    assert_said("A ask 3000 [\"q\"]\nclients 0\nB ask 3000 [\"q\"]\nclients 1\nack [1]\n");
    node_free(2);
    pass(1010);
    assert_said("log: other servers: 1 of 2 disconnected before answering a request in /\ncounted\n");
    assert_int_equal(timers_running(), 0);
    teardown();
}

/* More acks than clients: whoever sends them, no memory is used that was given back. */
TEST(acks, that_nobody_was_asked_for_do_no_harm)
{
    setup(2);
    nodes[0].acks = 1;
    ask_acks(0, 300);
    struct classic *classic = (struct classic *)nodes[0].adapter;
    char text[128];
    snprintf(text, sizeof text, "{\"type\":9,\"requestId\":\"%s\",\"packet\":1}",
             (const char *)classic->first_question);
    settle();
    said[0] = '\0';
    publish_text("socket.io-response#/#", text);
    assert_said("ack [1]\n"); /* that is all that was expected */
    ack_from(0, "[2]");
    assert_said("");
    assert_int_equal(timers_running(), 0);
    teardown();
}

/* --------------------------------------------------------- answers to servers */

TEST(events, may_be_answered_later_or_never)
{
    setup(3);
    nodes[1].answers_late = true;
    nodes[2].answers_never = true;
    ask_event(0);
    settle();
    said[0] = '\0';
    answer_from(1, "[\"late\"]");
    settle();
    assert_said("answer [\"late\"]\n");
    assert_null(((struct classic *)nodes[2].adapter)->first_owed);
    pass(2010);
    assert_non_null(strstr(said, "done -5"));
    ask_event(0);
    settle();
    pass(3000);
    said[0] = '\0';
    answer_from(1, "[\"much too late\"]"); /* nobody waits for it any more */
    settle();
    assert_said("");
    ask_event(0); /* never answered: it goes with the node */
    teardown();
}

/* -------------------------------------------------------------------- garbage */

TEST(garbage, is_counted_and_passed_over)
{
    static const char *const bad[] = {
        "",
        "{",
        "{}",
        "[]",
        "null",
        "{\"type\":99}",
        "{\"type\":\"2\"}",
        "{\"type\":5,\"requestId\":\"x\"}",
        "{\"type\":5,\"opts\":{\"rooms\":[]}}",
        "{\"type\":7,\"requestId\":\"x\",\"opts\":{},\"packet\":5}",
        "{\"type\":7,\"requestId\":\"x\",\"opts\":{},\"packet\":{\"data\":{}}}",
        "{\"type\":6}",
        "{\"type\":6,\"data\":{}}",
        "{\"type\":2,\"opts\":5,\"rooms\":[\"a\"]}",
        "{\"type\":2,\"opts\":{\"rooms\":\"a\"},\"rooms\":[\"b\"]}",
        "{\"type\":2,\"opts\":{},\"rooms\":\"b\"}",
        "{\"type\":0,\"requestId\":\"x\",\"rooms\":{}}",
        "{\"type\":0}",
        "{\"type\":1}",
        "{\"type\":8,\"requestId\":\"x\"}",
        "{\"type\":2}",
        "\xdd\xff\xff\xff\xff",
        "\x93",
    };
    setup(1);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        nodes[0].ignored = 0;
        publish_text("socket.io-request#/#", bad[i]);
        assert_int_equal(nodes[0].ignored, 1);
        publish_text("socket.io#/#", bad[i]);
        assert_int_equal(nodes[0].ignored, 2);
    }
    assert_said("");
    assert_int_equal(bus_end, 0);
    teardown();
}

TEST_MAIN
