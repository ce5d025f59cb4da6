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

#define CALLS_VENDOR_OPEN_MAX 8 /* segments of a call that are open at a time; above, the oldest is forgotten */
#define CALLS_VENDOR_ID_SIZE 129
#define CALLS_VENDOR_TEXT_MAX 65536
/* What is remembered of a call between two messages. Zeroed at first; calls_vendor_clear() at the end. */
struct calls_vendor_state {
    struct {
        char key[CALLS_VENDOR_ID_SIZE]; /* the channel, or the vendor's id */
        char id[CALLS_VENDOR_ID_SIZE];  /* the segment's */
        char *text;                     /* what was appended so far, or NULL */
    } open[CALLS_VENDOR_OPEN_MAX];
    size_t count;
};
void calls_vendor_clear(struct calls_vendor_state *state);

/* Appends a line of NDJSON to `out` for each line that the message brings, as payloads of transcription:update without
 * call_id. Messages that bring none are ignored. Returns 0 or EIO_ENOMEM. */
int calls_vendor_map(const struct calls_vendor *vendor, const json_t *message, struct calls_vendor_state *state,
                     struct sio_builder *out);

/* Twilio's messages are forms: the fields as an object of texts. */
enum calls_twilio { CALLS_TWILIO_OTHER, CALLS_TWILIO_STARTED, CALLS_TWILIO_CONTENT, CALLS_TWILIO_STOPPED };
enum calls_twilio calls_twilio_kind(const json_t *form);

#endif
