/* The master of several workers: listening sockets, forking, signals, starting again. Not its job: anything that
 * waits for something else than poll(), and what workers do (node_worker.c). */
#include "node_workers.h"
#include "kit_log.h"
#include "node_listen.h"
#include "node_service.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RESTART_MIN_MS 100 /* after a worker that died young */
#define YOUNG_MS 1000
#define CHECK_MS 250
#define STOOD_STILL_MS 1000 /* who looks so late has stood still, perhaps with all others */
#define END_GRACE_MS 2000   /* beyond what a worker may take to drain */

/* An order that its worker has not taken yet; of a kind and peer there is one at most. */
struct queued {
    struct queued *next;
    struct node_order order;
    int fds[2];
};

struct slot {
    pid_t pid;                         /* 0: none */
    int listen_fds[KIT_LISTENERS_MAX]; /* the worker's; copies, to take a silent worker off the port */
    int control_fd;
    uint64_t started_ms;
    uint64_t restart_at_ms; /* 0: not due */
    uint64_t delay_ms;
    bool ready, was_ready;
    bool off_port;
    struct queued *orders;
};

enum state { STARTING, RUNNING, ENDING };

struct master {
    const struct kit_config *config;
    struct kit_processes_page *page;
    struct slot slots[NODE_WORKERS_MAX];
    unsigned count;
    int ask_fds[NODE_WORKERS_MAX], answer_fds[NODE_WORKERS_MAX];
    struct node_listeners listeners;
    int signal_fd;
    sigset_t old_mask;
    uint8_t owner_key[EIO_OWNER_KEY_BYTES];
    enum state state;
    uint64_t kill_at_ms;
    uint64_t looked_ms, watching_ms; /* at the workers: the last time, and without a break */
    int status;
    bool is_child;
};

static void close_fd(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

/* --------------------------------------------------------------- listening */

static void close_sockets(struct slot *slot)
{
    for (size_t i = 0; i < KIT_LISTENERS_MAX; i++) close_fd(&slot->listen_fds[i]);
}

/* A worker's sockets, as far as it has none from the worker before. */
static int open_sockets(const struct master *master, struct slot *slot)
{
    for (size_t i = 0; i < master->listeners.count; i++) {
        const struct node_listener *listener = &master->listeners.list[i];
        int *fd = &slot->listen_fds[i];
        if (*fd < 0) *fd = node_listener_for_worker(listener);
        if (*fd < 0 || listen(*fd, master->config->io.http.backlog)) return EIO_ESYS;
    }
    return 0;
}

/* Takes a worker's own sockets off their ports, or puts them back; what it shares the others accept from anyway. True:
 * it is off. */
static bool set_off_port(const struct master *master, struct slot *slot, bool off)
{
    bool is_off = false;
    for (size_t i = 0; i < master->listeners.count; i++) {
        if (master->listeners.list[i].is_shared) continue;
        int fd = slot->listen_fds[i];
        is_off |= off ? shutdown(fd, SHUT_RD) == 0 : listen(fd, master->config->io.http.backlog) != 0;
    }
    return is_off;
}

/* ------------------------------------------------------------------ orders */

static void free_queued(struct queued *queued)
{
    close_fd(&queued->fds[0]);
    close_fd(&queued->fds[1]);
    free(queued);
}

static void drop_orders(struct slot *slot)
{
    while (slot->orders) {
        struct queued *next = slot->orders->next;
        free_queued(slot->orders);
        slot->orders = next;
    }
}

/* False: the worker's socket is full. */
static bool send_order(const struct slot *slot, const struct queued *queued)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof queued->fds)];
    } control;
    struct iovec part = {(void *)(uintptr_t)&queued->order, sizeof queued->order};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    memset(&control, 0, sizeof control);
    if (queued->fds[0] >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof queued->fds);
        memcpy(CMSG_DATA(header), queued->fds, sizeof queued->fds);
    }
    if (sendmsg(slot->control_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return true;
    if (errno == EAGAIN || errno == EINTR) return false;
    /* It is dead, which SIGCHLD reports; or too many descriptors are in transit. */
    if (errno != EPIPE && errno != ECONNRESET)
        kit_log(EIO_LOG_ERROR, "cannot send to a worker", "pid", kit_number(slot->pid).text, "why", strerror(errno),
                NULL);
    return true;
}

static void send_orders(struct slot *slot)
{
    while (slot->orders && send_order(slot, slot->orders)) {
        struct queued *next = slot->orders->next;
        free_queued(slot->orders);
        slot->orders = next;
    }
}

static void give_order(struct slot *slot, struct node_order order, const int take_fds[2])
{
    struct queued **at = &slot->orders;
    struct queued *queued = calloc(1, sizeof *queued);
    if (!queued || !slot->pid) {
        if (take_fds) close(take_fds[0]), close(take_fds[1]);
        free(queued);
        return;
    }
    queued->order = order;
    queued->fds[0] = take_fds ? take_fds[0] : -1;
    queued->fds[1] = take_fds ? take_fds[1] : -1;
    while (*at) {
        struct queued *other = *at;
        if (other->order.kind == order.kind && other->order.peer == order.peer) {
            *at = other->next;
            free_queued(other);
        } else {
            at = &other->next;
        }
    }
    *at = queued;
    send_orders(slot);
}

static void tell_all(struct master *master, enum node_order_kind kind)
{
    for (unsigned i = 0; i < master->count; i++) give_order(&master->slots[i], (struct node_order){kind, 0}, NULL);
}

/* Two pairs between two workers, one end of each to either. */
static void introduce(struct master *master, unsigned a, unsigned b)
{
    struct slot *first = &master->slots[a], *second = &master->slots[b];
    int bus[2], conns[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, bus)) goto fail;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, conns)) {
        close(bus[0]), close(bus[1]);
        goto fail;
    }
    give_order(first, (struct node_order){NODE_ORDER_PEER, b}, (int[]){bus[0], conns[0]});
    give_order(second, (struct node_order){NODE_ORDER_PEER, a}, (int[]){bus[1], conns[1]});
    return;
fail:
    kit_log(EIO_LOG_ERROR, "cannot connect two workers", "why", strerror(errno), NULL);
}

/* ----------------------------------------------------------------- forking */

/* In the child: only what is its own stays open. */
static void become_worker(struct master *master, unsigned index, int control_fd, struct node_worker *worker)
{
    struct slot *own = &master->slots[index];
    *worker = (struct node_worker){
        .index = index,
        .count = master->count,
        .page = master->page,
        .control_fd = control_fd,
        .listener_count = master->listeners.count,
    };
    for (size_t i = 0; i < worker->listener_count; i++) {
        worker->listeners[i] = node_listener_kind(&master->listeners.list[i], own->listen_fds[i]);
        own->listen_fds[i] = -1;
    }
    memcpy(worker->owner_key, master->owner_key, sizeof worker->owner_key);
    memcpy(worker->ask_fds, master->ask_fds, sizeof worker->ask_fds);
    memcpy(worker->answer_fds, master->answer_fds, sizeof worker->answer_fds);
    for (unsigned i = 0; i < master->count; i++) {
        drop_orders(&master->slots[i]);
        close_sockets(&master->slots[i]);
        close_fd(&master->slots[i].control_fd);
    }
    node_listeners_close(&master->listeners);
    close_fd(&master->signal_fd);
    sigprocmask(SIG_SETMASK, &master->old_mask, NULL);
    kit_log_set_worker((int)index);
    master->is_child = true;
}

/* Returns 0, or EIO_ESYS when no process can be had. In the child master->is_child is set. */
static int start_worker(struct master *master, unsigned index, struct node_worker *worker)
{
    struct slot *slot = &master->slots[index];
    struct kit_process_page *page = &master->page->workers[index];
    int control[2];
    slot->restart_at_ms = 0;
    slot->started_ms = kit_monotonic_ms();
    slot->ready = slot->off_port = false;
    if (open_sockets(master, slot)) goto fail;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, control)) goto fail;
    atomic_store(&page->alive_ms, 0);
    atomic_store(&page->sessions, 0);
    atomic_store(&page->sockets, 0);
    for (size_t i = 0; i < KIT_PAGE_VALUES_MAX; i++) atomic_store(&page->values[i], 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        close(control[0]), close(control[1]);
        goto fail;
    }
    if (pid == 0) {
        close(control[0]);
        become_worker(master, index, control[1], worker);
        return 0;
    }
    close(control[1]);
    slot->pid = pid;
    slot->control_fd = control[0];
    atomic_store(&page->pid, (int)pid);
    for (unsigned i = 0; i < master->count; i++)
        if (i != index && master->slots[i].pid) introduce(master, i, index);
    give_order(slot, (struct node_order){NODE_ORDER_LISTEN, 0}, NULL);
    return 0;
fail:
    kit_log(EIO_LOG_ERROR, "cannot start a worker", "number", kit_number(index).text, "why", strerror(errno), NULL);
    close_sockets(slot);
    return EIO_ESYS;
}

static void plan_restart(struct master *master, struct slot *slot, uint64_t now_ms)
{
    bool young = now_ms - slot->started_ms < YOUNG_MS;
    uint64_t longest = master->config->worker_restart_max_ms;
    if (!young)
        slot->delay_ms = 0;
    else
        slot->delay_ms = slot->delay_ms ? slot->delay_ms * 2 : RESTART_MIN_MS;
    if (slot->delay_ms > longest) slot->delay_ms = longest;
    slot->restart_at_ms = now_ms + slot->delay_ms;
}

static void begin_end(struct master *master, int status)
{
    master->state = ENDING;
    master->kill_at_ms = kit_monotonic_ms() + master->config->drain_timeout_ms + END_GRACE_MS;
    if (status) master->status = status;
    /* A worker that hangs cannot drain. Sent before the order: a worker that is ending may be stopped by a tracer. */
    for (unsigned i = 0; i < master->count; i++) {
        master->slots[i].restart_at_ms = 0;
        if (master->slots[i].pid) kill(master->slots[i].pid, SIGCONT);
    }
    tell_all(master, NODE_ORDER_DRAIN);
}

static void log_end(unsigned index, pid_t pid, int status, bool expected)
{
    struct kit_number code = kit_number(WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    kit_log(expected ? EIO_LOG_INFO : EIO_LOG_ERROR, "worker exited", "number", kit_number(index).text, "pid",
            kit_number(pid).text, WIFSIGNALED(status) ? "signal" : "status", code.text, NULL);
}

static void on_ended(struct master *master, unsigned index, int status)
{
    struct slot *slot = &master->slots[index];
    struct kit_process_page *page = &master->page->workers[index];
    bool failed = !WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS;
    log_end(index, slot->pid, status, master->state == ENDING && !failed);
    slot->pid = 0;
    drop_orders(slot);
    close_fd(&slot->control_fd);
    atomic_store(&page->pid, 0);
    atomic_store(&page->alive_ms, 0);
    if (master->state == ENDING) {
        if (failed) master->status = EXIT_FAILURE;
    } else if (master->state == STARTING && !slot->was_ready) {
        /* What is wrong will be wrong the next time; it has said what. */
        begin_end(master, EXIT_FAILURE);
    } else {
        plan_restart(master, slot, kit_monotonic_ms());
    }
    /* Who waits to be accepted is accepted by the next worker if that comes at once, and else not kept waiting. */
    if (master->state == ENDING || slot->delay_ms || slot->off_port) close_sockets(slot);
}

static void reap(struct master *master)
{
    int status;
    for (unsigned i = 0; i < master->count; i++)
        if (master->slots[i].pid && waitpid(master->slots[i].pid, &status, WNOHANG) == master->slots[i].pid)
            on_ended(master, i, status);
}

/* ------------------------------------------------------------------- poll */

static void describe(const struct master *master)
{
    uint64_t now_ms = kit_monotonic_ms();
    for (unsigned i = 0; i < master->count; i++) {
        const struct slot *slot = &master->slots[i];
        const struct kit_process_page *page = &master->page->workers[i];
        kit_log(EIO_LOG_INFO, "worker", "number", kit_number(i).text, "pid", kit_number(slot->pid).text, "state",
                !slot->pid                        ? "ended"
                : !slot->ready                    ? "starting"
                : kit_process_is_up(page, now_ms) ? "up"
                                                  : "silent",
                "age_ms", kit_number((long long)(now_ms - slot->started_ms)).text, "restarts",
                kit_number((long long)atomic_load(&page->restarts)).text, NULL);
    }
}

static void on_signal(struct master *master, uint32_t number)
{
    if (number == SIGUSR1) {
        describe(master);
        tell_all(master, NODE_ORDER_DESCRIBE);
    } else if (number == SIGHUP) {
        node_service_send_reloading();
        kit_log_reopen();
        tell_all(master, NODE_ORDER_RELOAD);
        node_service_send("READY=1");
    } else if (number == SIGCHLD) {
        return; /* reaped after all signals are known: who ends because all end is not started again */
    } else if (master->state == ENDING) {
        tell_all(master, NODE_ORDER_STOP_NOW);
        master->kill_at_ms = kit_monotonic_ms() + END_GRACE_MS;
    } else {
        node_service_send("STOPPING=1");
        kit_log(EIO_LOG_INFO, "terminating all workers", NULL);
        begin_end(master, EXIT_SUCCESS);
    }
}

static void read_signals(struct master *master)
{
    struct signalfd_siginfo info;
    while (read(master->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) on_signal(master, info.ssi_signo);
    reap(master);
}

static void on_ready(struct master *master, struct slot *slot)
{
    slot->ready = slot->was_ready = true;
    for (unsigned i = 0; i < master->count; i++)
        if (!master->slots[i].was_ready) return;
    if (master->state != STARTING) return;
    master->state = RUNNING;
    node_listeners_announce(&master->listeners, master->config);
    node_service_send("READY=1");
}

static void read_worker(struct master *master, struct slot *slot)
{
    char byte;
    while (recv(slot->control_fd, &byte, 1, MSG_DONTWAIT) == 1)
        if (byte == NODE_WORKER_READY) on_ready(master, slot);
}

static void wait_for_something(struct master *master)
{
    struct pollfd polls[NODE_WORKERS_MAX + 1];
    struct slot *slots[NODE_WORKERS_MAX];
    nfds_t n = 0;
    for (unsigned i = 0; i < master->count; i++) {
        struct slot *slot = &master->slots[i];
        if (!slot->pid) continue;
        slots[n] = slot;
        polls[n++] = (struct pollfd){slot->control_fd, (short)(slot->orders ? POLLIN | POLLOUT : POLLIN), 0};
    }
    polls[n] = (struct pollfd){master->signal_fd, POLLIN, 0};
    if (poll(polls, n + 1, CHECK_MS) <= 0) return;
    for (nfds_t i = 0; i < n; i++) {
        if (polls[i].revents & POLLIN) read_worker(master, slots[i]);
        if (polls[i].revents & POLLOUT) send_orders(slots[i]);
    }
    if (polls[n].revents) read_signals(master);
}

/* A paused container, a machine that was suspended: the workers' signs are as old as what this process last did. */
static void note_look(struct master *master, uint64_t now_ms)
{
    if (now_ms > master->looked_ms + STOOD_STILL_MS) master->watching_ms = now_ms;
    master->looked_ms = now_ms;
}

/* When it last gave a sign, as far as it could have been seen. */
static uint64_t sign_ms(const struct master *master, unsigned index)
{
    uint64_t alive_ms = atomic_load(&master->page->workers[index].alive_ms);
    return alive_ms > master->watching_ms ? alive_ms : master->watching_ms;
}

/* True if one of the others accepts connections. */
static bool has_another(const struct master *master, unsigned index, uint64_t now_ms)
{
    for (unsigned i = 0; i < master->count; i++) {
        const struct slot *slot = &master->slots[i];
        if (i == index || !slot->pid || !slot->ready || slot->off_port) continue;
        if (sign_ms(master, i) + KIT_PROCESS_SILENT_MS >= now_ms) return true;
    }
    return false;
}

/* A worker that hangs delays neither new connections nor, for ever, its sessions. If all of them do, taking the last
 * off its port would have them refused. */
static void check_signs(struct master *master, unsigned index, uint64_t now_ms)
{
    struct slot *slot = &master->slots[index];
    struct kit_process_page *page = &master->page->workers[index];
    uint64_t limit_ms = master->config->worker_timeout_ms;
    uint64_t alive_ms = sign_ms(master, index);
    if (!slot->pid || !slot->ready) return;
    bool silent = alive_ms + KIT_PROCESS_SILENT_MS < now_ms;
    if (silent && !slot->off_port && master->state == RUNNING && has_another(master, index, now_ms)) {
        kit_log(EIO_LOG_WARN, "worker unresponsive; sending it no new connections", "number", kit_number(index).text,
                "pid", kit_number(slot->pid).text, NULL);
        slot->off_port = set_off_port(master, slot, true);
    } else if (!silent && slot->off_port && master->state == RUNNING) {
        kit_log(EIO_LOG_INFO, "worker responds again", "number", kit_number(index).text, NULL);
        slot->off_port = set_off_port(master, slot, false);
    }
    if (limit_ms && alive_ms + limit_ms < now_ms && master->state == RUNNING) {
        kit_log(EIO_LOG_ERROR, "worker killed: unresponsive for worker_timeout_ms", "number", kit_number(index).text,
                "pid", kit_number(slot->pid).text, NULL);
        atomic_fetch_add(&page->hangs, 1);
        kill(slot->pid, SIGKILL);
        slot->ready = false;
    }
}

static void kill_all(struct master *master)
{
    for (unsigned i = 0; i < master->count; i++) {
        if (!master->slots[i].pid) continue;
        kit_log(EIO_LOG_ERROR, "worker did not exit in time; killed", "number", kit_number(i).text, NULL);
        kill(master->slots[i].pid, SIGKILL);
    }
    master->kill_at_ms = UINT64_MAX; /* one that exits just now has not failed (on_ended) */
}

static bool is_anybody_left(const struct master *master)
{
    for (unsigned i = 0; i < master->count; i++)
        if (master->slots[i].pid) return true;
    return false;
}

/* Returns in the master when all have ended, in a worker at once. */
static void supervise(struct master *master, struct node_worker *worker)
{
    uint64_t watchdog_ms = node_service_watchdog_ms(), alive_at_ms = 0;
    while (master->state != ENDING || is_anybody_left(master)) {
        wait_for_something(master);
        uint64_t now_ms = kit_monotonic_ms();
        if (watchdog_ms && now_ms >= alive_at_ms) {
            node_service_send("WATCHDOG=1");
            alive_at_ms = now_ms + watchdog_ms;
        }
        if (master->state == ENDING && now_ms >= master->kill_at_ms) kill_all(master);
        note_look(master, now_ms);
        for (unsigned i = 0; i < master->count; i++) {
            struct slot *slot = &master->slots[i];
            check_signs(master, i, now_ms);
            if (slot->pid || !slot->restart_at_ms || now_ms < slot->restart_at_ms) continue;
            atomic_fetch_add(&master->page->workers[i].restarts, 1);
            if (start_worker(master, i, worker)) plan_restart(master, slot, now_ms);
            if (master->is_child) return;
        }
    }
}

/* ------------------------------------------------------------------- init */

static int init_signals(struct master *master)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1, SIGHUP, SIGCHLD};
    sigset_t mask;
    sigemptyset(&mask);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) sigaddset(&mask, numbers[i]);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &mask, &master->old_mask)) return EIO_ESYS;
    master->signal_fd = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
    return master->signal_fd < 0 ? EIO_ESYS : 0;
}

static int init_page(struct master *master)
{
    void *page = mmap(NULL, sizeof *master->page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return EIO_ENOMEM;
    master->page = page;
    master->page->started_ms = kit_monotonic_ms();
    randombytes_buf(master->owner_key, sizeof master->owner_key);
    for (unsigned i = 0; i < master->count; i++) {
        master->ask_fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        master->answer_fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (master->ask_fds[i] < 0 || master->answer_fds[i] < 0) return EIO_ESYS;
    }
    return 0;
}

static void clear(struct master *master)
{
    for (unsigned i = 0; i < NODE_WORKERS_MAX; i++) {
        close_fd(&master->ask_fds[i]);
        close_fd(&master->answer_fds[i]);
    }
    node_listeners_close(&master->listeners);
    node_listeners_remove_files(&master->listeners);
    close_fd(&master->signal_fd); /* signals stay blocked: one that comes now has nothing to end any more */
    if (master->page) munmap(master->page, sizeof *master->page);
}

int node_workers_run(const struct kit_config *config, struct node_worker *worker)
{
    struct master master = {.config = config, .count = config->workers, .signal_fd = -1};
    char error[256];
    sigprocmask(SIG_SETMASK, NULL, &master.old_mask);
    for (unsigned i = 0; i < NODE_WORKERS_MAX; i++) {
        master.ask_fds[i] = master.answer_fds[i] = -1;
        master.slots[i].control_fd = -1;
        memset(master.slots[i].listen_fds, -1, sizeof master.slots[i].listen_fds);
    }
    if (node_listeners_open(&master.listeners, config, error, sizeof error)) {
        fprintf(stderr, "parley: %s\n", error);
        clear(&master);
        return EXIT_FAILURE;
    }
    if (init_signals(&master) || init_page(&master)) {
        fprintf(stderr, "parley: cannot start workers: %s\n", strerror(errno));
        clear(&master);
        return EXIT_FAILURE;
    }
    for (unsigned i = 0; i < master.count; i++) {
        if (start_worker(&master, i, worker)) begin_end(&master, EXIT_FAILURE);
        if (master.is_child) return -1;
        if (master.state == ENDING) break;
    }
    supervise(&master, worker);
    if (master.is_child) return -1;
    clear(&master);
    return master.status;
}
