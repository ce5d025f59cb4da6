/* Finds card numbers that are said in words, as speech recognisers write them: "four one one one", "double one",
 * "forty-one", "einundvierzig", mixed with digits. Pure. The words are of English, German, French and Spanish; only
 * 13 to 19 digits that fit the card's check are found, so that a sentence with numbers in it stays. */
#include "calls_redact.h"

#include <ctype.h>
#include <string.h>

enum { WORD_MAX = 24, PARTIAL_MIN = 6 };

/* What a word says: a digit, two digits, that the next one comes several times, or nothing ("dash"). */
enum kind { NO_NUMBER, DIGIT, TEENS, TENS, TIMES, FILLER };
struct meaning {
    const char *word;
    unsigned char kind, value;
};

/* In the order of their bytes. */
static const struct meaning meanings[] = {
    {"acht", DIGIT, 8},       {"achtzehn", TEENS, 18}, {"achtzig", TEENS, 80},   {"and", FILLER, 0},
    {"cero", DIGIT, 0},       {"cinco", DIGIT, 5},     {"cinq", DIGIT, 5},       {"comma", FILLER, 0},
    {"cuatro", DIGIT, 4},     {"dann", FILLER, 0},     {"dash", FILLER, 0},      {"deux", DIGIT, 2},
    {"die", FILLER, 0},       {"doble", TIMES, 2},     {"doppel", TIMES, 2},     {"dos", DIGIT, 2},
    {"double", TIMES, 2},     {"drei", DIGIT, 3},      {"dreimal", TIMES, 3},    {"dreissig", TEENS, 30},
    {"dreizehn", TEENS, 13},  {"dreißig", TEENS, 30},  {"eight", DIGIT, 8},      {"eighteen", TEENS, 18},
    {"eighty", TENS, 80},     {"ein", DIGIT, 1},       {"eins", DIGIT, 1},       {"eleven", TEENS, 11},
    {"elf", TEENS, 11},       {"fifteen", TEENS, 15},  {"fifty", TENS, 50},      {"five", DIGIT, 5},
    {"forty", TENS, 40},      {"four", DIGIT, 4},      {"fourteen", TEENS, 14},  {"fuenf", DIGIT, 5},
    {"fuenfzehn", TEENS, 15}, {"fuenfzig", TEENS, 50}, {"fünf", DIGIT, 5},       {"fünfzehn", TEENS, 15},
    {"fünfzig", TEENS, 50},   {"huit", DIGIT, 8},      {"hyphen", FILLER, 0},    {"neuf", DIGIT, 9},
    {"neun", DIGIT, 9},       {"neunzehn", TEENS, 19}, {"neunzig", TEENS, 90},   {"nine", DIGIT, 9},
    {"nineteen", TEENS, 19},  {"ninety", TENS, 90},    {"nought", DIGIT, 0},     {"nueve", DIGIT, 9},
    {"null", DIGIT, 0},       {"o", DIGIT, 0},         {"ocho", DIGIT, 8},       {"oh", DIGIT, 0},
    {"one", DIGIT, 1},        {"puis", FILLER, 0},     {"quadruple", TIMES, 4},  {"quatre", DIGIT, 4},
    {"sechs", DIGIT, 6},      {"sechzehn", TEENS, 16}, {"sechzig", TEENS, 60},   {"seis", DIGIT, 6},
    {"sept", DIGIT, 7},       {"seven", DIGIT, 7},     {"seventeen", TEENS, 17}, {"seventy", TENS, 70},
    {"sieben", DIGIT, 7},     {"siebzehn", TEENS, 17}, {"siebzig", TEENS, 70},   {"siete", DIGIT, 7},
    {"six", DIGIT, 6},        {"sixteen", TEENS, 16},  {"sixty", TENS, 60},      {"space", FILLER, 0},
    {"strich", FILLER, 0},    {"ten", TEENS, 10},      {"then", FILLER, 0},      {"thirteen", TEENS, 13},
    {"thirty", TENS, 30},     {"three", DIGIT, 3},     {"treble", TIMES, 3},     {"tres", DIGIT, 3},
    {"triple", TIMES, 3},     {"trois", DIGIT, 3},     {"twelve", TEENS, 12},    {"twenty", TENS, 20},
    {"two", DIGIT, 2},        {"uh", FILLER, 0},       {"um", FILLER, 0},        {"un", DIGIT, 1},
    {"und", FILLER, 0},       {"une", DIGIT, 1},       {"uno", DIGIT, 1},        {"vier", DIGIT, 4},
    {"viermal", TIMES, 4},    {"vierzehn", TEENS, 14}, {"vierzig", TEENS, 40},   {"y", FILLER, 0},
    {"zehn", TEENS, 10},      {"zero", DIGIT, 0},      {"zwanzig", TEENS, 20},   {"zwei", DIGIT, 2},
    {"zweimal", TIMES, 2},    {"zwo", DIGIT, 2},       {"zwoelf", TEENS, 12},    {"zwölf", TEENS, 12},
    {"zéro", DIGIT, 0},       {"äh", FILLER, 0},       {"ähm", FILLER, 0},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return isalpha((unsigned char)c) || (unsigned char)c >= 0x80;
}

static struct meaning look_up(const char *word, size_t n)
{
    size_t low = 0, high = sizeof meanings / sizeof meanings[0];
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strncmp(meanings[middle].word, word, n);
        if (!order) order = meanings[middle].word[n] != '\0';
        if (!order) return meanings[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return (struct meaning){"", NO_NUMBER, 0};
}

/* "einundvierzig" */
static struct meaning look_up_joined(const char *word, size_t n)
{
    const char *und = memmem(word, n, "und", 3);
    if (!und || und == word) return (struct meaning){"", NO_NUMBER, 0};
    size_t first = (size_t)(und - word);
    struct meaning one = look_up(word, first), ten = look_up(und + 3, n - first - 3);
    if (one.kind != DIGIT || !one.value || ten.kind != TEENS || ten.value < 20 || ten.value % 10)
        return (struct meaning){"", NO_NUMBER, 0};
    return (struct meaning){"", TEENS, (unsigned char)(ten.value + one.value)};
}

/* The word from begin to end in small letters; those beyond ASCII as in Latin-1. */
static struct meaning meaning_of(struct eio_str text, size_t begin, size_t end)
{
    char word[WORD_MAX];
    size_t n = end - begin;
    if (n == 0 || n > WORD_MAX) return (struct meaning){"", NO_NUMBER, 0};
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text.p[begin + i];
        bool is_second = i && word[i - 1] == '\xc3' && c >= 0x80 && c <= 0x9e;
        word[i] = (char)(is_second ? c + 0x20 : tolower(c));
    }
    struct meaning meaning = look_up(word, n);
    return meaning.kind == NO_NUMBER ? look_up_joined(word, n) : meaning;
}

/* What is read from one place on. */
struct reading {
    char digits[CALLS_CARD_MAX];
    size_t count;  /* of digits; CALLS_CARD_MAX + 1: more than a card has */
    size_t end;    /* behind the last one */
    bool has_word; /* not digits alone: those are calls_find_card()'s */
    size_t times;  /* of the digit that comes; 0: once */
    bool is_tens;  /* the last one may be a zero that the next digit takes the place of */
};

static void add(struct reading *reading, unsigned digit)
{
    if (reading->count < CALLS_CARD_MAX) reading->digits[reading->count] = (char)('0' + digit);
    if (reading->count <= CALLS_CARD_MAX) reading->count++;
}

static void add_digit(struct reading *reading, unsigned digit)
{
    bool fills = reading->is_tens && digit && !reading->times && reading->count <= CALLS_CARD_MAX;
    if (fills) reading->count--;
    for (size_t i = 0; i < (reading->times ? reading->times : 1); i++) add(reading, digit);
    reading->times = 0;
    reading->is_tens = false;
}

/* False: this word ends the number. */
static bool add_meaning(struct reading *reading, struct meaning meaning)
{
    switch (meaning.kind) {
    case DIGIT:
        add_digit(reading, meaning.value);
        return true;
    case TEENS:
    case TENS:
        if (reading->times) return false;
        add(reading, meaning.value / 10u);
        add(reading, meaning.value % 10u);
        reading->is_tens = meaning.kind == TENS;
        return true;
    case TIMES:
        reading->times = meaning.value;
        return true;
    default:
        return meaning.kind == FILLER && reading->count > 0;
    }
}

/* Reads a word or a row of digits at *i, and what separates it from the next. False: the number ends before it. */
static bool read_token(struct eio_str text, size_t *i, struct reading *reading)
{
    size_t begin = *i, end = begin;
    if (is_digit(text.p[begin])) {
        for (; end < text.n && is_digit(text.p[end]); end++) add_digit(reading, (unsigned)(text.p[end] - '0'));
    } else {
        while (end < text.n && is_letter(text.p[end])) end++;
        struct meaning meaning = meaning_of(text, begin, end);
        if (end == begin || !add_meaning(reading, meaning)) return false;
        reading->has_word |= meaning.kind != FILLER;
    }
    reading->end = end;
    while (end < text.n && strchr(" \t\r\n-,./", text.p[end]) && text.p[end]) end++;
    *i = end;
    return true;
}

/* The longest card number that begins here. */
static struct calls_span card_at(struct eio_str text, size_t begin, bool is_partial)
{
    struct reading reading = {.count = 0};
    struct calls_span best = {0, 0};
    size_t i = begin;
    while (i < text.n && reading.count <= CALLS_CARD_MAX && read_token(text, &i, &reading)) {
        bool fits = reading.has_word && reading.count >= CALLS_CARD_MIN && reading.count <= CALLS_CARD_MAX;
        if (fits && calls_fits_luhn((struct eio_str){reading.digits, reading.count}))
            best = (struct calls_span){begin, reading.end};
    }
    bool goes_on = is_partial && i == text.n && reading.has_word && reading.count < CALLS_CARD_MAX;
    if (best.end <= begin && goes_on && reading.count >= PARTIAL_MIN) best = (struct calls_span){begin, text.n};
    return best;
}

/* A part of a longer number is never taken for a card: no word right behind a digit begins one. */
struct calls_span calls_find_spoken_card(struct eio_str text, size_t from, bool is_partial)
{
    bool is_inside = false;
    for (size_t i = from; i < text.n;) {
        size_t end = i;
        bool is_row = is_digit(text.p[i]);
        while (end < text.n && (is_row ? is_digit(text.p[end]) : is_letter(text.p[end]))) end++;
        if (end == i) {
            is_inside &= text.p[i++] == ' ';
            continue;
        }
        enum kind kind = is_row ? TEENS : (enum kind)meaning_of(text, i, end).kind;
        if (kind != NO_NUMBER && kind != FILLER && !is_inside) {
            struct calls_span card = card_at(text, i, is_partial);
            if (card.end > card.begin) return card;
        }
        is_inside = kind == DIGIT || kind == TIMES || (is_inside && kind == TEENS);
        i = end;
    }
    return (struct calls_span){0, 0};
}
