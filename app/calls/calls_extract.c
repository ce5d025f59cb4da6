/* Chooses sentences by what they say: the customer's first lines that are about something are the need; what an agent
 * says was done, or what goes with a step of the document, was done; promises, and a question that nobody answered, are
 * open. */
#include "calls_extract.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define NEED_LINES 3 /* of the customer, at the beginning */
#define NEED_WORDS 4 /* of a line that is about something */
#define STEM_BYTES 5 /* by which words are compared */
#define STEP_WORDS 3 /* that a line shares with a step */
#define WORDS_MAX 64 /* of a line or step that are looked at */

/* What begins or ends nothing: matched within a line, in any case, at the beginning of a word. */
static const char *const done_marks[] = {
    "i have ",     "i've ",        "i just ",    "has been ",  "have been ", "is now ",   "i sent ",
    "i refunded ", "i cancelled ", "i changed ", "i updated ", "i reset ",   "i booked ", NULL};
static const char *const open_marks[] = {
    "i will ", "i'll ",       "we will ", "we'll ",  "call you back", "get back to you", "follow up",     "you will ",
    "you'll ", "as soon as ", "pending",  "within ", "next week",     "tomorrow",        "business days", NULL};

struct words {
    struct eio_str list[WORDS_MAX];
    size_t count;
};

/* Words of four letters and more: shorter ones say little. */
static void read_words(struct eio_str text, struct words *words)
{
    words->count = 0;
    for (size_t i = 0; i < text.n && words->count < WORDS_MAX;) {
        size_t begin = i;
        while (i < text.n && (isalnum((unsigned char)text.p[i]) || (unsigned char)text.p[i] >= 0x80)) i++;
        if (i - begin >= 4) words->list[words->count++] = (struct eio_str){text.p + begin, i - begin};
        if (i == begin) i++;
    }
}

static bool is_same(struct eio_str a, struct eio_str b)
{
    size_t n = a.n < STEM_BYTES ? a.n : STEM_BYTES, m = b.n < STEM_BYTES ? b.n : STEM_BYTES;
    return n == m && !strncasecmp(a.p, b.p, n);
}

static size_t count_shared(const struct words *a, const struct words *b)
{
    size_t shared = 0;
    for (size_t i = 0; i < a->count; i++) {
        size_t k = 0;
        while (k < b->count && !is_same(a->list[i], b->list[k])) k++;
        shared += k < b->count;
    }
    return shared;
}

static bool has_mark(struct eio_str text, const char *const *marks)
{
    for (; *marks; marks++) {
        size_t n = strlen(*marks);
        for (size_t i = 0; i + n <= text.n; i++)
            if ((!i || !isalnum((unsigned char)text.p[i - 1])) && !strncasecmp(text.p + i, *marks, n)) return true;
    }
    return false;
}

/* The next sentence, without blanks around it. */
static bool next_sentence(struct eio_str *rest, struct eio_str *sentence)
{
    while (rest->n && isspace((unsigned char)rest->p[0])) rest->p++, rest->n--;
    size_t n = 0;
    while (n < rest->n && rest->p[n] != '\n' &&
           !(strchr(".!?", rest->p[n]) && (n + 1 == rest->n || isspace((unsigned char)rest->p[n + 1]))))
        n++;
    n += n < rest->n && rest->p[n] != '\n';
    *sentence = (struct eio_str){rest->p, n};
    rest->p += n;
    rest->n -= n;
    return n > 0;
}

static void add(struct calls_section *section, struct eio_str sentence)
{
    for (size_t i = 0; i < section->count; i++)
        if (section->sentences[i].p == sentence.p) return;
    if (section->count < CALLS_EXTRACT_MAX) section->sentences[section->count++] = sentence;
}

static size_t count_words(struct eio_str text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.n; i++)
        count += !isspace((unsigned char)text.p[i]) && (!i || isspace((unsigned char)text.p[i - 1]));
    return count;
}

static bool goes_with_a_step(struct eio_str sentence, struct eio_str steps)
{
    struct words said, step;
    struct eio_str line;
    read_words(sentence, &said);
    while (next_sentence(&steps, &line)) {
        read_words(line, &step);
        if (count_shared(&said, &step) >= STEP_WORDS) return true;
    }
    return false;
}

static void read_agent(struct calls_extract *extract, struct eio_str text, struct eio_str steps)
{
    struct eio_str sentence;
    while (next_sentence(&text, &sentence)) {
        bool asks = sentence.p[sentence.n - 1] == '?';
        if (has_mark(sentence, open_marks) && !asks)
            add(&extract->open, sentence);
        else if (!asks && (has_mark(sentence, done_marks) || goes_with_a_step(sentence, steps)))
            add(&extract->done, sentence);
    }
}

void calls_extract_make(struct calls_extract *extract, const struct calls_spoken *lines, size_t count,
                        struct eio_str steps)
{
    struct eio_str asked = {NULL, 0}, sentence;
    size_t heard = 0; /* lines of the customer */
    memset(extract, 0, sizeof *extract);
    for (size_t i = 0; i < count; i++) {
        struct eio_str text = lines[i].text;
        if (!lines[i].by_customer) {
            read_agent(extract, text, steps);
            asked.n = 0;
            continue;
        }
        if (heard++ < NEED_LINES && count_words(text) >= NEED_WORDS) add(&extract->need, text);
        while (next_sentence(&text, &sentence))
            if (sentence.p[sentence.n - 1] == '?') asked = sentence;
    }
    if (asked.n) add(&extract->open, asked);
}
