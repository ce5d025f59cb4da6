/* parley-bench-hot: a fixed number of operations of each hot path, in one process on a fake clock, to be counted:
 *
 *     valgrind --tool=callgrind --callgrind-out-file=/dev/null build/release/bin/parley-bench-hot echo
 *
 * Instructions do not depend on what else the machine does. */
#include "rooms_wire.h"
#include "eio_test.h"
#include "sio_server.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CLIENTS = 8, ROUNDS = 3000, MEMBERS = 2000, TABLE_ROUNDS = 50, TEXTS = 20000 };

static void must(bool condition, const char *what)
{
    if (condition) return;
    fprintf(stderr, "%s\n", what);
    exit(1);
}

/* ---------------------------------------------------------------- a server */

struct bench {
    struct eio_loop *loop;
    struct sio_server *io;
    int fds[CLIENTS];
};

/* One masked text frame; the mask is 0. */
static void put_text(int fd, const char *text)
{
    uint8_t frame[512] = {0x81};
    size_t n = strlen(text), head = 6;
    frame[1] = (uint8_t)(0x80 | n);
    if (n > 125) {
        frame[1] = 0x80 | 126;
        frame[2] = (uint8_t)(n >> 8);
        frame[3] = (uint8_t)n;
        head = 8;
    }
    memcpy(frame + head, text, n);
    must(write(fd, frame, head + n) == (ssize_t)(head + n), "write");
}

static void drain(int fd)
{
    static uint8_t bytes[65536];
    while (read(fd, bytes, sizeof bytes) > 0) continue;
}

static void on_connection(struct sio_socket *socket, void *ctx)
{
    (void)ctx;
    sio_join(socket, eio_str("room"));
}

static void on_echo(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    (void)socket;
    sio_ack(event, event->args);
}

static void on_all(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    (void)ctx;
    sio_emit(sio_to(sio_all(socket->nsp), "room"), "all", event->args);
}

static void start(struct bench *bench)
{
    struct sio_options options;
    sio_options_init(&options);
    bench->loop = eio_loop_new_with_fake_clock();
    bench->io = sio_server_new_on(bench->loop, &options);
    struct sio_namespace *root = sio_of(bench->io, "/");
    sio_on_connection(root, on_connection, NULL);
    sio_on(root, "echo", on_echo, NULL);
    sio_on(root, "all", on_all, NULL);
    for (size_t i = 0; i < CLIENTS; i++) {
        must(eio__test_websocket(sio_server_engine(bench->io), &bench->fds[i]) != NULL, "a session");
        put_text(bench->fds[i], "40");
        eio_loop_turn(bench->loop, 0);
        eio_loop_turn(bench->loop, 0);
        drain(bench->fds[i]);
    }
}

static void talk(const char *text)
{
    struct bench bench;
    start(&bench);
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < CLIENTS; i++) put_text(bench.fds[i], text);
        eio_loop_turn(bench.loop, 0);
        eio_loop_turn(bench.loop, 0);
        for (size_t i = 0; i < CLIENTS; i++) drain(bench.fds[i]);
    }
    sio_server_free(bench.io);
    eio_loop_free(bench.loop);
}

static void run_echo(void)
{
    talk("421[\"echo\",{\"text\":\"some words that are said\",\"n\":[1,2.5,true,null]},\"caf\xc3\xa9\"]");
}

static void run_broadcast(void)
{
    talk("42[\"all\",{\"text\":\"some words that are said\",\"n\":[1,2.5,true,null]},\"caf\xc3\xa9\"]");
}

/* ------------------------------------------------------------------- rooms */

static void run_rooms(void)
{
    static struct rooms_member members[MEMBERS];
    static char ids[MEMBERS][21];
    struct rooms_index *index = rooms_index_new(NULL, NULL, NULL);
    char name[32];
    for (size_t i = 0; i < MEMBERS; i++) {
        snprintf(ids[i], sizeof ids[i], "%020zu", i);
        rooms_add(index, &members[i], ids[i], 20);
    }
    for (int round = 0; round < TABLE_ROUNDS; round++) {
        for (size_t i = 0; i < MEMBERS; i++) {
            int n = snprintf(name, sizeof name, "room-%zu", (i * 7 + (size_t)round) % (MEMBERS / 2));
            rooms_join(index, &members[i], (struct rooms_name){name, (size_t)n});
        }
        for (size_t i = 0; i < MEMBERS; i++) {
            int n = snprintf(name, sizeof name, "room-%zu", i);
            rooms_find(index, (struct rooms_name){name, (size_t)n});
            rooms_member_find(index, (struct rooms_name){ids[i], 20});
        }
        for (size_t i = 0; i < MEMBERS; i++) {
            int n = snprintf(name, sizeof name, "room-%zu", (i * 7 + (size_t)round) % (MEMBERS / 2));
            rooms_leave(index, &members[i], (struct rooms_name){name, (size_t)n});
        }
    }
    for (size_t i = 0; i < MEMBERS; i++) rooms_remove(index, &members[i]);
    rooms_index_free(index);
}

/* ------------------------------------------------------------------- texts */

static const char json[] =
    "{\"type\":3,\"data\":{\"packet\":{\"type\":2,\"data\":[\"line\",{\"text\":\"caf\xc3\xa9 \xf0\x9f\x98\x80 "
    "\\n\\u00fc "
    "and some more words that are said\",\"numbers\":[1,-2.5e3,0,12345678901],\"deep\":{\"a\":[[],{}]}}]},"
    "\"opts\":{\"rooms\":[\"room-1\",\"room-2\"],\"except\":[],\"flags\":{}}},\"uid\":\"e30a0234e49a1f0d\",\"nsp\":\"/"
    "\"}";

static void run_json(void)
{
    static const char *const names[] = {"type", "data", "uid", "nsp"};
    struct rooms_bytes text = {(const uint8_t *)json, sizeof json - 1}, found[4];
    for (int i = 0; i < TEXTS; i++)
        must(rooms__json_check(text) == 0 && rooms__json_find(text, names, 4, found) && found[3].n == 3, "found");
}

static void run_scan(void)
{
    struct sio__json_limits limits = {.max_depth = 64};
    struct sio__fault fault;
    for (int i = 0; i < TEXTS; i++)
        must(sio__json_scan((const uint8_t *)json, sizeof json - 1, &limits, i & 1, &fault) == (ssize_t)sizeof json - 1,
             "scan");
}

static void run_msgpack(void)
{
    static const struct rooms_msgpack_limits limits = {ROOMS_MSGPACK_DEPTH_MAX, 10};
    for (int i = 0; i < TEXTS; i++) {
        struct rooms_packer packer;
        struct rooms_decoded decoded;
        struct rooms_msgpack_fault fault;
        rooms_packer_init(&packer);
        rooms_pack_json(&packer, (struct rooms_bytes){(const uint8_t *)json, sizeof json - 1}, NULL, 0);
        must(!packer.error && rooms_msgpack_decode(packer.bytes, packer.size, &limits, &decoded, &fault) > 0,
             "msgpack");
        rooms_decoded_clear(&decoded);
        rooms_packer_clear(&packer);
    }
}

/* ------------------------------------------------------------------ timers */

static void on_timer(void *ctx)
{
    ++*(int *)ctx;
}

static void run_timers(void)
{
    static struct eio_timer timers[MEMBERS];
    struct eio_loop *loop = eio_loop_new_with_fake_clock();
    int count = 0;
    for (size_t i = 0; i < MEMBERS; i++) eio_timer_init(&timers[i], loop, on_timer, &count);
    for (int round = 0; round < TABLE_ROUNDS; round++) {
        for (size_t i = 0; i < MEMBERS; i++) eio_timer_start(&timers[i], (i * 7919) % 1000);
        for (size_t i = 0; i < MEMBERS; i += 3) eio_timer_stop(&timers[i]);
        eio_loop_advance(loop, 1000);
    }
    eio_loop_free(loop);
}

static const struct {
    const char *name;
    void (*run)(void);
} paths[] = {{"echo", run_echo}, {"broadcast", run_broadcast}, {"rooms", run_rooms},  {"json", run_json},
             {"scan", run_scan}, {"msgpack", run_msgpack},     {"timers", run_timers}};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (argc != 2 || strcmp(argv[1], paths[i].name) != 0) continue;
        paths[i].run();
        return 0;
    }
    fprintf(stderr, "usage: parley-bench-hot");
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) fprintf(stderr, "%s%s", i ? "|" : " ", paths[i].name);
    fprintf(stderr, "\n");
    return 2;
}
