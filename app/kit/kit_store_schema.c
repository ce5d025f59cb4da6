/* The database schema, versioned by PRAGMA user_version. A change is a new step at the end of the list; steps that
 * were released are never edited. */
#include "kit_store_int.h"

static const char *const steps[] = {
    /* 1 */
    "CREATE TABLE calls ("
    " id INTEGER PRIMARY KEY,"
    " call_id TEXT NOT NULL UNIQUE,"
    " status TEXT NOT NULL,"
    " started_ms INTEGER NOT NULL,"
    " ended_ms INTEGER,"
    " seq INTEGER NOT NULL DEFAULT 0,"    /* of the last event of the call */
    " agents TEXT NOT NULL DEFAULT '[]'," /* JSON array of user ids */
    " metadata TEXT NOT NULL DEFAULT '{}');"
    "CREATE INDEX calls_by_status ON calls(status, id);"
    /* A line of the transcript; an interim one is overwritten, with a new seq, until it is final. */
    "CREATE TABLE segments ("
    " id INTEGER PRIMARY KEY,"
    " call INTEGER NOT NULL REFERENCES calls(id) ON DELETE CASCADE,"
    " seq INTEGER NOT NULL,"
    " segment_id TEXT,"
    " is_final INTEGER NOT NULL,"
    " speaker TEXT NOT NULL,"
    " text TEXT NOT NULL,"
    " json TEXT NOT NULL," /* the event as it is sent, without seq */
    " UNIQUE(call, seq), UNIQUE(call, segment_id));"
    "CREATE TABLE suggestions ("
    " id INTEGER PRIMARY KEY,"
    " call INTEGER NOT NULL REFERENCES calls(id) ON DELETE CASCADE,"
    " seq INTEGER NOT NULL,"
    " top TEXT NOT NULL," /* ids of the documents in order, to see a change */
    " json TEXT NOT NULL,"
    " UNIQUE(call, seq));"
    "CREATE TABLE documents ("
    " id INTEGER PRIMARY KEY,"
    " doc_id TEXT NOT NULL UNIQUE,"
    " source TEXT NOT NULL,"
    " topic TEXT NOT NULL,"
    " title TEXT NOT NULL,"
    " text TEXT NOT NULL,"
    " helpful INTEGER NOT NULL DEFAULT 0," /* totals of feedback, kept so that a search needs no counting */
    " unhelpful INTEGER NOT NULL DEFAULT 0);"
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
    " INSERT INTO documents_fts(rowid, title, topic, text) VALUES (new.id, new.title, new.topic, new.text); END;"
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
    "DROP TRIGGER documents_added; DROP TRIGGER documents_removed; DROP TRIGGER documents_changed;"
    "DROP TABLE documents_fts;"
    "CREATE TABLE knowledge_changes (id INTEGER PRIMARY KEY, documents INTEGER NOT NULL, learned INTEGER NOT NULL);"
    "INSERT INTO knowledge_changes VALUES (1, 1, 1);"
    "CREATE TRIGGER documents_added AFTER INSERT ON documents BEGIN"
    " UPDATE knowledge_changes SET documents = documents + 1 WHERE id = 1; END;"
    "CREATE TRIGGER documents_removed AFTER DELETE ON documents BEGIN"
    " UPDATE knowledge_changes SET documents = documents + 1 WHERE id = 1; END;"
    "CREATE TRIGGER documents_changed AFTER UPDATE OF doc_id, title, topic, text ON documents BEGIN"
    " UPDATE knowledge_changes SET documents = documents + 1 WHERE id = 1; END;"
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
    /* When a feed last said something of a call; and whose calls are which, for those whose token does not say. */
    "ALTER TABLE calls ADD COLUMN last_ms INTEGER NOT NULL DEFAULT 0;"
    "UPDATE calls SET last_ms = coalesce(ended_ms, started_ms);"
    "CREATE INDEX calls_that_go_on ON calls(last_ms) WHERE ended_ms IS NULL;"
    "CREATE INDEX calls_by_end ON calls(ended_ms) WHERE ended_ms IS NOT NULL;"
    "CREATE TABLE call_agents ("
    " agent TEXT NOT NULL,"
    " call INTEGER NOT NULL REFERENCES calls(id) ON DELETE CASCADE,"
    " PRIMARY KEY (agent, call)) WITHOUT ROWID;"
    "CREATE INDEX call_agents_by_call ON call_agents(call);"
    "INSERT OR IGNORE INTO call_agents(agent, call) SELECT j.value, c.id FROM calls c, json_each(c.agents) j"
    " WHERE j.type = 'text';",
};

#define VERSION ((int)(sizeof steps / sizeof steps[0]))

static int read_version(struct kit_db *db, int *version)
{
    sqlite3_stmt *statement = kit_db_statement(db, "PRAGMA user_version");
    if (kit_db_step(statement, "") != SQLITE_ROW) return EIO_ESYS;
    *version = sqlite3_column_int(statement, 0);
    sqlite3_reset(statement);
    return 0;
}

int kit_store_migrate(struct kit_db *db, char *error, size_t error_size)
{
    char text[64];
    int version = 0;
    sqlite3 *sqlite = kit_db_sqlite(db);
    /* The lock comes before the look: two programs may start at once. */
    if (sqlite3_exec(sqlite, "BEGIN IMMEDIATE", NULL, NULL, NULL) || read_version(db, &version)) goto fail;
    if (version > VERSION) {
        snprintf(error, error_size, "the database has version %d; this program supports up to %d", version, VERSION);
        sqlite3_exec(sqlite, "ROLLBACK", NULL, NULL, NULL);
        return EIO_EINVAL;
    }
    for (int i = version; i < VERSION; i++)
        if (sqlite3_exec(sqlite, steps[i], NULL, NULL, NULL)) goto fail;
    snprintf(text, sizeof text, "PRAGMA user_version=%d", VERSION);
    if (version < VERSION && sqlite3_exec(sqlite, text, NULL, NULL, NULL)) goto fail;
    if (sqlite3_exec(sqlite, "COMMIT", NULL, NULL, NULL)) goto fail;
    return 0;
fail:
    snprintf(error, error_size, "cannot prepare the database: %s", sqlite3_errmsg(sqlite));
    if (!sqlite3_get_autocommit(sqlite)) sqlite3_exec(sqlite, "ROLLBACK", NULL, NULL, NULL);
    return EIO_ESYS;
}
