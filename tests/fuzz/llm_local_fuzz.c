/* The embedded model's reading of a message: whatever it says, moments are well-formed, parts of the text stay in it,
 * and parameters are of their types. */
#include "llm_pick.h"
#include "llm_say.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)            \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)

#define SCHEMA                                                                                                  \
    "{\"type\":\"object\",\"required\":[\"text\",\"at\",\"n\"],\"properties\":{\"text\":{\"type\":\"string\"}," \
    "\"at\":{\"type\":\"string\",\"format\":\"date-time\"},\"day\":{\"type\":\"string\",\"format\":\"date\"},"  \
    "\"n\":{\"type\":\"integer\"},\"seconds\":{\"type\":\"number\"},\"on\":{\"type\":\"boolean\"},"             \
    "\"kind\":{\"type\":\"string\",\"enum\":[\"big one\",\"small\"]},\"mail\":{\"type\":\"string\"},"           \
    "\"list\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}}"

static const struct llm_clock clock_at = {1796029200000, 60};

static struct {
    struct kit_words *words;
    json_t *schema;
    struct llm_tools tools;
    struct llm_lexed lexed, scratch;
    struct llm_pick pick;
} f;

static void set_up(void)
{
    static const char *const phrases[] = {"remind me to {text}", "move {text} to {kind}", "what can you", NULL};
    f.words = kit_words_new();
    f.schema = json_loads(SCHEMA, 0, NULL);
    const struct llm_tool list[] = {{.name = "alarm", .parameters = f.schema, .phrases = phrases},
                                    {.name = "server.get-sum", .parameters = f.schema}};
    MUST(f.words && f.schema && !llm_tools_init(&f.tools, list, 2));
}

static void check_moments(void)
{
    struct llm_moment moment;
    char text[LLM_TIME_SIZE];
    size_t from = 0;
    while (llm_time_find(&f.lexed, from, &clock_at, &moment)) {
        MUST(moment.from >= from && moment.to > moment.from && moment.to <= f.lexed.count);
        MUST(moment.minute >= 0 && moment.minute < 24 * 60 && moment.second >= 0 && moment.second < 60);
        if (llm_time_put_date_time(&moment, text)) MUST(strlen(text) == 25);
        if (llm_time_put_date(&moment, text)) MUST(strlen(text) == 10);
        if (llm_time_put_time(&moment, text)) MUST(strlen(text) == 5);
        from = moment.to;
    }
}

static void check_args(const struct llm_intent *intent)
{
    struct llm_fill fill = {.lexed = &f.lexed,
                            .words = f.words,
                            .scratch = &f.scratch,
                            .clock = &clock_at,
                            .schema = intent->tool->parameters,
                            .at = intent->at,
                            .slots = intent->slots,
                            .slot_count = intent->slot_count};
    memcpy(fill.used, intent->used, sizeof fill.used);
    json_t *args = llm_fill(&fill);
    MUST(args);
    const json_t *n = json_object_get(args, "n"), *kind = json_object_get(args, "kind");
    MUST(!n || json_is_integer(n));
    MUST(!kind || !strcmp(json_string_value(kind), "big one") || !strcmp(json_string_value(kind), "small"));
    char *text = json_dumps(args, JSON_COMPACT);
    MUST(text);
    free(text);
    json_decref(args);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct llm_text said = {NULL, 0, 0};
    size_t at = 0;
    if (!f.words) set_up();
    char *content = malloc(size + 1);
    MUST(content);
    memcpy(content, data, size);
    content[size] = 0;
    llm_lex_read(&f.lexed, f.words, (struct eio_str){content, size});
    check_moments();
    f.pick = (struct llm_pick){
        .lexed = &f.lexed, .words = f.words, .scratch = &f.scratch, .clock = &clock_at, .tools = &f.tools};
    llm_pick(&f.pick);
    for (size_t i = 0; i < f.pick.count; i++) {
        const struct llm_intent *intent = &f.pick.list[i];
        MUST(intent->at.from >= at && intent->at.to > intent->at.from && intent->at.to <= f.lexed.count);
        at = intent->at.to;
        if (intent->tool) check_args(intent);
        llm_say_small_talk(&f.lexed, intent->at, &f.tools, &said);
    }
    llm_say_result(content, &f.tools, &said);
    free(said.p);
    free(content);
    return 0;
}
