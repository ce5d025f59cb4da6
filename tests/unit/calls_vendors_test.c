/* What vendors send, as their documentation records it, and the lines that come of it. A line is written as
 * "speaker segment_id final|open begin-end: text". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calls_vendors.h"

static struct calls_vendor_state state;
static char lines[4096];

static long long number_of(const json_t *line, const char *name)
{
    const json_t *value = json_object_get(line, name);
    return value ? json_integer_value(value) : -1;
}

static void note(const char *text)
{
    json_t *line = json_loads(text, 0, NULL);
    size_t n = strlen(lines);
    if (!line) fail_msg("not JSON: %s", text);
    snprintf(lines + n, sizeof lines - n, "%s %s %s %lld-%lld: %s\n",
             json_string_value(json_object_get(line, "speaker")),
             json_string_value(json_object_get(line, "segment_id")),
             json_is_true(json_object_get(line, "is_final")) ? "final" : "open", number_of(line, "start_ms"),
             number_of(line, "end_ms"), json_string_value(json_object_get(line, "text")));
    json_decref(line);
}

static void send(const char *vendor, const char *message)
{
    struct sio_builder out;
    json_t *object = json_loads(message, 0, NULL);
    if (!object) fail_msg("not JSON: %s", message);
    sio_builder_init(&out);
    sio_builder_open(&out);
    assert_int_equal(calls_vendor_map(calls_vendor_find(vendor), object, &state, &out), 0);
    char *text = strndup(out.size ? out.json : "", out.size), *rest = text, *line;
    while ((line = strsep(&rest, "\n")))
        if (*line) note(line);
    free(text);
    sio_builder_clear(&out);
    json_decref(object);
}

static void assert_lines(const char *wanted)
{
    assert_string_equal(lines, wanted);
    lines[0] = 0;
}

static int end(void **ctx)
{
    (void)ctx;
    calls_vendor_clear(&state);
    memset(&state, 0, sizeof state);
    lines[0] = 0;
    return 0;
}

static void deepgram_keeps_the_start_of_an_open_span(void **ctx)
{
    (void)ctx;
    send("deepgram",
         "{\"type\":\"Results\",\"channel_index\":[0,2],\"duration\":1.5,\"start\":3.25,\"is_final\":false,"
         "\"speech_final\":false,\"channel\":{\"alternatives\":[{\"transcript\":\"hello\",\"confidence\":0.9,"
         "\"words\":[]}]},\"metadata\":{\"request_id\":\"r\"}}");
    send("deepgram", "{\"type\":\"Results\",\"channel_index\":[0,2],\"duration\":2,\"start\":3.25,\"is_final\":true,"
                     "\"channel\":{\"alternatives\":[{\"transcript\":\"hello there\",\"confidence\":0.99}]}}");
    send("deepgram", "{\"type\":\"Results\",\"channel_index\":[1,2],\"duration\":1,\"start\":5,\"is_final\":true,"
                     "\"channel\":{\"alternatives\":[{\"transcript\":\"hi\",\"words\":[{\"speaker\":2}]}]}}");
    send("deepgram", "{\"type\":\"Results\",\"channel_index\":[0,2],\"duration\":1,\"start\":7,\"is_final\":true,"
                     "\"channel\":{\"alternatives\":[{\"transcript\":\"\"}]}}");
    send("deepgram", "{\"type\":\"UtteranceEnd\",\"channel\":[0,2],\"last_word_end\":5.25}");
    assert_lines("customer r.dg-0-3250 open 3250-4750: hello\n"
                 "customer r.dg-0-3250 final 3250-5250: hello there\n"
                 "agent r.dg-1-5000 final 5000-6000: hi\n");
}

static void a_turn_of_flux_ends_when_it_ends(void **ctx)
{
    static const char *const events[] = {"StartOfTurn", "Update", "EagerEndOfTurn", "TurnResumed", "EndOfTurn"};
    char message[256];
    (void)ctx;
    for (size_t i = 0; i < 5; i++) {
        snprintf(message, sizeof message,
                 "{\"type\":\"TurnInfo\",\"event\":\"%s\",\"turn_index\":3,\"audio_window_start\":0,"
                 "\"audio_window_end\":%zu.5,\"transcript\":\"%.*s\"}",
                 events[i], i, (int)i, "abcd");
        send("deepgram", message);
    }
    assert_lines("customer dg-turn-3 open 0-1500: a\ncustomer dg-turn-3 open 0-2500: ab\n"
                 "customer dg-turn-3 open 0-3500: abc\ncustomer dg-turn-3 final 0-4500: abcd\n");
}

static void a_turn_of_assemblyai_may_end_twice(void **ctx)
{
    (void)ctx;
    send("assemblyai", "{\"type\":\"Begin\",\"id\":\"x\",\"expires_at\":1}");
    send("assemblyai", "{\"type\":\"Turn\",\"turn_order\":0,\"end_of_turn\":false,\"transcript\":\"hi\",\"words\":["
                       "{\"text\":\"hi\",\"start\":100,\"end\":200,\"word_is_final\":true},"
                       "{\"text\":\"the\",\"start\":300,\"end\":400,\"word_is_final\":false}]}");
    send("assemblyai", "{\"type\":\"Turn\",\"turn_order\":0,\"end_of_turn\":true,\"turn_is_formatted\":false,"
                       "\"transcript\":\"hi there\",\"words\":[]}");
    send("assemblyai", "{\"type\":\"Turn\",\"turn_order\":0,\"end_of_turn\":true,\"turn_is_formatted\":true,"
                       "\"transcript\":\"Hi there.\",\"words\":[]}");
    send("assemblyai", "{\"type\":\"Termination\"}");
    assert_lines("customer aai-0 open 100-400: hi the\ncustomer aai-0 final -1--1: hi there\n"
                 "customer aai-0 final -1--1: Hi there.\n");
}

static void parts_of_google_are_one_open_segment(void **ctx)
{
    (void)ctx;
    send("google", "{\"results\":[{\"alternatives\":[{\"transcript\":\"how old\"}],\"stability\":0.9,"
                   "\"resultEndOffset\":\"1.2s\"},{\"alternatives\":[{\"transcript\":\" is\"}],\"stability\":0.01,"
                   "\"resultEndOffset\":\"1.2s\"}]}");
    send("google", "{\"results\":[{\"alternatives\":[{\"transcript\":\"how old is it\",\"confidence\":0.95}],"
                   "\"isFinal\":true,\"resultEndOffset\":\"2.04s\"}]}");
    send("google", "{\"results\":[{\"alternatives\":[{\"transcript\":\"well\"}],\"resultEndOffset\":\"3s\"}]}");
    send("google", "{\"results\":[{\"alternatives\":[{\"transcript\":\"well done\"}],\"isFinal\":true,"
                   "\"channelTag\":2,\"resultEndOffset\":\"3.5s\"}]}");
    assert_lines("customer g-0-1200 open -1--1: how old is\ncustomer g-0-1200 final -1-2040: how old is it\n"
                 "customer g-0-3000 open -1--1: well\nagent g-2-3500 final -1-3500: well done\n");
}

static void amazon_names_its_results(void **ctx)
{
    (void)ctx;
    send("amazon", "{\"Transcript\":{\"Results\":[{\"ResultId\":\"a-1\",\"IsPartial\":true,\"ChannelId\":\"ch_1\","
                   "\"StartTime\":0.5,\"EndTime\":1.25,\"Alternatives\":[{\"Transcript\":\"good\",\"Items\":[]}]},"
                   "{\"ResultId\":\"b/2\",\"IsPartial\":false,\"StartTime\":0,\"EndTime\":1,\"Alternatives\":["
                   "{\"Transcript\":\"yes\",\"Items\":[{\"Content\":\"yes\",\"Speaker\":\"0\"}]}]}]}}");
    send("amazon", "{\"UtteranceEvent\":{\"UtteranceId\":\"u\",\"IsPartial\":false,\"ParticipantRole\":\"AGENT\","
                   "\"BeginOffsetMillis\":10,\"EndOffsetMillis\":20,\"Transcript\":\"Hello\"}}");
    assert_lines("agent aws-a-1 open 500-1250: good\nspeaker-0 aws-b-2 final 0-1000: yes\n"
                 "agent aws-u final 10-20: Hello\n");
}

/* Amazon Connect: a guess has the id of the transcript that follows; categories bring no line. */
static void guesses_of_contact_lens_name_their_transcript(void **ctx)
{
    (void)ctx;
    send("amazon-connect", "{\"Version\":\"1.0.0\",\"ContactId\":\"c\",\"EventType\":\"SEGMENTS\",\"Segments\":["
                           "{\"Utterance\":{\"Id\":\"u1\",\"TranscriptId\":\"t1\",\"ParticipantId\":\"CUSTOMER\","
                           "\"ParticipantRole\":\"CUSTOMER\","
                           "\"PartialContent\":\"my order\",\"BeginOffsetMillis\":100,\"EndOffsetMillis\":900}}]}");
    send("amazon-connect",
         "{\"ContactId\":\"c\",\"EventType\":\"SEGMENTS\",\"Segments\":["
         "{\"Transcript\":{\"Id\":\"t1\",\"ParticipantRole\":\"CUSTOMER\",\"Content\":\"My order is "
         "late.\",\"BeginOffsetMillis\":100,"
         "\"EndOffsetMillis\":1500,\"Sentiment\":\"NEGATIVE\"}},{\"Categories\":{\"MatchedCategories\":[\"late\"]}},"
         "{\"Transcript\":{\"Id\":\"t2\",\"ParticipantRole\":\"AGENT\",\"Content\":\"I "
         "see.\",\"BeginOffsetMillis\":1600,"
         "\"EndOffsetMillis\":2000}}]}");
    send("amazon-connect",
         "{\"Segments\":[{\"Transcript\":{\"Id\":\"t3\",\"ParticipantRole\":\"SYSTEM\",\"Content\":\"You are "
         "being recorded.\"}}]}");
    send("amazon-connect", "{\"ContactId\":\"c\",\"EventType\":\"COMPLETED\"}");
    assert_lines("customer con-t1 open 100-900: my order\n"
                 "customer con-t1 final 100-1500: My order is late.\n"
                 "agent con-t2 final 1600-2000: I see.\n"
                 "system con-t3 final -1--1: You are being recorded.\n");
}

/* Google Agent Assist over Pub/Sub, which may bring a message twice: it has the same id again. */
static void agent_assist_sends_messages(void **ctx)
{
    static const char message[] =
        "{\"conversation\":\"projects/p/locations/global/conversations/"
        "c1\",\"type\":\"NEW_MESSAGE\",\"newMessagePayload\":{"
        "\"name\":\"projects/p/locations/global/conversations/c1/messages/m-1\",\"content\":\"Where is it?\","
        "\"participantRole\":\"END_USER\",\"createTime\":\"2026-10-01T10:00:00.123Z\"}}";
    (void)ctx;
    send("google-agent-assist", message);
    send("google-agent-assist", message);
    send("google-agent-assist", "{\"type\":\"NEW_RECOGNITION_RESULT\",\"newRecognitionResultPayload\":{"
                                "\"transcript\":\"one mo\",\"isFinal\":false}}");
    send("google-agent-assist", "{\"type\":\"NEW_MESSAGE\",\"newMessagePayload\":{\"name\":\"x/messages/m 2\","
                                "\"content\":\"One moment.\",\"participantRole\":\"HUMAN_AGENT\"}}");
    send("google-agent-assist", "{\"type\":\"CONVERSATION_FINISHED\"}");
    assert_lines("customer ga-m-1 final -1--1: Where is it?\n"
                 "customer ga-m-1 final -1--1: Where is it?\n"
                 "agent ga-m-2 final -1--1: One moment.\n");
}

/* Whisper makes sentences out of silence, and says so by two numbers, neither of which does alone. */
static void segments_of_whisper_are_final(void **ctx)
{
    (void)ctx;
    send("whisper",
         "{\"task\":\"transcribe\",\"language\":\"english\",\"duration\":9.5,\"text\":\"Hello. Thanks for watching!\","
         "\"segments\":[{\"id\":0,\"start\":0.0,\"end\":1.25,\"text\":\" "
         "Hello.\",\"avg_logprob\":-0.2,\"no_speech_prob\":0.7},"
         "{\"id\":1,\"start\":1.25,\"end\":9.5,\"text\":\" Thanks for "
         "watching!\",\"avg_logprob\":-1.3,\"no_speech_prob\":0.9},"
         "{\"id\":2,\"start\":9.5,\"end\":9.9,\"text\":\" Hm.\",\"avg_logprob\":-1.3,\"no_speech_prob\":0.1}]}");
    send("whisper", "{\"segments\":[{\"id\":0,\"start\":10,\"end\":11,\"text\":\"Bye.\",\"speaker\":\"agent\"}]}");
    assert_lines("customer wh-0-0 final 0-1250: Hello.\n"
                 "customer wh-9500-2 final 9500-9900: Hm.\n"
                 "agent wh-10000-0 final 10000-11000: Bye.\n");
}

static void deltas_of_openai_append_until_they_are_completed(void **ctx)
{
    static const char prefix[] = "conversation.item.input_audio_transcription";
    char message[256];
    (void)ctx;
    for (int i = 0; i < 2; i++) {
        snprintf(message, sizeof message,
                 "{\"type\":\"%s.delta\",\"item_id\":\"item_1\",\"content_index\":0,\"delta\":\"%s\"}", prefix,
                 i ? " you" : "How are");
        send("openai", message);
    }
    snprintf(message, sizeof message,
             "{\"type\":\"%s.completed\",\"item_id\":\"item_1\",\"content_index\":0,\"transcript\":\"How are you?\"}",
             prefix);
    send("openai", message);
    send("openai", "{\"type\":\"response.created\"}");
    snprintf(message, sizeof message,
             "{\"type\":\"%s.delta\",\"item_id\":\"item_2\",\"content_index\":0,\"delta\":\"x\"}", prefix);
    send("openai", message);
    snprintf(message, sizeof message, "{\"type\":\"%s.failed\",\"item_id\":\"item_2\",\"content_index\":0}", prefix);
    send("openai", message);
    assert_lines("customer oai-item_1-0 open -1--1: How are\ncustomer oai-item_1-0 open -1--1: How are you\n"
                 "customer oai-item_1-0 final -1--1: How are you?\ncustomer oai-item_2-0 open -1--1: x\n"
                 "customer oai-item_2-0 final -1--1: x\n");
    assert_int_equal(state.count, 0);
}

/* Realtime with a model that tells speakers apart: each segment is a line. The whole is not said again, and what was
 * appended before the first does not stay open. */
static void segments_of_openai_have_speakers(void **ctx)
{
    static const char *const messages[] = {
        "segment\",\"item_id\":\"i1\",\"content_index\":0,\"id\":\"seg_1\",\"speaker\":\"A\",\"start\":0.5,\"end\":1,"
        "\"text\":\"Hello.\"",
        "segment\",\"item_id\":\"i1\",\"content_index\":0,\"id\":\"seg_2\",\"speaker\":\"B\",\"start\":1,\"end\":2,"
        "\"text\":\"Hi.\"",
        "completed\",\"item_id\":\"i1\",\"content_index\":0,\"transcript\":\"Hello. Hi.\"",
        "delta\",\"item_id\":\"i2\",\"content_index\":0,\"delta\":\"So\"",
        "segment\",\"item_id\":\"i2\",\"content_index\":0,\"id\":\"seg_3\",\"speaker\":\"A\",\"text\":\"So?\"",
        "delta\",\"item_id\":\"i2\",\"content_index\":0,\"delta\":\" that\"",
        "segment\",\"item_id\":\"i2\",\"content_index\":0,\"id\":\"seg_3\",\"speaker\":\"A\",\"text\":\"So?\"",
        "segment\",\"item_id\":\"i2\",\"content_index\":0,\"id\":\"seg_4\",\"speaker\":\"B\",\"text\":\"That.\"",
        "failed\",\"item_id\":\"i2\",\"content_index\":0",
    };
    char message[512];
    (void)ctx;
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        snprintf(message, sizeof message, "{\"type\":\"conversation.item.input_audio_transcription.%s}", messages[i]);
        send("openai", message);
    }
    assert_lines("A oai-seg_1 final 500-1000: Hello.\nB oai-seg_2 final 1000-2000: Hi.\n"
                 "customer oai-i2-0 open -1--1: So\nA oai-i2-0 final -1--1: So?\nA oai-i2-0 final -1--1: So?\n"
                 "B oai-seg_4 final -1--1: That.\n");
    assert_int_equal(state.count, 0);
}

/* A streamed transcription counts its segments from the beginning in each piece of a call. */
static void a_diarized_stream_of_openai_is_lines(void **ctx)
{
    (void)ctx;
    send("openai", "{\"type\":\"transcript.text.delta\",\"delta\":\"Hi\",\"segment_id\":\"seg_0\"}");
    send("openai", "{\"type\":\"transcript.text.segment\",\"id\":\"seg_0\",\"start\":5.2,\"end\":12.8,"
                   "\"text\":\"Hi, I need help.\",\"speaker\":\"A\"}");
    send("openai", "{\"type\":\"transcript.text.done\",\"text\":\"Hi, I need help.\"}");
    assert_lines("A oai-5200-seg_0 final 5200-12800: Hi, I need help.\n");
    send("whisper", "{\"segments\":[{\"id\":\"seg_0\",\"start\":1,\"end\":2,\"text\":\"a\",\"speaker\":\"A\"},"
                    "{\"id\":\"seg_1\",\"start\":1,\"end\":2,\"text\":\"b\",\"speaker\":\"B\"}]}");
    assert_lines("A wh-1000-seg_0 final 1000-2000: a\nB wh-1000-seg_1 final 1000-2000: b\n");
}

/* Outbound calls have the customer on the other track, and no vendor knows whose voice is whose. */
static void the_feed_may_say_who_the_customer_is(void **ctx)
{
    static const struct {
        const char *vendor, *customer, *message, *wanted;
    } rows[] = {
        {"deepgram", "1",
         "{\"type\":\"Results\",\"channel_index\":[0,2],\"start\":1,\"duration\":1,\"is_final\":true,\"channel\":{"
         "\"alternatives\":[{\"transcript\":\"x\",\"words\":[{\"speaker\":0}]}]}}",
         "agent dg-0-1000 final 1000-2000: x\n"},
        {"deepgram", "speaker-0",
         "{\"type\":\"Results\",\"channel_index\":[0,1],\"start\":1,\"duration\":1,\"is_final\":true,\"channel\":{"
         "\"alternatives\":[{\"transcript\":\"x\",\"words\":[{\"speaker\":0}]}]}}",
         "customer dg-0-1000 final 1000-2000: x\n"},
        {"google", "2",
         "{\"results\":[{\"alternatives\":[{\"transcript\":\"x\"}],\"isFinal\":true,\"channelTag\":2,"
         "\"resultEndOffset\":\"1s\"}]}",
         "customer g-2-1000 final -1-1000: x\n"},
        {"amazon", "ch_1",
         "{\"Transcript\":{\"Results\":[{\"ResultId\":\"r\",\"ChannelId\":\"ch_0\",\"StartTime\":0,\"EndTime\":1,"
         "\"Alternatives\":[{\"Transcript\":\"x\"}]}]}}",
         "agent aws-r final 0-1000: x\n"},
        {"twilio", "outbound_track",
         "{\"TranscriptionEvent\":\"transcription-content\",\"Track\":\"outbound_track\",\"SequenceId\":\"2\","
         "\"Final\":\"true\",\"TranscriptionData\":\"{\\\"transcript\\\":\\\"x\\\"}\"}",
         "customer tw-outbound_track-2 final -1--1: x\n"},
        {"livekit", "ann",
         "{\"participant\":\"bob\",\"text\":\"x\",\"attributes\":{\"lk.segment_id\":\"s\","
         "\"lk.transcription_final\":true}}",
         "agent lk-s final -1--1: x\n"},
        {"whisper", "A", "{\"segments\":[{\"id\":1,\"start\":0,\"end\":1,\"text\":\"x\",\"speaker\":\"A\"}]}",
         "customer wh-0-1 final 0-1000: x\n"},
    };
    (void)ctx;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(state.customer, sizeof state.customer, "%s", rows[i].customer);
        send(rows[i].vendor, rows[i].message);
        assert_lines(rows[i].wanted);
    }
}

/* A feed that was cut off connects again: turns and times begin at 0 once more, and are other lines. */
static void another_connection_names_other_lines(void **ctx)
{
    static const char flux[] = "{\"type\":\"TurnInfo\",\"request_id\":\"%s\",\"event\":\"EndOfTurn\",\"turn_index\":0,"
                               "\"audio_window_start\":0,\"audio_window_end\":1,\"transcript\":\"%s\"}";
    char message[512];
    (void)ctx;
    for (int i = 0; i < 2; i++) {
        snprintf(message, sizeof message, flux, i ? "7c1f0f52-b" : "0a9e3b44-a", i ? "again" : "hello");
        send("deepgram", message);
    }
    assert_lines("customer 0a9e3b44.dg-turn-0 final 0-1000: hello\n"
                 "customer 7c1f0f52.dg-turn-0 final 0-1000: again\n");
    state.sees_all = true;
    state.connection[0] = 0;
    for (int i = 0; i < 2; i++) {
        send("assemblyai", i ? "{\"type\":\"Begin\",\"id\":\"b\"}" : "{\"type\":\"Begin\",\"id\":\"a\"}");
        send("assemblyai",
             "{\"type\":\"Turn\",\"turn_order\":0,\"end_of_turn\":true,\"transcript\":\"hi\",\"words\":[]}");
    }
    assert_lines("customer a.aai-0 final -1--1: hi\ncustomer b.aai-0 final -1--1: hi\n");
    for (int i = 0; i < 2; i++) {
        snprintf(message, sizeof message,
                 "{\"TranscriptionEvent\":\"transcription-content\",\"TranscriptionSid\":\"GT%d\",\"Track\":\"inbound_"
                 "track\","
                 "\"SequenceId\":\"2\",\"Final\":\"true\",\"TranscriptionData\":\"{\\\"transcript\\\":\\\"x\\\"}\"}",
                 i);
        send("twilio", message);
    }
    assert_lines("customer GT0.tw-inbound_track-2 final -1--1: x\ncustomer GT1.tw-inbound_track-2 final -1--1: x\n");
}

/* Other processes got the messages before: what they left open is gone on with, and nothing else. */
static void what_others_left_open_is_taken_over(void **ctx)
{
    (void)ctx;
    static const char *const ids[] = {"c1.g-2-900", "g-0-1200", "tw-inbound_track-2", "x", "g-", ""};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        calls_vendor_adopt(calls_vendor_find("google"), &state, ids[i]);
    for (int channel = 0; channel < 3; channel += 2) {
        char message[256];
        snprintf(message, sizeof message,
                 "{\"results\":[{\"alternatives\":[{\"transcript\":\"x\"}],\"isFinal\":true,\"channelTag\":%d,"
                 "\"resultEndOffset\":\"2s\"}]}",
                 channel);
        send("google", message);
    }
    assert_lines("customer g-0-1200 final -1-2000: x\nagent g-2-900 final -1-2000: x\n");
    assert_string_equal(calls_vendor_unnamed(calls_vendor_find("deepgram")), "");
    calls_vendor_adopt(calls_vendor_find("deepgram"), &state, "g-0-1200");
}

/* What the feed says of its connection counts more than the vendor's name of it, and moves the times. */
static void a_feed_names_its_connection(void **ctx)
{
    (void)ctx;
    snprintf(state.connection, sizeof state.connection, "second");
    state.is_named = true;
    state.offset_ms = 18000;
    send("deepgram",
         "{\"type\":\"Results\",\"channel_index\":[0,1],\"start\":0,\"duration\":2,\"is_final\":true,"
         "\"channel\":{\"alternatives\":[{\"transcript\":\"hello\"}]},\"metadata\":{\"request_id\":\"r\"}}");
    send("whisper", "{\"segments\":[{\"id\":0,\"start\":0,\"end\":1,\"text\":\"Hi.\"}]}");
    send("assemblyai", "{\"type\":\"Begin\",\"id\":\"x\"}");
    send("assemblyai", "{\"type\":\"Turn\",\"turn_order\":0,\"end_of_turn\":true,\"transcript\":\"ho\",\"words\":[]}");
    assert_lines("customer second.dg-0-0 final 18000-20000: hello\ncustomer second.wh-0-0 final 18000-19000: Hi.\n"
                 "customer second.aai-0 final -1--1: ho\n");
}

static enum calls_vendor_kind kind_of(const char *vendor, const char *message)
{
    json_t *object = json_loads(message, 0, NULL);
    if (!object) fail_msg("not JSON: %s", message);
    enum calls_vendor_kind kind = calls_vendor_kind(calls_vendor_find(vendor), object, &state);
    json_decref(object);
    return kind;
}

static void messages_begin_and_end_their_calls(void **ctx)
{
    static const struct {
        const char *vendor, *message;
        enum calls_vendor_kind kind;
    } rows[] = {
        {"twilio", "{\"TranscriptionEvent\":\"transcription-started\"}", CALLS_VENDOR_BEGINS},
        {"twilio", "{\"TranscriptionEvent\":\"transcription-content\"}", CALLS_VENDOR_LINES},
        {"twilio", "{\"TranscriptionEvent\":\"transcription-stopped\"}", CALLS_VENDOR_ENDS},
        {"twilio", "{\"TranscriptionEvent\":\"transcription-error\"}", CALLS_VENDOR_LINES},
        {"amazon-connect", "{\"EventType\":\"STARTED\"}", CALLS_VENDOR_BEGINS},
        {"amazon-connect", "{\"EventType\":\"SEGMENTS\"}", CALLS_VENDOR_LINES},
        {"amazon-connect", "{\"EventType\":\"COMPLETED\"}", CALLS_VENDOR_ENDS},
        {"amazon-connect", "{\"EventType\":\"FAILED\"}", CALLS_VENDOR_ENDS},
        {"google-agent-assist", "{\"type\":\"CONVERSATION_STARTED\"}", CALLS_VENDOR_BEGINS},
        {"google-agent-assist", "{\"type\":\"CONVERSATION_FINISHED\"}", CALLS_VENDOR_ENDS},
        {"vonage", "{\"status\":\"started\",\"direction\":\"inbound\"}", CALLS_VENDOR_BEGINS},
        {"vonage", "{\"status\":\"answered\",\"direction\":\"outbound\"}", CALLS_VENDOR_IS_ACTIVE},
        {"vonage", "{\"status\":\"completed\",\"direction\":\"outbound\"}", CALLS_VENDOR_LINES},
        {"vonage", "{\"status\":\"completed\",\"direction\":\"inbound\"}", CALLS_VENDOR_ENDS},
        {"vonage", "{\"status\":\"machine\",\"direction\":\"inbound\"}", CALLS_VENDOR_LINES},
        {"sinch", "{\"event\":\"ice\"}", CALLS_VENDOR_BEGINS},
        {"sinch", "{\"event\":\"ace\"}", CALLS_VENDOR_IS_ACTIVE},
        {"sinch", "{\"event\":\"notify\"}", CALLS_VENDOR_LINES},
        {"sinch", "{\"event\":\"dice\"}", CALLS_VENDOR_ENDS},
        {"deepgram", "{\"type\":\"Metadata\"}", CALLS_VENDOR_LINES},
    };
    (void)ctx;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(kind_of(rows[i].vendor, rows[i].message), rows[i].kind);
    snprintf(state.customer, sizeof state.customer, "outbound");
    assert_int_equal(kind_of("vonage", "{\"status\":\"completed\",\"direction\":\"outbound\"}"), CALLS_VENDOR_ENDS);
    assert_int_equal(kind_of("vonage", "{\"status\":\"completed\",\"direction\":\"inbound\"}"), CALLS_VENDOR_LINES);
}

static void messages_name_their_call(void **ctx)
{
    static const struct {
        const char *vendor, *message, *wanted;
    } rows[] = {
        {"deepgram", "{\"metadata\":{\"request_id\":\"r-1\"}}", "r-1"},
        {"deepgram", "{\"type\":\"TurnInfo\",\"request_id\":\"r 2\"}", "r-2"},
        {"deepgram", "{\"metadata\":{}}", ""},
        {"twilio", "{\"CallSid\":\"CA1\"}", "CA1"},
        {"amazon-connect", "{\"ContactId\":\"c-1\"}", "c-1"},
        {"google-agent-assist", "{\"conversation\":\"projects/p/conversations/c1\"}", "c1"},
        {"livekit", "{\"room\":\"r\"}", "r"},
        {"vonage", "{\"conversation_uuid\":\"CON-1\",\"uuid\":\"u\"}", "CON-1"},
        {"sinch", "{\"callid\":\"1_2\"}", "1_2"},
        {"sinch", "{\"callid\":7}", ""},
        {"google", "{\"call\":\"x\"}", ""},
        {"twilio", "[]", ""},
    };
    char id[CALLS_VENDOR_ID_SIZE];
    (void)ctx;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *message = json_loads(rows[i].message, 0, NULL);
        calls_vendor_call(calls_vendor_find(rows[i].vendor), message, id);
        assert_string_equal(id, rows[i].wanted);
        json_decref(message);
    }
}

/* An `input` of Vonage's: what the caller answered, with a confidence that is a text. */
static void vonage_understands_answers(void **ctx)
{
    (void)ctx;
    send("vonage", "{\"speech\":{\"timeout_reason\":\"end_on_silence_timeout\",\"results\":[{\"confidence\":\"0.94\","
                   "\"text\":\"my order is late\"},{\"confidence\":\"0.7\",\"text\":\"my older\"}]},\"uuid\":\"u-1\","
                   "\"conversation_uuid\":\"CON-1\",\"timestamp\":\"2026-01-31T12:00:00.000Z\"}");
    send("vonage", "{\"status\":\"answered\",\"uuid\":\"u-1\",\"conversation_uuid\":\"CON-1\"}");
    send("sinch", "{\"event\":\"dice\",\"callid\":\"1\"}");
    assert_lines("customer vg-u-1-2026-01-31T12:00:00.000Z final -1--1: my order is late\n");
}

static void livekit_replaces_or_appends(void **ctx)
{
    (void)ctx;
    send("livekit", "{\"participant\":\"user\",\"text\":\"he\",\"attributes\":{\"lk.segment_id\":\"SG_1\","
                    "\"lk.transcription_final\":\"false\"}}");
    send("livekit", "{\"participant\":\"user\",\"text\":\"hello\",\"attributes\":{\"lk.segment_id\":\"SG_1\","
                    "\"lk.transcription_final\":\"true\"}}");
    send("livekit", "{\"participant\":\"agent\",\"text\":\"good \",\"append\":true,\"attributes\":{\"lk.segment_id\":"
                    "\"SG_2\"}}");
    send("livekit", "{\"participant\":\"agent\",\"text\":\"day\",\"append\":true,\"attributes\":{\"lk.segment_id\":"
                    "\"SG_2\",\"lk.transcription_final\":\"true\"}}");
    assert_lines("user lk-SG_1 open -1--1: he\nuser lk-SG_1 final -1--1: hello\nagent lk-SG_2 open -1--1: good \n"
                 "agent lk-SG_2 final -1--1: good day\n");
}

static void twilio_names_the_open_segment_of_a_track_by_its_first_message(void **ctx)
{
    char message[512];
    (void)ctx;
    for (int i = 1; i <= 3; i++) {
        snprintf(message, sizeof message,
                 "{\"TranscriptionEvent\":\"transcription-content\",\"CallSid\":\"CA1\",\"Track\":\"inbound_track\","
                 "\"SequenceId\":\"%d\",\"Final\":\"%s\",\"Timestamp\":\"2026-01-31T12:00:00.000Z\","
                 "\"TranscriptionData\":\"{\\\"transcript\\\":\\\"part %d\\\",\\\"confidence\\\":0.9}\"}",
                 i + 1, i == 2 ? "true" : "false", i);
        send("twilio", message);
    }
    send("twilio", "{\"TranscriptionEvent\":\"transcription-started\",\"CallSid\":\"CA1\"}");
    send("twilio", "{\"TranscriptionEvent\":\"transcription-content\",\"TranscriptionData\":\"{\"}");
    assert_lines("customer tw-inbound_track-2 open -1--1: part 1\ncustomer tw-inbound_track-2 final -1--1: part 2\n"
                 "customer tw-inbound_track-4 open -1--1: part 3\n");
}

/* Members of any type, missing members, more open segments than are remembered. */
static void what_is_no_message_brings_no_line_and_no_crash(void **ctx)
{
    static const char *const vendors[] = {
        "deepgram",       "assemblyai",          "google",  "amazon", "openai", "livekit", "twilio",
        "amazon-connect", "google-agent-assist", "whisper", "vonage", "sinch"};
    static const char *const odd[] = {
        "{}",
        "[]",
        "{\"type\":\"Results\",\"channel\":[],\"start\":\"x\",\"channel_index\":7}",
        "{\"type\":\"Turn\",\"words\":[1,{}],\"turn_order\":\"x\"}",
        "{\"results\":[1,null,{\"alternatives\":[{}]}]}",
        "{\"Transcript\":{\"Results\":[null,{}]},\"UtteranceEvent\":[]}",
        "{\"type\":\"input_audio_transcription.delta\",\"delta\":1}",
        "{\"type\":\"input_audio_transcription.segment\",\"text\":[],\"start\":\"x\"}",
        "{\"type\":\"transcript.text.segment\",\"id\":{}}",
        "{\"speech\":{\"results\":{\"text\":\"x\"}},\"timestamp\":7}",
        "{\"attributes\":{\"lk.segment_id\":5}}",
        "{\"Segments\":[1,null,{},{\"Transcript\":[]},{\"Utterance\":{\"PartialContent\":7}}]}",
        "{\"type\":\"NEW_MESSAGE\",\"newMessagePayload\":[]}",
        "{\"segments\":[1,{\"start\":\"x\",\"text\":7},{\"no_speech_prob\":\"x\"}]}",
        "{\"type\":\"Results\",\"start\":1e300,\"duration\":-1,\"channel\":{\"alternatives\":[{\"transcript\":7}]}}",
    };
    char message[128];
    (void)ctx;
    for (size_t v = 0; v < sizeof vendors / sizeof vendors[0]; v++)
        for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) send(vendors[v], odd[i]);
    assert_lines("");
    for (int i = 0; i < 20; i++) {
        snprintf(message, sizeof message,
                 "{\"type\":\"input_audio_transcription.delta\",\"item_id\":\"i%d\",\"delta\":\"x\"}", i);
        send("openai", message);
    }
    assert_int_equal(state.count, CALLS_VENDOR_OPEN_MAX);
    assert_null(calls_vendor_find("nobody"));
}

int main(void)
{
#define VENDOR_TEST(name) cmocka_unit_test_teardown(name, end)
    const struct CMUnitTest tests[] = {
        VENDOR_TEST(deepgram_keeps_the_start_of_an_open_span),
        VENDOR_TEST(a_turn_of_flux_ends_when_it_ends),
        VENDOR_TEST(a_turn_of_assemblyai_may_end_twice),
        VENDOR_TEST(parts_of_google_are_one_open_segment),
        VENDOR_TEST(amazon_names_its_results),
        VENDOR_TEST(guesses_of_contact_lens_name_their_transcript),
        VENDOR_TEST(agent_assist_sends_messages),
        VENDOR_TEST(segments_of_whisper_are_final),
        VENDOR_TEST(deltas_of_openai_append_until_they_are_completed),
        VENDOR_TEST(segments_of_openai_have_speakers),
        VENDOR_TEST(a_diarized_stream_of_openai_is_lines),
        VENDOR_TEST(the_feed_may_say_who_the_customer_is),
        VENDOR_TEST(another_connection_names_other_lines),
        VENDOR_TEST(what_others_left_open_is_taken_over),
        VENDOR_TEST(a_feed_names_its_connection),
        VENDOR_TEST(messages_begin_and_end_their_calls),
        VENDOR_TEST(messages_name_their_call),
        VENDOR_TEST(vonage_understands_answers),
        VENDOR_TEST(livekit_replaces_or_appends),
        VENDOR_TEST(twilio_names_the_open_segment_of_a_track_by_its_first_message),
        VENDOR_TEST(what_is_no_message_brings_no_line_and_no_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
