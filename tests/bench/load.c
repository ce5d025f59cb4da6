/* parley-bench-load: puts one kind of load on a server with the `bench` events and prints a line of figures per
 * second of the server's processor time. scripts/bench runs it. */
#include "load.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

static const char usage[] =
    "usage: parley-bench-load --scenario echo|polling|broadcast|paced|elsewhere|call|idle|connect --port N --pid "
    "SERVER\n"
    "         [--clients 100] [--in-flight 1] [--rate 50] [--rooms 1] [--seconds 3] [--warmup 1]\n"
    "         [--tls] [--recovery]\n"
    "       Of several nodes: --port N,N… --pid SERVER,SERVER…\n"
    "       Of parley itself: --scenario call --token AGENT --feed-token FEED\n";

static double number(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (*end || value < 0) die("not a number: %s", text);
    return value;
}

/* Numbers with commas between them; returns how many. */
static unsigned numbers(char *text, int out[LOAD_NODES_MAX])
{
    unsigned count = 0;
    for (char *word = strtok(text, ","); word; word = strtok(NULL, ",")) {
        if (count == LOAD_NODES_MAX) die("at most %d nodes", LOAD_NODES_MAX);
        out[count++] = (int)number(word);
    }
    return count;
}

static void parse_options(struct load_options *options, int argc, char **argv)
{
    static const struct option names[] = {
        {"scenario", required_argument, NULL, 's'},   {"port", required_argument, NULL, 'p'},
        {"pid", required_argument, NULL, 'P'},        {"clients", required_argument, NULL, 'c'},
        {"in-flight", required_argument, NULL, 'f'},  {"rate", required_argument, NULL, 'r'},
        {"rooms", required_argument, NULL, 'R'},      {"seconds", required_argument, NULL, 't'},
        {"warmup", required_argument, NULL, 'w'},     {"token", required_argument, NULL, 'a'},
        {"feed-token", required_argument, NULL, 'b'}, {"tls", no_argument, NULL, 'T'},
        {"recovery", no_argument, NULL, 'V'},         {0},
    };
    *options = (struct load_options){
        .clients = 100, .in_flight = 1, .rate = 50, .rooms = 1, .seconds = 3, .warmup_seconds = 1};
    for (int name; (name = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (name) {
        case 's':
            options->scenario = optarg;
            break;
        case 'p':
            options->port_count = numbers(optarg, options->ports);
            break;
        case 'P':
            options->pid_count = numbers(optarg, options->pids);
            break;
        case 'c':
            options->clients = (unsigned)number(optarg);
            break;
        case 'f':
            options->in_flight = (unsigned)number(optarg);
            break;
        case 'r':
            options->rate = (unsigned)number(optarg);
            break;
        case 'R':
            options->rooms = (unsigned)number(optarg);
            break;
        case 'a':
            options->token = optarg;
            break;
        case 'b':
            options->feed_token = optarg;
            break;
        case 't':
            options->seconds = number(optarg);
            break;
        case 'w':
            options->warmup_seconds = number(optarg);
            break;
        case 'T':
            options->tls = true;
            break;
        case 'V':
            options->recovery = true;
            break;
        default:
            fputs(usage, stderr);
            exit(2);
        }
    }
    if (optind < argc || !options->scenario || !options->port_count || !options->pid_count || !options->clients ||
        !options->in_flight || !options->rate) {
        fputs(usage, stderr);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    static struct load load;
    struct rlimit limit;
    parse_options(&load.options, argc, argv);
    load.scenario = scenario_find(load.options.scenario);
    if (!load.scenario) die("no such scenario: %s", load.options.scenario);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    load.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    load.client_count = load.options.clients;
    load.clients = calloc(load.client_count, sizeof *load.clients);
    if (load.epoll_fd < 0 || !load.clients) die("cannot start");
    for (unsigned i = 0; i < load.client_count; i++) {
        struct client *client = &load.clients[i];
        *client = (struct client){.load = &load,
                                  .port = load.options.ports[i % load.options.port_count],
                                  .conn = {{.client = client, .fd = -1}, {.client = client, .fd = -1}}};
    }
    load.scenario->run(&load);
    for (unsigned i = 0; i < load.client_count; i++) client_drop(&load.clients[i]);
    free(load.clients);
    return 0;
}
