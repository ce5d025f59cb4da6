/* parley: reads the configuration and runs a command: serve (the default), token, import-documents, learn,
 * expand-documents, user, trace, mcp-client. */
#include "app.h"
#include "app_expand.h"

#include "kit_auth.h"
#include "kit_sandbox.h"
#include "knowledge.h"
#include "mcp.h"
#include "node_listen.h"
#include "node_service.h"
#include "trace.h"
#include "users.h"

#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EXIT_USAGE 2

static const char usage[] =
    "usage: parley [serve] [options]                    run the server\n"
    "       parley token [options]                      print a token signed with the server's key\n"
    "       parley import-documents [options] PATH…     add documents (.json guidelines, .md) to the knowledge base\n"
    "       parley learn [options] FILE…                learn from past calls which documents fit (JSON, one a line)\n"
    "       parley expand-documents [options]           ask a model how customers would ask for each document\n"
    "       parley user add|passwd|remove NAME | list    users who can log in; the password comes from the standard "
    "input\n"
    "       parley trace --user ID | --call ID          what happens to a user or in a call, live, at all nodes\n"
    "       parley mcp-client [options] URL             list and call the tools of an MCP server\n"
    "       parley --help | --version | --print-config [options] | --print-options-markdown\n"
    "\n"
    "token: --sub ID  --role agent|supervisor|feed|admin|user|service  --calls '*'|ID,ID…  --chats '*'|ID,ID…\n"
    "       --ttl SECONDS  (defaults: agent, agent, *, none, 86400)\n"
    "user add, passwd: --role ROLE  --calls '*'|ID,ID…  --chats '*'|ID,ID…\n"
    "       (defaults: agent, *, none; passwd changes what is given)\n"
    "trace: --tenant NAME of the user  --for SECONDS, then it ends  --json  --url URL of another server\n"
    "expand-documents: --model ID  of models_file (default: the first that answers)  --again  for all documents\n"
    "import-documents: --as NAME  what the one PATH is called, wherever it lies (default: its whole path)\n"
    "\n"
    "Options are given on the command line, in the environment (PARLEY_PORT for --port) or in the file named by\n"
    "--config (port = 3000); if an option is set in several, the first of these wins.\n";

/* ------------------------------------------------------------------ serve */

struct signals {
    struct app *app;
    struct event *events[4];
};

static void reload(struct app *app)
{
    if (!app->worker) node_service_send_reloading();
    app_reload(app);
    if (!app->worker) node_service_send("READY=1");
}

static void drain(struct app *app)
{
    if (!app->worker) node_service_send("STOPPING=1");
    app_drain(app);
}

static void on_signal(evutil_socket_t number, short what, void *ctx)
{
    struct app *app = ctx;
    (void)what;
    if (number == SIGUSR1)
        app_describe(app);
    else if (number == SIGHUP)
        reload(app);
    else if (!app->kit.leaving)
        drain(app);
    else if (!app->worker) /* a worker stops when its master does, since one signal may reach both */
        app_stop_now(app);
}

/* Takes them when the loop does not yet, and when it does not any longer: one more SIGTERM, or a SIGHUP of logrotate,
 * would otherwise end the process amid what it has to finish. */
static volatile sig_atomic_t has_come[NSIG];

static void note_signal(int number)
{
    has_come[number] = 1;
}

static int add_signals(struct signals *signals)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1, SIGHUP};
    signal(SIGPIPE, SIG_IGN);
    if (signals->app->worker) signal(SIGINT, SIG_IGN); /* of a terminal: the master gets it, too */
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (signals->app->worker && numbers[i] == SIGINT) continue;
        struct event_base *base = eio_loop_base(signals->app->kit.loop);
        signal(numbers[i], note_signal); /* which libevent puts back */
        signals->events[i] = evsignal_new(base, numbers[i], on_signal, signals->app);
        if (!signals->events[i] || evsignal_add(signals->events[i], NULL)) return EIO_ENOMEM;
        if (has_come[numbers[i]]) event_active(signals->events[i], EV_SIGNAL, 1);
    }
    return 0;
}

static void remove_signals(struct signals *signals)
{
    for (size_t i = 0; i < sizeof signals->events / sizeof signals->events[0]; i++)
        if (signals->events[i]) event_free(signals->events[i]);
}

/* While the loop turns, the service manager's watchdog is fed. */
struct watchdog {
    struct eio_timer timer;
    uint64_t interval_ms;
};

static void on_watchdog(void *ctx)
{
    struct watchdog *watchdog = ctx;
    node_service_send("WATCHDOG=1");
    eio_timer_start(&watchdog->timer, watchdog->interval_ms);
}

static int run_as_service(struct app *app)
{
    struct watchdog watchdog = {.interval_ms = node_service_watchdog_ms()};
    eio_timer_init(&watchdog.timer, app->kit.loop, on_watchdog, &watchdog);
    if (watchdog.interval_ms) eio_timer_start(&watchdog.timer, 0);
    node_service_send("READY=1");
    int failed = eio_loop_run(app->kit.loop);
    eio_timer_stop(&watchdog.timer);
    return failed;
}

/* Prints why. A fault of the configuration has a status of its own. */
static int fail_start(const char *error)
{
    fprintf(stderr, "parley: %s\n", error);
    return strncmp(error, "option", 6) ? EXIT_FAILURE : EXIT_USAGE;
}

/* The sockets are the HTTP server's from here on. */
static int start_listening(const struct app *app, struct node_listeners *listeners)
{
    char error[256];
    int failed = node_listeners_open(listeners, app->kit.config, error, sizeof error);
    for (size_t i = 0; i < listeners->count && !failed; i++) {
        struct node_listener *listener = &listeners->list[i];
        struct eio_http_listener kind = node_listener_kind(listener, listener->fd);
        listener->fd = -1;
        failed = eio_http_listen_on(sio_server_http(app->kit.io), &kind);
        if (failed) snprintf(error, sizeof error, "cannot listen: %s", eio_strerror(failed));
    }
    return failed ? fail_start(error) : EXIT_SUCCESS;
}

static int announce_and_run(struct app *app, const struct node_listeners *listeners)
{
    struct signals signals = {app, {NULL}};
    int failed = add_signals(&signals);
    if (!failed) {
        if (app->kit.development_key)
            kit_log(EIO_LOG_WARN, "tokens are signed with a development key; set jwt_key_file in production", NULL);
        node_listeners_announce(listeners, app->kit.config);
        failed = run_as_service(app);
    }
    remove_signals(&signals);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int listen_and_run(struct app *app)
{
    struct node_listeners listeners;
    int status = start_listening(app, &listeners);
    if (status == EXIT_SUCCESS) status = announce_and_run(app, &listeners);
    node_listeners_close(&listeners);
    node_listeners_remove_files(&listeners);
    return status;
}

/* One of several: it listens at its master's command. */
static int run_worker(struct app *app)
{
    struct signals signals = {app, {NULL}};
    int failed = add_signals(&signals);
    if (!failed) failed = app_start_worker(app);
    if (!failed) failed = eio_loop_run(app->kit.loop);
    remove_signals(&signals);
    return failed || app->worker->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int serve_one(const struct kit_config *config, struct node_worker *worker)
{
    char error[512];
    struct app *app = app_new(config, worker, error, sizeof error);
    if (!app) return fail_start(error);
    int status = worker ? run_worker(app) : listen_and_run(app);
    app_free(app);
    return status;
}

static int serve_many(const struct kit_config *config)
{
    char error[512];
    struct node_worker worker;
    if (app_prepare(config, error, sizeof error)) return fail_start(error);
    int status = node_workers_run(config, &worker);
    if (status >= 0) return status;
    status = serve_one(config, &worker);
    node_worker_clear(&worker);
    return status;
}

static void warn_exposed(const char *option)
{
    kit_log(EIO_LOG_WARN, "secret on the command line, where every user of this machine can read it (ps)", "option",
            option, NULL);
}

static void warn_open_file(const char *path, unsigned mode)
{
    char text[8];
    snprintf(text, sizeof text, "%04o", mode);
    kit_log(EIO_LOG_WARN, "accessible to other users of this machine; run chmod go-rwx", "path", path, "mode", text,
            NULL);
}

static int serve(const struct kit_config *config)
{
    char error[512];
    if (kit_config_check_server(config, error, sizeof error)) {
        fprintf(stderr, "parley: %s\n", error);
        return EXIT_USAGE;
    }
    if (kit_log_open(config)) {
        char allowed[160];
        snprintf(allowed, sizeof allowed, "a writable file: %s", strerror(errno));
        kit_config_refuse(config, "log_file", allowed, error, sizeof error);
        return fail_start(error);
    }
    kit_config_each_exposed(config, warn_exposed);
    kit_store_each_open_file(config, warn_open_file);
    if (kit_sandbox_enter(config, error, sizeof error)) return fail_start(error);
    int status = config->workers > 1 ? serve_many(config) : serve_one(config, NULL);
    kit_log(EIO_LOG_INFO, "stopped", NULL);
    kit_log_close();
    return status;
}

/* ------------------------------------------------------------------ token */

enum { FLAG_SUB, FLAG_ROLE, FLAG_CALLS, FLAG_CHATS, FLAG_TTL };

static const char *or_else(const struct kit_flag *flag, const char *otherwise)
{
    return flag->value ? flag->value : otherwise;
}

/* A command that is run in the wrong folder must not leave a data directory there, with a key that no server has. */
static int check_data(const struct kit_config *config)
{
    if (!kit_config_is_default(config, "data") || access(config->data, F_OK) == 0) return EXIT_SUCCESS;
    fprintf(stderr,
            "parley: option data: no directory '%s' here (allowed: the server's, set with --data), from "
            "default\n",
            config->data);
    return EXIT_USAGE;
}

/* A key of the user's, for which no directory is needed. */
static bool has_own_key(const struct kit_config *config)
{
    return config->jwt_key_file[0] || config->jwt_secret[0];
}

/* The directory of the development key is made by the store at the server's first start; the command may come first. */
static int print_token(const struct kit_config *config, const struct kit_flag *flags)
{
    char error[512], *end;
    struct kit_jwt jwt = {.keys = NULL};
    bool is_development;
    const char *sub = or_else(&flags[FLAG_SUB], "agent"), *role = or_else(&flags[FLAG_ROLE], "agent");
    const char *calls = or_else(&flags[FLAG_CALLS], "*"), *chats = or_else(&flags[FLAG_CHATS], "");
    const char *ttl_text = or_else(&flags[FLAG_TTL], "86400");
    long ttl_s = strtol(ttl_text, &end, 10);
    if (*end || end == ttl_text || ttl_s < 1 || ttl_s > 315360000) {
        fprintf(stderr, "parley: option --ttl: invalid value '%s' (allowed: 1 to 315360000 seconds)\n", ttl_text);
        return EXIT_USAGE;
    }
    if ((!has_own_key(config) && kit_store_make_directory(config, error, sizeof error)) ||
        kit_jwt_load(&jwt, config, &is_development, error, sizeof error)) {
        kit_jwt_clear(&jwt);
        return fail_start(error);
    }
    bool can_sign = kit_jwt_can_sign(&jwt);
    char *token = can_sign ? kit_auth_make_token(&jwt, sub, role, calls, chats, (int64_t)time(NULL), ttl_s) : NULL;
    kit_jwt_clear(&jwt);
    if (!can_sign) {
        fprintf(stderr, "parley: option jwt_key_file: a public key cannot sign tokens (allowed: a private one)\n");
        return EXIT_FAILURE;
    }
    if (!token) {
        fprintf(stderr,
                "parley: --sub must have 1 to 256 bytes, --role be agent, supervisor, feed, admin, user or service\n");
        return EXIT_USAGE;
    }
    puts(token);
    free(token);
    return EXIT_SUCCESS;
}

/* ------------------------------------------------------------------- main */

enum command { SERVE, TOKEN, IMPORT, LEARN, EXPAND, USER, TRACE, MCP_CLIENT };

#define OWN_FLAGS_MAX 6

/* What every command understands. */
enum { FLAG_HELP, FLAG_VERSION, FLAG_PRINT_CONFIG, COMMON_FLAGS };
static const struct kit_flag common_flags[] = {
    {"help", NULL, true, NULL}, {"version", NULL, true, NULL}, {"print-config", NULL, true, NULL}};

static const struct {
    const char *name;
    struct kit_flag flags[OWN_FLAGS_MAX];
    size_t flag_count;
} commands[] = {
    [SERVE] = {.name = "serve"},
    [TOKEN] = {"token",
               {{"sub", NULL, false, NULL},
                {"role", NULL, false, NULL},
                {"calls", NULL, false, NULL},
                {"chats", NULL, false, NULL},
                {"ttl", NULL, false, NULL}},
               5},
    [IMPORT] = {"import-documents", {{"as", NULL, false, NULL}}, 1},
    [LEARN] = {.name = "learn"},
    [EXPAND] = {"expand-documents", {{"model", NULL, false, NULL}, {"again", NULL, true, NULL}}, 2},
    [USER] = {"user", {{"role", NULL, false, NULL}, {"calls", NULL, false, NULL}, {"chats", NULL, false, NULL}}, 3},
    [TRACE] = {"trace",
               {{"user", NULL, false, NULL},
                {"call", NULL, false, NULL},
                {"tenant", NULL, false, NULL},
                {"for", NULL, false, NULL},
                {"url", NULL, false, NULL},
                {"json", NULL, true, NULL}},
               6},
    [MCP_CLIENT] = {.name = "mcp-client"}};
#define COMMANDS ((int)(sizeof commands / sizeof commands[0]))

struct invocation {
    enum command command;
    struct kit_flag flags[COMMON_FLAGS + OWN_FLAGS_MAX]; /* the command's own stand behind the common ones */
    struct kit_command_line line;
};

/* The first word is a command, where it is no option. */
static bool is_unknown_command(int argc, char **argv)
{
    if (argc < 2 || argv[1][0] == '-') return false;
    for (int i = 0; i < COMMANDS; i++)
        if (!strcmp(argv[1], commands[i].name)) return false;
    fprintf(stderr, "parley: unknown command '%s' (allowed:", argv[1]);
    for (int i = 0; i < COMMANDS; i++) fprintf(stderr, "%s %s", i ? "," : "", commands[i].name);
    fputs("), from the command line\n", stderr);
    return true;
}

static void read_command(struct invocation *run, int argc, char **argv, const char **rest)
{
    memset(run, 0, sizeof *run);
    int skip = 1;
    for (int i = 0; argc > 1 && i < COMMANDS; i++)
        if (!strcmp(argv[1], commands[i].name)) run->command = (enum command)i, skip = 2;
    memcpy(run->flags, common_flags, sizeof common_flags);
    memcpy(run->flags + COMMON_FLAGS, commands[run->command].flags, sizeof commands[run->command].flags);
    run->line.argc = argc - skip;
    run->line.argv = argv + skip;
    run->line.flags = run->flags;
    run->line.flag_count = COMMON_FLAGS + commands[run->command].flag_count;
    if (run->command != SERVE && run->command != TOKEN && run->command != EXPAND && run->command != TRACE)
        run->line.rest = rest;
}

static int run_command(struct invocation *run, struct kit_config *config)
{
    const struct kit_flag *own = run->flags + COMMON_FLAGS;
    bool needs_data = run->command != SERVE && run->command != MCP_CLIENT &&
                      !(run->command == TOKEN && has_own_key(config)) &&
                      !(run->command == TRACE && (has_own_key(config) || config->operator_listen[0]));
    int status = needs_data ? check_data(config) : EXIT_SUCCESS;
    if (status) return status;
    if (run->command == TOKEN) return print_token(config, own);
    if (run->command == IMPORT)
        return knowledge_import_command(config, own[0].value, run->line.rest, run->line.rest_count);
    if (run->command == LEARN) return knowledge_learn_command(config, run->line.rest, run->line.rest_count);
    if (run->command == EXPAND) return app_expand_command(config, own[0].value, own[1].value != NULL);
    if (run->command == MCP_CLIENT) return mcp_client_command(config, run->line.rest, run->line.rest_count);
    if (run->command == TRACE) {
        struct trace_command command = {own[0].value, own[1].value, own[2].value,
                                        own[4].value, own[3].value, own[5].value != NULL};
        return trace_run_command(config, &command);
    }
    if (run->command == USER) {
        struct users_command command = {run->line.rest, run->line.rest_count, own[0].value, own[1].value, own[2].value};
        return users_run_command(config, &command);
    }
    return serve(config);
}

int main(int argc, char **argv)
{
    struct kit_config config;
    struct invocation run;
    char error[512];
    int status = EXIT_SUCCESS;
    umask(S_IRWXG | S_IRWXO); /* data, keys and log are this user's alone, whichever command makes them */
    if (argc == 2 && !strcmp(argv[1], "--print-options-markdown")) {
        kit_config_init(&config, app_modules);
        kit_config_print_markdown(&config, stdout);
        kit_config_clear(&config);
        return EXIT_SUCCESS;
    }
    if (is_unknown_command(argc, argv)) return EXIT_USAGE;
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of its write, not the end of the process */
    const char **rest = calloc((size_t)argc + 1, sizeof *rest);
    read_command(&run, argc, argv, rest);
    kit_config_init(&config, app_modules);
    int failed = kit_config_load(&config, &run.line, environ, error, sizeof error);
    if (run.flags[FLAG_HELP].value) {
        fputs(usage, stdout);
        kit_config_print_help(&config, stdout);
    } else if (run.flags[FLAG_VERSION].value) {
        puts("parley " PARLEY_VERSION);
    } else if (failed) {
        fprintf(stderr, "parley: %s\n", error);
        status = EXIT_USAGE;
    } else if (run.flags[FLAG_PRINT_CONFIG].value) {
        kit_config_print(&config, stdout);
    } else {
        status = run_command(&run, &config);
    }
    kit_config_clear(&config);
    free(rest);
    return status;
}
