/* Markdown (CommonMark, by cmark): every heading outside lists and quotations begins a document. Its text is the
 * source's, without comments. Pure. */
#include "knowledge_int.h"

#include <cmark.h>
#include <stdlib.h>
#include <string.h>

#define LEVELS 6

struct markdown {
    struct knowledge_documents *documents;
    struct eio_str stem;        /* the file's name, as a title */
    const char **lines;         /* where each line begins; one more at the end */
    size_t before;              /* documents of other files */
    struct eio_str top;         /* what sections belong to that stand under no heading of level 1 */
    char *titles[LEVELS];       /* the headings above the section, by level; NULL if absent */
    size_t level;               /* of the section's heading, 0: before the first */
    struct knowledge_text text; /* of the section */
    bool says_something;        /* the text is more than lines across the page */
};

/* ------------------------------------------------------------------- lines */

static int index_lines(struct markdown *md, struct eio_str text)
{
    size_t count = 2, n = 0;
    for (size_t i = 0; i < text.n; i++) count += text.p[i] == '\n';
    md->lines = malloc((count + 1) * sizeof *md->lines);
    if (!md->lines) return EIO_ENOMEM;
    md->lines[n++] = text.p;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] == '\n') md->lines[n++] = text.p + i + 1;
    while (n <= count) md->lines[n++] = text.p + text.n;
    return 0;
}

/* ------------------------------------------------------------------ titles */

/* "Set up {#set-up}": the anchor is not the title's. */
static void drop_anchor(struct knowledge_text *title)
{
    const char *open = title->n && title->p[title->n - 1] == '}' ? strrchr(title->p, '{') : NULL;
    if (!open || open == title->p || open[1] != '#') return;
    title->n = (size_t)(open - title->p);
    title->p[title->n] = 0;
}

/* A heading as plain text, blanks made one; malloc. */
static char *read_title(cmark_node *heading)
{
    struct knowledge_text title = {NULL, 0, 0, false};
    cmark_iter *iter = cmark_iter_new(heading);
    cmark_event_type event;
    while (iter && (event = cmark_iter_next(iter)) != CMARK_EVENT_DONE) {
        cmark_node *node = cmark_iter_get_node(iter);
        cmark_node_type type = cmark_node_get_type(node);
        if (event != CMARK_EVENT_ENTER) continue;
        if (type == CMARK_NODE_TEXT || type == CMARK_NODE_CODE)
            knowledge_text_put(&title, cmark_node_get_literal(node));
        else if (type == CMARK_NODE_SOFTBREAK || type == CMARK_NODE_LINEBREAK)
            knowledge_text_put(&title, " ");
    }
    cmark_iter_free(iter);
    knowledge_text_append(&title, "", 0);
    if (!iter || title.failed) {
        knowledge_text_clear(&title);
        return NULL;
    }
    drop_anchor(&title);
    struct eio_str bare = knowledge_trim((struct eio_str){title.p, title.n});
    memmove(title.p, bare.p, bare.n);
    title.p[bare.n] = 0;
    /* U+001F separates headings. */
    for (char *c = title.p; *c; c++)
        if (*c == KNOWLEDGE_HEADING_MARK[0]) *c = ' ';
    return title.p;
}

/* The title of the section, or else of what it is a part of. */
static struct eio_str section_title(const struct markdown *md)
{
    for (size_t i = md->level; i > 0; i--)
        if (md->titles[i - 1] && md->titles[i - 1][0]) return eio_str(md->titles[i - 1]);
    return md->top;
}

/* The blanks at the end say which section is the file's last, not what it says. */
static void cut_blanks(struct knowledge_text *text)
{
    struct eio_str body = {text->p, text->n};
    body = knowledge_trim(body);
    text->n = body.n ? (size_t)(body.p + body.n - text->p) : 0;
    if (text->n) knowledge_text_append(text, "\n", 1);
}

/* The headings above the section, as a document's heading. */
static void join_headings(const struct markdown *md, struct knowledge_text *heading)
{
    knowledge_text_append(heading, "", 0);
    for (size_t i = 0; i < md->level; i++) {
        if (!md->titles[i]) continue;
        knowledge_text_put(heading, KNOWLEDGE_HEADING_MARK);
        knowledge_text_put(heading, md->titles[i]);
    }
}

static int add_section(struct markdown *md)
{
    struct knowledge_text heading = {NULL, 0, 0, false};
    join_headings(md, &heading);
    struct eio_str title = section_title(md);
    struct knowledge_new_document document = {
        .file = md->stem,
        .name = title,
        .heading = {heading.p, heading.n},
        .title = title,
        .topic = md->titles[0] && md->titles[0][0] ? eio_str(md->titles[0]) : md->top,
        .take_text = &md->text,
    };
    int failed = heading.failed ? EIO_ENOMEM : knowledge_documents_add(md->documents, &document);
    knowledge_text_clear(&heading);
    return failed;
}

/* -------------------------------------------------------------------- says */

static int append_phrases(struct knowledge_document *document, const struct knowledge_text *phrases)
{
    struct knowledge_text whole = {NULL, 0, 0, false};
    knowledge_text_put(&whole, document->text);
    if (document->text[0]) knowledge_text_put(&whole, "\n");
    knowledge_text_put(&whole, KNOWLEDGE_SAYS_HEADING "\n\n");
    knowledge_text_append(&whole, phrases->p, phrases->n);
    char *text = knowledge_text_take(&whole);
    if (!text) return EIO_ENOMEM;
    free(document->text);
    document->text = text;
    return 0;
}

/* The document of the headings above, the last one of the file; one without text if absent. */
static int find_or_add_section(struct markdown *md, struct knowledge_document **document)
{
    struct knowledge_text heading = {NULL, 0, 0, false};
    const struct knowledge_documents *documents = md->documents;
    join_headings(md, &heading);
    bool is_last = !heading.failed && documents->count > md->before &&
                   !strcmp(documents->list[documents->count - 1].heading, heading.p);
    int failed = heading.failed ? EIO_ENOMEM : is_last ? 0 : add_section(md);
    knowledge_text_clear(&heading);
    if (!failed) *document = &documents->list[documents->count - 1];
    return failed;
}

/* The phrases in md->text belong to the document above them. */
static int end_phrases(struct markdown *md)
{
    struct knowledge_text phrases = md->text;
    struct knowledge_document *document;
    memset(&md->text, 0, sizeof md->text);
    free(md->titles[md->level - 1]);
    md->titles[md->level - 1] = NULL;
    while (md->level && !md->titles[md->level - 1]) md->level--;
    int failed = find_or_add_section(md, &document);
    if (!failed) failed = append_phrases(document, &phrases);
    knowledge_text_clear(&phrases);
    return failed;
}

static int end_section(struct markdown *md)
{
    cut_blanks(&md->text);
    if (md->text.failed) return EIO_ENOMEM;
    bool says_something = md->says_something;
    md->says_something = false;
    if (!says_something) md->text.n = 0;
    if (!md->text.n) return 0;
    const char *title = md->level ? md->titles[md->level - 1] : NULL;
    return title && knowledge_is_says(eio_str(title)) ? end_phrases(md) : add_section(md);
}

static int begin_section(struct markdown *md, cmark_node *heading)
{
    md->level = (size_t)cmark_node_get_heading_level(heading);
    for (size_t i = md->level - 1; i < LEVELS; i++) {
        free(md->titles[i]);
        md->titles[i] = NULL;
    }
    md->titles[md->level - 1] = read_title(heading);
    return md->titles[md->level - 1] ? 0 : EIO_ENOMEM;
}

/* ------------------------------------------------------------------ blocks */

/* A block of HTML without its comments. */
static void append_html(struct knowledge_text *text, const char *html)
{
    const char *comment;
    while ((comment = strstr(html, "<!--"))) {
        const char *end = strstr(comment, "-->");
        knowledge_text_append(text, html, (size_t)(comment - html));
        if (!end) return;
        html = end + 3;
    }
    knowledge_text_put(text, html);
}

/* Lines of the source from a block up to the next one. */
static void append_block(struct markdown *md, cmark_node *block)
{
    cmark_node *next = cmark_node_next(block);
    const char *start = md->lines[cmark_node_get_start_line(block) - 1];
    const char *end = next ? md->lines[cmark_node_get_start_line(next) - 1] : start + strlen(start);
    size_t before = md->text.n;
    if (cmark_node_get_type(block) == CMARK_NODE_HTML_BLOCK)
        append_html(&md->text, cmark_node_get_literal(block));
    else
        knowledge_text_append(&md->text, start, (size_t)(end - start));
    if (md->text.failed || cmark_node_get_type(block) == CMARK_NODE_THEMATIC_BREAK) return;
    if (md->text.n > before && knowledge_trim((struct eio_str){md->text.p + before, md->text.n - before}).n)
        md->says_something = true;
}

static int read_blocks(struct markdown *md, cmark_node *root)
{
    int failed = 0;
    for (cmark_node *block = cmark_node_first_child(root); block && !failed; block = cmark_node_next(block)) {
        if (cmark_node_get_type(block) != CMARK_NODE_HEADING) {
            append_block(md, block);
            continue;
        }
        failed = end_section(md);
        if (!failed) failed = begin_section(md, block);
    }
    return failed ? failed : end_section(md);
}

int knowledge_markdown_parse(struct knowledge_documents *documents, const char *name, struct eio_str text, char *error,
                             size_t error_size)
{
    struct knowledge_front_matter front;
    struct markdown md;
    size_t before = documents->count;
    memset(&md, 0, sizeof md);
    if (!text.p) text = eio_str("");
    knowledge_front_matter_read(text, &front);
    text.p += front.size;
    text.n -= front.size;
    md.documents = documents;
    md.before = before;
    md.stem = knowledge_stem(name);
    md.top = front.title.n ? (struct eio_str){front.title.p, front.title.n} : md.stem;
    cmark_node *root = cmark_parse_document(text.p, text.n, CMARK_OPT_DEFAULT);
    int failed = root ? index_lines(&md, text) : EIO_ENOMEM;
    if (!failed) failed = read_blocks(&md, root);
    /* The metadata's phrases are those of the file's first document. */
    if (!failed && front.says.n && documents->count > before)
        failed = append_phrases(&documents->list[before], &front.says);
    cmark_node_free(root);
    for (size_t i = 0; i < LEVELS; i++) free(md.titles[i]);
    free(md.lines);
    knowledge_text_clear(&md.text);
    knowledge_text_clear(&front.title);
    knowledge_text_clear(&front.says);
    if (failed) snprintf(error, error_size, "%s: out of memory", name);
    return failed;
}
