// What the official page would ask for: the server's address is the one that it came from. The binary calls this with
// its own path and parser. The page has its settings in the local storage; before its first login it has none, and
// shows a form, in which the address is filled in.
(preset) => {
  const set = (name, value, usual) => {
    if (value === usual) localStorage.removeItem(name);
    else localStorage.setItem(name, value);
  };
  set("path", preset.path, "/socket.io");
  set("parser", preset.parser, "default");
  if (localStorage.getItem("server_url")) localStorage.setItem("server_url", location.origin);
  const fill = () => {
    const field = document.querySelector('form input[type="text"][required]');
    if (!field) return false;
    if (!field.value) {
      field.value = location.origin;
      field.dispatchEvent(new Event("input"));
    }
    return true;
  };
  const observer = new MutationObserver(() => fill() && observer.disconnect());
  observer.observe(document.documentElement, { childList: true, subtree: true });
}
