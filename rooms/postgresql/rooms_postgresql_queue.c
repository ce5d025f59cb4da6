/* What waits to be published. Pure: no I/O. */
#include "rooms_postgresql_int.h"

#include <stdlib.h>
#include <string.h>

int rooms__pg_queue_add(struct rooms__pg_queue *queue, const struct rooms__pg_message *message)
{
    size_t channel = strlen(message->channel) + 1, header = message->header ? strlen(message->header) + 1 : 0;
    struct rooms__pg_message *copy = malloc(sizeof *copy + channel + header + message->payload.n);
    if (!copy) return ROOMS_ENOMEM;
    char *at = (char *)(copy + 1);
    *copy = (struct rooms__pg_message){.channel = memcpy(at, message->channel, channel)};
    if (message->header) copy->header = memcpy(at + channel, message->header, header);
    copy->payload.p = (uint8_t *)at + channel + header;
    copy->payload.n = message->payload.n;
    if (message->payload.n) memcpy(at + channel + header, message->payload.p, message->payload.n);
    if (queue->last)
        queue->last->next = copy;
    else
        queue->first = copy;
    queue->last = copy;
    queue->count++;
    queue->bytes += copy->payload.n;
    return ROOMS_OK;
}

struct rooms__pg_message *rooms__pg_queue_take(struct rooms__pg_queue *queue)
{
    struct rooms__pg_message *message = queue->first;
    if (!message) return NULL;
    queue->first = message->next;
    if (!queue->first) queue->last = NULL;
    queue->count--;
    queue->bytes -= message->payload.n;
    return message;
}

void rooms__pg_queue_clear(struct rooms__pg_queue *queue)
{
    for (struct rooms__pg_message *message; (message = rooms__pg_queue_take(queue)) != NULL;) free(message);
}

bool rooms__pg_batch_has(const struct rooms__pg_batch *batch, const struct rooms__pg_message *message)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct rooms__pg_message *other = batch->messages[i];
        if (other->payload.n == message->payload.n && strcmp(other->channel, message->channel) == 0 &&
            memcmp(other->payload.p, message->payload.p, message->payload.n) == 0)
            return true;
    }
    return false;
}
