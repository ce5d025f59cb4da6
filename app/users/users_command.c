/* `parley user`: users without a server, or beside one that runs. */
#include "users_int.h"

#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define EXIT_USAGE 2
#define LIST_MAX 1000

static const char usage[] = "parley: user add NAME | passwd NAME | list | remove NAME\n";

struct run {
    struct kit_store_op op;
    struct users_row row;
    const char *verb;
    char after[KIT_USER_SIZE];
    int64_t count;
};

/* --------------------------------------------------------------- passwords */

/* A line without its end; false at the end of the input, or if it is too long or contains a NUL. */
static bool read_line(char *out, size_t size)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t n = getline(&line, &capacity, stdin);
    while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r')) line[--n] = 0;
    bool fits = n >= 0 && (size_t)n < size && strlen(line) == (size_t)n;
    if (fits) memcpy(out, line, (size_t)n + 1);
    if (line) sodium_memzero(line, capacity);
    free(line);
    return fits;
}

/* Without an echo, if a terminal is what it comes from. */
static bool ask_password(const char *prompt, char *out, size_t size)
{
    struct termios before, silent;
    bool is_terminal = !tcgetattr(STDIN_FILENO, &before);
    if (is_terminal) {
        silent = before;
        silent.c_lflag &= (tcflag_t)~ECHO;
        fputs(prompt, stderr);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    }
    bool is_read = read_line(out, size);
    if (is_terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', stderr);
    }
    return is_read;
}

/* Returns an exit status. */
static int read_password(const struct users_config *config, char hash[crypto_pwhash_STRBYTES])
{
    char password[USERS_PASSWORD_SIZE], again[USERS_PASSWORD_SIZE];
    int status = EXIT_FAILURE;
    if (!ask_password("Password: ", password, sizeof password))
        fprintf(stderr, "parley: no password on the standard input, or longer than %d bytes\n",
                USERS_PASSWORD_SIZE - 1);
    else if (strlen(password) < config->password_bytes_min)
        fprintf(stderr, "parley: the password must have at least %u bytes\n", config->password_bytes_min);
    else if (isatty(STDIN_FILENO) && (!ask_password("Again: ", again, sizeof again) || strcmp(password, again)))
        fprintf(stderr, "parley: the passwords differ\n");
    else if (users_hash_now(config, password, hash))
        fprintf(stderr, "parley: not enough memory for the password (password_memory_bytes)\n");
    else
        status = EXIT_SUCCESS;
    sodium_memzero(password, sizeof password);
    sodium_memzero(again, sizeof again);
    return status;
}

/* ------------------------------------------------------------------- verbs */

static struct run *run_of(struct kit_store_op *op)
{
    return (struct run *)(void *)op;
}

static int run_put(struct kit_db *db, struct kit_store_op *op)
{
    struct run *run = run_of(op);
    struct users_row other = {.calls = NULL};
    bool adds = !strcmp(run->verb, "add");
    int code = users_find(db, run->row.name, &other, &op->failure);
    users_row_clear(&other);
    if (!code && adds) return kit_fail(&op->failure, 409, NULL, "the user exists; use passwd");
    if (code == 404 && adds) op->failure.code = code = 0;
    return code ? code : users_put(db, &run->row, (int64_t)time(NULL) * 1000, NULL, &op->failure);
}

static int run_remove(struct kit_db *db, struct kit_store_op *op)
{
    struct run *run = run_of(op);
    struct users_cut cut = {.tenant = ""};
    memcpy(cut.name, run->row.name, sizeof cut.name);
    int code = users_remove(db, run->row.name, &op->failure);
    return code ? code : users_cut(db, &cut, (int64_t)time(NULL) * 1000, &op->failure);
}

static void print_user(void *ctx, const struct users_row *row)
{
    struct run *run = ctx;
    printf("%s\t%s\t%s\t%s\n", row->name, row->role, row->calls, row->chats);
    memcpy(run->after, row->name, sizeof run->after);
    run->count++;
}

static int run_list(struct kit_db *db, struct kit_store_op *op)
{
    struct run *run = run_of(op);
    run->count = 0;
    return users_each(db, run->after, LIST_MAX, print_user, run, &op->failure);
}

static const struct {
    const char *verb;
    bool has_name, has_password, writes;
    int (*run)(struct kit_db *db, struct kit_store_op *op);
} verbs[] = {
    {"add", true, true, true, run_put},
    {"passwd", true, true, true, run_put},
    {"remove", true, false, true, run_remove},
    {"list", false, false, false, run_list},
};

static int run_in_store(const struct kit_config *config, struct run *run)
{
    char error[512];
    struct kit_work_options options = {1, 16, 1 << 20};
    struct kit_work *work = kit_work_new(NULL, &options);
    struct kit_store *store = work ? kit_store_open(work, config, error, sizeof error) : NULL;
    int failed = store ? 0 : EIO_ESYS;
    if (!store) fprintf(stderr, "parley: %s\n", work ? error : "cannot start threads");
    do {
        if (!failed) failed = kit_store_run_now(store, &run->op);
    } while (!failed && run->count == LIST_MAX);
    if (store && failed) fprintf(stderr, "parley: %s\n", run->op.failure.message);
    kit_work_free(work);
    kit_store_close(store);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Returns an exit status. */
static int read_row(const struct users_command *command, struct users_row *row)
{
    const char *name = command->words[1];
    const char *calls = command->calls, *chats = command->chats, *role = command->role;
    bool adds = !strcmp(command->words[0], "add");
    if (!kit_is_user(name, strlen(name))) {
        fprintf(stderr, "parley: a user's name must have 1 to %d bytes\n", KIT_USER_SIZE - 1);
        return EXIT_USAGE;
    }
    if (role && !kit_role_of(role)) {
        fprintf(stderr, "parley: --role must be agent, supervisor, feed, admin, user or service\n");
        return EXIT_USAGE;
    }
    if (calls && strlen(calls) >= USERS_CALLS_SIZE) {
        fprintf(stderr, "parley: --calls must have at most %d bytes\n", USERS_CALLS_SIZE - 1);
        return EXIT_USAGE;
    }
    if (chats && strlen(chats) >= USERS_CHATS_SIZE) {
        fprintf(stderr, "parley: --chats must have at most %d bytes\n", USERS_CHATS_SIZE - 1);
        return EXIT_USAGE;
    }
    if (!calls && adds) calls = "*";
    if (!role && adds) role = "agent";
    snprintf(row->name, sizeof row->name, "%s", name);
    snprintf(row->role, sizeof row->role, "%s", role ? role : "");
    if (calls) row->calls = strdup(calls);
    if (chats) row->chats = strdup(chats);
    return EXIT_SUCCESS;
}

int users_run_command(const struct kit_config *config, const struct users_command *command)
{
    struct run run = {.verb = command->word_count ? command->words[0] : ""};
    size_t i = 0, count = sizeof verbs / sizeof verbs[0];
    while (i < count && strcmp(verbs[i].verb, run.verb)) i++;
    if (i == count || command->word_count != 1u + verbs[i].has_name) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    run.op.run = verbs[i].run;
    run.op.writes = verbs[i].writes;
    if (verbs[i].writes) run.op.locks[0] = USERS_LOCK;
    int status = verbs[i].has_name ? read_row(command, &run.row) : EXIT_SUCCESS;
    if (!status && sodium_init() < 0) status = EXIT_FAILURE;
    if (!status && verbs[i].has_password)
        status = read_password(kit_config_values(config, &users_options), run.row.hash);
    if (!status) status = run_in_store(config, &run);
    users_row_clear(&run.row);
    return status;
}
