/* Whatever bytes come: words are UTF-8 and not empty, a glossary is read or refused, a text has a vector of length one
 * or none, and its passages lie in it. */
#include "knowledge_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/utf8.h>

#include "kit_embed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)            \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)

static void check_utf8(const char *text)
{
    int32_t i = 0, n = (int32_t)strlen(text);
    MUST(n > 0);
    while (i < n) {
        UChar32 c;
        U8_NEXT((const uint8_t *)text, i, n, c);
        MUST(c > 0);
    }
}

static void check_vector(const struct knowledge_table *table, struct eio_str text)
{
    float vector[KNOWLEDGE_VECTOR];
    double square = 0;
    bool any = knowledge_table_read(table, text, vector);
    for (int i = 0; i < KNOWLEDGE_VECTOR; i++) square += (double)vector[i] * vector[i];
    MUST(any ? fabs(square - 1) < 1e-3 : square < 1.001);
}

static void check_glossary(struct kit_words *words, struct eio_str text)
{
    char error[512];
    struct knowledge_glossary *glossary = NULL;
    struct knowledge_token *tokens;
    knowledge_glossary_read(&glossary, words, "g.txt", text, error, sizeof error);
    size_t count = knowledge_glossary_scan(glossary, words, text, &tokens);
    for (size_t i = 0; i < count; i++) MUST(tokens[i].term[0] && tokens[i].word_count);
    free(tokens);
    knowledge_glossary_free(glossary);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct kit_words *words;
    static struct knowledge_table *table;
    const struct kit_word *list;
    if (size > 4096) return 0;
    if (!words) {
        const struct kit_embedded_file *file = kit_embedded_find(kit_embedded_knowledge, "table-128.bin");
        words = kit_words_new();
        table = knowledge_table_new((struct eio_str){(const char *)file->data, kit_embedded_size(file)});
        MUST(words && table);
    }
    char *copy = malloc(size + 1);
    MUST(copy);
    if (size) memcpy(copy, data, size);
    copy[size] = 0;
    struct eio_str text = {copy, size}, rest = text, passage;
    size_t count = kit_words_read(words, text, &list);
    for (size_t i = 0; i < count; i++) {
        check_utf8(list[i].term);
        check_utf8(list[i].surface);
    }
    check_vector(table, text);
    check_glossary(words, text);
    while (knowledge_next_passage(&rest, &passage))
        MUST(passage.n && passage.p >= copy && passage.p + passage.n <= copy + size);
    free(copy);
    return 0;
}
