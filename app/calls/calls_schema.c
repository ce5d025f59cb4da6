/* The calls' tables, by the steps in which they came to be (kit_module.h). */
#include "calls_int.h"
#include "kit_module.h"

const char *const calls_migrations[] = {
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
    " UNIQUE(call, seq));",
    /* 2 */
    /* When a feed last said something of a call; and whose calls are which, for those whose token does not say. */
    "ALTER TABLE calls ADD COLUMN last_ms INTEGER NOT NULL DEFAULT 0;"
    "UPDATE calls SET last_ms = coalesce(ended_ms, started_ms);"
    "CREATE INDEX calls_that_go_on ON calls(last_ms) WHERE ended_ms IS NULL;"
    "CREATE INDEX calls_by_end ON calls(ended_ms) WHERE ended_ms IS NOT NULL;"
    "CREATE TABLE call_agents ("
    " agent TEXT NOT NULL,"
    " call INTEGER NOT NULL REFERENCES calls(id) ON DELETE CASCADE,"
    " PRIMARY KEY (agent, call)) WITHOUT ROWID;"
    "CREATE INDEX call_agents_by_call ON call_agents(call);" KIT_SQLITE_ONLY(
        "INSERT OR IGNORE INTO call_agents(agent, call) SELECT j.value, c.id FROM calls c,"
        " json_each(c.agents) j WHERE j.type = 'text';"),
    /* 3 */
    /* What supervisors and agents leave at a call. */
    "CREATE TABLE notes ("
    " id INTEGER PRIMARY KEY,"
    " call INTEGER NOT NULL REFERENCES calls(id) ON DELETE CASCADE,"
    " note_id TEXT NOT NULL,"
    " recipient TEXT," /* an agent; NULL: all of the call */
    " json TEXT NOT NULL,"
    " UNIQUE(call, note_id));"
    "CREATE INDEX notes_by_call ON notes(call, id);"
    "CREATE TABLE call_help ("
    " call INTEGER NOT NULL REFERENCES calls(id) ON DELETE CASCADE,"
    " agent TEXT NOT NULL, reason TEXT, since_ms INTEGER NOT NULL,"
    " PRIMARY KEY (call, agent)) WITHOUT ROWID;"
    "CREATE TABLE wrapups ("
    " call INTEGER NOT NULL REFERENCES calls(id) ON DELETE CASCADE,"
    " agent TEXT NOT NULL, outcome TEXT NOT NULL, notes TEXT, at_ms INTEGER NOT NULL,"
    " PRIMARY KEY (call, agent)) WITHOUT ROWID;"
    /* Documents that agents opened or copied, with the weight that this taught by (knowledge.h). */
    "CREATE TABLE document_uses ("
    " call INTEGER NOT NULL REFERENCES calls(id) ON DELETE CASCADE,"
    " doc_id TEXT NOT NULL, agent TEXT NOT NULL, weight INTEGER NOT NULL, at_ms INTEGER NOT NULL,"
    " PRIMARY KEY (call, doc_id, agent)) WITHOUT ROWID;"
    "CREATE INDEX document_uses_by_document ON document_uses(doc_id);",
    /* 4 */
    /* The words of final lines (calls_text.c). */
    KIT_SQLITE_ONLY("CREATE VIRTUAL TABLE segments_text USING fts5(text, call, content='segments', content_rowid='id',"
                    " tokenize='unicode61 remove_diacritics 2');"
                    "INSERT INTO segments_text(rowid, text, call) SELECT id, text, call FROM segments WHERE is_final "
                    "<> 0;") "/*postgresql: CREATE INDEX segments_text ON segments USING GIN (to_tsvector('simple', "
                             "text))"
                             " WHERE is_final <> 0; */",
    /* 5 */
    /* Alert rules, and what they did in a call: fired, or were kept from it by what was said. */
    "CREATE TABLE alert_rules ("
    " name TEXT PRIMARY KEY,"
    " rule TEXT NOT NULL,"         /* JSON */
    " source TEXT NOT NULL,"       /* file, http */
    " since_ms INTEGER NOT NULL);" /* it has been as it is */
    "CREATE TABLE alert_changes (id INTEGER PRIMARY KEY, n INTEGER NOT NULL);"
    "INSERT INTO alert_changes VALUES (1, 1);"
    "CREATE TABLE call_rules ("
    " call INTEGER NOT NULL REFERENCES calls(id) ON DELETE CASCADE,"
    " rule TEXT NOT NULL,"
    " PRIMARY KEY (call, rule)) WITHOUT ROWID;"
    "CREATE TABLE alerts ("
    " id INTEGER PRIMARY KEY,"
    " call INTEGER NOT NULL REFERENCES calls(id) ON DELETE CASCADE,"
    " seq INTEGER NOT NULL,"
    " json TEXT NOT NULL,"
    " UNIQUE(call, seq));"
    "CREATE INDEX calls_live_by_start ON calls(started_ms) WHERE ended_ms IS NULL;",
    /* 6 */
    "CREATE TABLE summaries ("
    " id INTEGER PRIMARY KEY,"
    " call INTEGER NOT NULL REFERENCES calls(id) ON DELETE CASCADE,"
    " seq INTEGER NOT NULL,"
    " json TEXT NOT NULL,"
    " UNIQUE(call, seq));",
    /* 7 */
    /* How many agents are connected to each process, for the sum. */
    "CREATE TABLE node_agents (node TEXT PRIMARY KEY, agents INTEGER NOT NULL, at_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX node_agents_by_time ON node_agents(at_ms);",
    /* 8 */
    /* Up to which line's id the words are in the index; those behind it follow soon (calls_index.c). */
    KIT_SQLITE_ONLY("CREATE TABLE segments_text_state (id INTEGER PRIMARY KEY, indexed INTEGER NOT NULL);"
                    "INSERT INTO segments_text_state SELECT 1, coalesce(max(id), 0) FROM segments;"),
    /* 9 */
    /* What a line costs PostgreSQL: its words are found here (calls_text.c); its call was looked up in the same
     * transaction, under a lock, and is deleted after its lines (calls_life.c), which a foreign key would
     * check for each line; and with room in its page a call's number changes without its indexes. */
    "/*postgresql: ALTER TABLE segments DROP CONSTRAINT segments_call_fkey;"
    "ALTER TABLE segments ADD COLUMN words tsvector;"
    "UPDATE segments SET words = to_tsvector('simple', text) WHERE is_final <> 0;"
    "DROP INDEX segments_text;"
    "CREATE INDEX segments_words ON segments USING GIN (words) WHERE is_final <> 0;"
    "ALTER TABLE calls SET (fillfactor = 50); */",
    NULL,
};
