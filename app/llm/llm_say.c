/* Sentences of the embedded model. It invents nothing: what is not fixed here stands in a tool's result. */
#include "llm_say.h"

#include "llm_schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESULT_BYTES_MAX 6000
#define REPEAT_BYTES_MIN 16 /* what is shorter may be said again */
#define PASSAGES_MAX 3
#define FIELDS_MAX 12
#define TOOLS_SHOWN_MAX 20
#define EXAMPLES_MAX 3 /* tools that are shown where nothing was found */

static void say(struct llm_text *out, const char *text)
{
    llm_text_add(out, eio_str(text), SIZE_MAX / 4);
}

/* Cut between two characters. */
static void say_cut(struct llm_text *out, const char *text, size_t max)
{
    size_t n = strlen(text);
    bool is_cut = n > max;
    if (is_cut) n = max;
    while (is_cut && n && ((unsigned char)text[n] & 0xc0) == 0x80) n--;
    llm_text_add(out, (struct eio_str){text, n}, SIZE_MAX / 4);
    if (is_cut) say(out, " …");
}

/* -------------------------------------------------------------- what it can */

static const char *first_phrase(const struct llm_tools_entry *tool)
{
    return tool->phrases && tool->phrases[0] ? tool->phrases[0] : NULL;
}

/* "remind me to {text}" for people: “remind me to …”. */
static void say_phrase(struct llm_text *out, const char *phrase)
{
    say(out, "“");
    while (*phrase) {
        size_t n = strcspn(phrase, "{");
        llm_text_add(out, (struct eio_str){phrase, n}, SIZE_MAX / 4);
        phrase += n;
        if (!*phrase) break;
        say(out, "…");
        phrase += strcspn(phrase, "}");
        if (*phrase) phrase++;
    }
    say(out, "”");
}

/* By what people say; a tool without phrases, by its name. Of the description the first sentence. */
static void say_tools(const struct llm_tools *tools, size_t max, struct llm_text *out)
{
    for (size_t i = 0; i < tools->count && i < max; i++) {
        const struct llm_tools_entry *tool = &tools->list[i];
        const char *about = tool->description ? tool->description : "";
        char sentence[400];
        size_t n = strcspn(about, ".\n");
        snprintf(sentence, sizeof sentence, "%.*s", n < 399 ? (int)n : 399, about);
        say(out, "\n- ");
        if (first_phrase(tool))
            say_phrase(out, first_phrase(tool));
        else
            say(out, tool->name);
        if (!sentence[0]) continue;
        say(out, ": ");
        say_cut(out, sentence, 160);
    }
    if (tools->count > max) say(out, "\n- …");
}

void llm_say_nothing(const struct llm_tools *tools, const json_t *topics, struct llm_text *out)
{
    size_t i;
    json_t *topic;
    say(out, "I found nothing about that.");
    json_array_foreach(topics, i, topic)
    {
        const char *text = json_string_value(topic);
        if (!text || i >= TOOLS_SHOWN_MAX) continue;
        say(out, i ? ", " : " I know about: ");
        say_cut(out, text, 80);
    }
    if (json_array_size(topics)) say(out, ".");
    if (!tools->count) return;
    say(out, "\n\nYou can say:");
    say_tools(tools, EXAMPLES_MAX, out);
    if (tools->count > EXAMPLES_MAX) say(out, "\n\n“Help” shows all of it.");
}

/* --------------------------------------------------------------- small talk */

enum talk { TALK_NONE, TALK_HELLO, TALK_HOW, TALK_THANKS, TALK_BYE, TALK_HELP, TALK_COUNT };
enum language { ENGLISH, GERMAN, FRENCH };

/* All words of the part must be of one row, at most six. */
static const struct {
    enum talk talk;
    enum language language;
    const char *words;
} rows[] = {
    {TALK_HELLO, ENGLISH, "hi hello hey good morning afternoon evening day there greetings everyone assistant"},
    {TALK_HELLO, GERMAN, "hallo guten tag morgen abend moin servus gruss gott zusammen"},
    {TALK_HELLO, FRENCH, "bonjour salut bonsoir"},
    {TALK_HOW, ENGLISH, "how are you doing today it going is"},
    {TALK_THANKS, ENGLISH,
     "thanks thank you thx very so much a lot that was helpful great perfect ok okay for the your help"},
    {TALK_THANKS, GERMAN, "danke vielen dank schon sehr"},
    {TALK_THANKS, FRENCH, "merci beaucoup"},
    {TALK_BYE, ENGLISH, "bye goodbye good night see you later"},
    {TALK_BYE, GERMAN, "tschuss auf wiedersehen ciao"},
    {TALK_BYE, FRENCH, "au revoir"},
    {TALK_HELP, ENGLISH, "help me please what can you do how who are i ask for know about tell"},
    {TALK_HELP, GERMAN, "hilfe was kannst du bitte hilf mir"},
    {TALK_HELP, FRENCH, "aide que peux tu faire moi"},
};
/* And one of these must be among them. */
static const char *const keys[TALK_COUNT] = {
    [TALK_HELLO] =
        "hi hello hey morning afternoon evening greetings hallo tag moin servus gott bonjour salut bonsoir abend",
    [TALK_HOW] = "how",
    [TALK_THANKS] = "thanks thank thx danke dank merci",
    [TALK_BYE] = "bye goodbye night later tschuss wiedersehen ciao revoir",
    [TALK_HELP] = "help can who hilfe hilf kannst aide peux"};

static bool fits(const struct llm_lexed *lexed, struct llm_range at, const char *words, const char *key)
{
    size_t count = 0, keys_found = 0;
    for (size_t i = at.from; i < at.to; i++) {
        if (lexed->list[i].kind == LLM_LEX_MARK) continue;
        if (!llm_lex_is_any(lexed, i, words)) return false;
        keys_found += llm_lex_is_any(lexed, i, key);
        count++;
    }
    return keys_found > 0 && count <= 8;
}

static enum talk find_talk(const struct llm_lexed *lexed, struct llm_range at, enum language *language)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!fits(lexed, at, rows[i].words, keys[rows[i].talk])) continue;
        *language = rows[i].language;
        return rows[i].talk;
    }
    return TALK_NONE;
}

bool llm_say_small_talk(const struct llm_lexed *lexed, struct llm_range at, const struct llm_tools *tools,
                        struct llm_text *out)
{
    static const char *const texts[TALK_COUNT][3] = {
        [TALK_HELLO] = {"Hello! How can I help you?", "Hallo! Wie kann ich helfen?",
                        "Bonjour ! Comment puis-je vous aider ?"},
        [TALK_HOW] = {"I am fine, thank you. How can I help you?", NULL, NULL},
        [TALK_THANKS] = {"You are welcome.", "Gern geschehen.", "Je vous en prie."},
        [TALK_BYE] = {"Goodbye!", "Auf Wiedersehen!", "Au revoir !"},
        [TALK_HELP] = {"I answer questions from the knowledge base.", "Ich beantworte Fragen aus der Wissensdatenbank.",
                       "Je réponds aux questions à partir de la base de connaissances."},
    };
    enum language language = ENGLISH;
    enum talk talk = find_talk(lexed, at, &language);
    if (talk == TALK_NONE) return false;
    say(out, texts[talk][language]);
    if (talk != TALK_HELP || !tools->count) return true;
    say(out, language == GERMAN   ? " Sagen Sie auch:"
             : language == FRENCH ? " Vous pouvez dire aussi :"
                                  : " You can also say:");
    say_tools(tools, TOOLS_SHOWN_MAX, out);
    return true;
}

/* ------------------------------------------------------------------ results */

static const char *text_in(const json_t *object, const char *const *names)
{
    for (; *names; names++) {
        const char *text = json_string_value(json_object_get(object, *names));
        if (text && text[0]) return text;
    }
    return NULL;
}

/* With what ends it. */
static size_t sentence_size(const char *text)
{
    size_t n = 0;
    while (text[n]) {
        n += strcspn(text + n, ".?!\n");
        n += strspn(text + n, ".?!");
        if (!text[n] || text[n] == ' ' || text[n] == '\n') break;
    }
    return n + strspn(text + n, " \n");
}

static bool was_said(const struct llm_text *out, const char *sentence, size_t n)
{
    while (n && strchr(" \n", sentence[n - 1])) n--;
    return n >= REPEAT_BYTES_MIN && out->n >= n && memmem(out->p, out->n, sentence, n);
}

/* An answer that grows by the results of several calls. */
struct telling {
    const struct llm_tools *tools;
    const struct llm_text *said; /* of the results before */
    struct llm_text part;        /* of this one */
    const char *source;          /* of what was said last, named once its passages are over */
    bool found;
};

static bool was_told(const struct telling *telling, const char *sentence, size_t n)
{
    return was_said(telling->said, sentence, n) || was_said(&telling->part, sentence, n);
}

/* But for sentences that were said before: passages overlap, and several searches find the same. */
static void put_news(const struct telling *telling, const char *text, struct llm_text *news)
{
    size_t left = RESULT_BYTES_MAX / PASSAGES_MAX;
    while (*text && left) {
        size_t n = sentence_size(text);
        char *sentence = was_told(telling, text, n) ? NULL : strndup(text, n);
        if (sentence) say_cut(news, sentence, left);
        left = n < left ? left - n : 0;
        text += n;
        free(sentence);
    }
    while (news->n && strchr(" \n", news->p[news->n - 1])) news->n--;
}

static void say_source(struct telling *telling)
{
    if (telling->source) say(&telling->part, "\n\nSource: ");
    if (telling->source) say_cut(&telling->part, telling->source, 200);
    telling->source = NULL;
}

static void say_passage(struct telling *telling, const json_t *document)
{
    static const char *const texts[] = {"excerpt", "text", "passage", "content", NULL};
    static const char *const titles[] = {"title", "source", "id", NULL};
    const char *text = text_in(document, texts), *title = text_in(document, titles);
    struct llm_text news = {.n = 0};
    if (!text) return;
    telling->found = true;
    put_news(telling, text, &news);
    if (news.n) {
        if (telling->source && (!title || strcmp(telling->source, title))) say_source(telling);
        if (telling->part.n) say(&telling->part, "\n\n");
        llm_text_add(&telling->part, (struct eio_str){news.p, news.n}, SIZE_MAX / 4);
        telling->source = title;
    }
    free(news.p);
}

/* The best passages, as long as they are not much worse than the first. */
static void say_documents(struct telling *telling, const json_t *root, const json_t *documents)
{
    size_t i;
    json_t *document;
    double best = json_number_value(json_object_get(json_array_get(documents, 0), "relevance"));
    json_array_foreach(documents, i, document)
    {
        double relevance = json_number_value(json_object_get(document, "relevance"));
        if (i < PASSAGES_MAX && relevance >= best * 0.7) say_passage(telling, document);
    }
    say_source(telling);
    /* What comes behind the answer: the lesson that it has interrupted. */
    const char *then = json_string_value(json_object_get(root, "then"));
    bool goes_on = then && then[0];
    if (!telling->found && goes_on) say(&telling->part, "I found nothing about that.");
    if (!telling->found && !goes_on) llm_say_nothing(telling->tools, json_object_get(root, "topics"), &telling->part);
    if (!goes_on) return;
    if (telling->part.n) say(&telling->part, "\n\n");
    say_cut(&telling->part, then, RESULT_BYTES_MAX);
}

static void say_value(const json_t *value, struct llm_text *out)
{
    char *text =
        json_is_string(value) ? NULL : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(10));
    say_cut(out, text ? text : json_is_string(value) ? json_string_value(value) : "", 400);
    free(text);
}

/* "name: value" a line. */
static void say_fields(json_t *object, struct llm_text *out)
{
    const char *name;
    json_t *value;
    size_t count = 0;
    json_object_foreach(object, name, value)
    {
        if (json_is_null(value) || count == FIELDS_MAX) continue;
        char words[128];
        llm_schema_name(name, words, sizeof words);
        say(out, count++ ? "\n" : "");
        say(out, words);
        say(out, ": ");
        say_value(value, out);
    }
}

static void say_json(struct telling *telling, json_t *root)
{
    static const char *const lists[] = {"documents", "passages", "results", NULL};
    static const char *const sentences[] = {"message", "text", "summary", "answer", "error", NULL};
    for (const char *const *name = lists; *name; name++) {
        const json_t *list = json_object_get(root, *name);
        bool is_empty = json_is_array(list) && !json_array_size(list);
        if (!is_empty && !json_is_object(json_array_get(list, 0))) continue;
        say_documents(telling, root, list);
        return;
    }
    const char *sentence = text_in(root, sentences);
    if (sentence)
        say_cut(&telling->part, sentence, RESULT_BYTES_MAX);
    else if (json_object_size(root))
        say_fields(root, &telling->part);
    else
        say(&telling->part, "Done.");
}

void llm_say_result(const char *content, const struct llm_tools *tools, struct llm_text *out)
{
    struct telling telling = {.tools = tools, .said = out};
    json_t *root = json_loads(content, 0, NULL);
    if (json_is_object(root))
        say_json(&telling, root);
    else if (content[strspn(content, " \t\r\n")])
        say_cut(&telling.part, content, RESULT_BYTES_MAX);
    else
        say(&telling.part, "Done.");
    if (out->n && telling.part.n) say(out, "\n\n");
    llm_text_add(out, (struct eio_str){telling.part.p, telling.part.n}, SIZE_MAX / 4);
    free(telling.part.p);
    json_decref(root);
}
