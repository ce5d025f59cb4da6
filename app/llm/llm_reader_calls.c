/* Calls of tools while they come in, in pieces. A piece names its call by index, by id, or only by its place: servers
 * differ, and some give every call the same index. */
#include "llm_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int out_of_memory(struct llm_reader *reader)
{
    return llm_fault_set(&reader->fault, LLM_FAULT_MEMORY, "out of memory");
}

/* One piece as it stands in the chunk. */
struct piece {
    char id[160]; /* "": none */
    const char *name;
    struct eio_str args;
    char *dumped; /* args, if they came as an object */
    json_int_t index;
    bool has_index;
};

static void read_id(char out[160], const json_t *id)
{
    out[0] = 0;
    if (json_is_string(id) && !memchr(json_string_value(id), 0, json_string_length(id)))
        snprintf(out, 160, "%s", json_string_value(id));
    if (json_is_integer(id)) snprintf(out, 160, "%lld", (long long)json_integer_value(id));
}

static bool read_piece(struct piece *piece, const json_t *entry)
{
    const json_t *function = json_object_get(entry, "function"), *index = json_object_get(entry, "index");
    const json_t *args = json_object_get(function, "arguments");
    *piece = (struct piece){.has_index = json_is_integer(index), .index = json_integer_value(index)};
    read_id(piece->id, json_object_get(entry, "id"));
    piece->name = json_string_value(json_object_get(function, "name"));
    if (piece->name && !piece->name[0]) piece->name = NULL;
    if (json_is_string(args)) piece->args = (struct eio_str){json_string_value(args), json_string_length(args)};
    if (!json_is_object(args)) return true;
    piece->dumped = json_dumps(args, JSON_COMPACT);
    if (piece->dumped) piece->args = eio_str(piece->dumped);
    return piece->dumped != NULL;
}

/* ------------------------------------------------------------------ whose */

static struct llm_call *find_id(const struct llm_reader *reader, const char *id)
{
    for (unsigned i = reader->call_count; i-- > 0;)
        if (reader->calls[i].id && !reader->calls[i].has_made_id && !strcmp(reader->calls[i].id, id))
            return &reader->calls[i];
    return NULL;
}

/* The newest, since an index may have been used again. */
static struct llm_call *find_index(const struct llm_reader *reader, json_int_t index)
{
    for (unsigned i = reader->call_count; i-- > 0;)
        if (reader->calls[i].has_index && reader->calls[i].index == index) return &reader->calls[i];
    return NULL;
}

/* A piece with a name and without an id: the beginning of another call, or does the server repeat the name? */
static bool begins_another(const struct llm_call *call, const struct piece *piece)
{
    if (!piece->name || !call->name) return false;
    return strcmp(call->name, piece->name) != 0 || (piece->args.n && call->is_whole);
}

/* NULL: the piece begins a new call. */
static struct llm_call *find_call(const struct llm_reader *reader, const struct piece *piece, size_t position)
{
    struct llm_call *call = NULL;
    struct llm_call *last = reader->call_count ? &reader->calls[reader->call_count - 1] : NULL;
    if (piece->id[0]) {
        call = find_id(reader, piece->id);
        if (call && (!piece->name || !piece->has_index || !call->has_index || call->index == piece->index)) return call;
        /* An id that comes after the first piece. */
        call = piece->has_index ? find_index(reader, piece->index) : piece->name ? NULL : last;
        bool has_none = call && (!call->id || call->has_made_id);
        return has_none && !begins_another(call, piece) ? call : NULL;
    }
    if (piece->has_index)
        call = find_index(reader, piece->index);
    else if (position < reader->call_count && !piece->name && position > 0)
        call = &reader->calls[position];
    else
        call = last;
    return call && begins_another(call, piece) ? NULL : call;
}

static struct llm_call *add_call(struct llm_reader *reader)
{
    if (reader->call_count >= reader->limits.calls) {
        llm_fault_set(&reader->fault, LLM_FAULT_TOO_LARGE, "the answer calls too many tools (limit: %u)",
                      reader->limits.calls);
        return NULL;
    }
    if (reader->call_count == reader->call_capacity) {
        unsigned capacity = reader->call_capacity ? reader->call_capacity * 2 : 4;
        struct llm_call *calls = realloc(reader->calls, capacity * sizeof *calls);
        if (!calls) {
            out_of_memory(reader);
            return NULL;
        }
        reader->calls = calls;
        reader->call_capacity = capacity;
    }
    struct llm_call *call = &reader->calls[reader->call_count++];
    *call = (struct llm_call){.id = NULL};
    return call;
}

/* ------------------------------------------------------------------- pieces */

/* What the provider may want back: fields that are not of the protocol, such as extra_content. */
static bool keep_extra(struct llm_call *call, json_t *entry)
{
    static const char *const known[] = {"index", "id", "type", "function"};
    const char *name;
    json_t *value;
    json_object_foreach(entry, name, value)
    {
        bool is_known = json_is_null(value);
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) is_known |= !strcmp(name, known[i]);
        if (is_known) continue;
        if (!call->extra) call->extra = json_object();
        if (json_object_set(call->extra, name, value)) return false;
    }
    return true;
}

static bool take_text(char **field, const char *value)
{
    if (*field || !value || !value[0]) return true;
    *field = strdup(value);
    return *field != NULL;
}

static bool make_id(const struct llm_reader *reader, struct llm_call *call)
{
    char id[160];
    if (call->id) return true;
    snprintf(id, sizeof id, "%.120s%u", reader->id_prefix ? reader->id_prefix : "call_",
             (unsigned)(call - reader->calls));
    call->has_made_id = true;
    return take_text(&call->id, id);
}

static int emit_call(struct llm_reader *reader, const struct llm_call *call, enum llm_event_kind kind,
                     struct eio_str text)
{
    const struct llm_event event = {.kind = kind,
                                    .text = text,
                                    .call = (unsigned)(call - reader->calls),
                                    .call_id = call->id,
                                    .name = call->name,
                                    .args = kind == LLM_CALL_READY ? call->parsed : NULL};
    return reader->on_event(reader->ctx, &event);
}

/* Announces the call once its name is known, with the arguments that came before it. */
static int open_call(struct llm_reader *reader, struct llm_call *call)
{
    struct eio_str args = {call->args.p, call->args.n};
    call->is_open = true;
    if (!make_id(reader, call)) return out_of_memory(reader);
    int code = emit_call(reader, call, LLM_CALL_OPEN, (struct eio_str){"", 0});
    return code || !args.n ? code : emit_call(reader, call, LLM_CALL_ARGS, args);
}

/* Notes whether the brackets of the arguments are all closed, byte by byte, so that a long text is read once. */
static void follow_brackets(struct llm_call *call, struct eio_str args)
{
    for (size_t i = 0; i < args.n; i++) {
        char c = args.p[i];
        if (call->is_escaped)
            call->is_escaped = false;
        else if (call->is_in_string && c == '\\')
            call->is_escaped = true;
        else if (c == '"')
            call->is_in_string = !call->is_in_string;
        else if (!call->is_in_string && (c == '{' || c == '['))
            call->depth++;
        else if (!call->is_in_string && (c == '}' || c == ']') && call->depth && !--call->depth)
            call->is_whole = true;
    }
}

static int add_args(struct llm_reader *reader, struct llm_call *call, struct eio_str args)
{
    if (args.n && memchr(args.p, 0, args.n))
        return llm_fault_set(&reader->fault, LLM_FAULT_BROKEN, "the arguments of a call have a NUL");
    int code = llm_text_add(&call->args, args, reader->limits.args_bytes);
    if (code == EIO_ETOOBIG)
        return llm_fault_set(&reader->fault, LLM_FAULT_TOO_LARGE, "the arguments of a call pass %zu bytes",
                             reader->limits.args_bytes);
    if (code) return out_of_memory(reader);
    follow_brackets(call, args);
    if (!call->is_open) return call->name ? open_call(reader, call) : 0;
    return args.n ? emit_call(reader, call, LLM_CALL_ARGS, args) : 0;
}

int llm_reader_take_call(struct llm_reader *reader, json_t *entry, size_t position)
{
    struct piece piece;
    if (!read_piece(&piece, entry)) return out_of_memory(reader);
    struct llm_call *call = find_call(reader, &piece, position);
    if (!call) call = add_call(reader);
    int code = call ? 0 : -1;
    if (call && piece.has_index && !call->has_index) {
        call->has_index = true;
        call->index = piece.index;
    }
    /* The results of two calls with one id would be mixed up. */
    if (call && find_id(reader, piece.id)) piece.id[0] = 0;
    if (call && (!take_text(&call->id, piece.id) || !take_text(&call->name, piece.name) || !keep_extra(call, entry)))
        code = out_of_memory(reader);
    if (!code) code = add_args(reader, call, piece.args);
    free(piece.dumped);
    return code;
}

/* --------------------------------------------------------------------- end */

static bool is_blank(const struct llm_text *text)
{
    return !text->n || strspn(text->p, " \t\r\n") == text->n;
}

static int finish_call(struct llm_reader *reader, struct llm_call *call)
{
    if (!call->name) return llm_fault_set(&reader->fault, LLM_FAULT_BROKEN, "the answer has a call that names no tool");
    if (is_blank(&call->args)) {
        if (reader->finish == LLM_LENGTH)
            return llm_fault_set(&reader->fault, LLM_FAULT_BROKEN, "the answer was cut off in a call");
        call->args.n = 0;
        call->parsed = json_object();
        if (!call->parsed) return out_of_memory(reader);
    } else if (kit_json_count((struct eio_str){call->args.p, call->args.n}, reader->limits.values) >
               reader->limits.values) {
        return llm_fault_set(&reader->fault, LLM_FAULT_TOO_LARGE, "the arguments of a call have more values than %zu",
                             reader->limits.values);
    } else {
        call->parsed = json_loadb(call->args.p, call->args.n, 0, NULL);
    }
    if (!json_is_object(call->parsed)) {
        json_decref(call->parsed);
        call->parsed = NULL;
        if (reader->finish == LLM_LENGTH)
            return llm_fault_set(&reader->fault, LLM_FAULT_BROKEN, "the answer was cut off in a call");
    }
    return 0;
}

int llm_reader_finish_calls(struct llm_reader *reader)
{
    int code = 0;
    for (unsigned i = 0; i < reader->call_count && !code; i++) code = finish_call(reader, &reader->calls[i]);
    for (unsigned i = 0; i < reader->call_count && !code; i++) {
        const struct llm_call *call = &reader->calls[i];
        code =
            emit_call(reader, call, LLM_CALL_READY, (struct eio_str){call->args.p ? call->args.p : "", call->args.n});
    }
    return code;
}
