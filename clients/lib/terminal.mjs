// Colours and columns for the commands' output. Colours only on a terminal that wants them (NO_COLOR).

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, magenta: 35, cyan: 36 };

export function palette(stream = process.stdout, env = process.env) {
  const on = Boolean(stream.isTTY) && !env.NO_COLOR && env.TERM !== "dumb";
  const paint = (code) => (text) => (on ? `\x1b[${code}m${text}\x1b[0m` : String(text));
  return Object.fromEntries(Object.entries(CODES).map(([name, code]) => [name, paint(code)]));
}

/** Text of others is printed without control characters, so that it cannot drive the terminal. */
export function plain(text) {
  return String(text).replace(/[\u0000-\u001f\u007f-\u009f]/g, " ");
}

const SPEAKER_COLOURS = { customer: "cyan", agent: "green", system: "dim" };

/** "customer  Hello" in the speaker's colour. */
export function speech(colours, speaker, text) {
  const name = plain(speaker).padEnd(9).slice(0, 16);
  const paint = colours[SPEAKER_COLOURS[speaker] ?? "magenta"];
  return `${paint(name)} ${speaker === "system" ? colours.dim(plain(text)) : plain(text)}`;
}

/** `agent … | head`: when nobody reads on, `onGone` is called instead of an error being thrown; by default it ends. */
export function endWithReader(onGone = () => process.exit(0), stream = process.stdout) {
  stream.on("error", (error) => {
    if (error.code !== "EPIPE") throw error;
    onGone();
  });
}

/** @returns {string} "1 line", "2 lines" */
export const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
