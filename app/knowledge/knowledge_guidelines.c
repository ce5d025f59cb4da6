/* Documents in the guidelines format: flow → subflow → actions, as in the ABCD data set. Pure. */
#include "kit_log.h"
#include "knowledge_int.h"

#include <jansson.h>
#include <string.h>

static void append_sentences(struct knowledge_text *text, const json_t *list, const char *before)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *one = json_string_value(json_array_get(list, i));
        if (!one) continue;
        knowledge_text_put(text, before);
        knowledge_text_put(text, one);
        knowledge_text_put(text, "\n");
    }
}

static void append_action(struct knowledge_text *text, const json_t *action, size_t number)
{
    const char *what = json_string_value(json_object_get(action, "text"));
    const char *button = json_string_value(json_object_get(action, "button"));
    knowledge_text_put(text, kit_number((long long)number).text);
    knowledge_text_put(text, ". ");
    if (what) knowledge_text_put(text, what);
    if (button && strcmp(button, "N/A") && (!what || !strstr(what, button))) {
        knowledge_text_put(text, " [");
        knowledge_text_put(text, button);
        knowledge_text_put(text, "]");
    }
    knowledge_text_put(text, "\n");
    append_sentences(text, json_object_get(action, "subtext"), "   - ");
}

/* A subflow and its position. */
struct subflow {
    const char *flow, *description, *name;
    const json_t *value;
};

static int add_subflow(struct knowledge_documents *documents, const struct subflow *subflow)
{
    struct knowledge_text text = {NULL, 0, 0, false}, heading = text, topic = text;
    json_t *actions = json_object_get(subflow->value, "actions");
    append_sentences(&text, json_object_get(subflow->value, "instructions"), "");
    for (size_t i = 0; i < json_array_size(actions); i++) append_action(&text, json_array_get(actions, i), i + 1);
    knowledge_text_put(&heading, subflow->flow);
    knowledge_text_put(&heading, KNOWLEDGE_HEADING_MARK);
    knowledge_text_put(&heading, subflow->name);
    knowledge_text_put(&topic, subflow->flow);
    if (subflow->description) {
        knowledge_text_put(&topic, ": ");
        knowledge_text_put(&topic, subflow->description);
    }
    struct knowledge_new_document document = {.file = eio_str(subflow->flow),
                                              .name = eio_str(subflow->name),
                                              .heading = {heading.p, heading.n},
                                              .title = eio_str(subflow->name),
                                              .topic = {topic.p, topic.n},
                                              .take_text = &text};
    int failed = heading.failed || topic.failed ? EIO_ENOMEM : knowledge_documents_add(documents, &document);
    knowledge_text_clear(&text);
    knowledge_text_clear(&heading);
    knowledge_text_clear(&topic);
    return failed;
}

static int add_flow(struct knowledge_documents *documents, const char *flow, const json_t *value)
{
    const char *name;
    json_t *subflow;
    struct subflow one = {flow, json_string_value(json_object_get(value, "description")), NULL, NULL};
    json_object_foreach(json_object_get(value, "subflows"), name, subflow)
    {
        one.name = name;
        one.value = subflow;
        int failed = add_subflow(documents, &one);
        if (failed) return failed;
    }
    return 0;
}

int knowledge_guidelines_parse(struct knowledge_documents *documents, const char *name, struct eio_str text,
                               char *error, size_t error_size)
{
    json_error_t where;
    const char *flow;
    json_t *value;
    /* A duplicate name would silently lose the first one's text. */
    json_t *root = json_loadb(text.n ? text.p : "", text.n, JSON_REJECT_DUPLICATES, &where);
    size_t before = documents->count;
    int failed = 0;
    if (!json_is_object(root)) {
        if (root)
            snprintf(error, error_size, "%s: not a JSON object", name);
        else
            snprintf(error, error_size, "%s: %s (line %d)", name, where.text, where.line);
        json_decref(root);
        return EIO_EINVAL;
    }
    json_object_foreach(root, flow, value)
    {
        if (!failed) failed = add_flow(documents, flow, value);
    }
    json_decref(root);
    if (failed) {
        snprintf(error, error_size, "%s: out of memory", name);
        return failed;
    }
    if (documents->count > before) return 0;
    snprintf(error, error_size, "%s: no subflows found; expected {\"<flow>\": {\"subflows\": {…}}}", name);
    return EIO_EINVAL;
}
