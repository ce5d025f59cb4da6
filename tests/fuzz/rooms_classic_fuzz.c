/* What another node may publish: read in the order the adapter reads it. What was read stands in the payload, or is
 * JSON; and names lists never become empty ones. */
#include "rooms_classic_wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)            \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)

static void must_be_in(struct rooms_bytes payload, struct rooms_bytes slice)
{
    MUST(slice.n == 0 || (slice.p >= payload.p && slice.p + slice.n <= payload.p + payload.n));
}

static void read_names(const struct rooms__names *names)
{
    size_t total = 0;
    for (size_t i = 0; i < names->count; i++)
        for (size_t k = 0; k < names->names[i].n; k++) total += (uint8_t)names->names[i].p[k];
    MUST(total < SIZE_MAX && (names->count == 0 || names->names));
}

static void try_opts(struct rooms__classic_opts *opts)
{
    read_names(&opts->rooms);
    read_names(&opts->except);
    rooms__classic_opts_clear(opts);
}

static void try_broadcast(struct rooms_bytes payload)
{
    struct rooms__classic_broadcast broadcast;
    struct rooms__classic_opts opts;
    struct rooms_name uid;
    int error = rooms__classic_read_uid(payload, &uid);
    if (rooms__classic_read_broadcast(payload, &broadcast)) return;
    MUST(error == 0);
    must_be_in(payload, (struct rooms_bytes){(const uint8_t *)uid.p, uid.n});
    must_be_in(payload, (struct rooms_bytes){(const uint8_t *)broadcast.nsp.p, broadcast.nsp.n});
    must_be_in(payload, broadcast.data);
    must_be_in(payload, broadcast.rooms);
    must_be_in(payload, broadcast.except);
    must_be_in(payload, broadcast.flags);
    MUST(rooms__msgpack_skip(broadcast.data.p, broadcast.data.n) == (long)broadcast.data.n);
    if (rooms__classic_read_broadcast_opts(&broadcast, &opts) == 0) try_opts(&opts);
}

static void try_message(struct rooms_bytes payload)
{
    struct rooms__classic_message message;
    struct rooms__classic_opts opts;
    if (rooms__classic_read(payload, &message)) return;
    for (size_t i = 0; i < ROOMS__CLASSIC_FIELDS; i++)
        MUST(message.field[i].n == 0 || rooms__json_check(message.field[i]) == 0);
    struct rooms_bytes data = rooms__classic_packet_data(&message);
    MUST(data.n == 0 || rooms__json_check(data) == 0);
    if (rooms__classic_read_opts(&message, &opts) == 0) try_opts(&opts);
    rooms__classic_clear(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rooms_bytes payload = {data, size};
    try_broadcast(payload);
    try_message(payload);
    return 0;
}
