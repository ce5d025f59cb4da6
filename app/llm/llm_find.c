/* Quotations and addresses. */
#include "llm_find.h"

#include <string.h>

static const struct {
    const char *open, *close;
} quotes[] = {{"\"", "\""},
              {"\xe2\x80\x9c", "\xe2\x80\x9d"}, /* “ ” */
              {"\xe2\x80\x9e", "\xe2\x80\x9c"}, /* „ “ */
              {"\xe2\x80\x9e", "\xe2\x80\x9d"}, /* „ ” */
              {"\xc2\xab", "\xc2\xbb"},         /* « » */
              {"\xc2\xbb", "\xc2\xab"},         /* » « */
              {"\xe2\x80\x98", "\xe2\x80\x99"}, /* ‘ ’ */
              {"'", "'"}};

static bool is_mark(const struct llm_lexed *lexed, size_t i, const char *mark)
{
    const struct llm_lex *lex = &lexed->list[i];
    size_t n = strlen(mark);
    return lex->kind == LLM_LEX_MARK && lex->end - lex->start == n && !memcmp(lexed->text.p + lex->start, mark, n);
}

/* An apostrophe opens where a blank is before it and none behind, and closes where it is the other way round. */
static bool can_open(const struct llm_lexed *lexed, size_t i)
{
    return !lexed->list[i].is_glued || lexed->list[i - 1].kind == LLM_LEX_MARK;
}

static bool can_close(const struct llm_lexed *lexed, size_t i)
{
    return lexed->list[i].is_glued &&
           (i + 1 >= lexed->count || !lexed->list[i + 1].is_glued || lexed->list[i + 1].kind == LLM_LEX_MARK);
}

static size_t find_close(const struct llm_lexed *lexed, size_t from, size_t to, const char *mark)
{
    bool is_apostrophe = !strcmp(mark, "'") || !strcmp(mark, "\xe2\x80\x99");
    for (size_t i = from; i < to; i++)
        if (is_mark(lexed, i, mark) && (!is_apostrophe || can_close(lexed, i))) return i;
    return to;
}

struct eio_str llm_find_quoted(const struct llm_lexed *lexed, size_t *from, size_t to, size_t *end)
{
    for (size_t i = *from; i < to; i++)
        for (size_t k = 0; k < sizeof quotes / sizeof quotes[0]; k++) {
            if (!is_mark(lexed, i, quotes[k].open) || !can_open(lexed, i)) continue;
            size_t close = find_close(lexed, i + 1, to, quotes[k].close);
            if (close == to || close == i + 1) continue;
            *from = i;
            *end = close + 1;
            return llm_lex_slice(lexed, i + 1, close);
        }
    return (struct eio_str){NULL, 0};
}

/* The lexemes around i that hang together without a blank. */
static void find_run(const struct llm_lexed *lexed, size_t i, size_t to, size_t *from, size_t *end)
{
    size_t first = i;
    while (first > *from && lexed->list[first].is_glued) first--;
    *end = i + 1;
    while (*end < to && lexed->list[*end].is_glued) ++*end;
    *from = first;
}

/* Marks around it that belong to the sentence. */
static void trim_marks(const struct llm_lexed *lexed, size_t *from, size_t *end)
{
    while (*from < *end && lexed->list[*from].kind == LLM_LEX_MARK) ++*from;
    while (*end > *from && lexed->list[*end - 1].kind == LLM_LEX_MARK &&
           lexed->text.p[lexed->list[*end - 1].start] != '/')
        --*end;
}

struct eio_str llm_find_mail(const struct llm_lexed *lexed, size_t *from, size_t to, size_t *end)
{
    for (size_t i = *from; i < to; i++) {
        if (!llm_lex_is_mark(lexed, i, '@') || !lexed->list[i].is_glued) continue;
        size_t first = *from;
        find_run(lexed, i, to, &first, end);
        trim_marks(lexed, &first, end);
        struct eio_str text = llm_lex_slice(lexed, first, *end);
        const char *at = text.n ? memchr(text.p, '@', text.n) : NULL;
        size_t behind = at ? text.n - (size_t)(at - text.p) - 1 : 0;
        if (!at || at == text.p || behind < 3 || !memchr(at, '.', behind) || memchr(at + 1, '@', behind)) continue;
        *from = first;
        return text;
    }
    return (struct eio_str){NULL, 0};
}

struct eio_str llm_find_url(const struct llm_lexed *lexed, size_t *from, size_t to, size_t *end)
{
    for (size_t i = *from; i < to; i++) {
        if (!llm_lex_is_any(lexed, i, "http https") || !llm_lex_is_mark(lexed, i + 1, ':') ||
            !llm_lex_is_mark(lexed, i + 2, '/'))
            continue;
        size_t first = i;
        find_run(lexed, i, to, &first, end);
        trim_marks(lexed, &first, end);
        *from = i;
        return llm_lex_slice(lexed, i, *end);
    }
    return (struct eio_str){NULL, 0};
}
