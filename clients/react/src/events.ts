// Made from app/schemas by scripts/events-markdown --write; not to be edited.

/** Who the agent is, for sockets whose handshake had no token. */
export interface AgentConnectRequest {
  agent_id: string;
  auth_token: string;
}

/** The agent raises a hand in a call that goes on, or lowers it with cancel. The end of the call lowers it as well. */
export interface AgentHelpRequest {
  call_id: string;
  reason?: string;
  cancel?: boolean;
}

/** A new token of the same user; its expiry and rights take effect at once, and calls that it does not allow are left. */
export interface AuthRefreshRequest {
  token: string;
}

/** A call is over. */
export interface CallEndRequest {
  call_id: string;
}

/** GET /api/v1/calls/{call_id}/export: the final lines of a call, as WebVTT, SubRip, JSON (the default) or text. */
export interface CallExportRequest {
  call_id: string;
  format?: "vtt" | "srt" | "json" | "text";
}

/** The calls that this user may see, the latest first; from then on call:status tells of new and changed ones. before: the `next` of the answer before, or a call's id. */
export interface CallListRequest {
  status?: "ringing" | "active" | "on_hold" | "ended";
  before?: string;
  limit?: number;
}

/** Calls in which all these words were said in one line, among those that this user may see, with the lines; the call with the latest such line first. before: the `next` of the answer before. */
export interface CallSearchRequest {
  query: string;
  before?: string;
  limit?: number;
}

/** A call begins. agents: users who may see it in addition to those whose token allows it. */
export interface CallStartRequest {
  call_id: string;
  agents?: string[];
  metadata?: Record<string, unknown>;
  status?: "ringing" | "active" | "on_hold";
}

/** The state of a call changed. */
export interface CallStatusRequest {
  call_id: string;
  status: "ringing" | "active" | "on_hold" | "ended";
}

/** Watch a call. since_seq: only what came after it. */
export interface CallSubscribeRequest {
  call_id: string;
  since_seq?: number;
}

/** Stop watching a call. */
export interface CallUnsubscribeRequest {
  call_id: string;
}

/** How a call that has ended went, by this agent. A repeat replaces the earlier one. */
export interface CallWrapupRequest {
  call_id: string;
  outcome: string;
  notes?: string;
}

/** POST /api/v1/chats/{chat_id}/elicitations/{reply_to}: the answer to a form, an approval or a link, as in elicitation.submit; answered as a message is: with the final text when the turn is over, or with what is still asked. */
export interface ChatAnswerRequest {
  chat_id: string;
  reply_to: string;
  content?: Record<string, unknown>;
  action?: "accept" | "decline" | "cancel";
}

/** Delete a chat with all that was said in it. */
export interface ChatDeleteRequest {
  chat_id: string;
}

/** GET /api/v1/chats/{chat_id}/sources/{doc_id}: a document that an answer of the chat names as its source (chat.source), as it stands now. */
export interface ChatDocumentRequest {
  chat_id: string;
  doc_id: string;
}

/** A message as it should have been; what followed it is replaced. */
export interface ChatEditRequest {
  id: string;
  content: string;
  chat_id?: string;
}

/** GET /api/v1/chats/{chat_id}/export: the whole chat, as JSON or as text. */
export interface ChatExportRequest {
  chat_id: string;
  format?: "json" | "text";
}

/** Whether an answer helped; the last word counts. */
export interface ChatFeedbackRequest {
  ref_id: string;
  helpful: boolean;
  chat_id?: string;
}

/** A page of the stored messages, oldest first; before: the id of the first one of the page after it. */
export interface ChatHistoryRequest {
  chat_id?: string;
  before?: number;
  limit?: number;
}

/** The user's chats, newest first; before: `next` of the page before. all: those of all users, for supervisors whose token has "chats": "*". */
export interface ChatListRequest {
  before?: string;
  all?: boolean;
  limit?: number;
}

/** Something the user says, which begins a turn; from a supervisor who took the chat over, an answer. id: made by the client; the same id twice is answered once. queue: while a turn runs, wait for its end instead of 409. time_zone: as in session.init, for who has moved. Without chat_id: the chat of the socket's last session.init, as everywhere below. */
export interface ChatMessageRequest {
  id: string;
  content: string;
  chat_id?: string;
  queue?: boolean;
  time_zone?: string;
}

/** POST /api/v1/chats/{chat_id}/messages: a message; answered with the final text when the turn is over, or with the open questions when it asks something. id: as in chat.message; made up if it is left out. time_zone: as in session.init. */
export interface ChatPostRequest {
  chat_id: string;
  id?: string;
  content: string;
  queue?: boolean;
  time_zone?: string;
}

/** Another answer to a message, which replaces the former one. */
export interface ChatRegenerateRequest {
  ref_id: string;
  chat_id?: string;
}

/** A supervisor answers in place of the assistant, until release. */
export interface ChatTakeoverRequest {
  chat_id: string;
  release?: boolean;
}

/** Whether a suggested document helped. A repeat replaces the earlier answer. */
export interface DocFeedbackRequest {
  doc_id: string;
  helpful: boolean;
  call_id: string;
}

/** GET /api/v1/documents: the documents, those that came last first. before: the `next` of the answer before. query: only those with all of its words, or what begins so, in title, topic or id. */
export interface DocListRequest {
  before?: string;
  limit?: number;
  query?: string;
}

/** POST /api/v1/documents/{doc_id}/phrases and …/phrases/{phrase_id}: a phrase by which customers ask for the document, or another text for one that is there. */
export interface DocPhraseRequest {
  doc_id: string;
  phrase_id?: string;
  text: string;
}

/** The agent opened or copied a document. It teaches like a vote that weighs less, and only while the agent has not voted. */
export interface DocUsedRequest {
  doc_id: string;
  call_id: string;
  how: "opened" | "copied";
}

/** POST /api/v1/documents and /api/v1/documents/{doc_id}: a new document, which needs title and text, or other values for one that is there. */
export interface DocWriteRequest {
  doc_id?: string;
  title?: string;
  topic?: string;
  text?: string;
}

/** The answer to a form, an approval or a link. content fits the schema that was asked for; action without content declines or cancels. */
export interface ElicitationSubmitRequest {
  reply_to: string;
  content?: Record<string, unknown>;
  action?: "accept" | "decline" | "cancel";
  chat_id?: string;
}

/** POST /api/v1/emit: an event to sockets and plain WebSockets of every node: those in a room, those of a user, or those of a session (a socket's id, the id of /ws/{session_id}, or a chat's session_id). data is the event's argument. For the role service, and for requests that are signed by Standard Webhooks. */
export interface EmitRequest {
  room?: string;
  user?: string;
  session?: string;
  event: string;
  namespace?: string;
}

/** Documents for what is asked by hand, as in ai:suggestion. q: the same as query, for GET /api/v1/search. call_id: in which call, if in one. */
export interface KbSearchRequest {
  query?: string;
  q?: string;
  call_id?: string;
  limit?: number;
}

/** POST /api/v1/login, also as a form: who gets a token. */
export interface LoginRequest {
  username: string;
  password: string;
}

/** A private note to the agents of a call, or to one of them; for supervisors and administrators. The ack, with the note's id, means durable. */
export interface NoteSendRequest {
  call_id: string;
  text: string;
  to?: string;
}

/** POST /api/v1/rules, and the elements of the file `alert_rules`: an alert rule, in place of one with its name. It needs either phrase (words in their order, in any case) or pattern (PCRE2, in any case). speaker: whose lines; customer means caller as well. not_within_s: it fires if nothing that fits was said so long after the call began; else in the first line that fits, with repeat in every one. message: the alert's text in place of the line. */
export interface RuleWriteRequest {
  name: string;
  level?: "info" | "warning" | "critical";
  phrase?: string;
  pattern?: string;
  speaker?: string;
  not_within_s?: number;
  repeat?: boolean;
  message?: string;
}

/** End the chat's session; the connection stays. */
export interface SessionCloseRequest {
  chat_id?: string;
}

/** Open a chat, a new one or with chat_id one that is there, and watch it. since_seq: what the log has after it follows as ordinary events. want: events that are sent on request only. assistant: of a new chat. time_zone: where the user is, by its name in the tz database (Europe/Berlin): what "tomorrow at 9" means there; kept with the chat. One that this server does not know changes nothing; session.ready has the one that counts. */
export interface SessionInitRequest {
  chat_id?: string;
  since_seq?: number;
  want?: Array<"patch" | "debug" | "reasoning">;
  assistant?: string;
  time_zone?: string;
}

/** End the turn that runs. */
export interface SignalStopRequest {
  ref_id?: string;
  chat_id?: string;
}

/** A line of the transcript, or a piece of one that is not final yet. */
export interface TranscriptionUpdateRequest {
  call_id: string;
  speaker: string;
  text: string;
  timestamp?: string;
  segment_id?: string;
  is_final?: boolean;
}

/** A user's own change to the object tree. base_version: the version it was made on; if others changed what it needs meanwhile, 409. */
export interface TreeEditRequest {
  chat_id?: string;
  delta: {
    action: "add" | "update" | "remove" | "move";
    path: string;
    from?: string;
    node?: Record<string, unknown>;
  };
  base_version?: number;
}

/** GET /api/v1/users: users by name, from after that name on. */
export interface UserListRequest {
  after?: string;
  limit?: number;
}

/** POST /api/v1/users: adds a user or changes one; what is left out stays. A new user needs a password. calls: ["*"] is all. chats: those of others that a supervisor or administrator may watch, as calls. */
export interface UserPutRequest {
  name: string;
  password?: string;
  role?: "agent" | "supervisor" | "feed" | "admin" | "user" | "service";
  calls?: string[];
  chats?: string[];
}

/** Who watches a call, whenever that changes. A state: the newest counts. agents: at most 200 names; count: all of them. */
export interface AgentPresence {
  call_id: string;
  agents: string[];
  count: number;
}

/** Documents for what the customer said, best first, whenever the best ones change. relevance: 0 to 1, comparable between calls; why: the words that found it. */
export interface AiSuggestion {
  call_id: string;
  documents: Array<{
    id: string;
    title: string;
    topic?: string;
    excerpt: string;
    relevance: number;
    why?: string[];
  }>;
  summary: string;
  seq: number;
}

/** An alert rule fired in a call, to those who watch it and to supervisors who may see it. text: the line, or the rule's message. segment_id and speaker: of the line, if one fired it. */
export interface CallAlert {
  call_id: string;
  rule: string;
  level: "info" | "warning" | "critical";
  segment_id?: string;
  speaker?: string;
  text: string;
  timestamp: string;
  seq: number;
}

/** To every supervisor who may see the call, watching it or not: whose hands are up in it. A state: the newest counts; no agents: none is. */
export interface CallHelp {
  call_id: string;
  agents: Array<{
    agent_id: string;
    since: string;
    reason?: string;
  }>;
}

/** A supervisor's note, to those who watch the call; with to, to that agent and to supervisors who watch it. It has no seq; id tells it from a copy in the snapshot. */
export interface CallNote {
  call_id: string;
  id: string;
  from: string;
  to?: string;
  text: string;
  timestamp: string;
}

/** To supervisors whose token opens all calls, every five seconds: the calls that go on, lines of the latest minute and agents that are connected, of all nodes. A state: the newest counts. */
export interface CallStats {
  calls: {
    ringing: number;
    active: number;
    on_hold: number;
  };
  lines_per_minute: number;
  agents: number;
  timestamp?: string;
}

/** A call changed its status, to those who watch it and to those who list calls and may see it; a new call, with metadata, agents and started_at, to the latter. duration: seconds. reason: "no feed" if the server ended it. reached: true after an outage between nodes: not an entry, seq is the number that the call has reached, and who has less asks for the rest. */
export interface CallStatus {
  call_id: string;
  status: "ringing" | "active" | "on_hold" | "ended";
  duration: number;
  seq: number;
  reached?: boolean;
  started_at?: string;
  metadata?: Record<string, unknown>;
  agents?: string[];
  reason?: string;
}

/** What was needed, done and left open in a call, at its end and when somebody asks for it (POST /api/v1/calls/{call_id}/summary). by: model, in the words of a configured one; local, sentences of the lines. */
export interface CallSummary {
  call_id: string;
  by: "local" | "model";
  sections: Array<{
    title: string;
    text: string;
  }>;
  timestamp?: string;
  seq: number;
}

/** The turn is over. is_complete: nothing is open any more. stopped: by signal.stop. by: a supervisor who answered. */
export interface ChatDone {
  final_text: string;
  is_complete: boolean;
  stopped?: boolean;
  by?: string;
  usage?: {
    input_tokens?: number;
    output_tokens?: number;
  };
  ref_id: string;
  attempt?: number;
  chat_id: string;
  seq: number;
}

/** The chat's user found an answer helpful, or not; the latest counts. attempt: above 1 for another answer to the same message. */
export interface ChatFeedback {
  ref_id: string;
  attempt?: number;
  helpful: boolean;
  chat_id: string;
  seq: number;
}

/** Something was said in the chat, by its user, or by a supervisor (by). attempt: above 1 after an edit. session_id, intent_id: the orchestrator's session and the intent that it belongs to, if it is not queued. */
export interface ChatMessage {
  id: string;
  content: string;
  from?: string;
  by?: string;
  attempt?: number;
  queued?: boolean;
  timestamp?: string;
  session_id?: string;
  intent_id?: string;
  chat_id: string;
  seq: number;
}

/** The model's reasoning as it comes; on request (want), only while it happens. seq: of the entry of the log before it. */
export interface ChatReasoning {
  content: string;
  ref_id: string;
  attempt?: number;
  chat_id: string;
  seq: number;
}

/** What the answer stands on. */
export interface ChatSource {
  doc_id: string;
  title: string;
  excerpt?: string;
  ref_id?: string;
  attempt?: number;
  chat_id: string;
  seq: number;
}

/** A supervisor answers from now on, or does not any longer. */
export interface ChatTakeover {
  by: string;
  release: boolean;
  chat_id: string;
  seq: number;
}

/** A step of the turn. */
export interface ChatThinking {
  step: string;
  detail?: string;
  ref_id: string;
  attempt?: number;
  chat_id: string;
  seq: number;
}

/** Text that is appended to the answer. */
export interface ChatToken {
  content: string;
  ref_id: string;
  attempt?: number;
  chat_id: string;
  seq: number;
}

/** What the server does in a turn; on request (want), only while it happens. seq: of the entry of the log before it. */
export interface Debug {
  message: string;
  level: "debug" | "info" | "warning" | "error";
  ref_id?: string;
  attempt?: number;
  chat_id: string;
  seq: number;
}

/** To supervisors who watch the call, what an agent thinks of a document; totals: of all calls. A state: the newest counts. */
export interface DocFeedback {
  call_id: string;
  doc_id: string;
  agent_id: string;
  helpful: boolean;
  timestamp?: string;
  totals?: {
    helpful: number;
    unhelpful: number;
  };
}

/** A question is answered, or not asked any longer. */
export interface ElicitationEnd {
  id: string;
  action: "accept" | "decline" | "cancel" | "expire";
  ref_id?: string;
  attempt?: number;
  chat_id: string;
  seq: number;
}

/** A question to the user: a form by its schema, a link, or whether a tool may run. values: what is known. Whoever answers first wins. */
export interface ElicitationStart {
  id: string;
  mode: "form" | "url" | "approval";
  message: string;
  schema?: Record<string, unknown>;
  values?: Record<string, unknown>;
  url?: string;
  source?: {
    kind?: "tool" | "mcp";
    name?: string;
  };
  expires_at?: string;
  ref_id?: string;
  attempt?: number;
  call_id?: string;
  tool?: string;
  args?: Record<string, unknown>;
  chat_id: string;
  seq: number;
}

/** An event without an ack was refused, or a right or a token ended; in a chat, with seq, a turn failed. event: which event it is about, null if none. */
export interface ServerError {
  code: number;
  message: string;
  field?: string;
  retry_after_ms?: number;
  call_id?: string;
  chat_id?: string;
  ref_id?: string;
  attempt?: number;
  final_text?: string;
  seq?: number;
}

/** A reminder is due. */
export interface ReminderDue {
  id: string;
  text: string;
  at: string;
  chat_id: string;
  seq: number;
}

/** The chat's session is over: it was closed, idle for too long, or its task is done. */
export interface SessionClosed {
  session_id: string;
  reason: "closed" | "idle";
  chat_id: string;
  seq: number;
}

/** The chat is open and watched. seq: of the log's last entry. history_count: stored messages. running: the turn that runs, as far as it is, since_seq: its entries come after that; with since_seq its entries follow, too, and are not to be added to it. pending: open forms. Also in the ack of session.init. */
export interface SessionReady {
  session_id: string;
  chat_id: string;
  intent_id?: string;
  title?: string;
  assistant?: string;
  is_owner?: boolean;
  initial_tree?: Record<string, unknown>;
  tree_version?: number;
  history_count?: number;
  seq: number;
  time_zone?: string;
  running?: {
    ref_id?: string;
    attempt?: number;
    since_seq?: number;
    text?: string;
    thinking?: string[];
    tools?: Array<{
      call_id?: string;
      tool?: string;
      server?: string;
    }>;
  };
  pending?: Array<{
    id?: string;
    mode?: "form" | "url" | "approval";
    message?: string;
    schema?: Record<string, unknown>;
    values?: Record<string, unknown>;
    url?: string;
    source?: {
      kind?: "tool" | "mcp";
      name?: string;
    };
    expires_at?: string;
    ref_id?: string;
    attempt?: number;
    call_id?: string;
    tool?: string;
    args?: Record<string, unknown>;
  }>;
  taken_by?: string;
}

/** A tool ended. */
export interface ToolEnd {
  call_id: string;
  tool?: string;
  ok: boolean;
  result?: Record<string, unknown>;
  text?: string;
  ref_id: string;
  attempt?: number;
  chat_id: string;
  seq: number;
}

/** How far a tool is. */
export interface ToolProgress {
  call_id: string;
  progress: number;
  total?: number;
  message?: string;
  ref_id?: string;
  attempt?: number;
  chat_id: string;
  seq: number;
}

/** A tool begins. args: with what forms added. */
export interface ToolStart {
  call_id: string;
  tool: string;
  title?: string;
  server?: string;
  args?: Record<string, unknown>;
  ref_id: string;
  attempt?: number;
  chat_id: string;
  seq: number;
}

/** A line as its feed sent it, with call_id, timestamp and seq. An interim one (is_final false) stands until the next of its segment_id; replaces: seq of the final line that this one corrects. */
export interface TranscriptionUpdate {
  call_id: string;
  speaker: string;
  text: string;
  timestamp: string;
  seq: number;
  segment_id?: string;
  is_final?: boolean;
  replaces?: number;
}

/** The object tree changed. patch: the same as JSON Patch, on request (want). */
export interface TreeUpdate {
  delta: {
    action: "add" | "update" | "remove" | "move";
    path: string;
    from?: string;
    node?: Record<string, unknown>;
  };
  version: number;
  patch?: Array<Record<string, unknown>>;
  ref_id?: string;
  attempt?: number;
  chat_id: string;
  seq: number;
}

export interface ClientEvents {
  "agent:connect": AgentConnectRequest;
  "agent:help": AgentHelpRequest;
  "auth:refresh": AuthRefreshRequest;
  "call:end": CallEndRequest;
  "call:export": CallExportRequest;
  "call:list": CallListRequest;
  "call:search": CallSearchRequest;
  "call:start": CallStartRequest;
  "call:status": CallStatusRequest;
  "call:subscribe": CallSubscribeRequest;
  "call:unsubscribe": CallUnsubscribeRequest;
  "call:wrapup": CallWrapupRequest;
  "chat.answer": ChatAnswerRequest;
  "chat.delete": ChatDeleteRequest;
  "chat.document": ChatDocumentRequest;
  "chat.edit": ChatEditRequest;
  "chat.export": ChatExportRequest;
  "chat.feedback": ChatFeedbackRequest;
  "chat.history": ChatHistoryRequest;
  "chat.list": ChatListRequest;
  "chat.message": ChatMessageRequest;
  "chat.post": ChatPostRequest;
  "chat.regenerate": ChatRegenerateRequest;
  "chat.takeover": ChatTakeoverRequest;
  "doc:feedback": DocFeedbackRequest;
  "doc:list": DocListRequest;
  "doc:phrase": DocPhraseRequest;
  "doc:used": DocUsedRequest;
  "doc:write": DocWriteRequest;
  "elicitation.submit": ElicitationSubmitRequest;
  "emit": EmitRequest;
  "kb:search": KbSearchRequest;
  "login": LoginRequest;
  "note:send": NoteSendRequest;
  "rule:write": RuleWriteRequest;
  "session.close": SessionCloseRequest;
  "session.init": SessionInitRequest;
  "signal.stop": SignalStopRequest;
  "transcription:update": TranscriptionUpdateRequest;
  "tree.edit": TreeEditRequest;
  "user:list": UserListRequest;
  "user:put": UserPutRequest;
}

export interface ServerEvents {
  "agent:presence": AgentPresence;
  "ai:suggestion": AiSuggestion;
  "call:alert": CallAlert;
  "call:help": CallHelp;
  "call:note": CallNote;
  "call:stats": CallStats;
  "call:status": CallStatus;
  "call:summary": CallSummary;
  "chat.done": ChatDone;
  "chat.feedback": ChatFeedback;
  "chat.message": ChatMessage;
  "chat.reasoning": ChatReasoning;
  "chat.source": ChatSource;
  "chat.takeover": ChatTakeover;
  "chat.thinking": ChatThinking;
  "chat.token": ChatToken;
  "debug": Debug;
  "doc:feedback": DocFeedback;
  "elicitation.end": ElicitationEnd;
  "elicitation.start": ElicitationStart;
  "error": ServerError;
  "reminder.due": ReminderDue;
  "session.closed": SessionClosed;
  "session.ready": SessionReady;
  "tool.end": ToolEnd;
  "tool.progress": ToolProgress;
  "tool.start": ToolStart;
  "transcription:update": TranscriptionUpdate;
  "tree.update": TreeUpdate;
}
