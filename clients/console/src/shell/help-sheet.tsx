import { SHORTCUTS } from "../lib/shortcuts.js";
import { Dialog } from "../ui/dialog.js";

export function HelpSheet(props: { open: boolean; onOpenChange: (open: boolean) => void }) {
  return (
    <Dialog title="Keyboard shortcuts" description="They work wherever you are not typing." {...props}>
      <dl className="divide-y divide-line">
        {SHORTCUTS.map(({ keys, does }) => (
          <div key={keys} className="flex items-center justify-between gap-4 py-2">
            <dt className="order-2"><kbd className="whitespace-nowrap rounded-md border border-line-strong bg-sunken px-2 py-0.5 font-sans text-[13px] font-medium">{keys}</kbd></dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
