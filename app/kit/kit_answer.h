/* Answers to socket events: success and failure acks, `error` events, payload checks. */
#ifndef KIT_ANSWER_H
#define KIT_ANSWER_H

#include "kit.h"

/* Where the answer to a socket's event goes, now or later. Outlives the socket harmlessly. */
struct kit_answer {
    struct kit *kit;
    struct sio_reply reply;
    struct sio_namespace *nsp;
    char sid[KIT_SID_SIZE];
    char event[32];
};
/* Its socket, or NULL if it is gone, or the event came another way. */
struct sio_socket *kit_answer_socket(const struct kit_answer *answer);
struct kit_answer kit_answer_later(struct kit *kit, const struct sio_event *event);
/* Sends one JSON value as the ack. */
void kit_answer_json(struct kit_answer *answer, const struct sio_builder *json);
/* {"ok":false,"error":{…}} as the ack, or `error` if none was asked for; 401 also disconnects. */
void kit_answer_failure(struct kit_answer *answer, const struct kit_failure *failure);
/* When to try again what failed with 503, unless the failure says it. */
#define KIT_RETRY_AFTER_MS 1000
/* 0: trying again is pointless, or the time is unknown. */
uint32_t kit_retry_after_ms(const struct kit_failure *failure);
/* The fields of an error, without braces: code, message, field, retry_after_ms. */
void kit_answer_put_error(struct sio_builder *builder, const struct kit_failure *failure);
/* The object {"ok":false,"error":{code,message,field}}. */
void kit_answer_put_failure(struct sio_builder *builder, const struct kit_failure *failure);
/* The event's payload if it is exactly one object without attachments that fits the event's schema; the caller's to
 * json_decref. Otherwise answers 400 and returns NULL. */
json_t *kit_answer_payload(struct kit *kit, const struct sio_event *event);
/* The same, its text unparsed and without a look at the schema; n 0: answered. */
struct eio_str kit_answer_text(struct kit *kit, const struct sio_event *event);
/* Refuses an event at once. */
void kit_answer_refuse(struct kit *kit, const struct sio_event *event, int code, const char *field,
                       const char *message);
/* fn is called for each answer until it is NULL. One at a time. */
void kit_on_answered(struct kit *kit, kit_answered_fn fn, void *ctx);
static inline void kit_note_answered(const struct kit *kit, const struct kit_answered *answered)
{
    if (kit->answered_fn) kit->answered_fn(kit->answered_ctx, answered);
}
/* The same for an event that is refused without a request. */
void kit_note_refused(const struct kit *kit, const struct sio_event *event, int code);
/* Counts a refusal for /metrics. */
void kit_count_failure(struct kit *kit, int code);

/* Pieces for builders. */
/* Text that is JSON already. */
void kit_put_json(struct sio_builder *builder, struct eio_str json);
void kit_put_int(struct sio_builder *builder, int64_t value);
void kit_put_text(struct sio_builder *builder, const char *text);
void kit_put_time(struct sio_builder *builder, int64_t unix_ms);

#endif
