/* Host names, without blocking the loop: the system's resolver blocks, so it runs on a thread, which reports through a
 * pipe. Of loop and thread, the last to let go frees the job. Numeric addresses need no thread. */
#include "rooms_redis_conn.h"

#include <base_thread.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct rooms__resolve_job {
    atomic_int owners; /* the loop and the thread */
    int pipe[2];       /* the thread writes, the loop reads */
    char *host;
    char port[8];
    struct rooms__resolved resolved; /* the thread's until it has written */
    struct event event;
    void (*fn)(void *ctx, const struct rooms__resolved *resolved);
    void *ctx;
};

static void let_go(struct rooms__resolve_job *job)
{
    if (atomic_fetch_sub(&job->owners, 1) > 1) return;
    close(job->pipe[0]);
    close(job->pipe[1]);
    free(job->host);
    free(job);
}

static void look_up(struct rooms__resolve_job *job)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
    int error = getaddrinfo(job->host, job->port, &hints, &found);
    if (error) {
        job->resolved.why = gai_strerror(error);
        return;
    }
    for (const struct addrinfo *info = found; info && job->resolved.count < ROOMS__RESOLVED_MAX; info = info->ai_next) {
        if (info->ai_addrlen > sizeof *job->resolved.list) continue;
        memcpy(&job->resolved.list[job->resolved.count], info->ai_addr, info->ai_addrlen);
        job->resolved.sizes[job->resolved.count++] = info->ai_addrlen;
    }
    if (job->resolved.count == 0) job->resolved.why = "the host name has no address";
    freeaddrinfo(found);
}

static void *thread_main(void *arg)
{
    struct rooms__resolve_job *job = arg;
    look_up(job);
    while (write(job->pipe[1], "", 1) < 0 && errno == EINTR) continue;
    let_go(job);
    return NULL;
}

static void on_answer(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct rooms__resolve_job *job = ctx;
    void (*fn)(void *, const struct rooms__resolved *) = job->fn;
    void *fn_ctx = job->ctx;
    struct rooms__resolved resolved = job->resolved;
    event_del(&job->event);
    let_go(job);
    fn(fn_ctx, &resolved);
}

static bool numeric(const struct rooms__redis_address *address, struct rooms__resolved *out)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(address->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(address->port)};
    if (inet_pton(AF_INET, address->host, &v4.sin_addr) == 1) {
        memcpy(&out->list[0], &v4, sizeof v4);
        out->sizes[0] = sizeof v4;
    } else if (inet_pton(AF_INET6, address->host, &v6.sin6_addr) == 1) {
        memcpy(&out->list[0], &v6, sizeof v6);
        out->sizes[0] = sizeof v6;
    } else {
        return false;
    }
    out->count = 1;
    return true;
}

struct rooms__resolve_job *rooms__resolve(struct event_base *base, const struct rooms__redis_address *address,
                                          struct rooms__resolved *out,
                                          void (*fn)(void *ctx, const struct rooms__resolved *resolved), void *ctx)
{
    out->count = 0;
    out->why = "out of memory";
    if (numeric(address, out)) return NULL;
    struct rooms__resolve_job *job = calloc(1, sizeof *job);
    if (!job) return NULL;
    atomic_init(&job->owners, 1);
    job->pipe[0] = job->pipe[1] = -1;
    job->host = strdup(address->host);
    job->fn = fn;
    job->ctx = ctx;
    snprintf(job->port, sizeof job->port, "%u", address->port);
    if (!job->host || pipe2(job->pipe, O_CLOEXEC | O_NONBLOCK) != 0) goto fail;
    if (event_assign(&job->event, base, job->pipe[0], EV_READ, on_answer, job) != 0) goto fail;
    if (event_add(&job->event, NULL) != 0) goto fail;
    atomic_store(&job->owners, 2);
    if (base_thread_start(thread_main, job)) return job;
    atomic_store(&job->owners, 1);
    out->why = "cannot start a thread to resolve the host name";
    event_del(&job->event);
fail:
    let_go(job);
    return NULL;
}

void rooms__resolve_cancel(struct rooms__resolve_job *job)
{
    if (!job) return;
    event_del(&job->event);
    let_go(job);
}
