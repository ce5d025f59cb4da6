/* Words by Unicode: NFKC case folding, accents off in scripts where they are often left out, Porter's stemmer for Latin
 * letters and Snowball's for other scripts. Chinese, Japanese, Korean, Thai and their like are read as overlapping
 * pairs of characters, since words in them are not separated or carry endings. */
#include "kit_words.h"

#include <libstemmer.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/uscript.h>
#include <unicode/ustring.h>
#include <unicode/utf16.h>
#include <unicode/utf8.h>

#define WORD_MAX 64 /* characters; what is longer is cut */

enum stemmer {
    STEM_LATIN,
    STEM_CYRILLIC,
    STEM_GREEK,
    STEM_ARABIC,
    STEM_DEVANAGARI,
    STEM_TAMIL,
    STEM_ARMENIAN,
    STEMMERS
};
static const char *const stemmer_names[STEMMERS] = {"porter", "russian", "greek",   "arabic",
                                                    "hindi",  "tamil",   "armenian"};

/* UTF-16 that grows. */
struct utf16 {
    UChar *p;
    size_t n, capacity;
};

struct kit_words {
    struct sb_stemmer *stemmers[STEMMERS];
    UChar32 *chars; /* of the text, folded */
    size_t count, capacity;
    struct utf16 one, other;
    char *arena; /* of terms */
    size_t arena_size, arena_capacity;
    struct {
        size_t term, surface; /* in the arena */
        bool is_number, is_stop;
    } * found;
    size_t found_count, found_capacity;
    struct kit_word *list;
    size_t list_capacity;
};

struct kit_words *kit_words_new(void)
{
    struct kit_words *words = calloc(1, sizeof *words);
    for (int i = 0; words && i < STEMMERS; i++) {
        words->stemmers[i] = sb_stemmer_new(stemmer_names[i], NULL);
        if (words->stemmers[i]) continue;
        kit_words_free(words);
        return NULL;
    }
    return words;
}

void kit_words_free(struct kit_words *words)
{
    if (!words) return;
    for (int i = 0; i < STEMMERS; i++) sb_stemmer_delete(words->stemmers[i]);
    free(words->chars);
    free(words->one.p);
    free(words->other.p);
    free(words->arena);
    free(words->found);
    free(words->list);
    free(words);
}

/* Room for `count` items in the array that list points to; false: out of memory. */
static bool reserve(void *list, size_t *capacity, size_t count, size_t size)
{
    void *array;
    if (count <= *capacity) return true;
    memcpy(&array, list, sizeof array); /* whatever it is an array of */
    array = realloc(array, count * 2 * size);
    if (!array) return false;
    memcpy(list, &array, sizeof array);
    *capacity = count * 2;
    return true;
}

#define RESERVE(list, capacity, count) reserve(&(list), &(capacity), count, sizeof *(list))

/* ----------------------------------------------------------------- folding */

static bool fold_ascii(struct kit_words *words, struct eio_str text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] >= 0x80) return false;
    if (!RESERVE(words->chars, words->capacity, text.n)) return false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        words->chars[i] = c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
    }
    words->count = text.n;
    return true;
}

/* An accent that people leave out: over Latin and Greek letters, the vowels of Arabic and Hebrew. Й is a letter. */
static bool is_left_out(UChar32 mark, UChar32 letter)
{
    UErrorCode status = U_ZERO_ERROR;
    if (mark >= 0x0300 && mark <= 0x036f) {
        UScriptCode script = uscript_getScript(letter, &status);
        return script == USCRIPT_LATIN || script == USCRIPT_GREEK || script == USCRIPT_COMMON;
    }
    return (mark >= 0x064b && mark <= 0x0655) || mark == 0x0670 || (mark >= 0x0591 && mark <= 0x05c7);
}

/* Characters of UTF-16 without the accents; the result may be shorter. */
static size_t drop_accents(UChar *text, size_t size)
{
    size_t n = 0;
    UChar32 letter = ' ';
    for (size_t i = 0; i < size;) {
        size_t at = i;
        UChar32 c;
        U16_NEXT(text, i, size, c);
        if (is_left_out(c, letter)) continue;
        if (!(U_GET_GC_MASK(c) & U_GC_M_MASK)) letter = c;
        memmove(text + n, text + at, (i - at) * sizeof *text);
        n += i - at;
    }
    return n;
}

static bool normalize(const UNormalizer2 *form, const struct utf16 *in, struct utf16 *out)
{
    for (;;) {
        UErrorCode status = U_ZERO_ERROR;
        int32_t n = unorm2_normalize(form, in->p, (int32_t)in->n, out->p, (int32_t)out->capacity, &status);
        if (U_SUCCESS(status)) {
            out->n = (size_t)n;
            return true;
        }
        if (status != U_BUFFER_OVERFLOW_ERROR || !RESERVE(out->p, out->capacity, (size_t)n + 1)) return false;
    }
}

static bool fold(struct kit_words *words, struct eio_str text)
{
    UErrorCode status = U_ZERO_ERROR;
    int32_t n = 0;
    struct utf16 *a = &words->one, *b = &words->other;
    const UNormalizer2 *nfkc_cf = unorm2_getNFKCCasefoldInstance(&status);
    const UNormalizer2 *nfd = unorm2_getNFDInstance(&status), *nfc = unorm2_getNFCInstance(&status);
    if (U_FAILURE(status) || text.n > INT32_MAX / 64 || !RESERVE(a->p, a->capacity, text.n + 1)) return false;
    u_strFromUTF8WithSub(a->p, (int32_t)a->capacity, &n, text.p, (int32_t)text.n, ' ', NULL, &status);
    a->n = (size_t)n;
    if (U_FAILURE(status) || !normalize(nfkc_cf, a, b) || !normalize(nfd, b, a)) return false;
    a->n = drop_accents(a->p, a->n);
    if (!normalize(nfc, a, b) || !RESERVE(words->chars, words->capacity, b->n + 1)) return false;
    words->count = 0;
    for (size_t i = 0; i < b->n; words->count++) U16_NEXT(b->p, i, b->n, words->chars[words->count]);
    return true;
}

/* ----------------------------------------------------------------- classes */

enum kind { KIND_NONE, KIND_WORD, KIND_PAIRS };

static bool is_written_without_blanks(UChar32 c)
{
    static const UScriptCode scripts[] = {USCRIPT_HAN, USCRIPT_HIRAGANA, USCRIPT_KATAKANA, USCRIPT_HANGUL, USCRIPT_THAI,
                                          USCRIPT_LAO, USCRIPT_KHMER,    USCRIPT_MYANMAR,  USCRIPT_TIBETAN};
    if (c < 0x0e00) return false;
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++)
        if (uscript_hasScript(c, scripts[i])) return true;
    return false;
}

static enum kind kind_of(UChar32 c)
{
    if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? KIND_WORD : KIND_NONE;
    if (!(U_GET_GC_MASK(c) & (U_GC_L_MASK | U_GC_N_MASK | U_GC_M_MASK))) return KIND_NONE;
    return is_written_without_blanks(c) ? KIND_PAIRS : KIND_WORD;
}

static struct sb_stemmer *stemmer_for(struct kit_words *words, UChar32 first)
{
    UErrorCode status = U_ZERO_ERROR;
    if (first < 0x80) return words->stemmers[STEM_LATIN];
    switch (uscript_getScript(first, &status)) {
    case USCRIPT_LATIN:
        return words->stemmers[STEM_LATIN];
    case USCRIPT_CYRILLIC:
        return words->stemmers[STEM_CYRILLIC];
    case USCRIPT_GREEK:
        return words->stemmers[STEM_GREEK];
    case USCRIPT_ARABIC:
        return words->stemmers[STEM_ARABIC];
    case USCRIPT_DEVANAGARI:
        return words->stemmers[STEM_DEVANAGARI];
    case USCRIPT_TAMIL:
        return words->stemmers[STEM_TAMIL];
    case USCRIPT_ARMENIAN:
        return words->stemmers[STEM_ARMENIAN];
    default:
        return NULL;
    }
}

/* -------------------------------------------------------------- stop words */

/* Sorted. */
static const char *const stop_words[] = {
    "a",        "about",    "actually",   "again",    "ah",      "all",       "already", "also",  "am",      "an",
    "and",      "any",      "anything",   "are",      "as",      "ask",       "at",      "be",    "because", "been",
    "before",   "bought",   "but",        "buy",      "buying",  "by",        "bye",     "can",   "cannot",  "could",
    "d",        "day",      "did",        "do",       "does",    "doing",     "don",     "done",  "else",    "even",
    "ever",     "every",    "everything", "fine",     "for",     "forward",   "from",    "get",   "getting", "give",
    "go",       "going",    "good",       "got",      "great",   "guys",      "had",     "happy", "has",     "have",
    "he",       "hear",     "hearing",    "hello",    "help",    "her",       "here",    "hey",   "hi",      "him",
    "his",      "hope",     "how",        "i",        "if",      "in",        "into",    "is",    "issue",   "it",
    "its",      "just",     "know",       "let",      "like",    "ll",        "long",    "look",  "looking", "m",
    "make",     "maybe",    "me",         "month",    "more",    "much",      "my",      "name",  "need",    "new",
    "nice",     "nicely",   "no",         "not",      "nothing", "now",       "of",      "off",   "oh",      "ok",
    "okay",     "on",       "one",        "only",     "or",      "other",     "our",     "out",   "people",  "please",
    "problem",  "question", "re",         "really",   "right",   "s",         "said",    "say",   "see",     "she",
    "should",   "so",       "some",       "somebody", "someone", "something", "soon",    "sorry", "still",   "sure",
    "t",        "take",     "tell",       "than",     "thank",   "thanks",    "that",    "the",   "their",   "them",
    "then",     "there",    "these",      "they",     "thing",   "think",     "this",    "those", "to",      "today",
    "tomorrow", "too",      "try",        "trying",   "up",      "us",        "ve",      "very",  "wait",    "waiting",
    "want",     "wanted",   "was",        "way",      "we",      "week",      "well",    "were",  "what",    "when",
    "where",    "which",    "who",        "why",      "will",    "with",      "would",   "yeah",  "yes",     "you",
    "your"};

static int compare_words(const void *key, const void *item)
{
    return strcmp(key, *(const char *const *)item);
}

static bool is_stop_word(const char *word)
{
    return bsearch(word, stop_words, sizeof stop_words / sizeof stop_words[0], sizeof stop_words[0], compare_words);
}

/* ------------------------------------------------------------------- words */

/* Appends characters as UTF-8 with a terminator; its place, or SIZE_MAX. */
static size_t put_chars(struct kit_words *words, const UChar32 *chars, size_t count)
{
    size_t at = words->arena_size;
    if (!RESERVE(words->arena, words->arena_capacity, at + count * 4 + 1)) return SIZE_MAX;
    for (size_t i = 0; i < count; i++) U8_APPEND_UNSAFE(words->arena, words->arena_size, chars[i]);
    words->arena[words->arena_size++] = 0;
    return at;
}

static size_t put_stem(struct kit_words *words, size_t surface, UChar32 first)
{
    struct sb_stemmer *stemmer = stemmer_for(words, first);
    const char *word = words->arena + surface;
    if (!stemmer) return surface;
    const sb_symbol *stem = sb_stemmer_stem(stemmer, (const sb_symbol *)word, (int)strlen(word));
    size_t n = stem ? (size_t)sb_stemmer_length(stemmer) : 0, at = words->arena_size;
    if (!n || !RESERVE(words->arena, words->arena_capacity, at + n + 1)) return surface;
    memcpy(words->arena + at, stem, n);
    words->arena[at + n] = 0;
    words->arena_size += n + 1;
    return at;
}

static void add(struct kit_words *words, const UChar32 *chars, size_t count, bool is_pair)
{
    size_t digits = 0;
    if (!RESERVE(words->found, words->found_capacity, words->found_count + 1)) return;
    size_t surface = put_chars(words, chars, count < WORD_MAX ? count : WORD_MAX);
    if (surface == SIZE_MAX) return;
    while (digits < count && u_isdigit(chars[digits])) digits++;
    size_t i = words->found_count++;
    words->found[i].is_number = digits == count;
    words->found[i].is_stop = is_stop_word(words->arena + surface);
    words->found[i].surface = surface;
    words->found[i].term = is_pair ? surface : put_stem(words, surface, chars[0]);
}

static void add_run(struct kit_words *words, const UChar32 *chars, size_t count, enum kind kind)
{
    if (kind == KIND_WORD || count == 1) {
        add(words, chars, count, kind == KIND_PAIRS);
        return;
    }
    for (size_t i = 0; i + 1 < count; i++) add(words, chars + i, 2, true);
}

static bool is_of_address(UChar32 c)
{
    return c < 0x80 && (kind_of(c) == KIND_WORD || (c && strchr("@._+-", (int)c)));
}

/* Past "name@host.example" if it begins at i; else i. */
static size_t skip_address(const struct kit_words *words, size_t i)
{
    size_t end = i;
    bool has_at = false;
    for (; end < words->count && is_of_address(words->chars[end]); end++) has_at = has_at || words->chars[end] == '@';
    return has_at ? end : i;
}

static void split(struct kit_words *words)
{
    size_t plain_until = 0; /* no address begins before */
    for (size_t i = 0; i < words->count;) {
        enum kind kind = kind_of(words->chars[i]);
        size_t start = i;
        if (i >= plain_until && is_of_address(words->chars[i])) {
            i = skip_address(words, i);
            if (i > start) continue;
            while (plain_until <= i || (plain_until < words->count && is_of_address(words->chars[plain_until])))
                plain_until = plain_until <= i ? i + 1 : plain_until + 1;
        }
        while (i < words->count && kind_of(words->chars[i]) == kind) i++;
        if (kind != KIND_NONE) add_run(words, words->chars + start, i - start, kind);
    }
}

size_t kit_words_read(struct kit_words *words, struct eio_str text, const struct kit_word **list)
{
    words->count = words->found_count = words->arena_size = 0;
    *list = NULL;
    if (!text.n || (!fold_ascii(words, text) && !fold(words, text))) return 0;
    split(words);
    if (!RESERVE(words->list, words->list_capacity, words->found_count + 1)) return 0;
    for (size_t i = 0; i < words->found_count; i++) {
        struct kit_word *word = &words->list[i];
        word->term = words->arena + words->found[i].term;
        word->surface = words->arena + words->found[i].surface;
        word->is_number = words->found[i].is_number;
        word->is_stop = words->found[i].is_stop;
    }
    *list = words->list;
    return words->found_count;
}
