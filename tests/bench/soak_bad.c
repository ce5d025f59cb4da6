/* Clients that misbehave. What the server says to them does not matter; that it goes on serving the others does. */
#include "soak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { SCRIPT_BYTES = 65536, BAD_CONNS = 2, FLOOD_BYTES = 1 << 16 };

#define PATH "/socket.io/?EIO=4&transport="
#define HOST "Host: 127.0.0.1\r\n"
#define UPGRADE                                                                                                   \
    HOST "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " LOAD_KEY \
         "\r\n\r\n"
#define WEBSOCKET "GET " PATH "websocket HTTP/1.1\r\n" UPGRADE
#define POLLING "GET " PATH "polling HTTP/1.1\r\n" HOST "\r\n"

struct bad_client {
    struct soak_conn_owner owner;
    struct soak_conn conn[BAD_CONNS];
    const struct behaviour *behaviour; /* NULL: away */
    char sid[32];
    double until, next_at;
    size_t at; /* slow writers: how much is written */
};

struct behaviour {
    const char *name;
    double seconds;                           /* about so long it stays, if it is let */
    void (*begin)(struct bad_client *client); /* connected */
    void (*on_sid)(struct bad_client *client);
    void (*tick)(struct bad_client *client); /* ten times a second */
    bool resets;
};

static uint64_t counts[32];

static void say(struct bad_client *client, const void *p, size_t n)
{
    (void)soak_conn_try(&client->conn[0], p, n);
}

static void say_text(struct bad_client *client, const char *text)
{
    say(client, text, strlen(text));
}

static void say_frame(struct bad_client *client, const char *text)
{
    uint8_t out[1024];
    say(client, out, frame_put(out, text, strlen(text)));
}

/* --------------------------------------------------------------- behaviours */

/* RFC 6455 broken in one place each. */
static void begin_frames(struct bad_client *client)
{
    static const struct {
        const char *p;
        size_t n;
    } frames[] = {
#define BYTES(text) {text, sizeof(text) - 1}
        BYTES("\x81\x05hello"),                              /* not masked */
        BYTES("\xf1\x81\0\0\0\0x"),                          /* reserved bits */
        BYTES("\x83\x81\0\0\0\0x"),                          /* a reserved opcode */
        BYTES("\x89\xfe\x01\0\0\0\0\0"),                     /* a long ping */
        BYTES("\x09\x81\0\0\0\0x"),                          /* a ping in fragments */
        BYTES("\x80\x81\0\0\0\0x"),                          /* nothing to go on with */
        BYTES("\x01\x81\0\0\0\0x\x81\x81\0\0\0\0y"),         /* a message in a message */
        BYTES("\x81\x82\0\0\0\0\x34\xff"),                   /* no UTF-8 */
        BYTES("\x81\xff\x80\0\0\0\0\0\0\0\0\0\0\0"),         /* the top bit of a length */
        BYTES("\x81\xff\0\0\0\x7f\xff\xff\xff\xff\0\0\0\0"), /* 500 GB */
        BYTES("\x81\xfe\0\x01\0\0\0\0x"),                    /* a length in too many bytes */
        BYTES("\x88\x81\0\0\0\0x"),                          /* half a close code */
        BYTES("\x88\x82\0\0\0\0\x03\xed"),                   /* a code that must not be sent */
        BYTES("\x81\x81\0\0\0\0"
              "9"), /* no Engine.IO */
    };
    say_text(client, WEBSOCKET);
    size_t i = soak_random(sizeof frames / sizeof *frames);
    say(client, frames[i].p, frames[i].n);
}

static void begin_packets(struct bad_client *client)
{
    static const char *const packets[] = {
        "4",
        "4abc",
        "42{}",
        "42abc[\"x\"]",
        "42[]",
        "42[1,",
        "49",
        "45-[\"x\"]",
        "459[\"x\"]",
        "4999999999-[\"x\"]",
        "43[]",
        "4399[1]",
        "42[\"connect\"]",
        "42/no,[\"x\"]",
        "40/nowhere,",
        "451-[\"x\",{\"_placeholder\":true,\"num\":7}]",
        "40{\"a\":",
        "44{}",
        "2probe",
        "5",
    };
    char deep[700];
    say_text(client, WEBSOCKET);
    say_frame(client, "40");
    unsigned i = soak_random(1 + sizeof packets / sizeof *packets);
    if (i < sizeof packets / sizeof *packets) {
        say_frame(client, packets[i]);
    } else {
        memset(deep, '[', sizeof deep - 1);
        memcpy(deep, "42", 2);
        deep[sizeof deep - 1] = '\0';
        say_frame(client, deep);
    }
}

static void begin_half_open(struct bad_client *client)
{
    static const char *const beginnings[] = {
        "", "G", "GET " PATH "polling HTTP/1.1\r\n", "GET " PATH "polling HTTP/1.1\r\n" HOST,
        "POST " PATH "polling&sid=x HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\n4"};
    say_text(client, beginnings[soak_random(5)]);
}

static void tick_slow_writer(struct bad_client *client)
{
    static const char text[] = WEBSOCKET "\x81\x82\0\0\0\0"
                                         "40"
                                         "\x01\x85\0\0\0\0"
                                         "42[\"e"
                                         "\x80\x86\0\0\0\0"
                                         "cho\",1"
                                         "\x81";
    if (client->at < sizeof text - 1) say(client, text + client->at, 1 + 2 * (client->at < sizeof WEBSOCKET));
    client->at += 1 + 2 * (client->at < sizeof WEBSOCKET);
}

/* Asks for much and takes nothing. */
static void begin_slow_reader(struct bad_client *client)
{
    const int size = 4096;
    setsockopt(client->conn[0].fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    soak_conn_listen(&client->conn[0], false);
    say_text(client, WEBSOCKET);
    say_frame(client, "40");
    say_frame(client, "420[\"join\",\"r0\"]");
    say_frame(client, "42[\"push\",2000,\"much\"]");
}

static void tick_slow_reader(struct bad_client *client)
{
    static char text[SCRIPT_BYTES / 8];
    static uint8_t out[SCRIPT_BYTES];
    size_t n = (size_t)sprintf(text, "421[\"echo\",\"");
    memset(text + n, 'x', 4000);
    memcpy(text + n + 4000, "\"]", 2);
    n = frame_put(out, text, n + 4002);
    say(client, out, n); /* a cut frame is as good as a whole one */
}

static void begin_reset(struct bad_client *client)
{
    static const char *const texts[] = {"", "GET / HT", POLLING, WEBSOCKET};
    unsigned i = soak_random(5);
    say_text(client, texts[i % 4]);
    if (i >= 3) say_frame(client, "40");
    if (i == 4) say_frame(client, "42[\"join\",\"r0\"]");
    client->until = soak.now + soak_random(200) / 1000.0;
}

static void begin_oversize(struct bad_client *client)
{
    static char text[SCRIPT_BYTES];
    size_t n = 0;
    switch (soak_random(5)) {
    case 0:
        say_text(client, "POST " PATH "polling&sid=x HTTP/1.1\r\n" HOST "Content-Length: 99999999999\r\n\r\n4");
        break;
    case 1:
        n = (size_t)sprintf(text, "GET /");
        memset(text + n, 'a', 30000);
        say(client, text, n + 30000);
        break;
    case 2:
        n = (size_t)sprintf(text, "GET / HTTP/1.1\r\n" HOST);
        for (int i = 0; i < 500; i++) n += (size_t)sprintf(text + n, "X-%d: y\r\n", i);
        say(client, text, n);
        break;
    case 3:
        n = (size_t)sprintf(text, "POST /socket.io/ HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nffffff\r\n");
        memset(text + n, 'a', 60000);
        say(client, text, n + 60000);
        break;
    default:
        say_text(client, WEBSOCKET "\x01\xff\0\0\0\0\0\x20\0\0\0\0\0\0"); /* 2 MiB */
        memset(text, 'a', 60000);
        say(client, text, 60000);
    }
}

/* Upgrades that begin and never end, and polls of the same session from two sides. */
static void begin_polling(struct bad_client *client)
{
    say_text(client, POLLING);
}

static void on_sid_upgrade(struct bad_client *client)
{
    soak_conn_open(&client->conn[1]); /* goes on in on_connected() */
}

static void on_sid_two_polls(struct bad_client *client)
{
    char text[600];
    int n = snprintf(text, sizeof text,
                     "GET " PATH "polling&sid=%s HTTP/1.1\r\n" HOST "\r\nGET " PATH "polling&sid=%s HTTP/1.1\r\n" HOST
                     "\r\n",
                     client->sid, client->sid);
    say(client, text, (size_t)n);
    soak_conn_open(&client->conn[1]);
}

static void on_sid_bad_post(struct bad_client *client)
{
    static const char *const bodies[] = {"",
                                         "x",
                                         "\x1e",
                                         "4\x1e\x1e",
                                         "b***",
                                         "4abc",
                                         "99",
                                         "\xff\xff",
                                         "40\x1e"
                                         "42[\"x\"",
                                         "2",
                                         "5",
                                         "6",
                                         "0{}"};
    char text[400];
    const char *body = bodies[soak_random(sizeof bodies / sizeof *bodies)];
    int n = snprintf(text, sizeof text, "POST " PATH "polling&sid=%s HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n%s",
                     client->sid, strlen(body), body);
    say(client, text, (size_t)n);
}

static void on_sid_vanish(struct bad_client *client)
{
    client->until = soak.now;
}

/* As much as the socket takes. */
static void begin_flood(struct bad_client *client)
{
    say_text(client, WEBSOCKET);
    say_frame(client, "40");
}

static void tick_flood(struct bad_client *client)
{
    static uint8_t out[FLOOD_BYTES];
    static size_t size;
    while (size + 64 < sizeof out) size += frame_put(out + size, "421[\"echo\",{\"a\":1}]", 20);
    (void)soak_conn_try(&client->conn[0], out, size); /* what is cut ends it: good, too */
}

static void begin_garbage(struct bad_client *client)
{
    uint8_t bytes[512];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)soak_random(256);
    say(client, bytes, 1 + soak_random(sizeof bytes - 1));
}

static const struct behaviour behaviours[] = {
    {"malformed frames", 2, begin_frames, NULL, NULL, false},
    {"malformed packets", 2, begin_packets, NULL, NULL, false},
    {"half-open", 15, begin_half_open, NULL, NULL, false},
    {"slow writer", 20, NULL, NULL, tick_slow_writer, false},
    {"slow reader", 15, begin_slow_reader, NULL, tick_slow_reader, true},
    {"reset", 1, begin_reset, NULL, NULL, true},
    {"oversize", 3, begin_oversize, NULL, NULL, false},
    {"unfinished upgrade", 14, begin_polling, on_sid_upgrade, NULL, false},
    {"two polls", 3, begin_polling, on_sid_two_polls, NULL, false},
    {"malformed POST", 3, begin_polling, on_sid_bad_post, NULL, false},
    {"vanished", 3, begin_polling, on_sid_vanish, NULL, true},
    {"flood", 2, begin_flood, NULL, tick_flood, true},
    {"garbage", 2, begin_garbage, NULL, NULL, false},
};
enum { BEHAVIOURS = sizeof behaviours / sizeof *behaviours };

/* -------------------------------------------------------------- connections */

static void go_away(struct bad_client *client)
{
    for (int i = 0; i < BAD_CONNS; i++) {
        if (client->behaviour && client->behaviour->resets)
            soak_conn_reset(&client->conn[i]);
        else
            soak_conn_close(&client->conn[i]);
    }
    client->behaviour = NULL;
    client->next_at = soak.now + soak_about(0.5);
}

static void come(struct bad_client *client)
{
    unsigned i = soak_random(BEHAVIOURS);
    client->behaviour = &behaviours[i];
    counts[i]++;
    soak.bad_sessions++;
    client->sid[0] = '\0';
    client->at = 0;
    client->until = soak.now + soak_about(client->behaviour->seconds);
    client->next_at = soak.now;
    soak_conn_open(&client->conn[0]);
}

static void on_connected(struct soak_conn *conn)
{
    struct bad_client *client = (struct bad_client *)(void *)conn->owner;
    char text[500];
    if (conn->index == 0) {
        if (client->behaviour->begin) client->behaviour->begin(client);
        return;
    }
    int n = snprintf(text, sizeof text, "GET " PATH "%s&sid=%s HTTP/1.1\r\n" UPGRADE,
                     client->behaviour->on_sid == on_sid_upgrade ? "websocket" : "polling", client->sid);
    (void)soak_conn_try(conn, text, (size_t)n);
    (void)soak_conn_try(conn,
                        "\x81\x86\0\0\0\0"
                        "2probe",
                        12);
}

static size_t on_bytes(struct soak_conn *conn, const uint8_t *p, size_t n)
{
    struct bad_client *client = (struct bad_client *)(void *)conn->owner;
    const char *sid = client->behaviour->on_sid && !client->sid[0] ? memmem(p, n, "\"sid\":\"", 7) : NULL;
    if (sid && (size_t)((const char *)p + n - sid) >= 27) {
        memcpy(client->sid, sid + 7, 20);
        client->sid[20] = '\0';
        client->behaviour->on_sid(client);
    }
    return n;
}

static void on_end(struct soak_conn *conn)
{
    struct bad_client *client = (struct bad_client *)(void *)conn->owner;
    if (conn->index == 0) go_away(client);
}

/* --------------------------------------------------------------------- time */

void soak_bad_init(void)
{
    static const struct soak_conn_ops ops = {on_connected, on_bytes, on_end};
    soak.bad = calloc(soak.bad_count + 1, sizeof *soak.bad);
    if (!soak.bad) die("out of memory");
    for (unsigned i = 0; i < soak.bad_count; i++) {
        struct bad_client *client = &soak.bad[i];
        client->owner.ops = &ops;
        for (int k = 0; k < BAD_CONNS; k++)
            client->conn[k] = (struct soak_conn){.owner = &client->owner, .fd = -1, .index = (uint8_t)k};
    }
}

void soak_bad_tick(void)
{
    for (unsigned i = 0; i < soak.bad_count; i++) {
        struct bad_client *client = &soak.bad[i];
        if (!client->behaviour) {
            if (soak.now >= client->next_at) come(client);
        } else if (soak.now >= client->until) {
            go_away(client);
        } else if (client->conn[0].connected && soak.now >= client->next_at && client->behaviour->tick) {
            client->next_at = soak.now + 0.1;
            client->behaviour->tick(client);
        }
    }
}

void soak_bad_end(void)
{
    for (unsigned i = 0; i < soak.bad_count; i++) go_away(&soak.bad[i]);
    free(soak.bad);
    soak.bad = NULL;
    soak.bad_count = 0;
}

void soak_bad_print(void)
{
    printf(",\"bad\":{");
    for (int i = 0; i < BEHAVIOURS; i++) printf("%s\"%s\":%lu", i ? "," : "", behaviours[i].name, counts[i]);
    printf("}");
}
