// The agent asks for help in a call. Supervisors see the hand wherever they are.
import { useClaims, useFeature, useParley, type CallState } from "@parley/react";
import { Hand as HandIcon } from "lucide-react";
import { useCallback, useState, type FormEvent } from "react";
import { useSend } from "../lib/send.js";
import { Button } from "../ui/button.js";
import { Field, Input, Problem } from "../ui/field.js";
import { Popover, PopoverContent, PopoverTrigger } from "../ui/menu.js";

export function RaiseHand({ call }: { call: CallState }) {
  const client = useParley();
  const { sub, role } = useClaims();
  const canAsk = useFeature("agent:help") && role === "agent" && call.status !== null && call.status !== "ended";
  const [isOpen, setOpen] = useState(false);
  // The server tells supervisors only: of one's own hand one knows what the snapshot said, or what one did since.
  const [own, setOwn] = useState<boolean | null>(null);
  const isUp = own ?? call.help.some((hand) => hand.agent_id === sub);
  const action = useCallback((data: object) => client.request("agent:help", { call_id: call.callId, ...data }, { isRepeatable: true, key: `help ${call.callId}` }), [client, call.callId]);
  const help = useSend(action);
  if (!canAsk) return null;

  const raise = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const reason = String(new FormData(event.currentTarget).get("reason")).trim();
    setOpen(false);
    setOwn(true);
    if (!(await help.send(reason ? { reason } : {}))) setOwn(false), setOpen(true);
  };
  const lower = async () => {
    setOwn(false);
    if (!(await help.send({ cancel: true }))) setOwn(true);
  };
  if (isUp) {
    return <Button onClick={lower} aria-pressed className="border-warn-line bg-warn-wash text-warn hover:bg-warn-wash"><HandIcon aria-hidden /><span className="max-sm:sr-only">Lower hand</span></Button>;
  }
  return (
    <Popover open={isOpen} onOpenChange={setOpen}>
      <PopoverTrigger asChild>
        <Button aria-pressed={false} title="Ask your supervisors for help"><HandIcon aria-hidden /><span className="max-sm:sr-only">Raise hand</span></Button>
      </PopoverTrigger>
      <PopoverContent className="w-80 p-4">
        <form onSubmit={raise} className="grid gap-3">
          <Field label="What do you need help with?" hint="Your supervisors see it right away.">
            {(id) => <Input id={id} name="reason" maxLength={500} placeholder="Optional" autoComplete="off" />}
          </Field>
          <Problem>{help.problem && `Not sent: ${help.problem}`}</Problem>
          <Button variant="primary" type="submit">Raise hand</Button>
        </form>
      </PopoverContent>
    </Popover>
  );
}
