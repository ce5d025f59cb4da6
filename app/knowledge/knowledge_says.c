/* Phrases of customers who need a document, written by its author: a section called "Says" at its end, one phrase per
 * line. Each phrase teaches like a call. Pure. */
#include "knowledge_int.h"

#include <string.h>
#include <strings.h>

static const char name[] = "says";

bool knowledge_is_says(struct eio_str heading)
{
    while (heading.n && (heading.p[heading.n - 1] == ':' || heading.p[heading.n - 1] == ' ')) heading.n--;
    return heading.n == sizeof name - 1 && !strncasecmp(heading.p, name, heading.n);
}

static bool is_says_line(struct eio_str line)
{
    line = knowledge_trim(line);
    if (!line.n || line.p[0] != '#') return false;
    while (line.n && line.p[0] == '#') line.p++, line.n--;
    while (line.n && line.p[line.n - 1] == '#') line.n--;
    return knowledge_is_says(knowledge_trim(line));
}

struct eio_str knowledge_says_split(struct eio_str text, struct eio_str *phrases)
{
    *phrases = (struct eio_str){NULL, 0};
    for (size_t i = 0; i < text.n;) {
        const char *line = text.p + i, *end = memchr(line, '\n', text.n - i);
        size_t n = end ? (size_t)(end - line) : text.n - i;
        if (is_says_line((struct eio_str){line, n})) {
            size_t begin = i + n + (end != NULL);
            *phrases = (struct eio_str){text.p + begin, text.n - begin};
            return (struct eio_str){text.p, i};
        }
        i += n + (end != NULL);
    }
    return text;
}

bool knowledge_next_phrase(struct eio_str *rest, struct eio_str *phrase)
{
    while (knowledge_next_passage(rest, phrase)) {
        while (phrase->n && strchr("\"'", phrase->p[0])) phrase->p++, phrase->n--;
        while (phrase->n && strchr("\"'", phrase->p[phrase->n - 1])) phrase->n--;
        if (phrase->n) return true;
    }
    return false;
}
