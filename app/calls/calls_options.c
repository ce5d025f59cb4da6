/* The calls' options. */
#include "calls_int.h"
#include "calls_vendor_sign.h"
#include "kit_fetch.h"
#include "kit_options.h"

#include <string.h>

#define KIT_VALUES struct calls_config

/* What is signed is this and the path of the request. */
static const char *check_public_url(const char *url)
{
    static const char allowed[] = "https://host or http://host, without a path";
    const char *host = strstr(url, "://");
    return !kit_fetch_check_url(url) && host && !strpbrk(host + 3, "/?#") ? NULL : allowed;
}

static const struct kit_option options[] = {
    KIT_U32_ROW(
        "snapshot_lines_max", snapshot_lines_max, "5000", 1, 1000000, "Calls",
        "lines in the response to call:subscribe: the latest, with `truncated` if there were more; with `since_seq`, "
        "the next, with `more` if others follow"),
    KIT_SIZE_ROW("snapshot_bytes_max", snapshot_bytes_max, "4194304", 1024, "Calls",
                 "bytes of these lines; the same applies"),
    KIT_U32_ROW("snapshot_suggestions_max", snapshot_suggestions_max, "20", 1, 10000, "Calls",
                "latest suggestions in the response to call:subscribe"),
    KIT_U32_ROW("snapshot_alerts_max", snapshot_alerts_max, "100", 1, 10000, "Calls",
                "latest alerts in the response to call:subscribe"),
    KIT_U32_ROW("snapshot_notes_max", snapshot_notes_max, "100", 1, 10000, "Calls",
                "latest notes of supervisors in the response to call:subscribe"),
    KIT_SIZE_ROW("snapshot_memory_bytes", snapshot_memory_bytes, "134217728", 1024, "Calls",
                 "bytes of responses to call:subscribe and of exports that are being read or sent; above: further "
                 "responses wait, "
                 "and exports get error 429"),
    KIT_SIZE_ROW("snapshot_memory_per_user_bytes", snapshot_memory_per_user_bytes, "33554432", 1024, "Calls",
                 "the same for one user, over all the user's sockets"),
    KIT_U32_ROW("snapshot_wait_ms", snapshot_wait_ms, "30000", 10, KIT_DAY_MS, "Calls",
                "how long a response may wait for that; above: error 503"),
    KIT_U32_ROW(
        "gate_messages_max", gate_messages_max, "4096", 1, 1000000, "Calls",
        "events of a call buffered for one socket while its snapshot is read or its access is checked; above: error "
        "503, and it may subscribe again"),
    KIT_SIZE_ROW("gate_bytes_max", gate_bytes_max, "4194304", 1024, "Calls", "bytes of these events; the same applies"),
    KIT_U32_ROW("call_list_max", call_list_max, "200", 1, 10000, "Calls", "latest calls in the response to call:list"),
    KIT_SIZE_ROW("call_list_bytes_max", call_list_bytes_max, "1048576", 1024, "Calls",
                 "bytes of these calls, of which metadata may be large; above: the rest is the next page's"),
    KIT_U32_ROW("text_max_bytes", text_max_bytes, "65536", 1, 1000000, "Calls",
                "text of a transcript line; above: error 413"),
    KIT_TEXT_ROW(
        "redaction", redaction, "default", "Calls",
        "what is taken out of transcripts before they are stored or sent: `default` (card numbers, IBANs, e-mail "
        "addresses, telephone numbers), a file of rules, or `off`"),
    KIT_TEXT_ROW(
        "alert_rules", alert_rules, "", "Calls",
        "file of alert rules, a JSON list; reloaded on SIGHUP; administrators may write others over HTTP; empty: none"),
    KIT_SIZE_ROW("export_bytes_max", export_bytes_max, "67108864", 1024, "Calls",
                 "size of an exported call; above: error 413, or once it has begun the end of the connection"),
    KIT_CHECKED_ROW("public_url", public_url, "", check_public_url, "Calls",
                    "how this server is called from outside, `https://host`, without a path: Twilio signs it"),
    KIT_SECRET_ROW("twilio_auth_token", twilio_auth_token, NULL, "Calls",
                   "the account's auth token, by which Twilio signs its webhooks; empty: they are not taken"),
    KIT_SECRET_ROW("vonage_secrets", vonage_secrets, calls_vendor_check_secrets, "Calls",
                   "`API_KEY:SECRET` of the accounts of which Vonage's signed webhooks are taken, with commas between; "
                   "empty: none are"),
    KIT_SECRET_ROW(
        "sinch_secrets", sinch_secrets, calls_vendor_check_base64_secrets, "Calls",
        "`KEY:SECRET` of the applications of which Sinch's callbacks are taken, with commas between; empty: none are"),
    KIT_TEXT_ROW(
        "summary_model", summary_model, "local", "Calls",
        "who writes summaries of calls: `local` (sentences of the call, chosen by rules; nothing leaves the "
        "server); `auto` (the models of `models_file` in their order) or the id of one of them gets the redacted "
        "transcript, and `local` stands in when it fails"),
    KIT_U32_ROW("summary_timeout_ms", summary_timeout_ms, "15000", 100, KIT_DAY_MS, "Calls",
                "for a model to write a summary; above: `local`"),
    KIT_SIZE_ROW("summary_text_bytes", summary_text_bytes, "32768", 1024, "Calls",
                 "text of a call that a model gets; above: its first quarter and its end"),
    KIT_U32_ROW("summaries_max", summaries_max, "32", 1, 100000, "Calls",
                "summaries that models write at a time; above: `local`"),
    KIT_U32_ROW("source_summaries_max", source_summaries_max, "8", 1, 100000, "Calls",
                "of one tenant, or of a user without a tenant; above: `local`"),
    KIT_U32_ROW("late_final_s", late_final_s, "30", 0, 86400, "Calls",
                "final lines are accepted for this time after the end of their call; later: error 409"),
    KIT_U32_ROW("call_idle_timeout_s", call_idle_timeout_s, "3600", 0, 31536000, "Calls",
                "a call ends automatically after this time without events from a feed, unless a feed that sent some is "
                "connected; 0: never"),
    KIT_U32_ROW("retention_days", retention_days, "365", 0, 36500, "Calls",
                "ended calls are deleted with their transcripts after this many days; 0: never"),
    KIT_U32_ROW("suggest_turns", suggest_turns, "12", 1, 50, "Calls",
                "latest customer lines that a document search uses, besides the first three"),
    KIT_U32_ROW("demo_line_ms", demo_line_ms, "2500", 10, 600000, "Demo", "time per line of average length"),
    KIT_U32_ROW("demo_pause_ms", demo_pause_ms, "8000", 10, KIT_DAY_MS, "Demo", "pause between two demo calls"),
    KIT_U32_ROW("demo_keep", demo_keep, "5", 1, 1000, "Demo", "ended demo calls to keep"),
};
const struct kit_option_set calls_options = KIT_OPTION_SET(options);

const struct calls_config *calls_config(const struct kit_config *config)
{
    return kit_config_values(config, &calls_options);
}
