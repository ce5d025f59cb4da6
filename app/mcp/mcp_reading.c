/* Long messages are read on a thread, so that the loop goes on: of 8 MiB, checking alone takes 20 ms. What comes back
 * to the loop is small: of a tool's long result the text that the model gets, of a list of tools what is within its
 * limit, which is handled in slices (mcp_tools.c). */
#include "mcp_int.h"
#include "mcp_reduce.h"

#include <stdlib.h>
#include <string.h>

#define LONG_BYTES 65536 /* takes the loop 2 ms, more or less */
#define VALUE_BYTES 4096 /* of a member that is kept whatever it is */

struct mcp_reading {
    struct kit_job job;
    struct mcp_request *request; /* NULL: it has ended meanwhile */
    int64_t request_id;
    bool is_list, is_flushing;
    struct mcp_reducing limits;
    struct mcp_message message;
    int failed;
    const char *why;
    size_t size;
    char text[];
};

struct mcp_garbage {
    struct kit_job job;
    json_t *root;
};

static bool is_list_of_tools(const struct mcp_reading *reading)
{
    const struct mcp_message *message = &reading->message;
    if (!json_is_array(json_object_get(message->result, "tools"))) return false;
    return reading->is_list || !mcp_message_answers(message, reading->request_id);
}

/* Leaves of a message what the loop can handle at once. */
static void shorten(struct mcp_reading *reading)
{
    struct mcp_message *message = &reading->message;
    const char *type = json_string_value(json_object_get(message->result, "resultType"));
    bool asks = type && !strcmp(type, "input_required");
    if (is_list_of_tools(reading)) return;
    if (message->kind == MCP_NOTIFICATION) {
        mcp_message_clear(message); /* nothing is lost but words for the log */
    } else if (message->kind == MCP_RESULT && !asks) {
        reading->failed = mcp_message_shorten(message, reading->limits.structured, reading->limits.text_max_bytes);
        if (reading->failed) reading->why = "there is no memory for";
    } else {
        mcp_message_clear(message);
        reading->failed = EIO_ETOOBIG;
        reading->why = "is too long for what it is";
    }
}

static void run_reading(struct kit_job *job)
{
    struct mcp_reading *reading = KIT_OWNER(job, struct mcp_reading, job);
    struct eio_str text = {reading->text, reading->size};
    struct kit_failure failure;
    size_t size;
    char *reduced = kit_json_check(text, MCP_DEPTH_MAX, &failure) ? NULL : mcp_reduce(text, &reading->limits, &size);
    if (reduced) text = (struct eio_str){reduced, size};
    reading->failed = mcp_message_read(text, &reading->message, &reading->why);
    if (!reading->failed) shorten(reading);
    free(reduced);
}

static void end_reading(struct kit_job *job)
{
    struct mcp_reading *reading = KIT_OWNER(job, struct mcp_reading, job);
    struct mcp_request *request = reading->request;
    if (request) {
        request->reading = NULL;
        mcp_request_read(request, &reading->message, reading->failed ? reading->why : NULL, reading->is_flushing);
    }
    mcp_message_clear(&reading->message);
    free(reading);
}

bool mcp_reading_is_long(const struct mcp *mcp, size_t size)
{
    return size > LONG_BYTES && mcp->kit->work;
}

int mcp_reading_start(struct mcp_request *request, struct eio_str text, bool is_flushing)
{
    struct mcp *mcp = request->session->server->mcp;
    struct mcp_reading *reading = malloc(sizeof *reading + text.n);
    if (!reading) return EIO_ENOMEM;
    memset(reading, 0, sizeof *reading);
    reading->job = (struct kit_job){.run = run_reading, .done = end_reading, .bytes = text.n};
    reading->request = request;
    reading->request_id = request->id;
    reading->is_list = request->kind == MCP_R_LIST;
    reading->is_flushing = is_flushing;
    reading->limits = (struct mcp_reducing){.value_max_bytes = VALUE_BYTES,
                                            .text_max_bytes = mcp->config->text_max_bytes,
                                            .tools_max_bytes = mcp->config->tools_max_bytes};
    reading->size = text.n;
    memcpy(reading->text, text.p, text.n);
    int failed = kit_strand_submit(&mcp->strand, NULL, &reading->job);
    if (failed)
        free(reading);
    else
        request->reading = reading;
    return failed;
}

void mcp_reading_forget(struct mcp_request *request)
{
    if (request->reading) request->reading->request = NULL;
    request->reading = NULL;
}

static void run_garbage(struct kit_job *job)
{
    json_decref(KIT_OWNER(job, struct mcp_garbage, job)->root);
}

static void end_garbage(struct kit_job *job)
{
    free(KIT_OWNER(job, struct mcp_garbage, job));
}

void mcp_free_tree(struct mcp *mcp, json_t *take_root)
{
    struct mcp_garbage *garbage = mcp->kit->work ? calloc(1, sizeof *garbage) : NULL;
    if (garbage) {
        garbage->job = (struct kit_job){.run = run_garbage, .done = end_garbage};
        garbage->root = take_root;
        if (!kit_strand_submit(&mcp->strand, NULL, &garbage->job)) return;
    }
    free(garbage);
    json_decref(take_root);
}
