/* Splits text at the tags of thinking. Only what might become a tag is held back: at the start blanks and "<think", in
 * a thought "</think". Elsewhere a "<" is a character like any other. */
#include "llm_think.h"

#include <string.h>

#define OPEN "<think>"
#define CLOSE "</think>"

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static int hand_on_held(struct llm_think *think, llm_think_fn fn, void *ctx)
{
    struct eio_str held = {think->held, think->held_size};
    think->held_size = 0;
    return held.n ? fn(ctx, think->state == LLM_THINK_INSIDE, held) : 0;
}

/* At the start: blanks are dropped, a tag opens a thought, and anything else is text. */
static int feed_start(struct llm_think *think, char c, llm_think_fn fn, void *ctx)
{
    if (!think->held_size && is_space(c)) return 0;
    if (c == OPEN[think->held_size]) {
        think->held[think->held_size++] = c;
        if (think->held_size < sizeof OPEN - 1) return 0;
        think->held_size = 0;
        think->state = LLM_THINK_INSIDE;
        return 0;
    }
    think->state = LLM_THINK_TEXT;
    return hand_on_held(think, fn, ctx);
}

/* The bytes before the first that may belong to a closing tag. */
static size_t plain_size(const struct llm_think *think, struct eio_str text)
{
    if (think->held_size) return 0;
    const char *tag = memchr(text.p, '<', text.n);
    return tag ? (size_t)(tag - text.p) : text.n;
}

/* Within a thought; takes what it has used off the text. */
static int feed_inside(struct llm_think *think, struct eio_str *text, llm_think_fn fn, void *ctx)
{
    size_t n = plain_size(think, *text);
    struct eio_str plain = {text->p, n};
    text->p += n;
    text->n -= n;
    if (n) return fn(ctx, true, plain);
    if (*text->p != CLOSE[think->held_size]) return hand_on_held(think, fn, ctx);
    think->held[think->held_size++] = *text->p;
    text->p++;
    text->n--;
    if (think->held_size < sizeof CLOSE - 1) return 0;
    think->held_size = 0;
    think->state = LLM_THINK_START; /* another thought may follow, and the blanks before the answer are dropped */
    return 0;
}

int llm_think_feed(struct llm_think *think, struct eio_str text, llm_think_fn fn, void *ctx)
{
    int code = 0;
    while (text.n && !code) {
        if (think->state == LLM_THINK_INSIDE) {
            code = text.n ? feed_inside(think, &text, fn, ctx) : 0;
        } else if (think->state == LLM_THINK_START) {
            code = feed_start(think, *text.p, fn, ctx);
            if (think->state == LLM_THINK_TEXT) continue; /* this character is part of the text */
            text.p++;
            text.n--;
        } else {
            return fn(ctx, false, text);
        }
    }
    return code;
}

int llm_think_end(struct llm_think *think, llm_think_fn fn, void *ctx)
{
    if (think->state == LLM_THINK_INSIDE) think->held_size = 0; /* the beginning of a closing tag */
    return hand_on_held(think, fn, ctx);
}
