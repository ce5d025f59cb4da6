// Where the user is: what "tomorrow at nine" means there.
/** A field of session.init and chat.message; none where the browser does not know. */
export function userZone(): { time_zone?: string } {
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return name ? { time_zone: name } : {};
}
