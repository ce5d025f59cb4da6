/* Markdown becomes a document per section; what is not Markdown's heading is not ours. The numbers are of CommonMark
 * 0.30. */
#include "kit_fixture.h"

#include "knowledge_int.h"

static struct knowledge_documents documents;

static void parse_as(const char *name, const char *text)
{
    char error[256] = "";
    knowledge_documents_clear(&documents);
    if (knowledge_documents_parse(&documents, name, eio_str(text), error, sizeof error)) fail_msg("%s", error);
    for (size_t i = 0; i < documents.count; i++)
        assert_true(kit_is_id(documents.list[i].slug, strlen(documents.list[i].slug)));
}

static void parse(const char *text)
{
    parse_as("guide.md", text);
}

static int tear_down(void **state)
{
    (void)state;
    knowledge_documents_clear(&documents);
    return 0;
}

static void phrases_belong_to_the_document_above_them(void **state)
{
    (void)state;
    parse("---\ntitle: Handbook\nsays: [open late, when do you close]\n---\nHours: ten to six.\n\n"
          "# Refund\n\nSend it back.\n\n## Says:\n\n- i want my money back\n- \"it does not fit\"\n\n"
          "# Lost\n\n### says ###\n\nwhere is it\n\n# After\n\nText.\n");
    assert_int_equal(documents.count, 4);
    assert_string_equal(documents.list[0].text, "Hours: ten to six.\n\n## Says\n\n- open late\n- when do you close\n");
    assert_string_equal(documents.list[1].title, "Refund");
    assert_string_equal(documents.list[1].text,
                        "Send it back.\n\n## Says\n\n- i want my money back\n- \"it does not fit\"\n");
    assert_string_equal(documents.list[2].title, "Lost");
    assert_string_equal(documents.list[2].text, "## Says\n\nwhere is it\n");
    assert_string_equal(documents.list[3].title, "After");
    parse("---\nsays: one phrase\n---\n# Says\n\n- of the file\n");
    assert_int_equal(documents.count, 1);
    assert_string_equal(documents.list[0].title, "guide");
}

/* The titles, separated by '|'. */
static void assert_titles(const char *text, const char *titles)
{
    char all[2048] = "";
    parse(text);
    for (size_t i = 0; i < documents.count; i++) {
        if (i) strcat(all, "|");
        strcat(all, documents.list[i].title);
    }
    assert_string_equal(all, titles);
}

static void a_section_is_a_document(void **state)
{
    (void)state;
    parse_as("dir/My Guide.md", "Preface\n\n# Guide\n\nIntro\n## Set up ##\nstep\n```\n# not a heading\n```\n"
                                "## Empty\n## Set up\nagain\n### \xc3\x9c"
                                "ber\nx\n\n#hashtag\n");
    assert_int_equal(documents.count, 5);
    assert_string_equal(documents.list[0].slug, "my-guide.my-guide");
    assert_string_equal(documents.list[0].title, "My Guide");
    assert_string_equal(documents.list[0].text, "Preface\n");
    assert_string_equal(documents.list[1].title, "Guide");
    assert_string_equal(documents.list[2].slug, "my-guide.set-up");
    assert_string_equal(documents.list[2].topic, "Guide");
    assert_string_equal(documents.list[2].heading, "\x1fGuide\x1fSet up");
    assert_non_null(strstr(documents.list[2].text, "# not a heading"));
    assert_string_equal(documents.list[4].title, "\xc3\x9c"
                                                 "ber");
    assert_non_null(strstr(documents.list[4].text, "#hashtag"));
}

static void headings_are_those_of_commonmark(void **state)
{
    (void)state;
    assert_titles("# Writing C#\n\na\n\n## Dial *#06#\n\nb\n\n## Closed ##\n\nc\n",
                  "Writing C#|Dial *#06#|Closed");                                    /* 4.2 */
    assert_titles("Refunds\n=======\n\na\n\nBy card\n---\n\nb\n", "Refunds|By card"); /* 4.3 */
    assert_titles("# A\n\na\n\n---\n\nb\n\n***\n\nc\n", "A");                         /* 4.1 */
    assert_titles("# A\n\n    # indented code\n\na\n", "A");                          /* 4.4 */
    assert_titles("# A\n\n- item\n\n  # in a list\n\n  b\n\n> # in a quotation\n\n## B\nb\n", "A|B");
    assert_titles("# A\n\na\n\n#\n\nb\n\n#### Deep\n\nc\n\n####### seven\n", "A|guide|Deep");
    assert_titles("# A &amp; B &#233;\n\na\n", "A & B \xc3\xa9");
    assert_titles(
        "# The *quick* **fix**: [docs](http://x/y \"t\") `code #1` ![alt](i.png) <b>c</b> \\# {#anchor}\n\na\n",
        "The quick fix: docs code #1 alt c #");
    assert_titles("# A\n\n| n | v |\n|---|---|\n| # | 1 |\n\n## B\n\nb\n", "A|B");
}

static void code_fences_are_those_of_commonmark(void **state)
{
    (void)state; /* 4.5 */
    assert_titles("# R\n\nAsk.\n\n````md\n```sh\n# no\n```\n# no\n````\n\n## Reset\n\nHold.\n", "R|Reset");
    assert_titles("# R\n\nAsk.\n\n~~~\n```\n# no\n~~~\n\n## Reset\n\nHold.\n", "R|Reset");
    assert_titles("# R\n\n```ping``` shows it.\n\n## Reset\n\nHold.\n", "R|Reset");
    assert_titles("# R\n\n```js\nlet a;\n```js\n# code\n```\n\n## Reset\n\nHold.\n", "R|Reset");
    assert_titles("# R\n\n```\n# to the end\n", "R");
}

static void comments_are_no_text(void **state)
{
    (void)state;
    assert_titles("<!-- owner: ann\n# no heading\n-->\n# A\n\n<!-- todo -->\na\n\n<!-- # B -->\n", "A");
    assert_null(strstr(documents.list[0].text, "todo"));
    assert_null(strstr(documents.list[0].text, "B"));
    assert_titles("# A\n\n<div>\n<!-- secret -->shown\n</div>\n", "A");
    assert_null(strstr(documents.list[0].text, "secret"));
    assert_non_null(strstr(documents.list[0].text, "shown"));
}

static void front_matter_gives_the_title_and_no_text(void **state)
{
    static const char *const forms[] = {
        "---\ntitle: Returning an item\n# a comment\ntags: [a, b]\n---\n\n",
        "---\ntitle: \"Returning an item\"\n...\n",
        "\xef\xbb\xbf---\r\ntags:\r\n  - a\r\ntitle: 'Returning an item' # really\r\n---\r\n",
        "+++\ntags = [\"a\"]\ntitle = \"Returning \\u0061n item\"\n[extra]\ntitle = \"other\"\n+++\n",
        "+++\ntitle = 'Returning an item'\n+++\n",
        "---\nTitle: Returning an item\nAuthor: x\n---\n",
        "+++\nTitle = 'Returning an item'\n+++\n",
        "---  \ntitle: >\n  Returning\n  an item\ndescription: |\n  # no heading\n---\n",
    };
    char text[512];
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        snprintf(text, sizeof text, "%sItems may be returned.\n\n## Exceptions\n\nSoftware.\n", forms[i]);
        assert_titles(text, "Returning an item|Exceptions");
        assert_string_equal(documents.list[1].topic, documents.list[0].title);
        assert_null(strstr(documents.list[0].text, "title"));
        assert_null(strstr(documents.list[0].text, "tags"));
    }
    /* A plain value with a colon is no YAML, but written everywhere. */
    assert_titles("---\ntitle: Billing: an overview\n---\na\n", "Billing: an overview");
    assert_titles("---\nTitle: Billing: an overview\n---\na\n", "Billing: an overview");
    assert_titles("---\n---\na\n", "guide");
    assert_titles("---\n# only a comment\n---\na\n", "guide");
}

static void thematic_breaks_are_not_front_matter(void **state)
{
    (void)state;
    assert_titles("---\n\nNote: text\n\n---\n\n# A\n\na\n", "guide|A");
    assert_non_null(strstr(documents.list[0].text, "Note: text"));
    assert_titles("---\nJust a sentence here.\n\n---\n\nb\n", "guide");
    assert_non_null(strstr(documents.list[0].text, "Just a sentence"));
    assert_titles("---\ntitle: not closed\n", "guide");
    assert_titles("a\n\n---\ntitle: in the body\n---\n\nb\n", "guide|title: in the body"); /* 4.3 */
}

static void line_ends_and_marks_do_not_matter(void **state)
{
    (void)state;
    assert_titles("\xef\xbb\xbf# A\r\n\r\na\r\n\r\n## B\r\rb\r", "A|B");
    assert_string_equal(documents.list[1].text, "b\n");
}

static void long_headings_have_ids_of_their_own(void **state)
{
    char text[6000] = "# ";
    (void)state;
    memset(text + 2, 'a', 2500);
    strcpy(text + 2502, "x\n\none\n\n# ");
    memset(strchr(text, 0), 'a', 2500);
    strcat(text, "y\n\ntwo\n");
    parse(text);
    assert_int_equal(documents.count, 2);
    assert_int_equal(strlen(documents.list[0].title), 2501);
    assert_string_not_equal(documents.list[0].slug, documents.list[1].slug);
}

static void names_beyond_ascii_are_told_apart(void **state)
{
    (void)state;
    parse_as("\xe8\xbf\x94\xe5\x93\x81.md", "# \xe8\xbf\x94\xe5\x93\x81\n\na\n");
    char first[KIT_ID_SIZE];
    strcpy(first, documents.list[0].slug);
    parse_as("\xe9\x85\x8d\xe9\x80\x81.md", "# \xe9\x85\x8d\xe9\x80\x81\n\na\n");
    assert_string_not_equal(first, documents.list[0].slug);
    parse_as("german.md", "# R\xc3\xbc"
                          "ckgabe\n\na\n");
    assert_int_equal(strncmp(documents.list[0].slug, "german.ruckgabe-", 16), 0);
    parse_as("release-1.2.md", "# \xe2\x80\x9cNew\xe2\x80\x9d \xe2\x80\x93 fees\n\na\n");
    assert_string_equal(documents.list[0].slug, "release-1.2.new-fees");
}

static void assert_refused(const char *name, const void *bytes, size_t n, const char *why)
{
    char error[256] = "";
    struct eio_str text = {bytes, n};
    knowledge_documents_clear(&documents);
    assert_int_equal(knowledge_documents_parse(&documents, name, text, error, sizeof error), EIO_EINVAL);
    if (!strstr(error, name) || !strstr(error, why)) fail_msg("\"%s\" does not say \"%s\"", error, why);
}

static void a_line_across_the_page_is_no_text_of_its_own(void **state)
{
    (void)state;
    parse("---\n\n# One\n\nText.\n\n---\n\n# Two\n\n***\n\n<!-- later -->\n\n## Three\n\n---\n\nMore.\n");
    assert_int_equal(documents.count, 2);
    assert_string_equal(documents.list[0].title, "One");
    assert_string_equal(documents.list[0].text, "Text.\n\n---\n");
    assert_string_equal(documents.list[1].title, "Three");
    assert_string_equal(documents.list[1].text, "---\n\nMore.\n");
}

static void encodings_are_recognised_or_refused_with_the_byte(void **state)
{
    static const char le[] = "\xff\xfe#\0 \0\xfc\0\n\0a\0\n\0", be[] = "\xfe\xff\0#\0 \0\xfc\0\n\0a\0\n";
    char error[256];
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct eio_str text = {i ? be : le, sizeof le - 1};
        text.n = i ? sizeof be - 1 : sizeof le - 1;
        knowledge_documents_clear(&documents);
        assert_int_equal(knowledge_documents_parse(&documents, "a.md", text, error, sizeof error), 0);
        assert_string_equal(documents.list[0].title, "\xc3\xbc");
    }
    assert_refused("a.md", "R\xfc", 2, "0xFC; save the file as UTF-8) at byte 1");
    assert_refused("a.md", "\xef\xbb\xbfr\xc3", 5, "at byte 4");
    assert_refused("a.md", "ab\xed\xa0\x80", 5, "at byte 2"); /* half of a surrogate pair */
    assert_refused("a.md", "ab\0c", 4, "a NUL byte (UTF-16 and UTF-32 need a byte order mark) at byte 2");
    assert_refused("a.md",
                   "\xff\xfe"
                   "a\0\0\xd8"
                   "a\0",
                   8, "not UTF-16LE at byte 4");
    assert_refused("a.md",
                   "\xff\xfe"
                   "a",
                   3, "not UTF-16LE at byte 2");
    assert_refused("a.md", "\xff\xfe\0\xd8", 4, "at byte 2");
    assert_refused("a.md",
                   "\xff\xfe"
                   "a\0\0\0b\0",
                   8, "U+0000");
}

static void files_that_hold_no_documents_are_refused_with_their_name(void **state)
{
    static const char *const bad[][3] = {{"a.pdf", "x", "unsupported type"},
                                         {"a.json", "{", "line 1"},
                                         {"a.json", "[]", "not a JSON object"},
                                         {"a.json", "{}", "no subflows"},
                                         {"a.json", "", "line"},
                                         {"a.json", "{\"F\":{\"subflows\":{\"a\":{},\"a\":{}}}}", "duplicate"}};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused(bad[i][0], bad[i][1], strlen(bad[i][1]), bad[i][2]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_section_is_a_document),
        TEST(phrases_belong_to_the_document_above_them),
        TEST(headings_are_those_of_commonmark),
        TEST(code_fences_are_those_of_commonmark),
        TEST(comments_are_no_text),
        TEST(front_matter_gives_the_title_and_no_text),
        TEST(thematic_breaks_are_not_front_matter),
        TEST(line_ends_and_marks_do_not_matter),
        TEST(long_headings_have_ids_of_their_own),
        TEST(names_beyond_ascii_are_told_apart),
        TEST(a_line_across_the_page_is_no_text_of_its_own),
        TEST(encodings_are_recognised_or_refused_with_the_byte),
        TEST(files_that_hold_no_documents_are_refused_with_their_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
