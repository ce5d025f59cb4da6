/* Cuts a text into lexemes. */
#include "llm_lex.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

static UChar32 char_at(struct eio_str text, size_t i, size_t *next)
{
    int32_t at = (int32_t)i;
    UChar32 c;
    U8_NEXT(text.p, at, (int32_t)text.n, c);
    *next = (size_t)at;
    return c;
}

static bool is_letter(UChar32 c)
{
    return c >= 0 && (U_GET_GC_MASK(c) & (U_GC_L_MASK | U_GC_M_MASK));
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_space(UChar32 c)
{
    return c < 0 || u_isUWhiteSpace(c) || !u_isprint(c);
}

/* Past the number at i. */
static size_t number_end(struct eio_str text, size_t i)
{
    for (;;) {
        while (i < text.n && is_digit(text.p[i])) i++;
        bool goes_on = i + 1 < text.n && text.p[i] && strchr(".,:/-", text.p[i]) && is_digit(text.p[i + 1]);
        if (!goes_on) return i;
        i++;
    }
}

static size_t word_end(struct eio_str text, size_t i)
{
    size_t next;
    while (i < text.n && is_letter(char_at(text, i, &next))) i = next;
    return i;
}

static void set_word(struct llm_lex *lex, struct kit_words *words, struct eio_str text)
{
    const struct kit_word *list;
    size_t count = kit_words_read(words, text, &list);
    if (!count) return;
    snprintf(lex->term, sizeof lex->term, "%s", list[0].term);
    snprintf(lex->word, sizeof lex->word, "%s", list[0].surface);
    lex->is_stop = list[0].is_stop;
    lex->hash = 2166136261u; /* FNV-1a */
    for (const char *p = lex->term; *p; p++) lex->hash = (lex->hash ^ (uint8_t)*p) * 16777619u;
}

void llm_lex_read(struct llm_lexed *lexed, struct kit_words *words, struct eio_str text)
{
    bool is_glued = false;
    if (text.n > INT32_MAX / 2) text.n = INT32_MAX / 2;
    lexed->text = text;
    lexed->count = 0;
    for (size_t i = 0, next; i < text.n && lexed->count < LLM_LEX_MAX; i = next) {
        UChar32 c = char_at(text, i, &next);
        if (is_space(c)) {
            is_glued = false;
            continue;
        }
        struct llm_lex *lex = &lexed->list[lexed->count++];
        *lex = (struct llm_lex){.kind = LLM_LEX_MARK, .start = i, .is_glued = is_glued};
        if (is_digit(text.p[i])) {
            lex->kind = LLM_LEX_NUMBER;
            next = number_end(text, i);
        } else if (is_letter(c)) {
            lex->kind = LLM_LEX_WORD;
            next = word_end(text, i);
            set_word(lex, words, (struct eio_str){text.p + i, next - i});
        }
        lex->end = next;
        is_glued = true;
    }
}

struct eio_str llm_lex_slice(const struct llm_lexed *lexed, size_t from, size_t to)
{
    if (to > lexed->count) to = lexed->count;
    if (from >= to) return (struct eio_str){lexed->text.p, 0};
    size_t start = lexed->list[from].start;
    return (struct eio_str){lexed->text.p + start, lexed->list[to - 1].end - start};
}

bool llm_lex_is_any(const struct llm_lexed *lexed, size_t i, const char *words)
{
    if (i >= lexed->count || lexed->list[i].kind != LLM_LEX_WORD || !lexed->list[i].word[0]) return false;
    size_t n = strlen(lexed->list[i].word);
    while (*words) {
        size_t size = strcspn(words, " ");
        if (size == n && !memcmp(words, lexed->list[i].word, n)) return true;
        words += size + strspn(words + size, " ");
    }
    return false;
}

/* ----------------------------------------------------------------- numbers */

static long number_word(const struct llm_lexed *lexed, size_t i)
{
    static const struct {
        const char *word;
        long value;
    } words[] = {{"zero", 0},     {"one", 1},      {"two", 2},        {"three", 3},     {"four", 4},
                 {"five", 5},     {"six", 6},      {"seven", 7},      {"eight", 8},     {"nine", 9},
                 {"ten", 10},     {"eleven", 11},  {"twelve", 12},    {"thirteen", 13}, {"fourteen", 14},
                 {"fifteen", 15}, {"sixteen", 16}, {"seventeen", 17}, {"eighteen", 18}, {"nineteen", 19},
                 {"twenty", 20},  {"thirty", 30},  {"forty", 40},     {"fifty", 50},    {"sixty", 60},
                 {"ninety", 90},  {"hundred", 100}};
    for (size_t k = 0; k < sizeof words / sizeof words[0]; k++)
        if (llm_lex_is(lexed, i, words[k].word)) return words[k].value;
    return -1;
}

long llm_lex_integer(const struct llm_lexed *lexed, size_t i)
{
    if (i >= lexed->count) return -1;
    const struct llm_lex *lex = &lexed->list[i];
    if (lex->kind == LLM_LEX_WORD) return number_word(lexed, i);
    if (lex->kind != LLM_LEX_NUMBER || lex->end - lex->start > 9) return -1;
    long value = 0;
    for (size_t at = lex->start; at < lex->end; at++) {
        if (!is_digit(lexed->text.p[at])) return -1;
        value = value * 10 + (lexed->text.p[at] - '0');
    }
    return value;
}

/* Three digits behind each comma: they group; else one comma is the decimal one. */
static bool is_grouped(const char *text)
{
    const char *comma = strchr(text, ',');
    if (!comma || comma == text || comma - text > 3) return false;
    for (; comma; comma = strchr(comma + 1, ',')) {
        size_t n = strspn(comma + 1, "0123456789");
        if (n != 3 || (comma[4] && comma[4] != ',' && comma[4] != '.')) return false;
    }
    return true;
}

bool llm_lex_number(const struct llm_lexed *lexed, size_t i, double *value)
{
    char text[48], *end, *out = text;
    if (i >= lexed->count) return false;
    const struct llm_lex *lex = &lexed->list[i];
    if (lex->kind == LLM_LEX_WORD) {
        *value = (double)number_word(lexed, i);
        return *value >= 0;
    }
    size_t n = lex->end - lex->start;
    if (lex->kind != LLM_LEX_NUMBER || n >= sizeof text) return false;
    memcpy(text, lexed->text.p + lex->start, n);
    text[n] = 0;
    if (strpbrk(text, ":/-")) return false;
    bool grouped = is_grouped(text);
    for (const char *p = text; *p; p++)
        if (*p != ',' || !grouped) *out++ = *p == ',' ? '.' : *p;
    *out = 0;
    *value = strtod(text, &end);
    return !*end;
}
