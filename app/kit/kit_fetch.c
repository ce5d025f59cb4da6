/* libcurl's multi interface driven by the loop: libcurl says which descriptors to watch and when to call again. */
#include "kit_fetch.h"
#include "kit_address.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_MS 10000L
#define RESPONSE_BYTES 1048576
#define CONNECTIONS_KEPT 16L
#define PIECE_BYTES 4096L /* libcurl reads up to 100 of them in one turn of the loop */
#define GATHER_STEP_MS 5  /* connections that gather are read together; 10 if the interval is a multiple of that */
#define GATHER_STEPS_MAX 64
/* Of them, before others are read at another step: each step costs a turn of the loop, and a transaction of those who
 * store what comes; with so many a turn takes milliseconds. */
#define GATHER_TOGETHER 200

struct kit_fetcher {
    struct eio_loop *loop;
    CURLM *multi;
    struct eio_timer timer; /* when libcurl wants to be called */
    struct kit_fetch *first;
    struct kit_fetch_stats stats;
    uint32_t gathering[GATHER_STEPS_MAX]; /* at each step of the interval, how many are read then */
    struct watch *acting;                 /* whose descriptor libcurl reads or writes now; NULL: none, or it is gone */
    bool in_callback;                     /* of libcurl, which takes and gives back no request now */
    bool has_waiting;                     /* requests to be taken or given back afterwards */
};

struct kit_fetch {
    struct kit_fetcher *fetcher;
    struct kit_fetch *prev, *next;
    CURL *easy;
    struct curl_slist *headers;
    char *body;
    char *received;
    size_t received_size, received_capacity, max_bytes;
    struct eio_timer idle_timer;
    uint32_t idle_timeout_ms, gather_ms;
    uint64_t data_ms; /* when data came last */
    void (*on_head)(void *ctx, int status);
    bool (*on_data)(void *ctx, int status, struct eio_str data);
    void (*on_done)(void *ctx, const struct kit_fetch_result *result);
    void *ctx;
    const char *error; /* ours */
    bool waits;        /* for libcurl to take it */
    bool cancelled;
    bool was_refused; /* an address, for not being public */
};

/* A descriptor that libcurl wants watched. One that gathers is not: a timer has it read. */
struct watch {
    struct kit_fetcher *fetcher;
    struct event *event;
    evutil_socket_t fd;
    struct eio_timer gather;
    bool gathers;
    uint32_t step; /* at which it is read, if it gathers */
    uint32_t
        gather_ms;    /* of the request whose data was read in this turn; 0: nothing was, or not of one that gathers */
    uint64_t read_ms; /* when data was read last */
    uint64_t due_ms;  /* when it is read next, if it gathers */
};

/* ---------------------------------------------------------------- the loop */

static void finish_done(struct kit_fetcher *fetcher);

static void leave_step(struct watch *watch)
{
    if (watch->gathers) watch->fetcher->gathering[watch->step]--;
    watch->gathers = false;
    eio_timer_stop(&watch->gather);
}

static void stop_gathering(struct watch *watch)
{
    if (!watch->gathers) return;
    leave_step(watch);
    event_add(watch->event, NULL);
}

static uint64_t step_ms(const struct watch *watch)
{
    uint64_t ms = watch->gather_ms % 10 ? GATHER_STEP_MS : 10;
    while (watch->gather_ms / ms > GATHER_STEPS_MAX) ms *= 2;
    return ms;
}

/* The first step that has room, or that at which the fewest are read: no turn becomes long when many begin together. */
static uint32_t choose_step(const struct watch *watch)
{
    const uint32_t *gathering = watch->fetcher->gathering;
    uint32_t count = (uint32_t)(watch->gather_ms / step_ms(watch)), fewest = 0;
    for (uint32_t i = 0; i < count && gathering[fewest] >= GATHER_TOGETHER; i++)
        if (gathering[i] < gathering[fewest]) fewest = i;
    return fewest;
}

/* When one that begins to gather is read first. */
static uint64_t first_read_ms(const struct watch *watch, uint64_t now)
{
    uint64_t interval = watch->gather_ms, due = now - now % interval + watch->step * step_ms(watch);
    return due > now ? due : due + interval;
}

/* One that gathers keeps its phase, also if it was read late: else what held up all of them once would have all of them
 * read at the same time from then on. */
static uint64_t next_read_ms(const struct watch *watch, uint64_t now)
{
    uint64_t interval = watch->gather_ms, due = watch->due_ms + interval;
    if (!watch->gathers) return first_read_ms(watch, now);
    return due > now ? due : due + ((now - due) / interval + 1) * interval;
}

/* Data that comes quickly may gather. At the end of the interval it is read without asking whether there is any. */
static void gather_or_watch(struct watch *watch)
{
    uint64_t now = eio_loop_now_ms(watch->fetcher->loop);
    bool is_quick = watch->gather_ms >= GATHER_STEP_MS && (watch->gathers || now - watch->read_ms <= watch->gather_ms);
    if (watch->gather_ms) watch->read_ms = now;
    if (is_quick && !watch->gathers) watch->step = choose_step(watch);
    if (is_quick) watch->due_ms = next_read_ms(watch, now);
    if (!is_quick || eio_timer_start(&watch->gather, watch->due_ms - now)) {
        stop_gathering(watch);
        return;
    }
    if (watch->gathers) return;
    event_del(watch->event);
    watch->gathers = true;
    watch->fetcher->gathering[watch->step]++;
}

static void act(struct watch *watch, int mask)
{
    struct kit_fetcher *fetcher = watch->fetcher;
    int running;
    fetcher->acting = watch;
    watch->gather_ms = 0;
    curl_multi_socket_action(fetcher->multi, watch->fd, mask, &running);
    if (fetcher->acting) gather_or_watch(watch);
    fetcher->acting = NULL;
    finish_done(fetcher);
}

static void on_ready(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    act(ctx, (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_gathered(void *ctx)
{
    act(ctx, CURL_CSELECT_IN);
}

static void on_timer(void *ctx)
{
    struct kit_fetcher *fetcher = ctx;
    int running;
    curl_multi_socket_action(fetcher->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    finish_done(fetcher);
}

static int on_timeout_wanted(CURLM *multi, long ms, void *ctx)
{
    struct kit_fetcher *fetcher = ctx;
    (void)multi;
    if (ms < 0)
        eio_timer_stop(&fetcher->timer);
    else if (eio_timer_start(&fetcher->timer, (uint64_t)ms))
        return -1;
    return 0;
}

static void free_watch(struct watch *watch)
{
    if (watch->fetcher->acting == watch) watch->fetcher->acting = NULL;
    leave_step(watch);
    if (watch->event) event_free(watch->event);
    free(watch);
}

static int on_watch_wanted(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    struct kit_fetcher *fetcher = ctx;
    struct watch *watch = socket_ctx;
    short events = (short)(EV_PERSIST | (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0));
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (watch) free_watch(watch);
        return 0;
    }
    if (!watch) {
        watch = calloc(1, sizeof *watch);
        if (!watch) return -1;
        watch->fetcher = fetcher;
        watch->fd = fd;
        eio_timer_init(&watch->gather, fetcher->loop, on_gathered, watch);
    }
    leave_step(watch);
    if (watch->event) event_free(watch->event);
    watch->event = event_new(eio_loop_base(fetcher->loop), fd, events, on_ready, watch);
    curl_multi_assign(fetcher->multi, fd, watch);
    return watch->event && !event_add(watch->event, NULL) ? 0 : -1;
}

/* ----------------------------------------------------------------- fetcher */

struct kit_fetcher *kit_fetcher_new(struct eio_loop *loop)
{
    static bool is_initialised;
    if (!is_initialised && curl_global_init(CURL_GLOBAL_DEFAULT)) return NULL;
    is_initialised = true;
    struct kit_fetcher *fetcher = calloc(1, sizeof *fetcher);
    if (!fetcher) return NULL;
    fetcher->loop = loop;
    fetcher->multi = curl_multi_init();
    if (!fetcher->multi) {
        free(fetcher);
        return NULL;
    }
    eio_timer_init(&fetcher->timer, loop, on_timer, fetcher);
    curl_multi_setopt(fetcher->multi, CURLMOPT_SOCKETFUNCTION, on_watch_wanted);
    curl_multi_setopt(fetcher->multi, CURLMOPT_SOCKETDATA, fetcher);
    curl_multi_setopt(fetcher->multi, CURLMOPT_TIMERFUNCTION, on_timeout_wanted);
    curl_multi_setopt(fetcher->multi, CURLMOPT_TIMERDATA, fetcher);
    curl_multi_setopt(fetcher->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_KEPT);
    return fetcher;
}

static void free_fetch(struct kit_fetch *fetch)
{
    struct kit_fetcher *fetcher = fetch->fetcher;
    eio_timer_stop(&fetch->idle_timer);
    if (fetch->easy) {
        curl_multi_remove_handle(fetcher->multi, fetch->easy);
        curl_easy_cleanup(fetch->easy);
    }
    if (fetch->prev)
        fetch->prev->next = fetch->next;
    else if (fetcher->first == fetch)
        fetcher->first = fetch->next;
    if (fetch->next) fetch->next->prev = fetch->prev;
    curl_slist_free_all(fetch->headers);
    free(fetch->body);
    free(fetch->received);
    free(fetch);
}

void kit_fetcher_free(struct kit_fetcher *fetcher)
{
    if (!fetcher) return;
    while (fetcher->first) free_fetch(fetcher->first);
    curl_multi_cleanup(fetcher->multi);
    eio_timer_stop(&fetcher->timer);
    free(fetcher);
}

void kit_fetcher_get_stats(const struct kit_fetcher *fetcher, struct kit_fetch_stats *stats)
{
    *stats = fetcher->stats;
}

/* ---------------------------------------------------------------- response */

static int status_of(const struct kit_fetch *fetch)
{
    long status = 0;
    curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

const char *kit_fetch_header(const struct kit_fetch *fetch, const char *name)
{
    struct curl_header *header;
    return curl_easy_header(fetch->easy, name, 0, CURLH_HEADER, -1, &header) ? NULL : header->value;
}

bool kit_fetch_gathers(const struct kit_fetch *fetch)
{
    const struct watch *watch = fetch->fetcher->acting;
    return watch && watch->gathers && watch->gather_ms;
}

static bool keep(struct kit_fetch *fetch, const char *p, size_t n)
{
    size_t wanted = fetch->received_size + n;
    if (wanted > fetch->received_capacity) {
        size_t capacity = wanted * 2;
        char *received = realloc(fetch->received, capacity);
        if (!received) return false;
        fetch->received = received;
        fetch->received_capacity = capacity;
    }
    memcpy(fetch->received + fetch->received_size, p, n);
    fetch->received_size = wanted;
    return true;
}

/* As libcurl's header function, line by line; an empty one ends the head. */
static size_t on_head_line(char *p, size_t size, size_t count, void *ctx)
{
    struct kit_fetch *fetch = ctx;
    size_t n = size * count;
    bool is_end = n && (p[0] == '\r' || p[0] == '\n');
    if (fetch->cancelled) return 0;
    if (!is_end || status_of(fetch) / 100 == 1) return n;
    fetch->fetcher->in_callback = true;
    fetch->on_head(fetch->ctx, status_of(fetch));
    fetch->fetcher->in_callback = false;
    return fetch->cancelled ? 0 : n;
}

/* Others may share a connection of HTTP/2: none of them must wait for this one's sake. */
static void note_data(const struct kit_fetch *fetch)
{
    long version = 0;
    struct watch *watch = fetch->fetcher->acting;
    if (!watch || !fetch->gather_ms || watch->gather_ms) return;
    curl_easy_getinfo(fetch->easy, CURLINFO_HTTP_VERSION, &version);
    if (version == CURL_HTTP_VERSION_1_1 || version == CURL_HTTP_VERSION_1_0) watch->gather_ms = fetch->gather_ms;
}

/* As libcurl's write function: anything but n ends the request. */
static size_t on_body(char *p, size_t size, size_t count, void *ctx)
{
    struct kit_fetch *fetch = ctx;
    size_t n = size * count;
    note_data(fetch);
    fetch->data_ms = eio_loop_now_ms(fetch->fetcher->loop);
    if (fetch->cancelled) return CURL_WRITEFUNC_ERROR;
    if (fetch->on_data) {
        fetch->fetcher->in_callback = true;
        bool go_on = fetch->on_data(fetch->ctx, status_of(fetch), (struct eio_str){p, n});
        fetch->fetcher->in_callback = false;
        if (!go_on) fetch->error = "ended by its reader";
        return go_on && !fetch->cancelled ? n : CURL_WRITEFUNC_ERROR;
    }
    if (fetch->received_size + n > fetch->max_bytes)
        fetch->error = "the response is too large";
    else if (keep(fetch, p, n))
        return n;
    else
        fetch->error = "out of memory";
    return CURL_WRITEFUNC_ERROR;
}

static void finish_fetch(struct kit_fetch *fetch, CURLcode code)
{
    struct kit_fetch_result result = {.status = status_of(fetch), .type = "", .retry_after_s = -1};
    char *type = NULL;
    curl_off_t retry_after_s = 0;
    if (code == CURLE_COULDNT_CONNECT && fetch->was_refused) fetch->error = "its address is not public";
    if (code != CURLE_OK || fetch->error) result.error = fetch->error ? fetch->error : curl_easy_strerror(code);
    result.is_timeout = code == CURLE_OPERATION_TIMEDOUT;
    if (!curl_easy_getinfo(fetch->easy, CURLINFO_CONTENT_TYPE, &type) && type) result.type = type;
    if (!curl_easy_getinfo(fetch->easy, CURLINFO_RETRY_AFTER, &retry_after_s) && retry_after_s > 0)
        result.retry_after_s = (int64_t)retry_after_s;
    result.body = (struct eio_str){fetch->received, fetch->received_size};
    fetch->fetcher->stats.running--;
    if (result.error || result.status / 100 != 2) fetch->fetcher->stats.failed++;
    if (!fetch->cancelled) fetch->on_done(fetch->ctx, &result);
    free_fetch(fetch);
}

/* The first of those that libcurl could not take or give back meanwhile; NULL if none is left. */
static struct kit_fetch *find_waiting(const struct kit_fetcher *fetcher)
{
    struct kit_fetch *fetch = fetcher->first;
    while (fetch && !fetch->cancelled && !fetch->waits) fetch = fetch->next;
    return fetch;
}

static void settle_waiting(struct kit_fetcher *fetcher)
{
    struct kit_fetch *fetch;
    while ((fetch = find_waiting(fetcher))) {
        fetch->waits = false;
        if (fetch->cancelled) {
            fetcher->stats.running--;
            free_fetch(fetch);
        } else if (curl_multi_add_handle(fetcher->multi, fetch->easy)) {
            finish_fetch(fetch, CURLE_OUT_OF_MEMORY);
        }
    }
    fetcher->has_waiting = false;
}

static void finish_done(struct kit_fetcher *fetcher)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(fetcher->multi, &left))) {
        char *fetch = NULL;
        if (message->msg != CURLMSG_DONE) continue;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &fetch);
        finish_fetch((struct kit_fetch *)(void *)fetch, code);
    }
    if (fetcher->has_waiting) settle_waiting(fetcher);
}

void kit_fetch_pause(struct kit_fetch *fetch, bool pauses)
{
    if (fetch->waits || fetch->cancelled) return;
    if (fetch->idle_timeout_ms && pauses) eio_timer_stop(&fetch->idle_timer);
    if (fetch->idle_timeout_ms && !pauses) eio_timer_start(&fetch->idle_timer, fetch->idle_timeout_ms);
    curl_easy_pause(fetch->easy, pauses ? CURLPAUSE_RECV : CURLPAUSE_CONT);
}

static void on_idle(void *ctx)
{
    struct kit_fetch *fetch = ctx;
    uint64_t passed = eio_loop_now_ms(fetch->fetcher->loop) - fetch->data_ms;
    /* Data comes so often that the timer is not moved each time. */
    if (passed < fetch->idle_timeout_ms && !eio_timer_start(&fetch->idle_timer, fetch->idle_timeout_ms - passed))
        return;
    fetch->error = "no data received in time";
    finish_fetch(fetch, CURLE_OPERATION_TIMEDOUT);
}

/* ------------------------------------------------------------------- start */

const char *kit_fetch_check_url(const char *url)
{
    static const char allowed[] = "a URL that begins with http:// or https:// and names a host";
    char *scheme = NULL, *host = NULL;
    CURLU *parsed = curl_url();
    bool is_good =
        parsed && !curl_url_set(parsed, CURLUPART_URL, url, 0) && !curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) &&
        !curl_url_get(parsed, CURLUPART_HOST, &host, 0) && (!strcmp(scheme, "http") || !strcmp(scheme, "https"));
    /* libcurl leaves what is encoded in a name to the resolver; of an IPv6 address it is the zone. */
    if (is_good && host[0] != '[' && strchr(host, '%')) is_good = false;
    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(parsed);
    return is_good ? NULL : allowed;
}

/* As libcurl's function for opening sockets, which knows the address that the name has now. */
static curl_socket_t open_public(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct kit_fetch *fetch = ctx;
    (void)purpose;
    fetch->was_refused = !kit_address_is_public(&address->addr);
    if (fetch->was_refused) return CURL_SOCKET_BAD;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static bool copy_headers(struct kit_fetch *fetch, const char *const *headers)
{
    /* Without "Expect" the body is sent at once. */
    fetch->headers = curl_slist_append(NULL, "Expect:");
    for (; fetch->headers && headers && *headers; headers++)
        if (!curl_slist_append(fetch->headers, *headers)) return false;
    return fetch->headers != NULL;
}

static bool copy_body(struct kit_fetch *fetch, struct eio_str body)
{
    if (!body.p) return true;
    fetch->body = malloc(body.n + 1);
    if (!fetch->body) return false;
    memcpy(fetch->body, body.p, body.n);
    curl_easy_setopt(fetch->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
    curl_easy_setopt(fetch->easy, CURLOPT_POSTFIELDS, fetch->body);
    return true;
}

static void set_options(struct kit_fetch *fetch, const struct kit_fetch_options *options)
{
    CURL *easy = fetch->easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, (char *)fetch);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    /* Asks for no compression, which would hold back a stream, and undoes it if it comes all the same. */
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "identity");
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "parley/" PARLEY_VERSION);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)options->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, fetch->headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, fetch);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, PIECE_BYTES);
    if (options->on_head) {
        curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head_line);
        curl_easy_setopt(easy, CURLOPT_HEADERDATA, fetch);
    }
    if (options->method) curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, options->method);
    if (!options->only_public) return;
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_public);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, fetch);
}

static void link_fetch(struct kit_fetch *fetch)
{
    struct kit_fetcher *fetcher = fetch->fetcher;
    fetch->next = fetcher->first;
    if (fetch->next) fetch->next->prev = fetch;
    fetcher->first = fetch;
}

struct kit_fetch *kit_fetch_start(struct kit_fetcher *fetcher, const struct kit_fetch_options *options)
{
    struct kit_fetch *fetch = calloc(1, sizeof *fetch);
    if (!fetch) return NULL;
    fetch->fetcher = fetcher;
    fetch->on_head = options->on_head;
    fetch->on_data = options->on_data;
    fetch->on_done = options->on_done;
    fetch->ctx = options->ctx;
    fetch->max_bytes = options->max_bytes ? options->max_bytes : RESPONSE_BYTES;
    fetch->idle_timeout_ms = options->idle_timeout_ms;
    fetch->gather_ms = options->gather_ms;
    eio_timer_init(&fetch->idle_timer, fetcher->loop, on_idle, fetch);
    link_fetch(fetch);
    fetch->easy = kit_fetch_check_url(options->url) ? NULL : curl_easy_init();
    bool is_ready = fetch->easy && copy_headers(fetch, options->headers) && copy_body(fetch, options->body) &&
                    !curl_easy_setopt(fetch->easy, CURLOPT_URL, options->url);
    if (is_ready) set_options(fetch, options);
    if (is_ready && fetch->idle_timeout_ms) is_ready = !eio_timer_start(&fetch->idle_timer, fetch->idle_timeout_ms);
    /* libcurl begins when its timer fires, so that on_done never comes from in here. */
    fetch->waits = is_ready && fetcher->in_callback;
    fetcher->has_waiting |= fetch->waits;
    if (!is_ready || (!fetch->waits && curl_multi_add_handle(fetcher->multi, fetch->easy))) {
        free_fetch(fetch);
        return NULL;
    }
    fetcher->stats.started++;
    fetcher->stats.running++;
    return fetch;
}

void kit_fetch_cancel(struct kit_fetch *fetch)
{
    fetch->cancelled = true;
    fetch->fetcher->has_waiting |= fetch->fetcher->in_callback;
    if (fetch->fetcher->in_callback) return; /* its end comes when the reader has returned */
    fetch->fetcher->stats.running--;
    free_fetch(fetch);
}
