/* Prepared messages: a packet encoded once, into frames that all its receivers share. */
#include "sio_emit.h"
#include "sio_server.h"

#include <stdlib.h>
#include <string.h>

/* Brings attachments into the order in which the text names them, each as often as it is named: what the reference
 * does when it encodes. `memory` of the prepared message holds the result. */
static int order(struct sio__prepared *prepared, struct sio_args args)
{
    prepared->args = args;
    if (args.attachment_count == 0) return 0;
    size_t count = sio__placeholder_count(args.json);
    struct rooms_bytes *attachments;
    /* One block: attachments, their old numbers, the text. */
    size_t json_bytes = args.json.n + 20 * count + 1;
    attachments = malloc(count * (sizeof *attachments + sizeof(uint16_t)) + json_bytes);
    if (!attachments) return EIO_ENOMEM;
    prepared->memory = attachments;
    uint16_t *numbers = (uint16_t *)(attachments + count);
    char *json = (char *)(numbers + count);
    size_t size = sio__placeholder_renumber(args.json, 0, json, numbers, count);
    for (size_t i = 0; i < count; i++) {
        if (numbers[i] >= args.attachment_count) return EIO_EINVAL;
        attachments[i] = args.attachments[numbers[i]];
    }
    prepared->args = (struct sio_args){{json, size}, attachments, count};
    return 0;
}

int sio__prepared_add(struct sio__prepared *prepared, enum eio_kind kind, size_t size, uint8_t **out)
{
    struct eio_frame *frame = eio_frame_new(kind, size, out);
    if (!frame) return EIO_ENOMEM;
    if (prepared->count) eio_frame_set_more(prepared->frames[prepared->count - 1]);
    prepared->frames[prepared->count++] = frame;
    prepared->base.bytes += size;
    return 0;
}

static int encode_args(struct sio__prepared *prepared, const struct sio__parser *parser, struct sio__outgoing *packet)
{
    size_t count = prepared->args.attachment_count;
    packet->json = prepared->args.json;
    packet->attachment_count = count;
    prepared->frames = prepared->frames_inline;
    if (count >= SIO__FRAMES_INLINE) prepared->frames = malloc((count + 1) * sizeof(struct eio_frame *));
    if (!prepared->frames) return EIO_ENOMEM;
    return parser->encode(parser, prepared, packet);
}

int sio__prepare(struct sio__prepared *prepared, const struct sio__parser *parser, const struct sio__outgoing *packet,
                 struct sio_args args)
{
    struct sio__outgoing outgoing = *packet;
    prepared->frames = NULL;
    prepared->count = prepared->base.bytes = 0;
    prepared->memory = prepared->json_memory = NULL;
    prepared->json = (struct rooms_bytes){NULL, 0};
    prepared->id = packet->id;
    int result = order(prepared, args);
    if (result == 0) result = encode_args(prepared, parser, &outgoing);
    if (result != 0) sio__prepared_clear(prepared);
    return result;
}

void sio__prepared_clear(struct sio__prepared *prepared)
{
    for (size_t i = 0; i < prepared->count; i++) eio_frame_unref(prepared->frames[i]);
    if (prepared->frames != prepared->frames_inline) free(prepared->frames);
    free(prepared->memory);
    free(prepared->json_memory);
    prepared->count = 0;
    prepared->frames = NULL;
    prepared->memory = prepared->json_memory = NULL;
}

void sio__prepared_set_compress(struct sio__prepared *prepared, bool compress)
{
    for (size_t i = 0; i < prepared->count && !compress; i++) eio_frame_set_compress(prepared->frames[i], false);
}

int sio__prepared_send(const struct sio__prepared *prepared, struct eio_session *session, bool is_volatile)
{
    if (is_volatile && !eio_session_is_writable(session)) {
        eio_session_count_drop(session);
        return 0;
    }
    for (size_t i = 0; i < prepared->count; i++) {
        int result = eio_session_send(session, prepared->frames[i]);
        if (result != 0) return result;
    }
    return 0;
}

struct rooms_message sio__prepared_message(struct sio__prepared *prepared)
{
    return (struct rooms_message){
        .json = prepared->json,
        .attachments = prepared->args.attachments,
        .attachment_count = prepared->args.attachment_count,
        .prepared = &prepared->base,
    };
}

/* --------------------------------------------------------- adapter's form */

struct sio_args sio__args_of_message(const struct rooms_message *message)
{
    struct eio_str json = {(const char *)message->json.p, message->json.n};
    while (json.n && json.p[0] != '[') json.p++, json.n--;
    while (json.n && json.p[json.n - 1] != ']') json.n--;
    struct sio_args args = sio_args_none();
    if (json.n >= 2) args.json = (struct eio_str){json.p + 1, json.n - 2};
    args.attachments = message->attachments;
    args.attachment_count = message->attachment_count;
    return args;
}

char *sio__json_array(struct eio_str inner)
{
    char *json = malloc(inner.n + 2);
    if (!json) return NULL;
    json[0] = '[';
    if (inner.n) memcpy(json + 1, inner.p, inner.n);
    json[inner.n + 1] = ']';
    return json;
}

char *sio__event_array(struct eio_str name, struct eio_str args, size_t *size)
{
    *size = base_json_quoted_size(name.p, name.n) + args.n + (args.n > 0) + 2;
    char *json = malloc(*size), *at = json;
    if (!json) return NULL;
    *at++ = '[';
    at = base_json_put_quoted(at, name.p, name.n);
    if (args.n) {
        *at++ = ',';
        memcpy(at, args.p, args.n);
        at += args.n;
    }
    *at = ']';
    return json;
}

/* The arguments with the offset as one more. *text is to be freed. */
static struct sio_args add_offset(struct sio_args args, struct rooms_name offset, char **text)
{
    char *at = *text = malloc(args.json.n + offset.n + 3);
    if (!at) return args;
    if (args.json.n) {
        memcpy(at, args.json.p, args.json.n);
        at += args.json.n;
        *at++ = ',';
    }
    *at++ = '"';
    memcpy(at, offset.p, offset.n);
    at += offset.n;
    *at++ = '"';
    args.json = (struct eio_str){*text, (size_t)(at - *text)};
    return args;
}

int sio__prepare_foreign(struct sio__prepared *prepared, const struct sio_namespace *nsp,
                         const struct rooms_message *message, const uint64_t *id)
{
    struct sio_args all = sio__args_of_message(message);
    struct eio_str raw = sio_args_at(all, 0);
    if (raw.n == 0) return EIO_EINVAL;
    char *name = malloc(raw.n);
    if (!name) return EIO_ENOMEM;
    struct sio__outgoing packet = {
        .type = SIO__EVENT,
        .has_id = id != NULL,
        .id = id ? *id : 0,
        .nsp = {nsp->name, nsp->name_size},
        .name = {name, raw.n},
    };
    if (raw.p[0] == '"')
        packet.name.n = sio__json_decode_text(raw, name);
    else
        memcpy(name, raw.p, raw.n); /* a number */
    struct sio_args args = sio_args_skip(all, 1);
    char *text = NULL;
    if (message->offset.n) args = add_offset(args, message->offset, &text);
    int result = sio__prepare(prepared, nsp->io->parser, &packet, args);
    free(text);
    free(name);
    return result;
}
