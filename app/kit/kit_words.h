/* Text as words: by Unicode, folded and stemmed, so that endings and accents do not matter. */
#ifndef KIT_WORDS_H
#define KIT_WORDS_H

#include "kit_str.h"

/* What a text is reduced to; used by one thread at a time. */
struct kit_words;

struct kit_word {
    const char *term;    /* folded, without accents, the stem; a pair of characters in scripts without blanks */
    const char *surface; /* the same before stemming, for people */
    bool is_number;
    bool is_stop; /* irrelevant to the subject: function words, the phrases of a call */
};

struct kit_words *kit_words_new(void);
/* Accepts NULL. */
void kit_words_free(struct kit_words *words);
/* Reads a text; *list is valid until the next call. Mail addresses are left out. Invalid UTF-8 separates words. Returns
 * the number of words; out of memory: fewer. */
size_t kit_words_read(struct kit_words *words, struct eio_str text, const struct kit_word **list);

#endif
