/* Every receiver gets what was emitted to it, in the order of emission, however broadcasts are batched: random
 * interleavings of emits, acks, broadcasts, joins, leaves, disconnects and connects against a naive model. */
#include "sio_fixture.h"

enum { CLIENTS = 7, ROOMS = 3, SPACES = 2, ROUNDS = 400, STEPS_MAX = 40, EXPECTED_MAX = 65536 };

static const char *const room_names[ROOMS] = {"red", "green", "blue"};

/* What the naive model knows of a socket. */
struct model {
    struct sio_socket *socket; /* NULL: not connected */
    bool in[ROOMS];
};
static struct model models[CLIENTS][SPACES];
static int fds[CLIENTS];
static char *expected[CLIENTS];
static struct sio_namespace *spaces[SPACES];
static struct talk t;
static int serial;
static uint64_t deliveries; /* events the model expects */
static uint32_t seed;
static int connecting_client; /* whose CONNECT is under way; -1: nobody's */

static uint32_t pick(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 10) % n;
}

static const char *prefix_of(int space)
{
    return space ? "/b," : "";
}

static void expect(int client, const char *format, ...)
{
    size_t used = strlen(expected[client]);
    va_list values;
    va_start(values, format);
    vsnprintf(expected[client] + used, EXPECTED_MAX - used, format, values);
    va_end(values);
}

/* ------------------------------------------------------------------- steps */

static void expect_event(int client, int space, bool binary)
{
    deliveries++;
    if (binary)
        expect(client, "1:451-%s[\"e\",%d,{\"_placeholder\":true,\"num\":0}]\n2:b%d\n", prefix_of(space), serial,
               serial);
    else
        expect(client, "1:42%s[\"e\",%d]\n", prefix_of(space), serial);
}

static int emit(struct sio_target target, bool binary)
{
    struct sio_builder builder;
    char bytes[16];
    snprintf(bytes, sizeof bytes, "b%d", serial);
    sio_builder_init(&builder);
    sio_builder_int(&builder, serial);
    if (binary) sio_builder_binary(&builder, (const uint8_t *)bytes, strlen(bytes));
    int result = sio_emit(target, "e", sio_builder_args(&builder));
    sio_builder_clear(&builder);
    return result;
}

static void step_direct(int client, int space)
{
    struct model *model = &models[client][space];
    if (!model->socket) return;
    serial++;
    bool binary = pick(4) == 0;
    assert_int_equal(emit(sio_only(model->socket), binary), 0);
    expect_event(client, space, binary);
}

/* As the model sees it: `rooms` and `except` are sets of bits. */
static bool is_meant(const struct model *model, uint32_t rooms, uint32_t except)
{
    bool meant = rooms == 0;
    for (int room = 0; room < ROOMS; room++) {
        if (!model->in[room]) continue;
        if (except & 1u << room) return false;
        if (rooms & 1u << room) meant = true;
    }
    return meant && model->socket;
}

static void broadcast(int space, uint32_t rooms, uint32_t except, const struct sio_socket *but)
{
    struct sio_target target = but ? sio_broadcast(but) : sio_all(spaces[space]);
    bool binary = pick(8) == 0;
    serial++;
    for (int room = 0; room < ROOMS; room++) {
        if (rooms & 1u << room) target = sio_to(target, room_names[room]);
        if (except & 1u << room) target = sio_except(target, room_names[room]);
    }
    assert_int_equal(emit(target, binary), 0);
    for (int client = 0; client < CLIENTS; client++) {
        const struct model *model = &models[client][space];
        if (model->socket != but && is_meant(model, rooms, except)) expect_event(client, space, binary);
    }
}

static void step_broadcast(int client, int space)
{
    uint32_t rooms = 0, except = 0;
    uint32_t kind = pick(10);
    if (kind < 7)
        rooms = 1u << (kind < 5 ? 0 : pick(ROOMS)); /* mostly the same one, so that batches grow */
    else if (kind < 8)
        rooms = pick(1u << ROOMS);
    if (kind == 8) except = 1u << pick(ROOMS);
    broadcast(space, rooms, except, pick(2) ? models[client][space].socket : NULL);
}

static void step_membership(int client, int space)
{
    struct model *model = &models[client][space];
    int room = (int)pick(ROOMS);
    if (!model->socket) return;
    model->in[room] = !model->in[room];
    if (model->in[room])
        assert_int_equal(sio_join(model->socket, eio_str(room_names[room])), 0);
    else
        sio_leave(model->socket, eio_str(room_names[room]));
}

static void step_disconnect(int client, int space)
{
    struct model *model = &models[client][space];
    if (!model->socket || pick(3)) return;
    struct sio_socket *socket = model->socket;
    *model = (struct model){0};
    expect(client, "1:41%s\n", prefix_of(space));
    sio_socket_disconnect(socket, false);
}

/* In the midst of a turn: a new socket must not get what was emitted before it. */
static void on_connection(struct sio_socket *socket, void *ctx)
{
    int space = sio_socket_namespace(socket) == spaces[1];
    (void)ctx;
    if (connecting_client < 0) return;
    models[connecting_client][space].socket = socket;
    expect(connecting_client, "1:40%s{\"sid\":\"*\"}\n", prefix_of(space));
    if (pick(2)) broadcast(space, 1, 0, NULL);
    if (pick(2)) {
        models[connecting_client][space].in[0] = true;
        sio_join(socket, eio_str(room_names[0]));
    }
    if (pick(2)) broadcast(space, 1, 0, pick(2) ? socket : NULL);
}

static void step_connect(int client, int space)
{
    if (models[client][space].socket || connecting_client >= 0) return;
    connecting_client = client;
    peer_text(fds[client], space ? "40/b" : "40");
}

/* The ids in CONNECT answers become stars. */
static const char *normalized(int fd)
{
    static char out[EXPECTED_MAX];
    const char *in = peer_read(fd);
    size_t n = 0;
    while (*in) {
        static const char mark[] = "{\"sid\":\"";
        bool sid = strncmp(in, mark, sizeof mark - 1) == 0;
        if (sid) {
            n += (size_t)snprintf(out + n, sizeof out - n, "%s*", mark);
            in += sizeof mark - 1 + 20;
        } else
            out[n++] = *in++;
    }
    out[n] = '\0';
    return out;
}

static void check_all(void)
{
    talk_turn(&t);
    talk_turn(&t);
    for (int client = 0; client < CLIENTS; client++) {
        const char *got = normalized(fds[client]);
        if (strcmp(got, expected[client]) != 0) print_error("serial %d, client %d\n", serial, client);
        assert_string_equal(got, expected[client]);
        expected[client][0] = '\0';
    }
    assert_int_equal(t.io->stats.deliveries, deliveries);
    connecting_client = -1;
}

static void (*const steps[])(int client, int space) = {
    step_direct, step_direct, step_broadcast, step_broadcast, step_broadcast, step_membership, step_disconnect,
};

static void run(uint32_t first_seed)
{
    seed = first_seed;
    deliveries = 0;
    talk_init(&t);
    talk_start(&t);
    spaces[0] = t.root;
    spaces[1] = sio_of(t.io, "/b");
    for (int space = 0; space < SPACES; space++) sio_on_connection(spaces[space], on_connection, NULL);
    connecting_client = -1;
    memset(models, 0, sizeof models);
    for (int client = 0; client < CLIENTS; client++) {
        expected[client] = calloc(1, EXPECTED_MAX);
        fds[client] = client_open(&t);
    }
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t count = pick(STEPS_MAX);
        int space = (int)pick(SPACES);
        for (uint32_t i = 0; i < count; i++)
            steps[pick(sizeof steps / sizeof steps[0])]((int)pick(CLIENTS), pick(4) ? space : 1 - space);
        step_connect((int)pick(CLIENTS), (int)pick(SPACES));
        check_all();
    }
    for (int client = 0; client < CLIENTS; client++) {
        close(fds[client]);
        free(expected[client]);
    }
    talk_turn(&t);
    assert_int_equal(t.io->client_count, 0);
    talk_clear(&t);
}

static void each_receiver_gets_everything_in_the_order_of_emission(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= 8; i++) run(i * 7919);
}

/* More senders in a turn than a batch remembers exceptions. */
static void many_senders_in_one_turn_keep_the_order(void **state)
{
    enum { MANY = 40 };
    int many[MANY];
    struct sio_socket *sockets[MANY];
    static char want[MANY][8192];
    (void)state;
    talk_init(&t);
    talk_start(&t);
    for (int i = 0; i < MANY; i++) {
        many[i] = client_join(&t, "", NULL);
        sockets[i] = t.root->sockets[i];
        sio_join(sockets[i], eio_str("hall"));
        want[i][0] = '\0';
    }
    for (int i = 0; i < MANY; i++) {
        char args[16];
        snprintf(args, sizeof args, "%d", i);
        sio_emit(sio_to(sio_broadcast(sockets[i]), "hall"), "m", sio_args_json(args));
        sio_emit(sio_only(sockets[i]), "ok", sio_args_json(args));
        for (int k = 0; k < MANY; k++) {
            size_t used = strlen(want[k]);
            snprintf(want[k] + used, sizeof want[k] - used, "1:42[\"%s\",%d]\n", k == i ? "ok" : "m", i);
        }
    }
    for (int i = 0; i < MANY; i++) assert_hears(&t, many[i], want[i]);
    for (int i = 0; i < MANY; i++) close(many[i]);
    talk_turn(&t);
    talk_clear(&t);
}

/* More late joiners in a turn than a batch remembers exceptions. */
static void who_joins_late_gets_only_what_comes_later(void **state)
{
    enum { MANY = 40 };
    int many[MANY];
    (void)state;
    talk_init(&t);
    talk_start(&t);
    for (int i = 0; i < MANY; i++) many[i] = client_join(&t, "", NULL);
    sio_join(t.root->sockets[0], eio_str("hall"));
    sio_emit(sio_to(sio_all(t.root), "hall"), "m", sio_args_json("1"));
    for (int i = 1; i < MANY; i++) sio_join(t.root->sockets[i], eio_str("hall"));
    sio_emit(sio_to(sio_all(t.root), "hall"), "m", sio_args_json("2"));
    assert_hears(&t, many[0], "1:42[\"m\",1]\n1:42[\"m\",2]\n");
    for (int i = 1; i < MANY; i++) assert_hears(&t, many[i], "1:42[\"m\",2]\n");
    for (int i = 0; i < MANY; i++) close(many[i]);
    talk_turn(&t);
    talk_clear(&t);
}

static uint64_t writes(void)
{
    struct eio_server_stats stats;
    eio_server_get_stats(sio_server_engine(t.io), &stats);
    return stats.writes;
}

static void sixteen_broadcasts_of_a_turn_are_one_write_for_each_member(void **state)
{
    int many[3];
    char want[1024] = "";
    (void)state;
    talk_init(&t);
    talk_start(&t);
    for (int i = 0; i < 3; i++) {
        many[i] = client_join(&t, "", NULL);
        sio_join(t.root->sockets[i], eio_str("hall"));
    }
    uint64_t before = writes();
    for (int i = 0; i < 16; i++) {
        sio_emit(sio_to(sio_all(t.root), "hall"), "m", sio_args_json("1"));
        strcat(want, "1:42[\"m\",1]\n");
    }
    talk_turn(&t);
    assert_int_equal(writes() - before, 3);
    for (int i = 0; i < 3; i++) assert_hears(&t, many[i], want);
    assert_int_equal(t.io->stats.deliveries, 48);
    for (int i = 0; i < 3; i++) close(many[i]);
    talk_turn(&t);
    talk_clear(&t);
}

/* A handler of on_disconnecting speaks to the rooms that its socket is about to leave. */
static void say_goodbye(struct sio_socket *socket, const char *reason, void *ctx)
{
    struct sio_namespace *nsp = sio_socket_namespace(socket);
    (void)reason;
    (void)ctx;
    sio_emit(sio_to(sio_broadcast(socket), "hall"), "left", sio_args_none());
    sio_emit(sio_to(sio_all(nsp), "hall"), "left", sio_args_none());
    sio_emit(sio_to(sio_all(nsp), "attic"), "left", sio_args_none()); /* settles the batch of the hall */
    sio_emit(sio_all(nsp), "left", sio_args_none());
}

static void who_is_leaving_gets_nothing_any_more(void **state)
{
    (void)state;
    talk_init(&t);
    talk_start(&t);
    sio_on_disconnecting(t.root, say_goodbye, NULL);
    int going = client_join(&t, "", NULL), staying = client_join(&t, "", NULL);
    for (int i = 0; i < 2; i++) sio_join(t.root->sockets[i], eio_str("hall"));
    sio_join(t.root->sockets[0], eio_str("attic"));
    sio_emit(sio_to(sio_all(t.root), "hall"), "before", sio_args_none());
    assert_says(&t, going, "41", "1:42[\"before\"]\n");
    assert_hears(&t, staying, "1:42[\"before\"]\n1:42[\"left\"]\n1:42[\"left\"]\n1:42[\"left\"]\n");
    close(going);
    close(staying);
    talk_turn(&t);
    talk_clear(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_receiver_gets_everything_in_the_order_of_emission),
        cmocka_unit_test(many_senders_in_one_turn_keep_the_order),
        cmocka_unit_test(who_joins_late_gets_only_what_comes_later),
        cmocka_unit_test(sixteen_broadcasts_of_a_turn_are_one_write_for_each_member),
        cmocka_unit_test(who_is_leaving_gets_nothing_any_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
