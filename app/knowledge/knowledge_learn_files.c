/* Past calls as files have them, each as {"document": …, "lines": [{"speaker", "text"}]}: conversations with the
 * outcome that they ended in, and WebVTT with a file beside it that names the document. Pure. */
#include "knowledge_learn_files.h"

#include "knowledge_int.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void add_line(json_t *lines, struct eio_str speaker, struct eio_str text)
{
    json_t *line = json_object();
    json_object_set_new(line, "speaker", json_stringn(speaker.p, speaker.n));
    json_object_set_new(line, "text", json_stringn(text.p, text.n));
    json_array_append_new(lines, line);
}

/* ----------------------------------------------------------- conversations */

/* {"scenario": {"flow", "subflow"}, "original": [[speaker, text], …]} */
static json_t *read_conversation(const json_t *one)
{
    const json_t *scenario = json_object_get(one, "scenario"), *said;
    json_t *call = json_object(), *lines = json_array();
    size_t i;
    json_array_foreach(json_object_get(one, "original"), i, said)
    {
        const char *speaker = json_string_value(json_array_get(said, 0)),
                   *text = json_string_value(json_array_get(said, 1));
        if (speaker && text) add_line(lines, eio_str(speaker), eio_str(text));
    }
    json_object_set_new(call, "lines", lines);
    if (json_object_get(one, "document"))
        json_object_set(call, "document", json_object_get(one, "document"));
    else if (json_is_string(json_object_get(scenario, "subflow")))
        json_object_set_new(call, "document", json_incref(json_object_get(scenario, "subflow")));
    if (json_is_string(json_object_get(scenario, "flow")))
        json_object_set_new(call, "topic", json_incref(json_object_get(scenario, "flow")));
    return call;
}

json_t *knowledge_conversations_read(const json_t *list)
{
    json_t *calls = json_array(), *one;
    size_t i;
    json_array_foreach(list, i, one)
    {
        if (json_is_array(json_object_get(one, "original")))
            json_array_append_new(calls, read_conversation(one));
        else
            json_array_append(calls, one);
    }
    return calls;
}

/* ------------------------------------------------------------------ WebVTT */

static struct eio_str take_file_line(struct eio_str *rest)
{
    const char *end = memchr(rest->p, '\n', rest->n);
    struct eio_str line = {rest->p, end ? (size_t)(end - rest->p) : rest->n};
    size_t taken = line.n + (end != NULL);
    rest->p += taken;
    rest->n -= taken;
    return line;
}

static bool holds(struct eio_str line, const char *text)
{
    return memmem(line.p ? line.p : "", line.n, text, strlen(text)) != NULL;
}

/* "<v Ann Smith>text" or "Ann Smith: text"; otherwise the speaker of the cue before goes on. */
static struct eio_str take_speaker(struct eio_str *text, struct eio_str before)
{
    struct eio_str speaker = before;
    if (text->n > 3 && !strncmp(text->p, "<v", 2) && (text->p[2] == ' ' || text->p[2] == '.')) {
        const char *end = memchr(text->p, '>', text->n), *name = memchr(text->p, ' ', text->n);
        if (!end || !name || name > end) return before;
        speaker = knowledge_trim((struct eio_str){name, (size_t)(end - name)});
        text->n -= (size_t)(end + 1 - text->p);
        text->p = end + 1;
    } else {
        const char *colon = memchr(text->p, ':', text->n < 40 ? text->n : 40);
        if (!colon || colon == text->p || colon + 1 == text->p + text->n || colon[1] != ' ') return before;
        speaker = knowledge_trim((struct eio_str){text->p, (size_t)(colon - text->p)});
        text->n -= (size_t)(colon + 1 - text->p);
        text->p = colon + 1;
    }
    return speaker;
}

/* Without tags. */
static void append_plain(struct knowledge_text *out, struct eio_str text)
{
    if (out->n) knowledge_text_put(out, " ");
    while (text.n) {
        const char *open = memchr(text.p, '<', text.n);
        size_t n = open ? (size_t)(open - text.p) : text.n;
        const char *close = open ? memchr(open, '>', text.n - n) : NULL;
        knowledge_text_append(out, text.p, close ? n : text.n);
        if (!close) return;
        text.n -= (size_t)(close + 1 - text.p);
        text.p = close + 1;
    }
}

/* One cue: the lines below its times up to a blank one. */
static struct eio_str read_cue(struct eio_str *rest, struct eio_str before, const char *customer, json_t *lines)
{
    struct knowledge_text text = {NULL, 0, 0, false};
    struct eio_str speaker = before;
    while (rest->n) {
        struct eio_str line = knowledge_trim(take_file_line(rest));
        if (!line.n) break;
        speaker = take_speaker(&line, speaker);
        append_plain(&text, line);
    }
    bool is_customer = customer && speaker.n == strlen(customer) && !strncasecmp(speaker.p, customer, speaker.n);
    struct eio_str said = knowledge_trim((struct eio_str){text.p, text.n});
    if (said.n) add_line(lines, is_customer ? eio_str("customer") : speaker, said);
    knowledge_text_clear(&text);
    return speaker;
}

json_t *knowledge_vtt_read(struct eio_str text, const json_t *beside)
{
    json_t *call = json_object(), *lines = json_array();
    const char *customer = json_string_value(json_object_get(beside, "customer"));
    struct eio_str speaker = eio_str("");
    while (text.n)
        if (holds(take_file_line(&text), "-->")) speaker = read_cue(&text, speaker, customer, lines);
    json_object_set_new(call, "lines", lines);
    json_object_set(call, "document", json_object_get(beside, "document"));
    return call;
}
