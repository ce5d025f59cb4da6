/* What another node may say through a sharded channel or a stream. The first byte is the type of a stream's field, 0: a
 * whole message. What was read is written in every form, and reads the same again. */
#include "rooms_cluster_wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)            \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)

static const struct rooms_name nsp = {"/", 1};

/* A selection lists a name that is a number twice, as text and as that. */
static void must_be_same_names(const struct rooms_name *a, size_t a_count, const struct rooms_name *b, size_t b_count,
                               bool numbers)
{
    size_t at = 0;
    for (size_t i = 0; i < a_count; i++) {
        size_t times = numbers && rooms__name_is_number(a[i]) ? 2 : 1;
        MUST(b_count - at >= times);
        for (; times > 0; times--, at++) MUST(a[i].n == b[at].n && (a[i].n == 0 || !memcmp(a[i].p, b[at].p, a[i].n)));
    }
    MUST(at == b_count);
}

static void must_be_same(const struct rooms_cluster_message *a, const struct rooms_cluster_message *b)
{
    MUST(a->type == b->type && a->uid.n == b->uid.n && a->request.n == b->request.n && a->close == b->close);
    must_be_same_names(a->who.rooms, a->who.room_count, b->who.rooms, b->who.room_count, true);
    must_be_same_names(a->who.except, a->who.except_count, b->who.except, b->who.except_count, true);
    must_be_same_names(a->rooms, a->room_count, b->rooms, b->room_count, a->type == ROOMS_CLUSTER_SOCKETS_LEAVE);
    MUST(a->socket_count == b->socket_count && a->client_count == b->client_count);
    MUST(a->packet.attachment_count >= b->packet.attachment_count); /* some may have stood elsewhere */
    MUST(a->flags.is_volatile == b->flags.is_volatile && a->flags.timeout_ms == b->flags.timeout_ms);
}

/* Not all that is read can be written: a name that was none is "", lone surrogates are replaced. Sockets with binary
 * data lose it. */
static void write_and_read(const struct rooms_cluster_message *message)
{
    static const enum rooms__cluster_form forms[] = {ROOMS__FORM_JSON, ROOMS__FORM_MSGPACK};
    for (size_t i = 0; i < 2; i++) {
        struct rooms_packer packer;
        struct rooms__cluster_reading again;
        if (forms[i] == ROOMS__FORM_JSON && message->packet.attachment_count > 0) continue;
        rooms_packer_init(&packer);
        rooms__cluster_put(&packer, message, nsp, forms[i]);
        if (packer.error == 0 &&
            rooms__cluster_read(&again, (struct rooms_bytes){packer.bytes, packer.size}, nsp) == 0) {
            must_be_same(message, &again.message);
            rooms__cluster_reading_clear(&again);
        } else {
            MUST(forms[i] == ROOMS__FORM_MSGPACK);
        }
        rooms_packer_clear(&packer);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rooms__cluster_reading reading;
    char type[4];
    if (size == 0) return 0;
    struct rooms_bytes payload = {data + 1, size - 1};
    int n = snprintf(type, sizeof type, "%u", data[0]);
    int error = data[0] ? rooms__cluster_read_fields(&reading, (struct rooms_name){"u", 1},
                                                     (struct rooms_name){type, (size_t)n}, payload)
                        : rooms__cluster_read(&reading, payload, nsp);
    if (error) return 0;
    write_and_read(&reading.message);
    free(rooms__cluster_copy(&reading.message, NULL));
    rooms__cluster_reading_clear(&reading);
    return 0;
}
