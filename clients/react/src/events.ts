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

/** Whether a suggested document helped. A repeat replaces the earlier answer. */
export interface DocFeedbackRequest {
  doc_id: string;
  helpful: boolean;
  call_id: string;
}

/** GET /api/v1/documents: the documents, those that came last first. before: the `next` of the answer before. */
export interface DocListRequest {
  before?: string;
  limit?: number;
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

/** POST /api/v1/emit: an event to sockets of every node: those in a room, those of a user, or one (session: its id). data is the event's argument. For the role service, and for requests that are signed by Standard Webhooks. */
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

/** A line of the transcript, or a piece of one that is not final yet. */
export interface TranscriptionUpdateRequest {
  call_id: string;
  speaker: string;
  text: string;
  timestamp?: string;
  segment_id?: string;
  is_final?: boolean;
}

/** GET /api/v1/users: users by name, from after that name on. */
export interface UserListRequest {
  after?: string;
  limit?: number;
}

/** POST /api/v1/users: adds a user or changes one; what is left out stays. A new user needs a password. calls: ["*"] is all. */
export interface UserPutRequest {
  name: string;
  password?: string;
  role?: "agent" | "supervisor" | "feed" | "admin" | "user" | "service";
  calls?: string[];
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

/** A call changed its status, to those who watch it and to those who list calls and may see it; a new call, with metadata and started_at, to the latter. duration: seconds. reason: "no feed" if the server ended it. */
export interface CallStatus {
  call_id: string;
  status: "ringing" | "active" | "on_hold" | "ended";
  duration: number;
  seq: number;
  started_at?: string;
  metadata?: Record<string, unknown>;
  reason?: string;
}

/** What was needed, done and left open in a call, at its end and when somebody asks for it (POST /api/v1/calls/{call_id}/summary). by: local, sentences of the lines. */
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

/** An event without an ack was refused, or a right or a token ended. event: which event it is about, null if none. */
export interface ServerError {
  code: number;
  message: string;
  field?: string;
  retry_after_ms?: number;
  call_id?: string;
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
  "doc:feedback": DocFeedbackRequest;
  "doc:list": DocListRequest;
  "doc:used": DocUsedRequest;
  "doc:write": DocWriteRequest;
  "emit": EmitRequest;
  "kb:search": KbSearchRequest;
  "login": LoginRequest;
  "note:send": NoteSendRequest;
  "rule:write": RuleWriteRequest;
  "transcription:update": TranscriptionUpdateRequest;
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
  "doc:feedback": DocFeedback;
  "error": ServerError;
  "transcription:update": TranscriptionUpdate;
}
