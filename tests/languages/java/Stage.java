import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.lang.ProcessBuilder.Redirect;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** A server of the test's own, by ../stage.py. */
final class Stage implements AutoCloseable {
    String url;
    String agentToken;
    String feedToken;
    String certificate;
    private final Process process;
    private final BufferedReader output;

    Stage(String... arguments) throws IOException {
        List<String> command = new ArrayList<>(Arrays.asList("/usr/bin/python3", System.getenv("STAGE")));
        command.addAll(Arrays.asList(arguments));
        process = new ProcessBuilder(command).redirectError(Redirect.INHERIT).start();
        output = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
        awaitReady();
    }

    private void awaitReady() throws IOException {
        String line = output.readLine();
        if (line == null) throw new IOException("the server did not start");
        String[] words = line.split(" ");
        url = words[1];
        agentToken = words[2];
        feedToken = words[3];
        certificate = words[4];
    }

    private void say(String command) throws IOException {
        OutputStream input = process.getOutputStream();
        input.write((command + "\n").getBytes(StandardCharsets.UTF_8));
        input.flush();
    }

    void down() throws IOException {
        say("down");
        if (!"DOWN".equals(output.readLine())) throw new IOException("the server did not end");
    }

    void up() throws IOException {
        say("up");
        awaitReady();
    }

    /** Fails if the server died or did not end as it should. */
    @Override
    public void close() throws Exception {
        process.getOutputStream().close();
        int status = process.waitFor();
        if (status != 0) throw new IOException("the server did not end well: status " + status);
    }
}
