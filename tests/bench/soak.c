/* parley-soak: thousands of clients for minutes against a server with the `app` events, and what the server's
 * memory and descriptors did meanwhile. Prints a line of JSON; its exit status says whether all was well. scripts/soak
 * runs it. */
#include "soak.h"

#include <dirent.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MAX_OPENING = 64, SAMPLES_MAX = 86400, CLIENTS_PER_ROOM = 20, HELD_CLIENTS = 50 };

static const char usage[] =
    "usage: parley-soak --port N --pid SERVER [--clients 10000] [--seconds 600] [--bad 0.01] [--pause 5]\n"
    "         [--lifetime 60] [--patience 30] [--tolerance 0.05] [--hold]\n";

struct soak soak;

static uint64_t resident[SAMPLES_MAX]; /* bytes, once a second */
static size_t sample_count;

/* How far it is, for the script. */
static void say(const char *word)
{
    printf("%s\n", word);
    fflush(stdout);
}

/* ---------------------------------------------------------------- the server */

static uint64_t server_resident_bytes(void)
{
    char path[64];
    unsigned long total, pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)soak.options.pid);
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%lu %lu", &total, &pages) != 2) die("the server is gone");
    fclose(file);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static unsigned server_descriptors(void)
{
    char path[64];
    unsigned count = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)soak.options.pid);
    DIR *folder = opendir(path);
    if (!folder) die("the server is gone");
    for (struct dirent *entry; (entry = readdir(folder));) count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

static void sample(void)
{
    static double next_at;
    if (soak.now < next_at || sample_count == SAMPLES_MAX) return;
    next_at = soak.now + 1;
    resident[sample_count++] = server_resident_bytes();
}

static double mean_mib(size_t from, size_t to)
{
    double sum = 0;
    for (size_t i = from; i < to; i++) sum += (double)resident[i];
    return to > from ? sum / (double)(to - from) / (1 << 20) : 0;
}

/* --------------------------------------------------------------------- time */

static void open_clients(void)
{
    static unsigned next;
    for (unsigned i = 0; i < soak.client_count && soak.opening < MAX_OPENING; i++) {
        struct soak_client *client = &soak.clients[(next + i) % soak.client_count];
        if (client->state != SOAK_AWAY || soak.now < client->next_at) continue;
        soak_client_open(client);
    }
    next = (next + MAX_OPENING) % soak.client_count;
}

/* Everything that the clock asks for, fifty times a second. */
static void tick(void)
{
    static double next_at;
    if (soak.now < next_at) return;
    next_at = soak.now + 0.02;
    for (unsigned i = 0; i < soak.client_count; i++) soak_client_tick(&soak.clients[i]);
    if (soak.stopping) return;
    open_clients();
    soak_bad_tick();
}

static void turn(void)
{
    soak_turn(5);
    tick();
}

/* ------------------------------------------------------------------- phases */

static void ramp_up(void)
{
    while (soak.ready < soak.client_count) {
        turn();
        if (soak.now - soak.clients[0].op_at > 300) die("only %u clients are connected", soak.ready);
    }
}

static void run(void)
{
    double until = soak.now + soak.options.seconds;
    while (soak.now < until) {
        turn();
        sample();
    }
}

/* Nothing new is begun: all answers and deliveries must come. */
static void settle(void)
{
    double give_up_at = soak.now + soak.options.patience_s;
    unsigned open;
    soak.stopping = true;
    do {
        open = 0;
        turn();
        for (unsigned i = 0; i < soak.client_count; i++) open += !soak_is_settled(&soak.clients[i]);
        for (unsigned i = 0; i < soak.client_count && soak.now > give_up_at; i++)
            if (!soak_is_settled(&soak.clients[i])) soak_fail(&soak.clients[i], "lost something", "", 0);
    } while (open);
}

static unsigned leave_all(void)
{
    unsigned most = server_descriptors();
    for (unsigned i = 0; i < soak.client_count; i++)
        if (soak.clients[i].state == SOAK_READY) soak_client_leave(&soak.clients[i]);
    for (unsigned away = 0; away < soak.client_count;) {
        turn();
        away = 0;
        for (unsigned i = 0; i < soak.client_count; i++) away += soak.clients[i].state == SOAK_AWAY;
    }
    return most;
}

/* What lingers is gone in a moment. */
static unsigned await_descriptors(unsigned wanted)
{
    double give_up_at = now_s() + 15;
    unsigned count;
    while ((count = server_descriptors()) > wanted && now_s() < give_up_at) usleep(100000);
    return count;
}

/* Some are connected when the server ends: it ends their connections. */
static void hold(void)
{
    unsigned open = 1;
    if (soak.client_count > HELD_CLIENTS) soak.client_count = HELD_CLIENTS;
    for (unsigned i = 0; i < soak.client_count; i++) soak.clients[i].next_at = 0;
    soak.stopping = false;
    soak.now = soak.clients[0].op_at = now_s();
    ramp_up();
    settle();
    say("HOLDING");
    for (unsigned i = 0; i < soak.client_count; i++) {
        soak.clients[i].state = SOAK_LEAVING;
        soak.clients[i].op_at = soak.now;
    }
    while (open) {
        turn();
        open = 0;
        for (unsigned i = 0; i < soak.client_count; i++) open += soak.clients[i].state != SOAK_AWAY;
    }
}

/* ------------------------------------------------------------------- report */

static bool report(unsigned before, unsigned most, unsigned after, const uint64_t private_bytes[3])
{
    /* The second minute and the last; of a short run, the second and the last fifth. */
    size_t part = sample_count >= 180 ? 60 : sample_count / 5;
    double early = mean_mib(part, 2 * part), late = mean_mib(sample_count - part, sample_count);
    bool flat = late <= early * (1 + soak.options.tolerance) + 1;
    bool closed = after <= before;
    static const char *const names[SOAK_OPS] = {"connect", "echo", "binary", "join", "leave", "push", "ask", "publish"};
    printf("{\"clients\":%u,\"seconds\":%g,\"sessions\":{\"websocket\":%lu,\"polling\":%lu,\"upgrade\":%lu},"
           "\"upgrades\":%lu",
           soak.client_count, soak.options.seconds, soak.sessions[0], soak.sessions[1], soak.sessions[2],
           soak.upgrades);
    for (int i = 0; i < SOAK_OPS; i++) printf(",\"%s\":%lu", names[i], soak.ops[i]);
    printf(",\"deliveries\":%lu,\"answer_p50_ms\":%.1f,\"answer_p99_ms\":%.1f,\"answer_max_ms\":%.0f", soak.deliveries,
           histogram_quantile_ms(&soak.latency, 0.5), histogram_quantile_ms(&soak.latency, 0.99),
           soak.latency_max_s * 1e3);
    printf(",\"resident_early_mib\":%.1f,\"resident_late_mib\":%.1f,\"private_mib\":[%.1f,%.1f,%.1f],\"flat\":%s",
           early, late, (double)private_bytes[0] / (1 << 20), (double)private_bytes[1] / (1 << 20),
           (double)private_bytes[2] / (1 << 20), flat ? "true" : "false");
    printf(",\"descriptors\":[%u,%u,%u],\"descriptors_back\":%s,\"bad_sessions\":%lu", before, most, after,
           closed ? "true" : "false", soak.bad_sessions);
    soak_bad_print();
    printf("}\n");
    fflush(stdout);
    return flat && closed;
}

/* ---------------------------------------------------------------------- main */

static double number(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (*end || value < 0) die("not a number: %s", text);
    return value;
}

static void parse_options(int argc, char **argv)
{
    struct soak_options *o = &soak.options;
    static const struct option names[] = {
        {"port", required_argument, NULL, 0},
        {"pid", required_argument, NULL, 1},
        {"clients", required_argument, NULL, 2},
        {"seconds", required_argument, NULL, 3},
        {"bad", required_argument, NULL, 4},
        {"pause", required_argument, NULL, 5},
        {"lifetime", required_argument, NULL, 6},
        {"patience", required_argument, NULL, 7},
        {"tolerance", required_argument, NULL, 8},
        {"hold", no_argument, NULL, 9},
        {0},
    };
    double values[9] = {0, 0, 10000, 600, 0.01, 5, 60, 30, 0.05};
    for (int name; (name = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (name == '?') {
            fputs(usage, stderr);
            exit(2);
        }
        if (name == 9)
            o->hold = true;
        else
            values[name] = number(optarg);
    }
    *o = (struct soak_options){(int)values[0], (pid_t)values[1], (unsigned)values[2], values[4], values[3],
                               values[5],      values[6],        values[7],           values[8], o->hold};
    if (optind < argc || !o->port || !o->pid || o->clients < 40) {
        fputs(usage, stderr);
        exit(2);
    }
}

static void init(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    soak.bad_count = (unsigned)(soak.options.clients * soak.options.bad_share);
    soak.client_count = soak.options.clients - soak.bad_count;
    soak.room_count = soak.client_count / CLIENTS_PER_ROOM + 2;
    soak.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    soak.clients = calloc(soak.client_count, sizeof *soak.clients);
    soak.rooms = calloc(soak.room_count, sizeof *soak.rooms);
    if (soak.epoll_fd < 0 || !soak.clients || !soak.rooms) die("cannot start");
    for (unsigned i = 0; i < soak.client_count; i++) soak_client_init(&soak.clients[i], i);
    soak_bad_init();
    soak.now = soak.clients[0].op_at = now_s();
}

int main(int argc, char **argv)
{
    uint64_t private_bytes[3];
    struct load server = {0};
    parse_options(argc, argv);
    init();
    server.options.pids[0] = soak.options.pid;
    unsigned before = server_descriptors();
    private_bytes[0] = server_private_bytes(&server);
    ramp_up();
    private_bytes[1] = server_private_bytes(&server);
    say("RAMPED");
    run();
    soak_bad_end();
    settle();
    say("SETTLED");
    private_bytes[2] = server_private_bytes(&server);
    unsigned most = leave_all();
    say("LEFT");
    unsigned after = await_descriptors(before);
    bool good = report(before, most, after, private_bytes);
    if (soak.options.hold) hold();
    free(soak.clients);
    free(soak.rooms);
    return good ? 0 : 1;
}
