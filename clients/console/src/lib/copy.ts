// Puts a text on the clipboard. Over plain HTTP from another machine pages have no clipboard: a selection is copied then.
export async function copyText(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    copyBySelection(text);
  }
}

/** Beside what has the focus: a dialog takes it back from anywhere else. */
function copyBySelection(text: string): void {
  const focused = document.activeElement;
  const tree = (focused?.shadowRoot?.activeElement ?? focused)?.parentElement ?? document.body;
  const area = document.createElement("textarea");
  area.value = text;
  area.style.cssText = "position:fixed;opacity:0";
  tree.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
  if (focused instanceof HTMLElement) focused.focus();
}
