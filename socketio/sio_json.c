/* The scanner of base/ with this library's faults. */
#include "sio_codec.h"

ssize_t sio__json_fail(const struct base_json_fault *from, struct sio__fault *fault)
{
    *fault = (struct sio__fault){.code = EIO_EPROTO, .at = from->at, .why = from->why};
    if (from->code == BASE_JSON_UTF8) fault->code = EIO_EUTF8;
    if (from->code == BASE_JSON_DEPTH) {
        fault->code = EIO_ETOOBIG;
        fault->limit = SIO_LIMIT_DEPTH;
    }
    return fault->code;
}
