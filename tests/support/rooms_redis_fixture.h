/* A real redis-server on a free port, and a loop that runs until something is so. */
#ifndef ROOMS_REDIS_FIXTURE_H
#define ROOMS_REDIS_FIXTURE_H

#include "test.h"
#include "rooms_redis_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ------------------------------------------------------------------- server */

struct redis_server {
    pid_t pid; /* 0: does not run */
    int port;
    const char *extra[8]; /* more arguments, up to the first NULL */
};

static inline int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static inline void sleep_ms(unsigned ms)
{
    struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

/* A blocking connection of the test's own. */
static inline int server_connect(const struct redis_server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((uint16_t)server->port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    close(fd);
    return -1;
}

/* Sends a line and gives what is answered, in a static buffer; "" if that takes more than a minute. */
static inline const char *server_tell(const struct redis_server *server, const char *line)
{
    static char answer[65536];
    size_t used = 0;
    struct timeval wait = {60, 0};
    int fd = server_connect(server);
    if (fd < 0) return "";
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    dprintf(fd, "%s\r\n", line);
    shutdown(fd, SHUT_WR);
    for (ssize_t n; (n = read(fd, answer + used, sizeof answer - 1 - used)) > 0;) used += (size_t)n;
    answer[used] = '\0';
    close(fd);
    return answer;
}

static inline void server_spawn(struct redis_server *server)
{
    char port[16];
    snprintf(port, sizeof port, "%d", server->port);
    server->pid = fork();
    if (server->pid) return;
    const char *args[32] = {
        "redis-server", "--port", port,    "--bind", "127.0.0.1",  "--save",  "",
        "--appendonly", "no",     "--dir", "/tmp",   "--loglevel", "warning", "--enable-debug-command",
        "yes"};
    size_t count = 15;
    for (size_t i = 0; server->extra[i]; i++) args[count++] = server->extra[i];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_RDWR);
    dup2(null, 1);
    char **argv = (char **)(uintptr_t)args;
    execvp("redis-server", argv);
    _exit(127);
}

/* Somebody else may have taken the port meanwhile, and may even be a Redis. */
static inline void server_start(struct redis_server *server)
{
    char id[32];
    bool is_chosen = !server->port;
    if (is_chosen) server->port = free_port();
    server_spawn(server);
    for (int i = 0; i < 6000; i++) {
        const char *answer = server_tell(server, "INFO server");
        snprintf(id, sizeof id, "process_id:%d\r\n", (int)server->pid);
        if (*answer == '-' || strstr(answer, id)) return;
        if (waitpid(server->pid, NULL, WNOHANG) == server->pid) {
            if (is_chosen) server->port = free_port();
            server_spawn(server);
        }
        sleep_ms(10);
    }
    fail_msg("redis-server does not start");
}

static inline void server_kill(struct redis_server *server)
{
    if (!server->pid) return;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

/* --------------------------------------------------------------------- node */

struct node {
    struct event_base *base;
    struct rooms_redis *redis;
    struct rooms_redis_options options;
    char url[256];
    char log[16384]; /* all lines but the debugging ones */
    bool show;
};

static inline void node_log(void *ctx, enum rooms_log_level level, const char *line)
{
    struct node *node = ctx;
    size_t used = strlen(node->log);
    if (getenv("SHOW_LOG")) fprintf(stderr, "%8.3f [%d] %s\n", (double)base_clock_us() / 1e6, level, line);
    if (level != ROOMS_LOG_DEBUG) snprintf(node->log + used, sizeof node->log - used, "%s\n", line);
}

/* Options of a test: everything quick. */
static inline void node_init(struct node *node, const struct redis_server *server)
{
    *node = (struct node){.base = NULL};
    struct event_config *config = event_config_new();
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    node->base = event_base_new_with_config(config);
    event_config_free(config);
    rooms_redis_options_init(&node->options);
    snprintf(node->url, sizeof node->url, "redis://127.0.0.1:%d", server->port);
    node->options.url = node->url;
    node->options.log = node_log;
    node->options.log_ctx = node;
    node->options.reconnect_min_ms = 10;
    node->options.reconnect_max_ms = 100;
    node->options.connect_timeout_ms = 2000;
    node->options.liveness_ms = 2000;
}

static inline void node_start(struct node *node)
{
    const char *why = NULL;
    node->redis = rooms_redis_new(node->base, &node->options, &why);
    if (!node->redis) fail_msg("%s", why);
}

static inline void node_stop(struct node *node)
{
    rooms_redis_free(node->redis);
    node->redis = NULL;
    if (node->base) event_base_free(node->base);
    node->base = NULL;
}

/* Runs the loop that long. */
static inline void node_run(struct node *node, uint32_t ms)
{
    struct timeval length = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000) * 1000};
    event_base_loopexit(node->base, &length);
    event_base_dispatch(node->base);
}

/* Runs the loop until it is so, a minute at most. */
#define RUN_UNTIL(node, condition)                                                                       \
    do {                                                                                                 \
        uint64_t run_end_us = base_clock_us() + 300000000;                                               \
        while (!(condition) && base_clock_us() < run_end_us) node_run(node, 2);                          \
        if (!(condition)) fail_msg("%s:%d: never: %s\n%s", __FILE__, __LINE__, #condition, (node)->log); \
    } while (0)

static inline struct rooms_redis_stats node_stats(const struct node *node)
{
    struct rooms_redis_stats stats;
    rooms_redis_get_stats(node->redis, &stats);
    return stats;
}

/* How often the log says so. */
static inline size_t node_said(const struct node *node, const char *text)
{
    size_t count = 0;
    for (const char *p = node->log; (p = strstr(p, text)) != NULL; p++) count++;
    return count;
}

static inline bool node_is_up(const struct node *node)
{
    return rooms__redis_is_up(node->redis);
}

static inline struct rooms_name name(const char *text)
{
    return (struct rooms_name){text, strlen(text)};
}

static inline void publish(struct node *node, const char *channel, const char *text)
{
    assert_int_equal(rooms__redis_publish(node->redis, false, name(channel), rooms__text(text)), ROOMS_OK);
}

/* A subscription that writes down what it hears: "channel=payload " each. */
struct listener {
    struct rooms__redis_subscription subscription;
    char heard[65536];
    size_t used, count, active;
};

static inline void listener_message(void *ctx, struct rooms_name channel, struct rooms_bytes payload)
{
    struct listener *listener = ctx;
    listener->count++;
    if (listener->used + channel.n + payload.n + 3 > sizeof listener->heard) return;
    listener->used +=
        (size_t)snprintf(listener->heard + listener->used, sizeof listener->heard - listener->used, "%.*s=%.*s ",
                         (int)channel.n, channel.p, (int)payload.n, (const char *)payload.p);
}

static inline void listener_active(void *ctx)
{
    ((struct listener *)ctx)->active++;
}

static inline void listen_to(struct node *node, struct listener *listener, enum rooms__redis_kind kind,
                             const char *text)
{
    memset(listener, 0, sizeof *listener);
    listener->subscription =
        (struct rooms__redis_subscription){.kind = kind, listener_message, listener_active, listener};
    assert_int_equal(rooms__redis_subscribe(node->redis, &listener->subscription, name(text)), ROOMS_OK);
}

static inline void unlisten(struct node *node, struct listener *listener)
{
    rooms__redis_unsubscribe(node->redis, &listener->subscription);
}

#endif
