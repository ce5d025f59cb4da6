/* Messages of speech vendors as lines of a transcript. Pure: a message and what is remembered of the call in, lines
 * out.
 *
 * Interim results come in three kinds. Some name their segment, and each replaces the one before; some append to it;
 * and some belong to the open segment of a channel, which has no name: it is named here when it opens. */
#ifndef CALLS_VENDORS_H
#define CALLS_VENDORS_H

#include <jansson.h>
#include <socketio.h>

struct calls_vendor;
/* NULL: no such vendor. */
const struct calls_vendor *calls_vendor_find(const char *name);
/* It signs its webhooks: nobody else brings its messages. */
bool calls_vendor_signs(const struct calls_vendor *vendor);

#define CALLS_VENDOR_OPEN_MAX 8 /* segments of a call that are open at a time; above, the oldest is forgotten */
#define CALLS_VENDOR_ID_SIZE 129
#define CALLS_VENDOR_TEXT_MAX 65536
#define CALLS_VENDOR_CHANNEL_SIZE 64
/* What is remembered of a call between two messages. Zeroed at first; calls_vendor_clear() at the end. */
struct calls_vendor_state {
    /* The channel, track or voice of the customer; all others are the agent's. "": the vendor's usual one, and voices
     * keep the names that the vendor gives them. */
    char customer[CALLS_VENDOR_CHANNEL_SIZE];
    /* Of vendors that begin to count anew with each connection: the connection's name, which stands before the names of
     * its segments, or "". And when in the call it began, which is added to its times. */
    char connection[CALLS_VENDOR_CHANNEL_SIZE];
    bool is_named; /* by who sends: the vendor's own name does not count */
    bool sees_all; /* no other process gets messages of the call: what one says counts for those that follow */
    int64_t offset_ms;
    struct {
        char key[CALLS_VENDOR_ID_SIZE];   /* the channel, or the vendor's id */
        char id[CALLS_VENDOR_ID_SIZE];    /* the segment's */
        char *text;                       /* what was appended so far, or NULL */
        bool has_parts;                   /* it came in parts with speakers of their own: its whole is not said again */
        char first[CALLS_VENDOR_ID_SIZE]; /* of these the one that took the place of what was appended; "" */
    } open[CALLS_VENDOR_OPEN_MAX];
    size_t count;
};
void calls_vendor_clear(struct calls_vendor_state *state);

/* "", or how the names begin that segments without one of the vendor's get here. Where several processes get messages
 * of a call, each needs to know which of them is open: calls_vendor_adopt() for each that is, after
 * calls_vendor_clear(). */
const char *calls_vendor_unnamed(const struct calls_vendor *vendor);
void calls_vendor_adopt(const struct calls_vendor *vendor, struct calls_vendor_state *state, const char *segment_id);

/* Appends a line of NDJSON to `out` for each line that the message brings, as payloads of transcription:update without
 * call_id. Messages that bring none are ignored. Returns 0 or EIO_ENOMEM. */
int calls_vendor_map(const struct calls_vendor *vendor, const json_t *message, struct calls_vendor_state *state,
                     struct sio_builder *out);

/* What a message says of its call besides lines. Twilio's messages are forms: the fields as an object of texts. */
enum calls_vendor_kind { CALLS_VENDOR_LINES, CALLS_VENDOR_BEGINS, CALLS_VENDOR_IS_ACTIVE, CALLS_VENDOR_ENDS };
enum calls_vendor_kind calls_vendor_kind(const struct calls_vendor *vendor, const json_t *message,
                                         const struct calls_vendor_state *state);
/* The vendor's own name of the message's call, as an id; "" if it has none. */
void calls_vendor_call(const struct calls_vendor *vendor, const json_t *message, char id[CALLS_VENDOR_ID_SIZE]);

#endif
