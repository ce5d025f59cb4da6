import type { CallEntry } from "@parley/react";
import { PhoneIncoming, X } from "lucide-react";
import { subjectOf, titleOf } from "../lib/format.js";
import { Button } from "../ui/button.js";

/** Another call of the agent's own has begun; the one on the desk stays until the agent goes. */
export function Incoming({ call, onOpen, onDismiss }: { call: CallEntry; onOpen: () => void; onDismiss: () => void }) {
  const title = titleOf(call);
  const subject = subjectOf(call);
  return (
    <div role="status" data-incoming={call.call_id} className="flex shrink-0 items-center gap-2.5 border-b border-accent-line bg-accent-wash py-1.5 pr-2 pl-4 text-accent">
      <PhoneIncoming aria-hidden className="size-4 shrink-0" />
      <p className="min-w-0 flex-1 truncate">New call: <strong dir="auto" className="font-semibold">{title}</strong>{subject && subject !== title && <span className="max-sm:sr-only"> · {subject}</span>}</p>
      <Button variant="primary" onClick={onOpen}>Open</Button>
      <Button variant="ghost" size="icon" aria-label="Dismiss" onClick={onDismiss} className="text-current hover:text-current"><X /></Button>
    </div>
  );
}
