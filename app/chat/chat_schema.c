/* The assistant's tables, by the steps in which they came to be (kit_module.h). */
#include "chat_int.h"

const char *const chat_migrations[] = {
    /* 1 */
    "CREATE TABLE chats ("
    " id INTEGER PRIMARY KEY,"
    " chat_id TEXT NOT NULL UNIQUE,"
    " user_id TEXT NOT NULL,"
    " tenant TEXT NOT NULL," /* '': none */
    " assistant TEXT NOT NULL,"
    " title TEXT NOT NULL DEFAULT '',"
    " created_ms INTEGER NOT NULL,"
    " updated_ms INTEGER NOT NULL,"
    " seq INTEGER NOT NULL DEFAULT 0," /* of the last entry of its log */
    " log_bytes INTEGER NOT NULL DEFAULT 0,"
    " session_id TEXT NOT NULL DEFAULT '',"   /* '': closed */
    " intent_id TEXT NOT NULL DEFAULT '',"    /* '': none is open */
    " intent_state TEXT NOT NULL DEFAULT ''," /* active, abandoned */
    " taken_by TEXT NOT NULL DEFAULT '',"     /* a supervisor who answers */
    " tree TEXT NOT NULL DEFAULT '',"
    " tree_version INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX chats_by_user ON chats(tenant, user_id, updated_ms, id);"
    "CREATE INDEX chats_by_time ON chats(tenant, updated_ms, id);"
    "CREATE INDEX chats_with_sessions ON chats(updated_ms) WHERE session_id <> '';"
    "CREATE TABLE chat_log ("
    " chat INTEGER NOT NULL REFERENCES chats(id) ON DELETE CASCADE,"
    " seq INTEGER NOT NULL,"
    " ref_id TEXT NOT NULL,"
    " attempt INTEGER NOT NULL,"
    " type TEXT NOT NULL,"
    " payload TEXT NOT NULL," /* without chat_id, seq and the closing brace */
    " PRIMARY KEY (chat, seq)) WITHOUT ROWID;"
    /* A turn, from its message to its end; messages: what it adds to the conversation, as chat completions have it, up
     * to the last step that is whole; pending: the calls of the step that is not. */
    "CREATE TABLE chat_turns ("
    " id INTEGER PRIMARY KEY,"
    " chat INTEGER NOT NULL REFERENCES chats(id) ON DELETE CASCADE,"
    " ref_id TEXT NOT NULL,"
    " attempt INTEGER NOT NULL,"
    " state TEXT NOT NULL," /* queued, held (for a supervisor), running, waiting, ended */
    " owner TEXT NOT NULL DEFAULT '',"
    " lease_ms INTEGER NOT NULL DEFAULT 0,"
    " is_replaced INTEGER NOT NULL DEFAULT 0,"
    " content TEXT NOT NULL,"
    " messages TEXT NOT NULL DEFAULT '[]',"
    " pending TEXT NOT NULL DEFAULT '',"
    " text TEXT NOT NULL DEFAULT '',"
    " session_id TEXT NOT NULL, intent_id TEXT NOT NULL, connection_id TEXT NOT NULL,"
    " started_ms INTEGER NOT NULL,"
    " first_seq INTEGER NOT NULL DEFAULT 0," /* of its entries in the log */
    " history INTEGER NOT NULL DEFAULT 0,"   /* the id of the user's message in chat_history */
    " final TEXT NOT NULL DEFAULT '',"       /* the payload of its last entry */
    " UNIQUE(chat, ref_id, attempt));"
    "CREATE INDEX chat_turns_by_chat ON chat_turns(chat, id);"
    "CREATE INDEX chat_turns_open ON chat_turns(state, lease_ms) WHERE state <> 'ended';"
    "CREATE TABLE chat_elicitations ("
    " id INTEGER PRIMARY KEY,"
    " elicitation_id TEXT NOT NULL UNIQUE,"
    " chat INTEGER NOT NULL REFERENCES chats(id) ON DELETE CASCADE,"
    " turn INTEGER NOT NULL REFERENCES chat_turns(id) ON DELETE CASCADE,"
    " call_id TEXT NOT NULL,"
    " state TEXT NOT NULL,"    /* open, accept, decline, cancel, expire */
    " question TEXT NOT NULL," /* the payload of elicitation.start */
    " answer TEXT NOT NULL DEFAULT '',"
    " expires_ms INTEGER);"
    "CREATE INDEX chat_elicitations_open ON chat_elicitations(chat) WHERE state = 'open';"
    "CREATE INDEX chat_elicitations_by_turn ON chat_elicitations(turn);"
    "CREATE INDEX chat_elicitations_by_chat ON chat_elicitations(chat);"
    "CREATE INDEX chat_elicitations_by_end ON chat_elicitations(expires_ms) WHERE state = 'open';"
    "CREATE TABLE chat_history ("
    " id INTEGER PRIMARY KEY,"
    " user_id TEXT NOT NULL,"
    " user_chat_id TEXT NOT NULL,"
    " socket_connection_id TEXT NOT NULL,"
    " session_id TEXT NOT NULL,"
    " user_intent_id TEXT NOT NULL,"
    " message_type TEXT NOT NULL," /* user, ai, thinking, tool, component, error */
    " content TEXT NOT NULL,"
    " timestamp INTEGER NOT NULL," /* Unix milliseconds */
    " is_complete INTEGER NOT NULL DEFAULT 0,"
    " abandoned INTEGER NOT NULL DEFAULT 0,"
    " chat INTEGER NOT NULL REFERENCES chats(id) ON DELETE CASCADE,"
    " ref_id TEXT NOT NULL,"
    " attempt INTEGER NOT NULL,"
    " replaced INTEGER NOT NULL DEFAULT 0,"
    " data TEXT NOT NULL DEFAULT '');" /* a JSON object; '': none */
    "CREATE INDEX chat_history_by_chat ON chat_history(chat, id);"
    "CREATE INDEX chat_history_by_intent ON chat_history(chat, user_intent_id);"
    /* What supervisors said: so that each is taken once. */
    "CREATE TABLE chat_said ("
    " chat INTEGER NOT NULL REFERENCES chats(id) ON DELETE CASCADE,"
    " message_id TEXT NOT NULL,"
    " PRIMARY KEY (chat, message_id)) WITHOUT ROWID;"
    "CREATE TABLE chat_feedback ("
    " chat INTEGER NOT NULL REFERENCES chats(id) ON DELETE CASCADE,"
    " ref_id TEXT NOT NULL, attempt INTEGER NOT NULL, user_id TEXT NOT NULL,"
    " helpful INTEGER NOT NULL, at_ms INTEGER NOT NULL,"
    " PRIMARY KEY (chat, ref_id, attempt, user_id)) WITHOUT ROWID;",
    /* 2 */
    "CREATE TABLE chat_reminders ("
    " id INTEGER PRIMARY KEY,"
    " reminder_id TEXT NOT NULL UNIQUE,"
    " chat INTEGER NOT NULL REFERENCES chats(id) ON DELETE CASCADE,"
    " text TEXT NOT NULL,"
    " at_ms INTEGER NOT NULL,"
    " is_said INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX chat_reminders_by_time ON chat_reminders(at_ms) WHERE is_said = 0;"
    "CREATE INDEX chat_reminders_by_chat ON chat_reminders(chat);"
    "CREATE TABLE chat_lessons ("
    " chat INTEGER PRIMARY KEY REFERENCES chats(id) ON DELETE CASCADE,"
    " doc_id TEXT NOT NULL,"      /* of the topic that is taught */
    " document INTEGER NOT NULL," /* of that topic, from 0 */
    " byte INTEGER NOT NULL);",   /* of its text */
    /* 3 */
    "ALTER TABLE chats ADD COLUMN time_zone TEXT NOT NULL DEFAULT ''", /* of its user (kit_zone.h); '': the server's */
    /* 4 */
    "CREATE INDEX chat_log_sources ON chat_log(chat, seq) WHERE type = 'chat.source'", /* what its answers stand on */
    /* 5: chat_pieces.h */
    "ALTER TABLE chats ADD COLUMN pieces TEXT NOT NULL DEFAULT '';" /* the process that has entries which follow */
    "ALTER TABLE chats ADD COLUMN pieces_row INTEGER NOT NULL DEFAULT 0;" /* they are in rows above this one */
    "CREATE INDEX chats_with_pieces ON chats(pieces, pieces_row) WHERE pieces <> '';"
    "CREATE TABLE chat_pieces ("
    " id INTEGER PRIMARY KEY,"
    " owner TEXT NOT NULL,"
    " data TEXT NOT NULL);"
    "CREATE INDEX chat_pieces_by_owner ON chat_pieces(owner, id);"
    /* Chats whose pieces went into their own logs, for the owner of those to see. */
    "CREATE TABLE chat_settled ("
    " owner TEXT NOT NULL,"
    " chat INTEGER NOT NULL,"
    " at INTEGER NOT NULL," /* Unix time */
    " PRIMARY KEY (owner, chat)) WITHOUT ROWID;"
    "CREATE INDEX chat_settled_by_time ON chat_settled(at);",
    NULL,
};
