/* HTTP requests to others, by libcurl on the loop: nothing blocks, connections are kept and shared. */
#ifndef KIT_FETCH_H
#define KIT_FETCH_H

#include <engineio.h>

struct kit_fetcher;
struct kit_fetch;

struct kit_fetch_result {
    int status;            /* of HTTP; 0: no response, see error */
    const char *error;     /* why it is missing, or why it ended early, in English; NULL: the response is whole */
    struct eio_str body;   /* what on_data did not take; borrowed */
    const char *type;      /* of the content, "" if unknown */
    int64_t retry_after_s; /* of the header, -1: it has none */
    bool is_timeout;
};

struct kit_fetch_options {
    const char *url;            /* http or https; copied */
    const char *method;         /* NULL: POST if there is a body, else GET */
    const char *const *headers; /* "Name: value", ended by NULL; may be NULL; copied */
    struct eio_str body;        /* copied */
    size_t max_bytes;           /* of the response; above, it ends early. 0: 1 MiB */
    uint32_t timeout_ms;        /* for all of it; 0: none */
    uint32_t idle_timeout_ms;   /* without a byte received; 0: none */
    /* A response that comes in pieces closer together than this is read at intervals of this, so that several pieces
     * come at once, for less than each alone would cost; 0: as soon as there is something. In steps
     * of 10 ms or 5. */
    uint32_t gather_ms;
    bool only_public; /* connects to no address of this machine or of a private network */
    /* The response's head is there, with a status other than 1xx; NULL: who cares waits for on_data. As in on_data,
     * other requests may be started and cancelled, and this one. */
    void (*on_head)(void *ctx, int status);
    /* The response's body as it comes, after its status is known; false ends the request. NULL: it is collected. Other
     * requests may be started and cancelled in here. */
    bool (*on_data)(void *ctx, int status, struct eio_str data);
    /* Once, on the loop, never within kit_fetch_start(). The request is gone afterwards. */
    void (*on_done)(void *ctx, const struct kit_fetch_result *result);
    void *ctx;
};

struct kit_fetch_stats {
    uint64_t started, failed; /* failed: without a response of a 2xx status */
    size_t running;
};

/* NULL: out of memory. */
struct kit_fetcher *kit_fetcher_new(struct eio_loop *loop);
/* Requests that still run end without on_done. Accepts NULL. */
void kit_fetcher_free(struct kit_fetcher *fetcher);
/* NULL: out of memory, or the URL is neither http nor https. Redirects are not followed: what is configured is where it
 * goes. */
struct kit_fetch *kit_fetch_start(struct kit_fetcher *fetcher, const struct kit_fetch_options *options);
/* The first field of that name in the response, NULL without one. Only within on_data and on_done. Any case will do. */
const char *kit_fetch_header(const struct kit_fetch *fetch, const char *name);
/* Until it goes on, nothing more is received, or nearly nothing: what has arrived may still come. Also within on_data.
 */
void kit_fetch_pause(struct kit_fetch *fetch, bool pauses);
/* Within on_data: the data has gathered (gather_ms), and more comes after that time. */
bool kit_fetch_gathers(const struct kit_fetch *fetch);
/* Ends it without on_done. Also within on_data. */
void kit_fetch_cancel(struct kit_fetch *fetch);
void kit_fetcher_get_stats(const struct kit_fetcher *fetcher, struct kit_fetch_stats *stats);

/* NULL if the text is a URL that can be fetched, else what is allowed: for options. */
const char *kit_fetch_check_url(const char *url);

#endif
