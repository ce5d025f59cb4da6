/* The input is a list of operations on a room index and its naive model. */
#include "rooms_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model *model = model_new();
    for (; size >= MODEL_STEP_BYTES; data += MODEL_STEP_BYTES, size -= MODEL_STEP_BYTES) model_step(model, data);
    model_free(model);
    return 0;
}
