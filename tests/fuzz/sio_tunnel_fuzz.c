/* Messages of tunnels, as anybody at Redis could publish them: what is decoded lies within what was given, and is
 * encoded back to the same bytes. */
#include "base_check.h"
#include "sio_codec.h"
#include "sio_tunnel_wire.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sio__tunnel_message message;
    uint8_t again[SIO__TUNNEL_HEAD_BYTES + SIO__TUNNEL_OPEN_BYTES];
    if (!sio__tunnel_decode(data, size, &message)) return 0;
    BASE_CHECK(!message.size || (message.bytes >= data && message.bytes + message.size == data + size));
    size_t n = sio__tunnel_encode(&message, again);
    BASE_CHECK(n + message.size == size);
    BASE_CHECK(memcmp(again, data, n) == 0);
    return 0;
}
