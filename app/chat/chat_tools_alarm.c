/* create_alarm: a reminder, which comes as reminder.due in its chat. */
#include "chat_reminders.h"
#include "chat_work.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_TEXT_SIZE = 1000 };

struct alarm_work {
    struct chat_work work;
    struct chat_reminder reminder;
};

static int run_alarm(struct kit_db *db, struct chat_work *work, struct kit_failure *failure)
{
    struct alarm_work *alarm = KIT_OWNER(work, struct alarm_work, work);
    return chat_reminder_add(db, work->chat, work->chat_key, &alarm->reminder, failure);
}

/* Of "2099-01-01T09:30:00+05:30" 330: how far ahead the clock is by which it was written. */
static int offset_of(const char *time)
{
    size_t n = strlen(time);
    int hours, minutes;
    char sign;
    if (n < 6 || sscanf(time + n - 6, "%c%2d:%2d", &sign, &hours, &minutes) != 3) return 0;
    return sign == '+' ? hours * 60 + minutes : sign == '-' ? -(hours * 60 + minutes) : 0;
}

static void end_alarm(struct chat_work *work)
{
    const struct alarm_work *alarm = KIT_OWNER(work, struct alarm_work, work);
    const struct chat_reminder *reminder = &alarm->reminder;
    const char *time = chat_work_text(work, "time");
    char when[KIT_ZONE_TIME_SIZE], text[DEFAULT_TEXT_SIZE + sizeof when + 32];
    kit_zone_say(chat_tool_info(work->call)->time_zone, offset_of(time), reminder->at_ms, when);
    snprintf(text, sizeof text, "Alarm set: \"%.*s\" on %s.", DEFAULT_TEXT_SIZE, reminder->text, when);
    chat_reminders_look_at(work->chat, reminder->at_ms);
    chat_tool_end(work->call, &(struct chat_tool_result){.ok = true,
                                                         .take_result = json_pack("{s:s, s:s, s:s, s:s}", "id",
                                                                                  reminder->id, "text", reminder->text,
                                                                                  "time", time, "message", text),
                                                         .text = text});
}

static void start_alarm(struct chat_tool_call *call)
{
    static const struct chat_work_ops ops = {.writes = true, .run = run_alarm, .end = end_alarm};
    struct alarm_work *alarm = chat_work_new(call, sizeof *alarm, &ops);
    if (!alarm) return;
    struct chat_reminder *reminder = &alarm->reminder;
    const char *text = chat_work_text(&alarm->work, "text");
    reminder->text = *text ? text : "Alarm";
    chat_make_id(reminder->id, "reminder_");
    bool is_time = kit_read_date_time(chat_work_text(&alarm->work, "time"), &reminder->at_ms);
    if (is_time && reminder->at_ms > alarm->work.now_ms) {
        chat_work_submit(&alarm->work);
        return;
    }
    chat_work_drop(&alarm->work, is_time ? "That time is over; an alarm needs a time in the future."
                                         : "The time must be like 2026-01-31T12:00:00Z.");
}

static const char *const phrases[] = {
    "create alarm",        "create an alarm for {time}", "set an alarm for {time}", "remind me to {text}",
    "remind me at {time}", "wake me at {time}",          "set a reminder {text}",   NULL};

static const struct chat_tool tool = {
    .name = "create_alarm",
    .title = "Set an alarm",
    .description = "Reminds the user of something at a time, in this chat.",
    .parameters = "{\"type\":\"object\",\"required\":[\"time\"],\"properties\":{\"time\":{\"type\":\"string\","
                  "\"format\":\"date-time\",\"title\":\"When\",\"description\":\"A time in the future\"},"
                  "\"text\":{\"type\":\"string\",\"title\":\"What\",\"maxLength\":1000}}}",
    .phrases = phrases,
    .start = start_alarm,
    .cancel = chat_work_cancel,
};

int chat_tools_alarm_start(struct chat *chat)
{
    return chat_tools_add(chat, &tool, NULL);
}
