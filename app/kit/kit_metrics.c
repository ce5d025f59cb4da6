/* GET /metrics in the Prometheus text format 0.0.4: rows of numbers as text, or in a worker's page of shared memory. A
 * number's place in the page is that of its row, the same in all workers. */
#include "kit_auth.h"
#include "kit_http.h"
#include "kit_metrics.h"
#include "kit_ws.h"

#include <base_check.h>

#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 32768

/* Text that grows; a failure sticks. */
struct page {
    char *text;
    size_t n, capacity;
    bool failed;
    const struct kit_processes_page *all; /* NULL: there is only this process */
    unsigned worker_count;
};

__attribute__((format(printf, 2, 3))) static void put_text(struct page *page, const char *format, ...)
{
    if (page->failed) return;
    for (;;) {
        va_list args;
        va_start(args, format);
        int n = vsnprintf(page->text + page->n, page->capacity - page->n, format, args);
        va_end(args);
        if (n >= 0 && (size_t)n < page->capacity - page->n) {
            page->n += (size_t)n;
            return;
        }
        size_t capacity = page->capacity * 2;
        char *grown = n < 0 ? NULL : realloc(page->text, capacity);
        page->failed = !grown;
        if (page->failed) return;
        page->text = grown;
        page->capacity = capacity;
    }
}

/* ------------------------------------------------------------------- rows */

/* How many numbers a row has. */
static size_t places_of(const struct kit_metric *row)
{
    return row->kind == KIT_HISTOGRAM ? row->count + 1 : row->count ? row->count : 1;
}

static uint64_t read_number(const struct kit_metric *row, const void *numbers, size_t i)
{
    const char *at = (const char *)numbers + row->offset + i * row->width;
    uint64_t wide = 0;
    uint32_t narrow = 0;
    bool flag = false;
    switch (row->width) {
    case sizeof wide:
        memcpy(&wide, at, sizeof wide);
        return wide;
    case sizeof narrow:
        memcpy(&narrow, at, sizeof narrow);
        return narrow;
    default:
        BASE_CHECK(row->width == sizeof flag);
        memcpy(&flag, at, sizeof flag);
        return flag;
    }
}

/* The struct of a set's numbers, in buffer or where it is. */
static const void *read_numbers(const struct kit_metrics *metrics, uint64_t buffer[KIT_NUMBERS_MAX / 8])
{
    if (!metrics->set->read) return metrics->ctx;
    memset(buffer, 0, metrics->set->size);
    metrics->set->read(metrics->ctx, buffer);
    return buffer;
}

/* ------------------------------------------------------------------- text */

/* Dashboards for programs of any kind know these names: https://prometheus.io/docs/instrumenting/writing_clientlibs/ */
static const char *prefix_of(const char *name)
{
    return strncmp(name, "process_", sizeof "process_" - 1) ? "parley_" : "";
}

static void put_head(struct page *page, const struct kit_metric *row)
{
    static const char *const types[] = {
        [KIT_COUNTER] = "counter", [KIT_GAUGE] = "gauge", [KIT_HISTOGRAM] = "histogram"};
    const char *prefix = prefix_of(row->name);
    put_text(page, "# HELP %s%s %s\n# TYPE %s%s %s\n", prefix, row->name, row->help, prefix, row->name,
             types[row->kind]);
}

/* One number of a row. */
struct sample {
    const struct kit_metric *row;
    const char *suffix; /* of the name */
    char labels[128];
    uint32_t per_second;
    const void *numbers;
    size_t i, place; /* among the row's; in the page */
};

static void put_line(struct page *page, const struct sample *sample, const char *labels, uint64_t value)
{
    put_text(page, "%s%s%s%s%s%s ", prefix_of(sample->row->name), sample->row->name, sample->suffix,
             labels[0] ? "{" : "", labels, labels[0] ? "}" : "");
    if (sample->per_second)
        put_text(page, "%.6f\n", (double)value / sample->per_second);
    else
        put_text(page, "%llu\n", (unsigned long long)value);
}

static void put_sample(struct page *page, const struct sample *sample)
{
    if (!page->all) put_line(page, sample, sample->labels, read_number(sample->row, sample->numbers, sample->i));
    for (unsigned i = 0; i < page->worker_count; i++) {
        const struct kit_process_page *worker = &page->all->workers[i];
        char labels[192];
        if (!atomic_load(&worker->pid)) continue;
        snprintf(labels, sizeof labels, "worker=\"%u\"%s%s", i, sample->labels[0] ? "," : "", sample->labels);
        put_line(page, sample, labels, atomic_load_explicit(&worker->values[sample->place], memory_order_relaxed));
    }
}

/* A row's numbers; the first of them stands at `place` of the page. */
static void put_row(struct page *page, const struct kit_metric *row, const void *numbers, size_t place)
{
    struct sample sample = {
        .row = row, .suffix = "", .per_second = row->per_second, .numbers = numbers, .place = place};
    if (row->kind == KIT_HISTOGRAM) sample.suffix = "_bucket";
    for (; sample.i < row->count; sample.i++, sample.place++) {
        char value[96];
        row->value((unsigned)sample.i, value, sizeof value);
        snprintf(sample.labels, sizeof sample.labels, "%s=\"%s\"", row->label, value);
        put_sample(page, &sample);
    }
    if (row->count && row->kind != KIT_HISTOGRAM) return;
    sample.labels[0] = 0;
    if (row->count) {
        sample.suffix = "_sum";
        sample.per_second = 1000000;
    }
    put_sample(page, &sample);
    if (!row->count) return;
    sample.suffix = "_count";
    sample.per_second = 0;
    sample.i--;
    sample.place--;
    put_sample(page, &sample);
}

/* The rows of that name in the sets from `from` on, which make one family. */
static void put_family(struct page *page, const struct kit *kit, size_t from, const char *name)
{
    uint64_t buffer[KIT_NUMBERS_MAX / 8];
    bool is_first = true;
    for (size_t s = from; s < kit->metrics_count; s++) {
        const struct kit_metrics *metrics = &kit->metrics[s];
        const void *numbers = NULL;
        size_t place = metrics->place;
        for (size_t i = 0; i < metrics->set->count; place += places_of(&metrics->set->list[i++])) {
            const struct kit_metric *row = &metrics->set->list[i];
            if (strcmp(row->name, name)) continue;
            if (is_first) put_head(page, row);
            is_first = false;
            if (!numbers) numbers = read_numbers(metrics, buffer);
            put_row(page, row, numbers, place);
        }
    }
}

/* True if an earlier set has a row of that name, with which this one was put. */
static bool was_put(const struct kit *kit, size_t set, const char *name)
{
    for (size_t s = 0; s < set; s++)
        for (size_t i = 0; i < kit->metrics[s].set->count; i++)
            if (kit->metrics[s].set->list[i].label && !strcmp(kit->metrics[s].set->list[i].name, name)) return true;
    return false;
}

static void put_set(struct page *page, const struct kit *kit, size_t s)
{
    const struct kit_metrics *metrics = &kit->metrics[s];
    uint64_t buffer[KIT_NUMBERS_MAX / 8];
    const void *numbers = read_numbers(metrics, buffer);
    size_t place = metrics->place;
    for (size_t i = 0; i < metrics->set->count; place += places_of(&metrics->set->list[i++])) {
        const struct kit_metric *row = &metrics->set->list[i];
        if (row->label && !was_put(kit, s, row->name)) put_family(page, kit, s, row->name);
        if (row->label) continue;
        put_head(page, row);
        put_row(page, row, numbers, place);
    }
}

/* What the master knows. */
static void put_workers(struct page *page)
{
    uint64_t now_ms = kit_monotonic_ms();
    put_text(page, "# HELP parley_worker_up 1 if the worker responds, else 0.\n# TYPE parley_worker_up gauge\n");
    for (unsigned i = 0; i < page->worker_count; i++)
        put_text(page, "parley_worker_up{worker=\"%u\"} %d\n", i, kit_process_is_up(&page->all->workers[i], now_ms));
    put_text(page, "# HELP parley_worker_restarts_total Times the worker was restarted.\n"
                   "# TYPE parley_worker_restarts_total counter\n");
    for (unsigned i = 0; i < page->worker_count; i++)
        put_text(page, "parley_worker_restarts_total{worker=\"%u\"} %llu\n", i,
                 (unsigned long long)atomic_load(&page->all->workers[i].restarts));
    put_text(page, "# HELP parley_worker_hangs_total Times the worker was killed because it was unresponsive.\n"
                   "# TYPE parley_worker_hangs_total counter\n");
    for (unsigned i = 0; i < page->worker_count; i++)
        put_text(page, "parley_worker_hangs_total{worker=\"%u\"} %llu\n", i,
                 (unsigned long long)atomic_load(&page->all->workers[i].hangs));
}

/* ------------------------------------------------------------------- page */

void kit_metrics_publish(struct kit *kit, struct kit_process_page *process)
{
    uint64_t buffer[KIT_NUMBERS_MAX / 8];
    struct sio_stats stats;
    const char *why;
    sio_server_get_stats(kit->io, &stats);
    atomic_store(&process->degraded, kit->peers.is_degraded && kit->peers.is_degraded(kit->peers.ctx, &why));
    atomic_store(&process->sessions, kit_session_count(kit));
    atomic_store(&process->sockets, stats.sockets);
    for (size_t s = 0; s < kit->metrics_count; s++) {
        const struct kit_metric_set *set = kit->metrics[s].set;
        const void *numbers = read_numbers(&kit->metrics[s], buffer);
        size_t place = kit->metrics[s].place;
        for (size_t i = 0; i < set->count; i++)
            for (size_t k = 0; k < places_of(&set->list[i]); k++)
                atomic_store_explicit(&process->values[place++], read_number(&set->list[i], numbers, k),
                                      memory_order_relaxed);
    }
}

/* ------------------------------------------------------------------ route */

static void answer_metrics(const struct kit *kit, struct eio_http_request *request)
{
    struct page page = {.text = malloc(FIRST_BYTES), .capacity = FIRST_BYTES};
    page.failed = !page.text;
    page.worker_count = kit->processes.count;
    page.all = kit->processes.page;
    if (page.all) put_workers(&page);
    for (size_t i = 0; i < kit->metrics_count; i++) put_set(&page, kit, i);
    struct eio_http_reply reply = {.status = page.failed ? 503 : 200,
                                   .content_type = "text/plain; version=0.0.4; charset=utf-8",
                                   .body = page.text,
                                   .body_size = page.failed ? 0 : page.n};
    kit_http_send(kit, request, &reply);
    free(page.text);
}

/* A request that waits for other workers. */
struct waiting {
    const struct kit *kit;
    struct eio_http_request *request; /* NULL: the client went away */
};

static void on_abort(void *ctx)
{
    ((struct waiting *)ctx)->request = NULL;
}

static void on_fresh(void *ctx)
{
    struct waiting *waiting = ctx;
    if (waiting->request) answer_metrics(waiting->kit, waiting->request);
    free(waiting);
}

/* From this machine. What a proxy has passed on is not, whatever the proxy's own address. */
static bool is_local(const struct eio_http_head *head)
{
    static const char *const passed_on[] = {"x-forwarded-for", "forwarded", "x-real-ip"};
    for (size_t i = 0; i < sizeof passed_on / sizeof passed_on[0]; i++)
        if (eio_http_head_field(head, passed_on[i]).p) return false;
    return !strncmp(head->address, "127.", 4) || !strcmp(head->address, "::1") || !strcmp(head->address, "unix");
}

/* Those who come by the operators' own address, from this machine, or with a token. False: answered. */
static bool may_read(struct kit *kit, struct eio_http_request *request)
{
    struct kit_failure failure;
    if (kit->config->has_operators || is_local(eio_http_request_head(request))) return true;
    struct kit_claims *claims = kit_http_authorize(kit, request, &failure);
    bool allowed = claims && (claims->role == KIT_ROLE_ADMIN || claims->role == KIT_ROLE_SERVICE);
    if (claims && !allowed) kit_fail(&failure, 403, NULL, "a token of the role admin or service is needed");
    kit_claims_unref(claims);
    if (!allowed) kit_http_reply_failure(kit, request, &failure);
    return allowed;
}

static void on_metrics(struct eio_http_request *request, void *ctx)
{
    struct kit *kit = ctx;
    if (!kit_http_is_get(kit, request) || !may_read(kit, request)) return;
    struct waiting *waiting = kit->processes.count ? malloc(sizeof *waiting) : NULL;
    if (waiting) {
        *waiting = (struct waiting){kit, request};
        eio_http_request_on_abort(request, on_abort, waiting);
        if (kit->processes.refresh(kit->processes.ctx, on_fresh, waiting) == 0) return;
        free(waiting);
        eio_http_request_on_abort(request, NULL, NULL);
    }
    answer_metrics(kit, request);
}

int kit_metrics_add(struct kit *kit, const struct kit_metric_set *set, void *ctx)
{
    const struct kit_metrics *last = kit->metrics_count ? &kit->metrics[kit->metrics_count - 1] : NULL;
    size_t place = last ? last->place : 0, places = 0;
    if (!ctx && !set->read) return EIO_EINVAL;
    if (kit->metrics_count == KIT_HOOKS_MAX || set->size > KIT_NUMBERS_MAX) return EIO_ETOOBIG;
    for (size_t i = 0; last && i < last->set->count; i++) place += places_of(&last->set->list[i]);
    for (size_t i = 0; i < set->count; i++) places += places_of(&set->list[i]);
    if (place + places > KIT_PAGE_VALUES_MAX) return EIO_ETOOBIG;
    kit->metrics[kit->metrics_count++] = (struct kit_metrics){set, ctx, place};
    return 0;
}

int kit_metrics_start(struct kit *kit)
{
    int failed = kit_metrics_add_own(kit);
    if (!failed) failed = eio_http_route(sio_server_http(kit->io), "/metrics", 0, on_metrics, kit);
    return failed ? failed : kit_http_for_operators(kit, "/metrics", false);
}
