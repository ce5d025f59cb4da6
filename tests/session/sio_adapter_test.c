/* The seam between nodes: an adapter that hands everything back as if another node had sent it. */
#include "sio_fixture.h"

static struct talk t;
static struct rooms_adapter *adapter;
static int fd, other;
static struct sio_socket *socket_here;

/* ----------------------------------------------------------------- adapter */

static void loop_free(struct rooms_adapter *self)
{
    free(self);
}

static int loop_broadcast(struct rooms_adapter *self, const struct rooms_selector *who, const struct rooms_flags *flags,
                          const struct rooms_message *message)
{
    struct rooms_message foreign = *message;
    note(&t, "broadcast %.*s%s\n", (int)message->json.n, (const char *)message->json.p, flags->local ? " local" : "");
    foreign.prepared = NULL;
    self->local.deliver(self->local.ctx, who, flags, &foreign);
    return ROOMS_OK;
}

static int loop_broadcast_with_ack(struct rooms_adapter *self, const struct rooms_selector *who,
                                   const struct rooms_flags *flags, const struct rooms_message *message,
                                   const struct rooms_ack_sink *sink)
{
    struct rooms_message foreign = *message;
    struct rooms_ack_sink kept = *sink;
    foreign.prepared = NULL;
    self->local.deliver_with_ack(self->local.ctx, who, flags, &foreign, &kept);
    kept.clients(kept.ctx, 0); /* of a second server */
    kept.counted(kept.ctx);
    return ROOMS_OK;
}

static int loop_server_side_emit(struct rooms_adapter *self, const struct rooms_flags *flags,
                                 const struct rooms_message *message, rooms_answer_fn answer, rooms_done_fn done,
                                 void *ctx)
{
    (void)flags;
    self->local.server_side_event(self->local.ctx, message, answer, ctx);
    if (done) done(ctx, ROOMS_ETIMEOUT);
    return ROOMS_OK;
}

static int loop_server_count(struct rooms_adapter *self, void (*result)(void *ctx, int error, size_t servers),
                             void *ctx)
{
    (void)self;
    result(ctx, ROOMS_ETIMEOUT, 3);
    return ROOMS_OK;
}

static int loop_fetch(struct rooms_adapter *self, const struct rooms_selector *who, const struct rooms_flags *flags,
                      rooms_fetch_fn each, rooms_done_fn done, void *ctx)
{
    (void)self, (void)who, (void)flags, (void)each, (void)done, (void)ctx;
    return ROOMS_ENOMEM;
}

static void loop_room_created(struct rooms_adapter *self, struct rooms_name room)
{
    (void)self;
    note(&t, "created %.*s\n", (int)room.n, room.p);
}

static void loop_room_deleted(struct rooms_adapter *self, struct rooms_name room)
{
    (void)self;
    note(&t, "deleted %.*s\n", (int)room.n, room.p);
}

static const struct rooms_adapter_ops loop_ops = {
    .name = "loop",
    .free = loop_free,
    .broadcast = loop_broadcast,
    .broadcast_with_ack = loop_broadcast_with_ack,
    .fetch = loop_fetch,
    .server_side_emit = loop_server_side_emit,
    .server_count = loop_server_count,
    .room_created = loop_room_created,
    .room_deleted = loop_room_deleted,
};

static struct rooms_adapter *loop_adapter(void *ctx, const char *namespace_name, const struct rooms_local *local)
{
    assert_ptr_equal(ctx, &t);
    assert_string_equal(namespace_name, "/");
    adapter = calloc(1, sizeof *adapter);
    adapter->ops = &loop_ops;
    adapter->local = *local;
    return adapter;
}

static int setup(void **state)
{
    (void)state;
    talk_init(&t);
    t.options.adapter = loop_adapter;
    t.options.adapter_ctx = &t;
    talk_start(&t);
    fd = client_join(&t, "", NULL);
    socket_here = only_socket(t.root);
    other = client_join(&t, "", NULL);
    t.log[0] = '\0'; /* their own rooms were created */
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close(fd);
    close(other);
    talk_turn(&t);
    talk_clear(&t);
    return 0;
}

/* ------------------------------------------------------------------- tests */

static void events_of_other_nodes_are_encoded_here(void **state)
{
    (void)state;
    struct sio_builder builder;
    sio_builder_init(&builder);
    sio_builder_text(&builder, "\xc3\xbc", 2);
    sio_builder_binary(&builder, (const uint8_t *)"abc", 3);
    sio_emit(sio_broadcast(socket_here), "na\"me", sio_builder_args(&builder));
    assert_noted(&t, "broadcast [\"na\\\"me\",\"\xc3\xbc\",{\"_placeholder\":true,\"num\":0}]\n");
    assert_hears(&t, other, "1:451-[\"na\\\"me\",\"\xc3\xbc\",{\"_placeholder\":true,\"num\":0}]\n2:abc\n");
    assert_hears(&t, fd, "");
    sio_emit(sio_local(sio_all(t.root)), "none", sio_args_none());
    assert_noted(&t, "broadcast [\"none\"] local\n");
    assert_hears(&t, fd, "1:42[\"none\"]\n");
    client_hear(&t, other);
    sio_builder_clear(&builder);
}

static void broken_messages_of_other_nodes_are_dropped(void **state)
{
    (void)state;
    static const char *const broken[] = {"", "[", "[]", "{}", "[ ]"};
    struct rooms_selector everybody = {0};
    struct rooms_flags flags = {0};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct rooms_message message = {.json = {(const uint8_t *)broken[i], strlen(broken[i])}};
        adapter->local.deliver(adapter->local.ctx, &everybody, &flags, &message);
        adapter->local.server_side_event(adapter->local.ctx, &message, NULL, NULL);
    }
    struct rooms_message number = {.json = {(const uint8_t *)" [5, 1] ", 8}};
    adapter->local.deliver(adapter->local.ctx, &everybody, &flags, &number);
    assert_hears(&t, fd, "1:42[\"5\",1]\n");
}

static void note_list(void *ctx, int error, struct sio_args list)
{
    (void)ctx;
    note(&t, "%d [%.*s]\n", error, (int)list.json.n, list.json.n ? list.json.p : "");
}

static void other_nodes_may_ask_for_acks(void **state)
{
    (void)state;
    assert_int_equal(sio_emit_to_all_with_ack(sio_timeout(sio_all(t.root), 100), "q", sio_args_none(), note_list, NULL),
                     0);
    /* The survey took 0, what came from outside gets an id of its own. */
    assert_says(&t, fd, "431[1]", "1:421[\"q\"]\n");
    assert_noted(&t, "");
    assert_says(&t, other, "431[2]", "1:421[\"q\"]\n");
    assert_noted(&t, "0 [1,2]\n");
}

static void on_server_event(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    assert_null(socket);
    note(&t, "%.*s(%.*s) %d\n", (int)event->name.n, event->name.p, (int)event->args.json.n,
         event->args.json.n ? event->args.json.p : "", event->wants_ack);
    sio_ack_pack(event, "s", "here");
    assert_false(sio_reply_later(event).wanted);
    sio_ack_pack(event, "s", "again");
}

static void servers_answer_each_other(void **state)
{
    (void)state;
    sio_on_server_event(t.root, "hello", on_server_event, NULL);
    assert_int_equal(sio_server_side_emit(t.root, "hello", sio_args_json("1,2"), NULL, NULL), 0);
    assert_noted(&t, "hello(1,2) 0\n");
    assert_int_equal(sio_server_side_emit(t.root, "hello", sio_args_none(), note_list, NULL), 0);
    assert_noted(&t, "hello() 1\n-3 [\"here\"]\n"); /* one was missing */
}

static void note_count(void *ctx, int error, size_t servers)
{
    (void)ctx;
    note(&t, "%d %zu\n", error, servers);
}

static void an_adapter_s_failures_are_told(void **state)
{
    (void)state;
    assert_int_equal(sio_server_count(t.root, note_count, NULL), 0);
    assert_noted(&t, "-3 3\n");
    assert_int_equal(sio_target_fetch(sio_all(t.root), note_list, NULL), EIO_ENOMEM);
    assert_noted(&t, "");
}

static void an_adapter_hears_of_rooms(void **state)
{
    (void)state;
    sio_join(socket_here, eio_str("kitchen"));
    sio_join(socket_here, eio_str("kitchen"));
    assert_noted(&t, "created kitchen\n");
    sio_socket_disconnect(socket_here, false);
    assert_non_null(strstr(t.log, "deleted kitchen\n"));
}

static struct sio_reply reply;

static void note_answer(void *ctx, const struct rooms_message *args)
{
    note(ctx, "answer %.*s\n", (int)args->json.n, (const char *)args->json.p);
}

static void note_wanted(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)socket, (void)ctx;
    note(&t, "%d ", sio_reply_later(event).wanted);
}

static void on_question(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    assert_null(socket);
    reply = sio_reply_later(event);
    assert_int_equal(reply.wanted, event->wants_ack);
    assert_int_equal(sio_ack_pack(event, "s", "too late"), 0);
}

static void a_server_may_be_answered_later(void **state)
{
    (void)state;
    sio_on_server_event(t.root, "ask", on_question, NULL);
    struct rooms_message message = {.json = {(const uint8_t *)"[\"ask\"]", 7}};
    assert_false(adapter->local.server_side_event(adapter->local.ctx, &message, NULL, NULL));
    assert_int_equal(sio_reply(&reply, sio_args_json("1")), 0); /* nobody waits */
    struct rooms_message unheard = {.json = {(const uint8_t *)"[\"none\"]", 8}};
    assert_false(adapter->local.server_side_event(adapter->local.ctx, &unheard, note_answer, &t));
    assert_true(adapter->local.server_side_event(adapter->local.ctx, &message, note_answer, &t));
    struct sio_reply first = reply;
    assert_true(adapter->local.server_side_event(adapter->local.ctx, &message, note_answer, &t));
    talk_turn(&t);
    assert_noted(&t, "");
    assert_int_equal(sio_reply(&reply, sio_args_json("\"second\"")), 0);
    assert_noted(&t, "answer [\"second\"]\n");
    assert_int_equal(sio_reply(&first, sio_args_json("\"first\",2")), 0);
    assert_noted(&t, "answer [\"first\",2]\n");
    assert_int_equal(sio_reply(&first, sio_args_json("3")), 0); /* once */
    assert_noted(&t, "");
    /* One that is never given is forgotten with the server. */
    adapter->local.server_side_event(adapter->local.ctx, &message, note_answer, &t);
}

static void pass_on(void *ctx, int error, struct sio_args list)
{
    (void)ctx, (void)list;
    assert_int_equal(error, EIO_ECLOSED);
    assert_int_equal(sio_reply(&reply, sio_args_json("1")), 0);
}

static void ask_everybody(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)socket, (void)ctx;
    reply = sio_reply_later(event);
    sio_emit_to_all_with_ack(sio_timeout(sio_all(t.root), 1000), "q", sio_args_none(), pass_on, NULL);
}

static void who_waits_when_the_server_ends_may_still_reply(void **state)
{
    (void)state;
    sio_on(t.root, "survey", ask_everybody, NULL);
    assert_says(&t, fd, "420[\"survey\"]", "1:421[\"q\"]\n");
    client_hear(&t, other);
}

static void answers_that_servers_wait_for_are_bounded(void **state)
{
    (void)state;
    struct rooms_message message = {.json = {(const uint8_t *)"[\"ask\"]", 7}};
    struct sio_stats stats;
    sio_on_server_event(t.root, "ask", note_wanted, NULL);
    t.io->options.max_pending_acks = 3;
    eio_log_set(NULL, NULL, EIO_LOG_ERROR);
    for (int i = 0; i < 5; i++) adapter->local.server_side_event(adapter->local.ctx, &message, note_answer, &t);
    eio_log_set(NULL, NULL, EIO_LOG_WARN);
    assert_noted(&t, "1 1 1 0 0 ");
    sio_server_get_stats(t.io, &stats);
    assert_int_equal(stats.limit_hits[SIO_LIMIT_PENDING_ACKS], 2);
}

static void keep_line(enum eio_log_level level, const char *line, void *ctx)
{
    (void)level;
    snprintf(ctx, 256, "%s", line);
}

static void on_binary(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)socket;
    struct sio_builder builder;
    sio_builder_init(&builder);
    sio_builder_binary(&builder, (const uint8_t *)"abc", 3);
    *(int *)ctx = sio_ack(event, sio_builder_args(&builder));
    sio_builder_clear(&builder);
}

/* As the reference documents for serverSideEmit: acknowledgements without binary content. */
static void answers_to_servers_have_no_attachments(void **state)
{
    (void)state;
    int result = 0;
    char line[256] = "";
    sio_on_server_event(t.root, "binary", on_binary, &result);
    eio_log_set(keep_line, line, EIO_LOG_WARN);
    assert_int_equal(sio_server_side_emit(t.root, "binary", sio_args_none(), note_list, NULL), 0);
    assert_int_equal(result, EIO_EINVAL);
    assert_string_equal(line,
                        "namespace /: the answer to a server-side event has attachments, which are not supported");
    assert_noted(&t, "-3 []\n"); /* as one that did not answer */
    eio_log_set(NULL, NULL, EIO_LOG_WARN);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(events_of_other_nodes_are_encoded_here),
        TEST(broken_messages_of_other_nodes_are_dropped),
        TEST(other_nodes_may_ask_for_acks),
        TEST(servers_answer_each_other),
        TEST(an_adapter_s_failures_are_told),
        TEST(an_adapter_hears_of_rooms),
        TEST(who_waits_when_the_server_ends_may_still_reply),
        TEST(a_server_may_be_answered_later),
        TEST(answers_that_servers_wait_for_are_bounded),
        TEST(answers_to_servers_have_no_attachments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
