/* Matches a message against phrases. A phrase is found when all its words that mean something stand in the message in
 * its order, near each other; its small words (me, to, the) may be missing, and a date or time may stand anywhere. */
#include "llm_pick.h"

#include "llm_schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ELEMENTS_MAX 16
#define PHRASES_MAX 2000
#define GAP_MAX 3 /* words between two of a phrase that do not belong to it */
#define SCORE_MIN 1.4
#define SPLITS_MAX 8 /* "and" in a sentence that may separate two wishes */

struct element {
    char term[LLM_LEX_WORD_SIZE];
    uint32_t hash;
    struct eio_str slot; /* the name of a parameter, of the phrase's text; n 0: it is a word */
    bool is_required;
};

struct llm_phrase {
    const struct llm_tools_entry *tool;
    struct element list[ELEMENTS_MAX];
    size_t count, gap_max;
    double weight; /* of a required word */
};

/* ------------------------------------------------------------------ phrases */

/* Past {name} at lexeme i, whose name is put into the element. */
static size_t read_slot(const struct llm_lexed *lexed, size_t i, struct element *element)
{
    size_t end = i + 1;
    while (end < lexed->count && !llm_lex_is_mark(lexed, end, '}')) end++;
    element->slot = llm_lex_slice(lexed, i + 1, end);
    return end + 1;
}

/* A small word between two slots separates them, and cannot be missing. */
static void require_separators(struct llm_phrase *phrase)
{
    bool has_meaning = false;
    for (size_t i = 0; i < phrase->count; i++)
        has_meaning = has_meaning || (phrase->list[i].is_required && !phrase->list[i].slot.n);
    for (size_t i = 0; i < phrase->count; i++) {
        struct element *e = &phrase->list[i];
        bool separates = i && i + 1 < phrase->count && e[-1].slot.n && e[1].slot.n;
        if (!e->slot.n && (separates || !has_meaning)) e->is_required = true;
    }
    if (!has_meaning) phrase->gap_max = 0;
}

/* text lives as long as the tool. */
static void read_phrase(const struct llm_pick *pick, const char *text, struct llm_phrase *phrase)
{
    const struct llm_lexed *lexed = pick->scratch;
    llm_lex_read(pick->scratch, pick->words, eio_str(text));
    for (size_t i = 0; i < lexed->count && phrase->count < ELEMENTS_MAX;) {
        struct element *element = &phrase->list[phrase->count];
        if (llm_lex_is_mark(lexed, i, '{')) {
            i = read_slot(lexed, i, element);
            phrase->count++;
            continue;
        }
        if (lexed->list[i].kind == LLM_LEX_WORD && lexed->list[i].term[0]) {
            memcpy(element->term, lexed->list[i].term, sizeof element->term);
            element->hash = lexed->list[i].hash;
            element->is_required = !lexed->list[i].is_stop;
            phrase->count++;
        }
        i++;
    }
    require_separators(phrase);
}

/* ----------------------------------------------------------------- matching */

static bool is_term(const struct llm_pick *pick, size_t i, const struct element *e)
{
    const struct llm_lex *lex = &pick->lexed->list[i];
    return lex->hash == e->hash && lex->kind == LLM_LEX_WORD && !strcmp(lex->term, e->term);
}

/* The next place of a word; limit: how many words that mean something may be passed over. SIZE_MAX: nowhere. */
static size_t find_term(const struct llm_pick *pick, const struct element *e, size_t from, size_t to, size_t limit)
{
    size_t gap = 0;
    for (size_t i = from; i < to; i++) {
        if (is_term(pick, i, e)) return i;
        if (!pick->is_moment[i] && !pick->lexed->list[i].is_stop && ++gap > limit) return SIZE_MAX;
    }
    return SIZE_MAX;
}

/* Small words are looked for right here, or behind a moment. */
static size_t find_small(const struct llm_pick *pick, const struct element *e, size_t from, size_t to)
{
    while (from < to && pick->is_moment[from] && !is_term(pick, from, e)) from++;
    return from < to && is_term(pick, from, e) ? from : SIZE_MAX;
}

static void open_slot(struct llm_intent *intent, struct eio_str name, size_t at)
{
    struct llm_slot *slot = &intent->slots[intent->slot_count];
    *slot = (struct llm_slot){.at = {at, at}};
    snprintf(slot->name, sizeof slot->name, "%.*s", (int)name.n, name.p);
}

static void close_slot(struct llm_intent *intent, size_t to)
{
    struct llm_slot *slot = &intent->slots[intent->slot_count];
    slot->at.to = to;
    if (slot->at.from >= to) return;
    intent->slot_count++;
    intent->score += 0.25;
}

/* The small words of the phrase before element k belong to it, not to the slot that ends there: in "add {value} to the
 * tree" the value ends before "to". Returns where the slot ends. */
static size_t skip_small(const struct llm_pick *pick, const struct llm_phrase *phrase, size_t k,
                         struct llm_intent *intent, size_t to)
{
    size_t from = intent->slots[intent->slot_count].at.from, end = to;
    while (end > from && pick->lexed->list[end - 1].kind == LLM_LEX_MARK) end--;
    while (k-- > 0 && !phrase->list[k].slot.n) {
        if (end <= from + 1 || !is_term(pick, end - 1, &phrase->list[k])) continue;
        intent->used[--end] = LLM_OF_PHRASE;
        intent->score += 0.4;
        to = end; /* without one, a mark at the end is the value's: a closing quotation */
    }
    return to;
}

/* Lays a phrase over a part of the message; false: it does not fit. intent->at is the part. */
static bool match(const struct llm_pick *pick, const struct llm_phrase *phrase, struct llm_intent *intent)
{
    size_t at = intent->at.from, to = intent->at.to, first = SIZE_MAX;
    bool in_slot = false;
    for (size_t k = 0; k < phrase->count; k++) {
        const struct element *e = &phrase->list[k];
        if (e->slot.n) {
            if (in_slot) close_slot(intent, at);
            if (intent->slot_count == LLM_SLOTS_MAX) return false;
            open_slot(intent, e->slot, at);
            in_slot = true;
            continue;
        }
        if (in_slot && !e->is_required) continue; /* skip_small() */
        bool is_free = first == SIZE_MAX || in_slot;
        size_t found = e->is_required ? find_term(pick, e, at, to, is_free ? SIZE_MAX : phrase->gap_max)
                                      : find_small(pick, e, at, to);
        if (found == SIZE_MAX && e->is_required) return false;
        if (found == SIZE_MAX) continue;
        if (first == SIZE_MAX && e->is_required) first = found;
        if (in_slot) close_slot(intent, skip_small(pick, phrase, k, intent, found));
        in_slot = false;
        intent->used[found] = LLM_OF_PHRASE;
        intent->score += e->is_required ? phrase->weight : 0.4;
        if (e->is_required && !is_free) intent->score -= 0.1 * (double)(found - at);
        at = found + 1;
    }
    if (in_slot) close_slot(intent, skip_small(pick, phrase, phrase->count, intent, to));
    return first != SIZE_MAX;
}

/* A tool without parameters is meant when the phrase is nearly all that was said. */
static bool covers(const struct llm_pick *pick, const struct llm_intent *intent)
{
    const json_t *properties = json_object_get(intent->tool->parameters, "properties");
    size_t named = 0, others = 0;
    if (json_object_size(properties)) return true;
    for (size_t i = intent->at.from; i < intent->at.to; i++) {
        const struct llm_lex *lex = &pick->lexed->list[i];
        if (lex->kind == LLM_LEX_MARK || lex->is_stop) continue;
        named += intent->used[i] == LLM_OF_PHRASE;
        others += intent->used[i] != LLM_OF_PHRASE;
    }
    return others <= named / 2;
}

static void try_phrase(struct llm_pick *pick, const struct llm_phrase *phrase, struct llm_intent *best)
{
    struct llm_intent *intent = &pick->other;
    *intent = (struct llm_intent){.tool = phrase->tool, .at = best->at};
    bool is_better = match(pick, phrase, intent) && intent->score >= SCORE_MIN && intent->score > best->score;
    if (is_better && covers(pick, intent)) *best = *intent;
}

/* The tool that fits a part of the message best; best->tool NULL: none. */
static void find_best(struct llm_pick *pick, struct llm_range at, struct llm_intent *best)
{
    *best = (struct llm_intent){.at = at};
    for (size_t i = 0; i < pick->phrase_count; i++) try_phrase(pick, &pick->phrases[i], best);
}

/* The words of "server" in "server.tool", which need not be named. */
static size_t count_prefix(const struct llm_pick *pick, const struct llm_tools_entry *tool)
{
    const char *name = tool->name, *slash = strrchr(name, '/'), *last = strrchr(name, '.');
    char words[256], prefix[256];
    if (slash && (!last || slash > last)) last = slash;
    if (tool->prefix_bytes && tool->prefix_bytes < strlen(name)) last = name + tool->prefix_bytes - 1;
    if (!last || !last[1]) return 0;
    snprintf(prefix, sizeof prefix, "%.*s", (int)(last - name < 255 ? last - name : 255), name);
    llm_schema_name(prefix, words, sizeof words);
    llm_lex_read(pick->scratch, pick->words, eio_str(words));
    return pick->scratch->count;
}

/* By its name, as it stands in the message: "use the echo tool", "get-sum 3 and 4". Of a tool with phrases, the whole
 * name. */
static void add_name(struct llm_pick *pick, const struct llm_tools_entry *tool)
{
    struct llm_phrase *phrase = &pick->phrases[pick->phrase_count++];
    char name[256];
    *phrase = (struct llm_phrase){.tool = tool, .gap_max = tool->phrases ? 0 : GAP_MAX, .weight = 1.5};
    llm_schema_name(tool->name, name, sizeof name);
    read_phrase(pick, name, phrase);
    for (size_t i = 0; i < phrase->count && tool->phrases; i++) phrase->list[i].is_required = true;
    size_t prefix = count_prefix(pick, tool);
    for (size_t i = 0; i < prefix && i < phrase->count; i++) phrase->list[i].is_required = false;
}

static bool read_phrases(struct llm_pick *pick)
{
    size_t count = pick->tools->count;
    for (size_t i = 0; i < pick->tools->count; i++)
        for (char **text = pick->tools->list[i].phrases; text && *text; text++) count++;
    if (count > PHRASES_MAX) count = PHRASES_MAX;
    pick->phrases = count ? malloc(count * sizeof *pick->phrases) : NULL;
    pick->phrase_count = 0;
    for (size_t i = 0; i < pick->tools->count && pick->phrases; i++) {
        const struct llm_tools_entry *tool = &pick->tools->list[i];
        for (char **text = tool->phrases; text && *text && pick->phrase_count < count; text++) {
            struct llm_phrase *phrase = &pick->phrases[pick->phrase_count++];
            *phrase = (struct llm_phrase){.tool = tool, .gap_max = GAP_MAX, .weight = 2};
            read_phrase(pick, *text, phrase);
        }
        if (pick->phrase_count < count) add_name(pick, tool);
    }
    return !count || pick->phrases;
}

/* --------------------------------------------------------------- sentences */

static bool is_end(const struct llm_lexed *lexed, size_t i)
{
    if (i + 1 >= lexed->count) return true;
    const struct llm_lex *lex = &lexed->list[i], *next = &lexed->list[i + 1];
    if (memchr(lexed->text.p + lex->end, '\n', next->start - lex->end)) return true;
    if (lex->kind != LLM_LEX_MARK || next->is_glued) return false;
    bool is_short =
        i && lexed->list[i - 1].kind == LLM_LEX_WORD && lexed->list[i - 1].end - lexed->list[i - 1].start == 1;
    if (lexed->text.p[lex->start] == '.') return !is_short;
    return strchr("?!;", lexed->text.p[lex->start]) != NULL;
}

static void mark_moments(struct llm_pick *pick)
{
    struct llm_moment moment;
    size_t from = 0;
    while (llm_time_find(pick->lexed, from, pick->clock, &moment)) {
        for (size_t i = moment.from; i < moment.to; i++) pick->is_moment[i] = 1;
        from = moment.to;
    }
}

static bool separates(const struct llm_lexed *lexed, size_t i)
{
    return llm_lex_is_any(lexed, i, "and then also plus und et") || llm_lex_is_mark(lexed, i, ',');
}

/* The words that name the tool stand at the beginning of the part; behind a mere comma at least two. */
static bool begins(const struct llm_pick *pick, const struct llm_intent *intent)
{
    size_t passed = 0, words = 0;
    bool is_comma = llm_lex_is_mark(pick->lexed, intent->at.from - 1, ',');
    for (size_t i = intent->at.from; i < intent->at.to; i++) words += intent->used[i] == LLM_OF_PHRASE;
    if (is_comma && words < 2) return false;
    for (size_t i = intent->at.from; i < intent->at.to; i++) {
        if (intent->used[i] == LLM_OF_PHRASE) return true;
        if (!pick->lexed->list[i].is_stop && !separates(pick->lexed, i) && !pick->is_moment[i] && ++passed > 1) break;
    }
    return false;
}

static void add(struct llm_pick *pick, const struct llm_intent *intent)
{
    if (pick->count < LLM_INTENTS_MAX) pick->list[pick->count++] = *intent;
}

/* Takes the first wish off a sentence; returns where the rest begins. */
static size_t take_wish(struct llm_pick *pick, struct llm_range sentence, struct llm_intent *wish)
{
    struct llm_intent *rest = &pick->best;
    size_t splits = 0;
    for (size_t i = sentence.from + 1; i + 1 < sentence.to && splits < SPLITS_MAX; i++) {
        if (!separates(pick->lexed, i) || pick->is_moment[i]) continue;
        splits++;
        find_best(pick, (struct llm_range){i + 1, sentence.to}, rest);
        if (!rest->tool || !begins(pick, rest)) continue;
        find_best(pick, (struct llm_range){sentence.from, i}, wish);
        if (wish->tool) return i + 1;
    }
    find_best(pick, sentence, wish);
    return sentence.to;
}

void llm_pick(struct llm_pick *pick)
{
    struct llm_intent *wish = calloc(1, sizeof *wish);
    pick->count = 0;
    memset(pick->is_moment, 0, sizeof pick->is_moment);
    if (!wish || !read_phrases(pick)) {
        free(wish);
        return;
    }
    mark_moments(pick);
    for (size_t from = 0, i = 0; i < pick->lexed->count; i++) {
        if (!is_end(pick->lexed, i)) continue;
        while (from <= i && pick->count < LLM_INTENTS_MAX) {
            from = take_wish(pick, (struct llm_range){from, i + 1}, wish);
            add(pick, wish);
        }
        from = i + 1;
    }
    free(pick->phrases);
    free(wish);
}
