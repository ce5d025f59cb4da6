/* A text as lexemes that know where they stand in it: words, numbers and marks. Pure. */
#ifndef LLM_LEX_H
#define LLM_LEX_H

#include "kit_words.h"

#include <stdbool.h>
#include <stdint.h>

#define LLM_LEX_MAX 600 /* lexemes of a text; the rest is not read */
#define LLM_LEX_WORD_SIZE 32

enum llm_lex_kind {
    LLM_LEX_WORD,
    LLM_LEX_NUMBER, /* digits, with . , : / - between two of them: 7, 3.5, 14:30, 2026-12-24 */
    LLM_LEX_MARK    /* one character of anything else but blanks */
};

struct llm_lex {
    enum llm_lex_kind kind;
    size_t start, end; /* bytes of the text */
    bool is_glued;     /* no blank before it */
    bool is_stop;
    /* Of words, cut: the stem, and the word folded; of others "". */
    char term[LLM_LEX_WORD_SIZE], word[LLM_LEX_WORD_SIZE];
    uint32_t hash; /* of the term */
};

struct llm_lexed {
    struct eio_str text; /* borrowed */
    size_t count;
    struct llm_lex list[LLM_LEX_MAX];
};

/* Never fails: what is not UTF-8 separates. */
void llm_lex_read(struct llm_lexed *lexed, struct kit_words *words, struct eio_str text);
/* The text of the lexemes from `from` to before `to`, with what stands between them. */
struct eio_str llm_lex_slice(const struct llm_lexed *lexed, size_t from, size_t to);
static inline bool llm_lex_is(const struct llm_lexed *lexed, size_t i, const char *word)
{
    return i < lexed->count && lexed->list[i].kind == LLM_LEX_WORD && !__builtin_strcmp(lexed->list[i].word, word);
}
/* True if it is one of the words, which are separated by blanks. */
bool llm_lex_is_any(const struct llm_lexed *lexed, size_t i, const char *words);
static inline bool llm_lex_is_mark(const struct llm_lexed *lexed, size_t i, char mark)
{
    return i < lexed->count && lexed->list[i].kind == LLM_LEX_MARK && lexed->text.p[lexed->list[i].start] == mark;
}
/* A number of digits alone, or a small one in words ("seven", "twenty"); -1: it is something else. */
long llm_lex_integer(const struct llm_lexed *lexed, size_t i);
/* Any number, also 3.5, 3,5 and 1,000; false: it is something else. */
bool llm_lex_number(const struct llm_lexed *lexed, size_t i, double *value);

#endif
