/* The vendors' shapes, one function each. */
#include "calls_vendors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct calls_vendor {
    const char *name;
    void (*map)(const json_t *message, struct calls_vendor_state *state, struct sio_builder *out);
    const char *call; /* where the call's name is: fields, of which the last may stand behind slashes; NULL: nowhere */
    enum calls_vendor_kind (*kind)(const json_t *message, const struct calls_vendor_state *state); /* NULL: lines */
    bool signs;
    const char *unnamed; /* what the names made here begin with; NULL: the vendor names its segments */
};

/* ------------------------------------------------------------------- fields */

static const char *text_at(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static bool is_true(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}

static int64_t ms_of_seconds(const json_t *seconds)
{
    double value = json_number_value(seconds);
    return json_is_number(seconds) && value >= 0 && value < 1e9 ? (int64_t)llround(value * 1000) : -1;
}

static int64_t ms_at(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    double number = json_number_value(value);
    return json_is_number(value) && number >= 0 && number < 1e12 ? (int64_t)number : -1;
}

/* The speaker of a channel; `usual` is the customer's unless the feed names another. */
static const char *role_of_channel(const struct calls_vendor_state *state, const char *channel, const char *usual)
{
    return strcmp(channel, state->customer[0] ? state->customer : usual) ? "agent" : "customer";
}

/* The speaker of one of several voices in a channel: its own name, unless the feed says whose it is. */
static const char *role_of_voice(const struct calls_vendor_state *state, const char *voice)
{
    return voice[0] && state->customer[0] ? role_of_channel(state, voice, "") : voice;
}

/* -------------------------------------------------------------------- lines */

struct line {
    const char *id, *speaker, *text;
    bool is_final;
    int64_t begin_ms, end_ms; /* -1: not known */
    const json_t *confidence; /* NULL: not known */
    const char *timestamp;    /* NULL: now */
};

static void put_member(struct sio_builder *out, const char *name, const char *text)
{
    sio_builder_put(out, name);
    sio_builder_put_text(out, text, strlen(text));
}

static void put_number(struct sio_builder *out, const char *name, int64_t number)
{
    char text[32];
    if (number < 0) return;
    snprintf(text, sizeof text, "%lld", (long long)number);
    sio_builder_put(out, name);
    sio_builder_put(out, text);
}

/* An id of ours out of any text: what may not stand in one becomes '-'. */
static void make_id(char id[CALLS_VENDOR_ID_SIZE], const char *prefix, const char *text)
{
    size_t n = strlen(prefix);
    memcpy(id, prefix, n);
    snprintf(id + n, CALLS_VENDOR_ID_SIZE - n, "%.*s", (int)(CALLS_VENDOR_ID_SIZE - 1 - n), text);
    for (char *c = id; *c; c++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-", *c)) *c = '-';
}

/* Nothing was said in an empty line. */
static void put_line(const struct calls_vendor_state *state, struct sio_builder *out, const struct line *line)
{
    char text[32], prefix[CALLS_VENDOR_CHANNEL_SIZE + 1], id[CALLS_VENDOR_ID_SIZE];
    if (!line->text[strspn(line->text, " \t\r\n")]) return;
    put_member(out, "{\"speaker\":", line->speaker[0] ? line->speaker : "customer");
    put_member(out, ",\"text\":", line->text);
    snprintf(prefix, sizeof prefix, state->connection[0] ? "%s." : "%s", state->connection);
    if (line->id) make_id(id, prefix, line->id);
    if (line->id) put_member(out, ",\"segment_id\":", id);
    sio_builder_put(out, line->is_final ? ",\"is_final\":true" : ",\"is_final\":false");
    put_number(out, ",\"start_ms\":", line->begin_ms < 0 ? -1 : line->begin_ms + state->offset_ms);
    put_number(out, ",\"end_ms\":", line->end_ms < 0 ? -1 : line->end_ms + state->offset_ms);
    if (line->confidence && json_is_number(line->confidence) && json_number_value(line->confidence) > 0) {
        snprintf(text, sizeof text, ",\"confidence\":%.4g", json_number_value(line->confidence));
        sio_builder_put(out, text);
    }
    if (line->timestamp) put_member(out, ",\"timestamp\":", line->timestamp);
    sio_builder_put(out, "}\n");
}

/* -------------------------------------------------------------------- state */

static void forget_at(struct calls_vendor_state *state, size_t i)
{
    free(state->open[i].text);
    memmove(&state->open[i], &state->open[i + 1], (state->count - i - 1) * sizeof state->open[0]);
    state->count--;
}

void calls_vendor_clear(struct calls_vendor_state *state)
{
    while (state->count) forget_at(state, 0);
}

/* The open segment of a key; a new one has the id. */
static size_t open_segment(struct calls_vendor_state *state, const char *key, const char *id)
{
    for (size_t i = 0; i < state->count; i++)
        if (!strcmp(state->open[i].key, key)) return i;
    if (state->count == CALLS_VENDOR_OPEN_MAX) forget_at(state, 0);
    memset(&state->open[state->count], 0, sizeof state->open[0]);
    snprintf(state->open[state->count].key, CALLS_VENDOR_ID_SIZE, "%s", key);
    make_id(state->open[state->count].id, "", id);
    return state->count++;
}

static void append_text(struct calls_vendor_state *state, size_t i, const char *more)
{
    size_t n = state->open[i].text ? strlen(state->open[i].text) : 0, m = strlen(more);
    if (n + m >= CALLS_VENDOR_TEXT_MAX) return;
    char *text = realloc(state->open[i].text, n + m + 1);
    if (!text) return;
    memcpy(text + n, more, m + 1);
    state->open[i].text = text;
}

/* ----------------------------------------------------------------- Deepgram */

/* Results of v1: no id, but the open span of a channel keeps its start until it is final. Voices are numbered in each
 * channel anew, so among several the channel says who it is. */
static void map_results(const json_t *message, const struct calls_vendor_state *state, struct sio_builder *out)
{
    const json_t *best = json_array_get(json_object_get(json_object_get(message, "channel"), "alternatives"), 0);
    const json_t *voice = json_object_get(json_array_get(json_object_get(best, "words"), 0), "speaker");
    const json_t *channels = json_object_get(message, "channel_index");
    long long channel = json_integer_value(json_array_get(channels, 0));
    int64_t begin_ms = ms_of_seconds(json_object_get(message, "start"));
    int64_t long_ms = ms_of_seconds(json_object_get(message, "duration"));
    char id[64], who[48];
    snprintf(id, sizeof id, "dg-%lld-%lld", channel, (long long)begin_ms);
    bool is_voice = voice && json_integer_value(json_array_get(channels, 1)) < 2;
    if (is_voice)
        snprintf(who, sizeof who, "speaker-%lld", (long long)json_integer_value(voice));
    else
        snprintf(who, sizeof who, "%lld", channel);
    put_line(state, out,
             &(struct line){id, is_voice ? role_of_voice(state, who) : role_of_channel(state, who, "0"),
                            text_at(best, "transcript"), is_true(message, "is_final"), begin_ms,
                            begin_ms >= 0 && long_ms >= 0 ? begin_ms + long_ms : -1,
                            json_object_get(best, "confidence"), NULL});
}

/* TurnInfo of v2: an eager end may be withdrawn, so only EndOfTurn is final. */
static void map_turn_info(const json_t *message, const struct calls_vendor_state *state, struct sio_builder *out)
{
    char id[64];
    snprintf(id, sizeof id, "dg-turn-%lld", (long long)json_integer_value(json_object_get(message, "turn_index")));
    put_line(state, out,
             &(struct line){id, "customer", text_at(message, "transcript"),
                            !strcmp(text_at(message, "event"), "EndOfTurn"),
                            ms_of_seconds(json_object_get(message, "audio_window_start")),
                            ms_of_seconds(json_object_get(message, "audio_window_end")), NULL, NULL});
}

/* Each connection counts its turns and times from 0 again, and has a name. */
static void name_connection(const json_t *message, struct calls_vendor_state *state)
{
    const json_t *metadata = json_object_get(message, "metadata");
    const char *name = text_at(metadata ? metadata : message, "request_id");
    if (!state->is_named && name[0]) snprintf(state->connection, sizeof state->connection, "%.8s", name);
}

static void map_deepgram(const json_t *message, struct calls_vendor_state *state, struct sio_builder *out)
{
    name_connection(message, state);
    if (!strcmp(text_at(message, "type"), "Results")) map_results(message, state, out);
    if (!strcmp(text_at(message, "type"), "TurnInfo")) map_turn_info(message, state, out);
}

/* --------------------------------------------------------------- AssemblyAI */

/* The words that are still open stand in `words` only. A turn may end twice, the second time formatted: the line is
 * replaced. */
static void map_assemblyai(const json_t *message, struct calls_vendor_state *state, struct sio_builder *out)
{
    const json_t *words = json_object_get(message, "words"), *word;
    char id[64], *text = NULL;
    size_t i, n = 0;
    if (!strcmp(text_at(message, "type"), "Begin") && state->sees_all && !state->is_named)
        snprintf(state->connection, sizeof state->connection, "%.8s", text_at(message, "id"));
    if (strcmp(text_at(message, "type"), "Turn")) return;
    bool ends = is_true(message, "end_of_turn");
    snprintf(id, sizeof id, "aai-%lld", (long long)json_integer_value(json_object_get(message, "turn_order")));
    if (!ends && json_array_size(words)) {
        json_array_foreach(words, i, word) n += strlen(text_at(word, "text")) + 1;
        text = malloc(n + 1);
        n = 0;
        json_array_foreach(words, i, word)
        {
            if (text) n += (size_t)sprintf(text + n, n ? " %s" : "%s", text_at(word, "text"));
        }
    }
    put_line(state, out,
             &(struct line){id, "customer", text ? text : text_at(message, "transcript"), ends,
                            ms_at(json_array_get(words, 0), "start"),
                            ms_at(json_array_get(words, json_array_size(words) - 1), "end"), NULL, NULL});
    free(text);
}

/* ------------------------------------------------------------------- Google */

/* "1.5s" */
static int64_t read_offset(const char *text)
{
    char *end;
    double seconds = strtod(text, &end);
    return *text && !strcmp(end, "s") && seconds >= 0 && seconds < 1e9 ? (int64_t)llround(seconds * 1000) : -1;
}

/* Channels count from 1; a recording of one has no tag. */
static const char *role_of_tag(const struct calls_vendor_state *state, long long tag)
{
    char channel[32];
    snprintf(channel, sizeof channel, "%lld", tag > 0 ? tag : 1);
    return role_of_channel(state, channel, "1");
}

/* Results in the order of time: interim ones are the stable part and the rest of one open segment. */
static void map_google(const json_t *message, struct calls_vendor_state *state, struct sio_builder *out)
{
    const json_t *result;
    size_t i, at;
    char joined[8192] = "", key[32] = "", id[64];
    json_array_foreach(json_object_get(message, "results"), i, result)
    {
        const json_t *best = json_array_get(json_object_get(result, "alternatives"), 0);
        long long channel = json_integer_value(json_object_get(result, "channelTag"));
        int64_t end_ms = read_offset(text_at(result, "resultEndOffset"));
        snprintf(key, sizeof key, "%lld", channel);
        snprintf(id, sizeof id, "g-%lld-%lld", channel, (long long)end_ms);
        at = open_segment(state, key, id);
        if (is_true(result, "isFinal")) {
            put_line(state, out,
                     &(struct line){state->open[at].id, role_of_tag(state, channel), text_at(best, "transcript"), true,
                                    -1, end_ms, json_object_get(best, "confidence"), NULL});
            forget_at(state, at);
            key[0] = joined[0] = 0;
        } else if (strlen(joined) + strlen(text_at(best, "transcript")) + 1 < sizeof joined) {
            strcat(joined, text_at(best, "transcript"));
        }
    }
    if (!joined[0] || !key[0]) return;
    at = open_segment(state, key, key);
    put_line(state, out,
             &(struct line){state->open[at].id, role_of_tag(state, atoi(key)), joined, false, -1, -1, NULL, NULL});
}

/* ------------------------------------------------------------------- Amazon */

static void map_transcribe(const json_t *result, const struct calls_vendor_state *state, struct sio_builder *out)
{
    const json_t *best = json_array_get(json_object_get(result, "Alternatives"), 0);
    const char *channel = text_at(result, "ChannelId");
    const char *speaker = text_at(json_array_get(json_object_get(best, "Items"), 0), "Speaker");
    char id[CALLS_VENDOR_ID_SIZE], who[48];
    make_id(id, "aws-", text_at(result, "ResultId"));
    snprintf(who, sizeof who, "%s%.30s", speaker[0] ? "speaker-" : "", speaker);
    put_line(state, out,
             &(struct line){id, channel[0] ? role_of_channel(state, channel, "ch_0") : role_of_voice(state, who),
                            text_at(best, "Transcript"), !is_true(result, "IsPartial"),
                            ms_of_seconds(json_object_get(result, "StartTime")),
                            ms_of_seconds(json_object_get(result, "EndTime")), NULL, NULL});
}

static const char *role_of(const char *role)
{
    if (!strcmp(role, "SYSTEM")) return "system";
    return strcmp(role, "AGENT") ? "customer" : "agent";
}

/* Transcribe, and its Call Analytics. */
static void map_amazon(const json_t *message, struct calls_vendor_state *state, struct sio_builder *out)
{
    const json_t *results = json_object_get(json_object_get(message, "Transcript"), "Results"), *result;
    const json_t *utterance = json_object_get(message, "UtteranceEvent");
    char id[CALLS_VENDOR_ID_SIZE];
    size_t i;
    json_array_foreach(results, i, result) map_transcribe(result, state, out);
    if (!utterance) return;
    make_id(id, "aws-", text_at(utterance, "UtteranceId"));
    put_line(state, out,
             &(struct line){id, role_of(text_at(utterance, "ParticipantRole")), text_at(utterance, "Transcript"),
                            !is_true(utterance, "IsPartial"), ms_at(utterance, "BeginOffsetMillis"),
                            ms_at(utterance, "EndOffsetMillis"), NULL, NULL});
}

/* Contact Lens of Amazon Connect, as its stream has it: what was said, and before that guesses, which name the same
 * transcript. */
static void map_connect(const json_t *message, struct calls_vendor_state *state, struct sio_builder *out)
{
    const json_t *segment;
    char id[CALLS_VENDOR_ID_SIZE];
    size_t i;
    json_array_foreach(json_object_get(message, "Segments"), i, segment)
    {
        const json_t *said = json_object_get(segment, "Transcript"), *guess = json_object_get(segment, "Utterance");
        const json_t *any = said ? said : guess;
        if (!any) continue;
        make_id(id, "con-", said ? text_at(said, "Id") : text_at(guess, "TranscriptId"));
        put_line(state, out,
                 &(struct line){id, role_of(text_at(any, "ParticipantRole")),
                                said ? text_at(said, "Content") : text_at(guess, "PartialContent"), said != NULL,
                                ms_at(any, "BeginOffsetMillis"), ms_at(any, "EndOffsetMillis"), NULL, NULL});
    }
}

static enum calls_vendor_kind kind_of_connect(const json_t *message, const struct calls_vendor_state *state)
{
    const char *type = text_at(message, "EventType");
    (void)state;
    if (!strcmp(type, "STARTED")) return CALLS_VENDOR_BEGINS;
    return !strcmp(type, "COMPLETED") || !strcmp(type, "FAILED") ? CALLS_VENDOR_ENDS : CALLS_VENDOR_LINES;
}

/* ------------------------------------------------------- Google Agent Assist */

static enum calls_vendor_kind kind_of_agent_assist(const json_t *event, const struct calls_vendor_state *state)
{
    const char *type = text_at(event, "type");
    (void)state;
    if (!strcmp(type, "CONVERSATION_STARTED")) return CALLS_VENDOR_BEGINS;
    return !strcmp(type, "CONVERSATION_FINISHED") ? CALLS_VENDOR_ENDS : CALLS_VENDOR_LINES;
}

/* A ConversationEvent. Its messages alone: what was recognised names neither its speaker nor the message that follows,
 * so a guess would stand beside it for ever. Pub/Sub may bring one twice, so the message's own name is the id. */
static void map_agent_assist(const json_t *event, struct calls_vendor_state *state, struct sio_builder *out)
{
    const json_t *message = json_object_get(event, "newMessagePayload");
    const char *name = text_at(message, "name"), *slash = strrchr(name, '/'), *at_time = text_at(message, "createTime");
    char id[CALLS_VENDOR_ID_SIZE];
    if (strcmp(text_at(event, "type"), "NEW_MESSAGE")) return;
    make_id(id, "ga-", slash ? slash + 1 : name);
    bool is_customer = !strcmp(text_at(message, "participantRole"), "END_USER");
    put_line(state, out,
             &(struct line){id, is_customer ? "customer" : "agent", text_at(message, "content"), true, -1, -1, NULL,
                            at_time[0] ? at_time : NULL});
}

/* ------------------------------------------------------------------ Whisper */

#define SILENCE_MIN 0.6    /* no_speech_prob above which, with an avg_logprob below the next, nothing was said: */
#define LIKELIHOOD_MIN -1. /* whisper's own rule, since it makes sentences out of silence */

/* By where it begins, and its number or, if it is diarized, its name. */
static void name_segment(const json_t *segment, int64_t begin_ms, char name[80])
{
    const json_t *id = json_object_get(segment, "id");
    char number[32];
    snprintf(number, sizeof number, "%lld", (long long)json_integer_value(id));
    snprintf(name, 80, "%lld-%.40s", (long long)begin_ms, json_is_string(id) ? json_string_value(id) : number);
}

/* verbose_json of whisper's servers: all of it final; diarized, with a speaker. Pieces of a call count their segments
 * from 0 again, so where one begins is part of its id. */
static void map_whisper(const json_t *message, struct calls_vendor_state *state, struct sio_builder *out)
{
    const json_t *segment;
    char id[CALLS_VENDOR_ID_SIZE], name[80];
    size_t i;
    json_array_foreach(json_object_get(message, "segments"), i, segment)
    {
        int64_t begin_ms = ms_of_seconds(json_object_get(segment, "start"));
        const char *text = text_at(segment, "text");
        bool is_silence = json_number_value(json_object_get(segment, "no_speech_prob")) > SILENCE_MIN &&
                          json_number_value(json_object_get(segment, "avg_logprob")) < LIKELIHOOD_MIN;
        if (is_silence) continue;
        name_segment(segment, begin_ms, name);
        make_id(id, "wh-", name);
        put_line(state, out,
                 &(struct line){id, role_of_voice(state, text_at(segment, "speaker")), text + strspn(text, " "), true,
                                begin_ms, ms_of_seconds(json_object_get(segment, "end")), NULL, NULL});
    }
}

/* ---------------------------------------------------------- OpenAI Realtime */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

/* A part of an item, by one of several speakers: final, and a line of its own. The first one takes the place of what
 * was appended until then, which would stay open for ever otherwise. */
static void put_part(const json_t *message, struct calls_vendor_state *state, size_t at, struct sio_builder *out)
{
    char id[CALLS_VENDOR_ID_SIZE];
    make_id(id, "oai-", text_at(message, "id"));
    if (state->open[at].text && !state->open[at].has_parts)
        snprintf(state->open[at].first, sizeof state->open[at].first, "%s", id);
    state->open[at].has_parts = true;
    bool is_first = !strcmp(state->open[at].first, id);
    put_line(state, out,
             &(struct line){is_first ? state->open[at].id : id, role_of_voice(state, text_at(message, "speaker")),
                            text_at(message, "text"), true, ms_of_seconds(json_object_get(message, "start")),
                            ms_of_seconds(json_object_get(message, "end")), NULL, NULL});
}

/* Deltas append; what is completed replaces them. A failure closes the item with what there was. */
static void map_item(const json_t *message, struct calls_vendor_state *state, struct sio_builder *out)
{
    const char *type = text_at(message, "type");
    char key[CALLS_VENDOR_ID_SIZE], name[CALLS_VENDOR_ID_SIZE];
    snprintf(name, sizeof name, "%.100s-%lld", text_at(message, "item_id"),
             (long long)json_integer_value(json_object_get(message, "content_index")));
    make_id(key, "oai-", name);
    size_t at = open_segment(state, key, key);
    bool fails = ends_with(type, ".failed"), ends = ends_with(type, ".completed") || fails;
    if (ends_with(type, ".segment")) put_part(message, state, at, out);
    if (ends_with(type, ".delta")) append_text(state, at, text_at(message, "delta"));
    const char *text = ends && !fails ? text_at(message, "transcript") : state->open[at].text;
    if ((ends || ends_with(type, ".delta")) && !state->open[at].has_parts)
        put_line(state, out,
                 &(struct line){state->open[at].id, "customer", text ? text : "", ends, -1, -1, NULL, NULL});
    if (ends) forget_at(state, at);
}

/* Realtime's, and segments of a diarized transcription that is streamed. */
static void map_openai(const json_t *message, struct calls_vendor_state *state, struct sio_builder *out)
{
    const char *type = text_at(message, "type");
    char id[CALLS_VENDOR_ID_SIZE], name[80];
    if (strstr(type, "input_audio_transcription.")) {
        map_item(message, state, out);
    } else if (!strcmp(type, "transcript.text.segment")) {
        int64_t begin_ms = ms_of_seconds(json_object_get(message, "start"));
        name_segment(message, begin_ms, name);
        make_id(id, "oai-", name);
        put_line(state, out,
                 &(struct line){id, role_of_voice(state, text_at(message, "speaker")), text_at(message, "text"), true,
                                begin_ms, ms_of_seconds(json_object_get(message, "end")), NULL, NULL});
    }
}

/* ------------------------------------------------------------------ LiveKit */

/* As its agents hand on text streams: {participant, text, attributes, append}. */
static void map_livekit(const json_t *message, struct calls_vendor_state *state, struct sio_builder *out)
{
    const json_t *attributes = json_object_get(message, "attributes");
    const char *segment = text_at(attributes, "lk.segment_id"), *text = text_at(message, "text");
    char key[CALLS_VENDOR_ID_SIZE];
    if (!segment[0]) return;
    bool is_final =
        is_true(attributes, "lk.transcription_final") || !strcmp(text_at(attributes, "lk.transcription_final"), "true");
    make_id(key, "lk-", segment);
    size_t at = open_segment(state, key, key);
    if (is_true(message, "append")) {
        append_text(state, at, text);
        text = state->open[at].text ? state->open[at].text : "";
    }
    put_line(
        state, out,
        &(struct line){key, role_of_voice(state, text_at(message, "participant")), text, is_final, -1, -1, NULL, NULL});
    if (is_final) forget_at(state, at);
}

/* ------------------------------------------------------------------- Twilio */

static enum calls_vendor_kind kind_of_twilio(const json_t *form, const struct calls_vendor_state *state)
{
    const char *event = text_at(form, "TranscriptionEvent");
    (void)state;
    if (!strcmp(event, "transcription-started")) return CALLS_VENDOR_BEGINS;
    return !strcmp(event, "transcription-stopped") ? CALLS_VENDOR_ENDS : CALLS_VENDOR_LINES;
}

/* Twilio hears the caller on its inbound track. Without a track it is the customer. */
static const char *role_of_track(const struct calls_vendor_state *state, const char *track)
{
    return track[0] ? role_of_channel(state, track, "inbound_track") : "customer";
}

/* The open segment of a track has the number of the message that began it. */
static void map_twilio(const json_t *form, struct calls_vendor_state *state, struct sio_builder *out)
{
    const char *track = text_at(form, "Track"), *at_time = text_at(form, "Timestamp");
    char id[CALLS_VENDOR_ID_SIZE];
    if (strcmp(text_at(form, "TranscriptionEvent"), "transcription-content")) return;
    json_t *data = json_loads(text_at(form, "TranscriptionData"), 0, NULL);
    if (!state->is_named)
        snprintf(state->connection, sizeof state->connection, "%.34s", text_at(form, "TranscriptionSid"));
    snprintf(id, sizeof id, "tw-%.20s-%.40s", track, text_at(form, "SequenceId"));
    size_t at = open_segment(state, track, id);
    bool is_final = !strcmp(text_at(form, "Final"), "true");
    put_line(state, out,
             &(struct line){state->open[at].id, role_of_track(state, track), text_at(data, "transcript"), is_final, -1,
                            -1, json_object_get(data, "confidence"), at_time[0] ? at_time : NULL});
    if (is_final) forget_at(state, at);
    json_decref(data);
}

/* ------------------------------------------------------------------- Vonage */

/* Webhooks of a call's legs: what becomes of them, and what was understood when the caller was asked to speak
 * (`input`). A call is over with the customer's leg: the others are agents it was connected to. */
static enum calls_vendor_kind kind_of_vonage(const json_t *message, const struct calls_vendor_state *state)
{
    static const char *const ends[] = {"completed", "busy", "cancelled", "rejected", "failed", "timeout", "unanswered"};
    const char *status = text_at(message, "status"), *direction = text_at(message, "direction");
    if (!strcmp(status, "started") || !strcmp(status, "ringing")) return CALLS_VENDOR_BEGINS;
    if (!strcmp(status, "answered")) return CALLS_VENDOR_IS_ACTIVE;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (!strcmp(status, ends[i]) && strcmp(role_of_channel(state, direction, "inbound"), "agent"))
            return CALLS_VENDOR_ENDS;
    return CALLS_VENDOR_LINES;
}

static void map_vonage(const json_t *message, struct calls_vendor_state *state, struct sio_builder *out)
{
    const json_t *best = json_array_get(json_object_get(json_object_get(message, "speech"), "results"), 0);
    const char *at_time = text_at(message, "timestamp"), *confidence = text_at(best, "confidence");
    char id[CALLS_VENDOR_ID_SIZE], name[CALLS_VENDOR_ID_SIZE];
    snprintf(name, sizeof name, "%.50s-%.40s", text_at(message, "uuid"), at_time);
    make_id(id, "vg-", name);
    json_t *number = json_real(strtod(confidence, NULL)); /* it comes as a text */
    put_line(state, out,
             &(struct line){id, "customer", text_at(best, "text"), true, -1, -1, number, at_time[0] ? at_time : NULL});
    json_decref(number);
}

/* -------------------------------------------------------------------- Sinch */

static enum calls_vendor_kind kind_of_sinch(const json_t *message, const struct calls_vendor_state *state)
{
    const char *event = text_at(message, "event");
    (void)state;
    if (!strcmp(event, "ice")) return CALLS_VENDOR_BEGINS;
    if (!strcmp(event, "ace")) return CALLS_VENDOR_IS_ACTIVE;
    return !strcmp(event, "dice") ? CALLS_VENDOR_ENDS : CALLS_VENDOR_LINES;
}

/* Its callbacks say what becomes of the call, and nothing of what is said in it. */
static void map_sinch(const json_t *message, struct calls_vendor_state *state, struct sio_builder *out)
{
    (void)message;
    (void)state;
    (void)out;
}

/* --------------------------------------------------------------------- all */

static const struct calls_vendor vendors[] = {
    {"deepgram", map_deepgram, "metadata.request_id", NULL, false, NULL},
    {"assemblyai", map_assemblyai, NULL, NULL, false, NULL},
    {"google", map_google, NULL, NULL, false, "g-"},
    {"amazon", map_amazon, NULL, NULL, false, NULL},
    {"openai", map_openai, NULL, NULL, false, NULL},
    {"livekit", map_livekit, "room", NULL, false, NULL},
    {"twilio", map_twilio, "CallSid", kind_of_twilio, true, "tw-"},
    {"amazon-connect", map_connect, "ContactId", kind_of_connect, false, NULL},
    {"google-agent-assist", map_agent_assist, "conversation", kind_of_agent_assist, false, NULL},
    {"whisper", map_whisper, NULL, NULL, false, NULL},
    {"vonage", map_vonage, "conversation_uuid", kind_of_vonage, true, NULL},
    {"sinch", map_sinch, "callid", kind_of_sinch, true, NULL},
};

const struct calls_vendor *calls_vendor_find(const char *name)
{
    for (size_t i = 0; i < sizeof vendors / sizeof vendors[0]; i++)
        if (!strcmp(vendors[i].name, name)) return &vendors[i];
    return NULL;
}

const char *calls_vendor_unnamed(const struct calls_vendor *vendor)
{
    return vendor->unnamed ? vendor->unnamed : "";
}

void calls_vendor_adopt(const struct calls_vendor *vendor, struct calls_vendor_state *state, const char *segment_id)
{
    const char *dot = strrchr(segment_id, '.'), *name = dot ? dot + 1 : segment_id;
    size_t n = strlen(calls_vendor_unnamed(vendor));
    char key[CALLS_VENDOR_ID_SIZE];
    if (!n || strncmp(name, vendor->unnamed, n) != 0) return;
    snprintf(key, sizeof key, "%.*s", (int)strcspn(name + n, "-"), name + n);
    open_segment(state, key, name);
}

bool calls_vendor_signs(const struct calls_vendor *vendor)
{
    return vendor->signs;
}

int calls_vendor_map(const struct calls_vendor *vendor, const json_t *message, struct calls_vendor_state *state,
                     struct sio_builder *out)
{
    vendor->map(message, state, out);
    return out->error;
}

enum calls_vendor_kind calls_vendor_kind(const struct calls_vendor *vendor, const json_t *message,
                                         const struct calls_vendor_state *state)
{
    return vendor->kind ? vendor->kind(message, state) : CALLS_VENDOR_LINES;
}

void calls_vendor_call(const struct calls_vendor *vendor, const json_t *message, char id[CALLS_VENDOR_ID_SIZE])
{
    const char *field = vendor->call, *dot = field ? strchr(field, '.') : NULL;
    char outer[32];
    id[0] = 0;
    if (!field) return;
    if (dot) {
        snprintf(outer, sizeof outer, "%.*s", (int)(dot - field), field);
        const json_t *inner = json_object_get(message, outer);
        /* Deepgram's Flux has it without the object around it. */
        message = inner ? inner : message;
        field = dot + 1;
    }
    const char *name = text_at(message, field), *slash = strrchr(name, '/');
    make_id(id, "", slash ? slash + 1 : name);
}
