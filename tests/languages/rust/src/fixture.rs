//! A server of the test's own, by ../stage.py.
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub struct Stage {
    pub url: String,
    pub agent_token: String,
    pub feed_token: String,
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Stage {
    pub fn new(arguments: &[&str]) -> Stage {
        let mut process = Command::new("/usr/bin/python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../stage.py"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().unwrap());
        let mut stage = Stage {
            url: String::new(),
            agent_token: String::new(),
            feed_token: String::new(),
            process,
            input,
            output,
        };
        stage.await_ready();
        stage
    }

    pub fn app(more: &[&str]) -> Stage {
        Stage::new(&[&["conformance", "--profile", "app"], more].concat())
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_string()
    }

    fn await_ready(&mut self) {
        let line = self.line();
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words[0], "READY", "the server did not start");
        self.url = words[1].to_string();
        self.agent_token = words[2].to_string();
        self.feed_token = words[3].to_string();
    }

    fn say(&mut self, command: &str) {
        writeln!(self.input.as_ref().unwrap(), "{command}").unwrap();
    }

    pub fn down(&mut self) {
        self.say("down");
        assert_eq!(self.line(), "DOWN");
    }

    pub fn up(&mut self) {
        self.say("up");
        self.await_ready();
    }
}

impl Drop for Stage {
    /// Fails if the server died or did not end as it should.
    fn drop(&mut self) {
        drop(self.input.take());
        let status = self.process.wait().unwrap();
        assert!(status.success() || std::thread::panicking(), "the server did not end well: {status}");
    }
}
