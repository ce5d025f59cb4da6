/* The tables of documents and of what was learned, by the steps in which they came to be (kit_module.h). */
#include "knowledge_int.h"
#include "kit_module.h"

const char *const knowledge_migrations[] = {
    /* 1 */
    "CREATE TABLE documents ("
    " id INTEGER PRIMARY KEY,"
    " doc_id TEXT NOT NULL UNIQUE,"
    " source TEXT NOT NULL,"
    " topic TEXT NOT NULL,"
    " title TEXT NOT NULL,"
    " text TEXT NOT NULL,"
    " helpful INTEGER NOT NULL DEFAULT 0," /* totals of feedback, kept so that a search needs no counting */
    " unhelpful INTEGER NOT NULL DEFAULT 0);" KIT_SQLITE_ONLY(
        "CREATE VIRTUAL TABLE documents_fts USING fts5(title, topic, text, content='documents', content_rowid='id',"
        " tokenize='porter unicode61 remove_diacritics 2');"
        "CREATE TRIGGER documents_added AFTER INSERT ON documents BEGIN"
        " INSERT INTO documents_fts(rowid, title, topic, text) VALUES (new.id, new.title, new.topic, new.text); END;"
        "CREATE TRIGGER documents_removed AFTER DELETE ON documents BEGIN"
        " INSERT INTO documents_fts(documents_fts, rowid, title, topic, text)"
        " VALUES ('delete', old.id, old.title, old.topic, old.text); END;"
        "CREATE TRIGGER documents_changed AFTER UPDATE OF title, topic, text ON documents BEGIN"
        " INSERT INTO documents_fts(documents_fts, rowid, title, topic, text)"
        " VALUES ('delete', old.id, old.title, old.topic, old.text);"
        " INSERT INTO documents_fts(rowid, title, topic, text) VALUES (new.id, new.title, new.topic, new.text); END;")
    /* Once per agent, document and call; ids as text, so that feedback outlives a document's new import. */
    "CREATE TABLE feedback ("
    " call_id TEXT NOT NULL, doc_id TEXT NOT NULL, agent TEXT NOT NULL,"
    " helpful INTEGER NOT NULL, at_ms INTEGER NOT NULL,"
    " PRIMARY KEY (call_id, doc_id, agent)) WITHOUT ROWID;",
    /* 2 */
    /* Which id a document got, by its source and the headings above it; kept while the document is away, since
     * feedback hangs on it. No heading: imported before this step. */
    "CREATE TABLE document_ids ("
    " doc_id TEXT PRIMARY KEY,"
    " source TEXT NOT NULL,"
    " heading TEXT,"
    " text_hash TEXT,"
    " position INTEGER) WITHOUT ROWID;" /* in its source; NULL: not there now */
    "CREATE INDEX document_ids_by_source ON document_ids(source);"
    "INSERT INTO document_ids(doc_id, source) SELECT doc_id, source FROM documents;"
    "CREATE INDEX documents_by_source ON documents(source);"
    "CREATE INDEX feedback_by_document ON feedback(doc_id, helpful);",
    /* 3 */
    /* Documents are searched in memory; this says when they, or what was learned, changed. */
    KIT_SQLITE_ONLY(
        "DROP TRIGGER documents_added; DROP TRIGGER documents_removed; DROP TRIGGER documents_changed;"
        "DROP TABLE documents_fts;") "CREATE TABLE knowledge_changes (id INTEGER PRIMARY KEY, documents INTEGER NOT "
                                     "NULL, learned INTEGER NOT NULL);"
                                     "INSERT INTO knowledge_changes VALUES (1, 1, 1);" KIT_SQLITE_ONLY(
                                         "CREATE TRIGGER documents_added AFTER INSERT ON documents BEGIN"
                                         " UPDATE knowledge_changes SET documents = documents + 1 WHERE id = 1; END;"
                                         "CREATE TRIGGER documents_removed AFTER DELETE ON documents BEGIN"
                                         " UPDATE knowledge_changes SET documents = documents + 1 WHERE id = 1; END;"
                                         "CREATE TRIGGER documents_changed AFTER UPDATE OF doc_id, title, topic, text "
                                         "ON documents BEGIN"
                                         " UPDATE knowledge_changes SET documents = documents + 1 WHERE id = 1; END;")
    /* How many calls with a helpful document, and in how many of them the customer said a feature. */
    "CREATE TABLE learned ("
    " doc_id TEXT NOT NULL, feature TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (doc_id, feature)) WITHOUT ROWID;"
    "CREATE TABLE learned_calls ("
    " doc_id TEXT PRIMARY KEY, n INTEGER NOT NULL,"
    " vector BLOB NOT NULL,"      /* of all these calls, added up */
    " changed INTEGER NOT NULL);" /* knowledge_changes.learned at the latest change */
    "CREATE INDEX learned_calls_by_change ON learned_calls(changed);"
    /* What a vote added, to be taken back when it changes. */
    "CREATE TABLE learned_votes ("
    " call_id TEXT NOT NULL, doc_id TEXT NOT NULL, agent TEXT NOT NULL,"
    " features TEXT NOT NULL, vector BLOB NOT NULL,"
    " PRIMARY KEY (call_id, doc_id, agent)) WITHOUT ROWID;",
    /* 4 */
    /* Code that changes documents also calls knowledge_note_change(), since not every engine has these triggers. */
    KIT_SQLITE_ONLY("DROP TRIGGER documents_added; DROP TRIGGER documents_removed; DROP TRIGGER documents_changed;"),
    /* 5 */
    /* Votes teach by their weight, a helpful one by 4 (KNOWLEDGE_WEIGHT_ONE). */
    "ALTER TABLE learned_votes ADD COLUMN weight INTEGER NOT NULL DEFAULT 4;"
    "UPDATE learned SET n = n * 4;"
    "UPDATE learned_calls SET n = n * 4;",
    /* 6 */
    /* How often a document was suggested: beside the documents, whose rows are large. */
    "CREATE TABLE document_shown (doc_id TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;",
    /* 7 */
    /* Vectors of texts, as an embeddings service made them, by the text's hash; texts of calls that wait for one. */
    "CREATE TABLE embeddings ("
    " id INTEGER PRIMARY KEY, model TEXT NOT NULL, hash TEXT NOT NULL, vector BLOB NOT NULL,"
    " UNIQUE (model, hash));"
    "CREATE TABLE embeddings_wanted (hash TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;"
    "ALTER TABLE learned_votes ADD COLUMN text_hash TEXT;"
    "CREATE INDEX learned_votes_by_document ON learned_votes(doc_id);"
    "CREATE INDEX learned_votes_by_text ON learned_votes(text_hash);",
    /* 8 */
    /* What is taught is asked for by the name of a topic or document. */
    "CREATE INDEX documents_by_topic ON documents(lower(topic));"
    "CREATE INDEX documents_by_title ON documents(lower(title));",
    /* 9 */
    /* How customers would ask for a document: written by a model, or written or changed by a person. And the text that
     * a model last wrote them for. */
    "CREATE TABLE document_phrases ("
    " id INTEGER PRIMARY KEY, doc_id TEXT NOT NULL, phrase TEXT NOT NULL, by_model INTEGER NOT NULL,"
    " UNIQUE (doc_id, phrase));"
    "CREATE TABLE document_expansions (doc_id TEXT PRIMARY KEY, text_hash TEXT NOT NULL) WITHOUT ROWID;",
    NULL,
};
