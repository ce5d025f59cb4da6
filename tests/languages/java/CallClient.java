import io.socket.client.AckWithTimeout;
import io.socket.client.IO;
import io.socket.client.Socket;
import java.net.URI;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.function.Consumer;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/** An agent's view of one call, as an Android application would hold it. All of it runs in the client's event thread. */
final class CallClient {
    private static final long ANSWER_MS = 10_000;
    final Socket socket;
    private final String callId;
    private final Consumer<JSONObject> onLine;
    private final Consumer<JSONObject> onSuggestion;
    private final Consumer<Object> onRefused;
    private final List<Runnable> early = new ArrayList<>();
    private boolean isSubscribed;
    private int seq;

    CallClient(String url, String token, String callId, Consumer<JSONObject> onLine, Consumer<JSONObject> onSuggestion,
            Consumer<Object> onRefused) {
        this.callId = callId;
        this.onLine = onLine;
        this.onSuggestion = onSuggestion;
        this.onRefused = onRefused;
        this.socket = connect(url, token);
    }

    private Socket connect(String url, String token) {
        // docs: connect
        IO.Options options = IO.Options.builder()
                .setAuth(Collections.singletonMap("token", token))
                .setReconnectionDelay(250)
                .setReconnectionDelayMax(3000)
                .build();
        Socket socket = IO.socket(URI.create(url), options);
        socket.on(Socket.EVENT_CONNECT, arguments -> subscribe());
        socket.on(Socket.EVENT_CONNECT_ERROR, arguments -> onRefused.accept(arguments[0]));
        socket.on("transcription:update", arguments -> take((JSONObject) arguments[0], onLine));
        socket.on("ai:suggestion", arguments -> take((JSONObject) arguments[0], onSuggestion));
        socket.connect();
        // docs: end
        // docs: reconnect
        socket.on(Socket.EVENT_DISCONNECT, arguments -> {
            // The client comes back by itself, also to a server that restarts, unless the server ended this very connection.
            if ("io server disconnect".equals(arguments[0])) onRefused.accept(arguments[0]);
        });
        // docs: end
        return socket;
    }

    // docs: subscribe
    private void subscribe() {
        isSubscribed = false;
        JSONObject request = new JSONObject();
        put(request, "call_id", callId);
        if (seq > 0) put(request, "since_seq", seq); // after a reconnect: only what is missing
        socket.emit("call:subscribe", new Object[] {request}, new AckWithTimeout(ANSWER_MS) {
            @Override
            public void onSuccess(Object... answer) {
                merge((JSONObject) answer[0]);
            }

            @Override
            public void onTimeout() {
                if (socket.connected()) subscribe();
            }
        });
    }

    private void merge(JSONObject answer) {
        if (!answer.optBoolean("ok")) {
            onRefused.accept(answer.opt("error"));
            return;
        }
        each(answer.optJSONArray("transcript"), onLine);
        each(answer.optJSONArray("suggestions"), onSuggestion);
        seq = answer.optInt("seq");
        isSubscribed = true;
        for (Runnable event : early) event.run();
        early.clear();
    }

    /** Each event of a call has a number that grows by one. What overtakes the answer to call:subscribe waits for it. */
    private void take(JSONObject event, Consumer<JSONObject> consumer) {
        if (!isSubscribed) {
            early.add(() -> take(event, consumer));
        } else if (event.optInt("seq") > seq) {
            seq = event.optInt("seq");
            consumer.accept(event);
        }
    }
    // docs: end

    private static void each(JSONArray events, Consumer<JSONObject> consumer) {
        for (int i = 0; i < events.length(); i++) consumer.accept(events.optJSONObject(i));
    }

    // docs: feedback
    void feedback(String documentId, boolean helpful, Consumer<JSONObject> onAnswer) {
        JSONObject request = new JSONObject();
        put(request, "call_id", callId);
        put(request, "doc_id", documentId);
        put(request, "helpful", helpful);
        socket.emit("doc:feedback", new Object[] {request}, new AckWithTimeout(ANSWER_MS) {
            @Override
            public void onSuccess(Object... answer) {
                onAnswer.accept((JSONObject) answer[0]);
            }

            @Override
            public void onTimeout() {
                feedback(documentId, helpful, onAnswer); // a repeat replaces the earlier answer
            }
        });
    }
    // docs: end

    private static void put(JSONObject object, String name, Object value) {
        try {
            object.put(name, value);
        } catch (JSONException impossible) {
            throw new IllegalArgumentException(impossible);
        }
    }
}
