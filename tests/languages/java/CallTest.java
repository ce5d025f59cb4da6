import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertTrue;

import io.socket.client.IO;
import io.socket.client.Socket;
import java.util.Collections;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.json.JSONObject;
import org.junit.After;
import org.junit.Before;
import org.junit.Test;

/** The call client against parley: snapshot, lines, suggestion, feedback, a restart and what was missed meanwhile. */
public class CallTest {
    private final BlockingQueue<JSONObject> lines = new LinkedBlockingQueue<>();
    private final BlockingQueue<JSONObject> suggestions = new LinkedBlockingQueue<>();
    private final BlockingQueue<Object> refusals = new LinkedBlockingQueue<>();
    private Stage stage;
    private Client feed;

    @Before
    public void start() throws Exception {
        stage = new Stage("parley", "--ping-interval-ms", "500", "--ping-timeout-ms", "1500");
        IO.Options options = IO.Options.builder().setTransports(new String[] {"websocket"}).setReconnectionDelay(50)
                .setReconnectionDelayMax(200).build();
        options.auth = Collections.singletonMap("token", stage.feedToken);
        feed = new Client(stage.url + "/feed", options);
        feed.expect(Socket.EVENT_CONNECT);
    }

    @After
    public void stop() throws Exception {
        feed.close();
        stage.close();
    }

    private static <T> T next(BlockingQueue<T> queue) throws InterruptedException {
        T event = queue.poll(Client.WAIT_S, TimeUnit.SECONDS);
        assertNotNull("in time", event);
        return event;
    }

    private JSONObject ask(String event, JSONObject request) throws InterruptedException {
        JSONObject answer = (JSONObject) feed.call(event, request)[0];
        assertTrue(answer.toString(), answer.optBoolean("ok"));
        return answer;
    }

    private void say(String text) throws Exception {
        ask("transcription:update", new JSONObject().put("call_id", "c1").put("speaker", "customer").put("text", text));
    }

    private void sayAndSee(String text) throws Exception {
        say(text);
        assertEquals(text, next(lines).getString("text"));
    }

    @Test
    public void followsACallOverARestart() throws Exception {
        ask("call:start", new JSONObject().put("call_id", "c1"));
        say("hello");
        CallClient client = new CallClient(stage.url, stage.agentToken, "c1", lines::add, suggestions::add, refusals::add);
        assertEquals("hello", next(lines).getString("text"));
        sayAndSee("I got the wrong size, I want to return it");
        JSONObject document = next(suggestions).getJSONArray("documents").getJSONObject(0);
        assertEquals("product-defect.return-due-to-size", document.getString("id"));
        BlockingQueue<JSONObject> answers = new LinkedBlockingQueue<>();
        client.feedback(document.getString("id"), true, answers::add);
        assertTrue(next(answers).getBoolean("ok"));

        stage.down();
        stage.up();
        feed.await(Socket.EVENT_DISCONNECT);
        if (!feed.socket.connected()) feed.socket.connect();
        feed.await(Socket.EVENT_CONNECT);
        ask("call:start", new JSONObject().put("call_id", "c1"));
        sayAndSee("are you still there?");
        client.socket.disconnect();
        say("said while nobody listened");
        client.socket.connect();
        assertEquals("said while nobody listened", next(lines).getString("text"));
        assertTrue(lines.isEmpty());
        client.socket.disconnect();
    }

    @Test
    public void isRefusedWithAReason() throws Exception {
        new CallClient(stage.url, "not a token", "c1", lines::add, suggestions::add, refusals::add);
        JSONObject refusal = (JSONObject) next(refusals);
        assertEquals(401, refusal.getJSONObject("data").getInt("code"));
    }
}
