/* A parser of the application's own (row P4): here one of lines, "type;nsp;id;attachments;data", with each attachment
 * in a message of its own. */
#include "sio_fixture.h"

static struct talk t;
static int fd, encoded, forgotten;

/* A packet that waits for attachments. */
struct waiting {
    char line[512];
    struct rooms_bytes attachments[8];
    size_t have, want;
};

static int encode(const struct sio_parser_packet *packet, struct sio_parser_out *out, void *ctx)
{
    char head[256], id[24] = "";
    assert_ptr_equal(ctx, &t);
    encoded++;
    if (packet->has_id) snprintf(id, sizeof id, "%llu", (unsigned long long)packet->id);
    int n = snprintf(head, sizeof head, "%d;%.*s;%s;%zu;", packet->type, (int)packet->nsp.n, packet->nsp.p, id,
                     packet->attachment_count);
    uint8_t *p = sio_parser_message(out, EIO_TEXT, (size_t)n + packet->data.n);
    if (!p) return EIO_ENOMEM;
    memcpy(p, head, (size_t)n);
    if (packet->data.n) memcpy(p + n, packet->data.p, packet->data.n);
    for (size_t i = 0; i < packet->attachment_count; i++) {
        p = sio_parser_message(out, EIO_BINARY, packet->attachments[i].n);
        if (!p) return EIO_ENOMEM;
        memcpy(p, packet->attachments[i].p, packet->attachments[i].n);
    }
    assert_null(sio_parser_message(out, EIO_TEXT, 1)); /* no more than that */
    return 0;
}

/* The fields of a line, split in place. */
static const char *give(struct sio_parser_in *in, struct waiting *waiting)
{
    char line[512];
    char *field[5], *at = line;
    snprintf(line, sizeof line, "%s", waiting->line);
    for (int i = 0; i < 4; i++) {
        field[i] = at;
        at = strchr(at, ';');
        if (!at) return "a field is missing";
        *at++ = '\0';
    }
    field[4] = at;
    struct sio_parser_packet packet = {
        .type = (enum sio_packet_type)atoi(field[0]),
        .nsp = eio_str(field[1]),
        .has_id = *field[2] != '\0',
        .id = strtoull(field[2], NULL, 10),
        .data = eio_str(field[4]),
        .attachments = waiting->attachments,
        .attachment_count = waiting->have,
    };
    sio_parser_packet(in, &packet);
    return NULL;
}

static void forget(void *state, void *ctx)
{
    struct waiting *waiting = state;
    assert_ptr_equal(ctx, &t);
    for (size_t i = 0; i < waiting->have; i++) free((void *)(uintptr_t)waiting->attachments[i].p);
    free(waiting);
    forgotten++;
}

static const char *decode(struct sio_parser_in *in, void **state, enum eio_kind kind, const uint8_t *p, size_t n,
                          void *ctx)
{
    struct waiting *waiting = *state;
    if (kind == EIO_TEXT) {
        if (waiting || n >= sizeof waiting->line) return "a line too early or too long";
        waiting = *state = calloc(1, sizeof *waiting);
        memcpy(waiting->line, p, n);
        const char *at = waiting->line;
        for (int i = 0; i < 3 && at; i++) at = strchr(at, ';') ? strchr(at, ';') + 1 : NULL;
        waiting->want = at ? strtoul(at, NULL, 10) : 0;
    } else {
        if (!waiting || waiting->have == 8) return "an attachment that nobody waits for";
        uint8_t *copy = malloc(n + 1);
        memcpy(copy, p, n);
        waiting->attachments[waiting->have++] = (struct rooms_bytes){copy, n};
    }
    if (waiting->have < waiting->want) return NULL;
    *state = NULL;
    const char *why = give(in, waiting);
    forget(waiting, ctx);
    return why;
}

static const struct sio_parser_ops ops = {encode, decode, forget};

static void on_echo(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    sio_emit(sio_only(socket), "back", event->args);
}

static void on_all(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)socket, (void)ctx;
    sio_emit(sio_all(t.root), "news", event->args);
}

static void on_ask(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)socket, (void)ctx;
    sio_ack(event, event->args);
}

static void on_quit(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)event, (void)ctx;
    sio_socket_disconnect(socket, true);
}

static int join(void)
{
    int peer = client_open(&t);
    const char *said = client_say(&t, peer, "40;/;;0;");
    assert_memory_equal(said, "1:40;/;;0;{\"sid\":\"", 18);
    return peer;
}

static int setup(void **state)
{
    (void)state;
    talk_init(&t);
    t.options.parser = SIO_PARSER_OWN;
    t.options.own_parser = &ops;
    t.options.own_parser_ctx = &t;
    t.options.max_packet_bytes = 400;
    talk_start(&t);
    sio_on(t.root, "echo", on_echo, NULL);
    sio_on(t.root, "all", on_all, NULL);
    sio_on(t.root, "ask", on_ask, NULL);
    sio_on(t.root, "quit", on_quit, NULL);
    fd = join();
    encoded = forgotten = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close(fd);
    talk_turn(&t);
    talk_turn(&t);
    assert_int_equal(t.io->client_count, 0);
    talk_clear(&t);
    return 0;
}

static void every_type_goes_both_ways(void **state)
{
    (void)state;
    assert_says(&t, fd, "42;/;;0;[\"echo\",1,{\"a\":[]}]", "1:42;/;;0;[\"back\",1,{\"a\":[]}]\n");
    assert_says(&t, fd, "42;/;;0;[\"ask\",1]", "");
    assert_says(&t, fd, "40;/none;;0;", "1:44;/none;;0;{\"message\":\"Invalid namespace\"}\n");
    sio_socket_disconnect(only_socket(t.root), false);
    assert_hears(&t, fd, "1:41;/;;0;\n");
    assert_memory_equal(client_say(&t, fd, "40;/;;0;{\"token\":1}"), "1:40;/;;0;{\"sid\":\"", 18);
    struct eio_str auth = sio_socket_auth(only_socket(t.root));
    assert_true(eio_str_is(auth, "{\"token\":1}"));
    client_say(&t, fd, "41;/;;0;");
    assert_int_equal(t.root->socket_count, 0);
}

static void note_answer(void *ctx, int error, struct sio_args answer)
{
    note(ctx, "%d %.*s\n", error, (int)answer.json.n, answer.json.n ? answer.json.p : "");
}

static void acknowledgements_go_both_ways(void **state)
{
    (void)state;
    sio_emit_with_ack(sio_only(only_socket(t.root)), "q", sio_args_json("5"), note_answer, &t);
    assert_hears(&t, fd, "1:42;/;0;0;[\"q\",5]\n");
    client_say(&t, fd, "43;/;0;0;[\"yes\",2]");
    assert_noted(&t, "0 \"yes\",2\n");
    assert_says(&t, fd, "42;/;17;0;[\"ask\",\"x\"]", "1:43;/;17;0;[\"x\"]\n");
}

static void attachments_go_both_ways(void **state)
{
    (void)state;
    client_say(&t, fd, "42;/;;2;[\"echo\",{\"_placeholder\":true,\"num\":1},{\"_placeholder\":true,\"num\":0}]");
    peer_send(fd, 0x82, "zero", 4);
    peer_send(fd, 0x82, "one", 3);
    assert_hears(&t, fd,
                 "1:42;/;;2;[\"back\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]\n"
                 "2:one\n2:zero\n");
    assert_int_equal(forgotten, 1); /* by the decoder itself */
}

static void a_broadcast_is_encoded_once(void **state)
{
    (void)state;
    int other = join();
    encoded = 0;
    assert_says(&t, fd, "42;/;;0;[\"all\",\"x\"]", "1:42;/;;0;[\"news\",\"x\"]\n");
    assert_hears(&t, other, "1:42;/;;0;[\"news\",\"x\"]\n");
    assert_int_equal(encoded, 1);
    close(other);
}

/* Whatever a decoder lets through is checked. */
static void what_is_wrong_closes_the_connection(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "nothing",
        "45;/;;0;[\"m\"]",
        "4-1;/;;0;[\"m\"]",
        "42;x;;0;[\"m\"]",
        "42;;;0;[\"m\"]",
        "42;/;;0;",
        "42;/;;0;[]",
        "42;/;;0;{}",
        "42;/;;0;[\"m\",]",
        "42;/;;0;[\"m\"]x",
        "42;/;;0;[\"connect\"]",
        "42;/;9007199254740992;0;[\"m\"]",
        "43;/;1;0;{}",
        "40;/x;;0;[]",
        "40;/x;;0;5",
        "41;/;;0;{}",
    };
    eio_log_set(NULL, NULL, EIO_LOG_ERROR);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int other = join();
        if (strcmp(client_say(&t, other, wrong[i]), CLOSED) != 0) fail_msg("not closed: %s", wrong[i]);
        close(other);
        talk_turn(&t);
    }
    int other = join();
    client_say(&t, other, "42;/;;1;[\"echo\",{\"_placeholder\":true,\"num\":1}]"); /* of which there is none */
    peer_send(other, 0x82, "x", 1);
    assert_hears(&t, other, CLOSED);
    close(other);
    eio_log_set(NULL, NULL, EIO_LOG_WARN);
}

static void limits_are_counted(void **state)
{
    (void)state;
    struct sio_stats stats;
    char text[600];
    eio_log_set(NULL, NULL, EIO_LOG_ERROR);
    t.io->limits.max_namespace_bytes = 8;
    int other = join();
    assert_says(&t, other, "40;/123456789;;0;", CLOSED);
    close(other);
    other = join();
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    memcpy(text, "42;/;;0;[", 9);
    assert_says(&t, other, text, CLOSED);
    close(other);
    sio_server_get_stats(t.io, &stats);
    assert_int_equal(stats.limit_hits[SIO_LIMIT_NAMESPACE_BYTES], 1);
    assert_int_equal(stats.limit_hits[SIO_LIMIT_PACKET_BYTES], 1);
    eio_log_set(NULL, NULL, EIO_LOG_WARN);
}

static void a_client_that_goes_in_the_middle_is_forgotten(void **state)
{
    (void)state;
    int other = join();
    forgotten = 0;
    client_say(&t, other, "42;/;;2;[\"echo\",{\"_placeholder\":true,\"num\":0}]");
    peer_send(other, 0x82, "x", 1);
    talk_turn(&t);
    assert_int_equal(forgotten, 0);
    close(other);
    talk_turn(&t);
    assert_int_equal(forgotten, 1);
}

static void a_handler_may_close_the_client_while_it_decodes(void **state)
{
    (void)state;
    int other = join();
    forgotten = 0;
    client_say(&t, other, "42;/;;1;[\"quit\",{\"_placeholder\":true,\"num\":0}]");
    peer_send(other, 0x82, "x", 1);
    assert_hears(&t, other, "1:41;/;;0;\n" CLOSED);
    assert_int_equal(forgotten, 1);
    close(other);
}

static void keep_line(enum eio_log_level level, const char *line, void *ctx)
{
    (void)level;
    snprintf(ctx, 128, "%s", line);
}

static void without_a_parser_there_is_no_server(void **state)
{
    (void)state;
    char line[128] = "";
    struct sio_options options = t.options;
    options.own_parser = NULL;
    eio_log_set(keep_line, line, EIO_LOG_ERROR);
    assert_null(sio_server_new_on(t.loop, &options));
    eio_log_set(NULL, NULL, EIO_LOG_WARN);
    assert_string_equal(line, "options.parser is SIO_PARSER_OWN, but own_parser is not set");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(every_type_goes_both_ways),
        TEST(acknowledgements_go_both_ways),
        TEST(attachments_go_both_ways),
        TEST(a_broadcast_is_encoded_once),
        TEST(what_is_wrong_closes_the_connection),
        TEST(limits_are_counted),
        TEST(a_client_that_goes_in_the_middle_is_forgotten),
        TEST(a_handler_may_close_the_client_while_it_decodes),
        TEST(without_a_parser_there_is_no_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
