// Who may log in, for administrators.
import { useParley } from "@parley/react";
import { KeyRound, LogOut, Plus, Trash2 } from "lucide-react";
import { useCallback, useEffect, useState, type FormEvent } from "react";
import { capital } from "../lib/format.js";
import { useSend, type Sending } from "../lib/send.js";
import { Button } from "../ui/button.js";
import { Chip } from "../ui/chip.js";
import { Dialog } from "../ui/dialog.js";
import { controlStyle, Field, Input, Problem } from "../ui/field.js";

interface User {
  name: string;
  role: string;
  /** "*", or ids with commas between them. */
  calls: string;
  /** Of other users, as calls; a server of before has none. */
  chats?: string;
  created_at: string;
}

const ROLES = ["agent", "supervisor", "admin", "feed", "user", "service"];
const PATH = "/api/v1/users";

function useUsers() {
  const client = useParley();
  const [users, setUsers] = useState<readonly User[] | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const load = useCallback(async () => {
    const all: User[] = [];
    try {
      for (let after: string | undefined, isFirst = true; isFirst || after; isFirst = false) {
        const answer = await client.fetch(`${PATH}?limit=1000${after ? `&after=${encodeURIComponent(after)}` : ""}`);
        all.push(...(answer.users as User[]));
        after = answer.next as string | undefined;
      }
      setUsers(all);
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    }
  }, [client]);
  useEffect(() => void load(), [load]);
  return { users, problem, load };
}

export function UsersPage() {
  const { users, problem, load } = useUsers();
  const [edited, setEdited] = useState<User | "new" | null>(null);
  return (
    <main className="min-h-0 flex-1 overflow-y-auto p-4 lg:p-6">
      <div className="mx-auto grid max-w-4xl grid-cols-[minmax(0,1fr)] gap-4">
        <header className="flex items-center justify-between gap-3">
          <h1 className="text-xl font-semibold tracking-tight">Users</h1>
          <Button variant="primary" onClick={() => setEdited("new")}><Plus aria-hidden />Add a user</Button>
        </header>
        <Problem>{problem}</Problem>
        {users?.length === 0 && <p className="py-8 text-center text-faint">No users yet. Add one to let people sign in with a password.</p>}
        <ul className="grid grid-cols-[minmax(0,1fr)] gap-2">
          {users?.map((user) => <Row key={user.name} user={user} onEdit={() => setEdited(user)} onChanged={load} />)}
        </ul>
      </div>
      <Dialog open={edited !== null} onOpenChange={(open) => !open && setEdited(null)} title={edited === "new" ? "Add a user" : `Change ${edited?.name ?? ""}`}>
        {edited && <Editor user={edited === "new" ? null : edited} onDone={() => (setEdited(null), void load())} />}
      </Dialog>
    </main>
  );
}

function Row({ user, onEdit, onChanged }: { user: User; onEdit: () => void; onChanged: () => Promise<void> }) {
  const client = useParley();
  const [asking, setAsking] = useState<"remove" | "disconnect" | null>(null);
  const path = `${PATH}/${encodeURIComponent(user.name)}`;
  const remove = useSend(useCallback(() => client.fetch(path, { method: "DELETE" }), [client, path]));
  const disconnect = useSend(useCallback(() => client.fetch(`${path}/disconnect`, { method: "POST" }), [client, path]));
  return (
    <li data-user={user.name} className="flex flex-wrap items-center gap-x-4 gap-y-2 rounded-xl border border-line bg-surface px-4 py-3">
      <div className="min-w-0 flex-1 basis-48">
        <p className="flex flex-wrap items-center gap-x-2.5"><span className="min-w-0 font-semibold wrap-anywhere">{user.name}</span><Chip tone={user.role === "admin" ? "accent" : "neutral"}>{capital(user.role)}</Chip></p>
        <p className="truncate text-[13px] text-faint">{user.calls === "*" ? "All calls" : user.calls ? `Calls: ${user.calls}` : "Only the calls assigned to this user"}{user.chats && ` · ${user.chats === "*" ? "All chats" : `Chats: ${user.chats}`}`}</p>
      </div>
      <div className="flex gap-1">
        <Button variant="ghost" onClick={onEdit}><KeyRound aria-hidden />Change</Button>
        <Button variant="ghost" size="icon" aria-label={`Sign ${user.name} out everywhere`} title="Sign out everywhere" onClick={() => setAsking("disconnect")}><LogOut /></Button>
        <Button variant="ghost" size="icon" aria-label={`Remove ${user.name}`} title="Remove" onClick={() => setAsking("remove")}><Trash2 /></Button>
      </div>
      <Question open={asking === "remove"} onClose={() => setAsking(null)} title={`Remove ${user.name}?`} description="They can no longer sign in, and their connections end." action="Remove" sending={remove} onDone={() => void onChanged()} />
      <Question open={asking === "disconnect"} onClose={() => setAsking(null)} title={`Sign ${user.name} out everywhere?`} description="Their connections end now. They have to sign in again." action="Sign out" sending={disconnect} />
    </li>
  );
}

interface QuestionProps {
  open: boolean;
  onClose: () => void;
  title: string;
  description: string;
  action: string;
  sending: Sending<[]>;
  onDone?: () => void;
}

/** Before something that cannot be taken back; says why it failed where it was asked. */
function Question({ open, onClose, title, description, action, sending, onDone }: QuestionProps) {
  const close = () => (sending.reset(), onClose());
  return (
    <Dialog open={open} onOpenChange={close} title={title} description={description}>
      <Problem>{sending.problem}</Problem>
      <div className="flex justify-end gap-2">
        <Button onClick={close}>Cancel</Button>
        <Button variant="danger" disabled={sending.isSending} onClick={async () => (await sending.send()) && (close(), onDone?.())}>{action}</Button>
      </div>
    </Dialog>
  );
}

function Editor({ user, onDone }: { user: User | null; onDone: () => void }) {
  const client = useParley();
  const action = useCallback((data: object) => client.fetch(PATH, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(data) }), [client]);
  const { send, isSending, problem } = useSend(action);
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const value = (name: string) => String(form.get(name) ?? "").trim();
    const password = String(form.get("password"));
    const ids = (name: string) => value(name).split(/[\s,]+/).filter(Boolean);
    if (await send({ name: user?.name ?? value("name"), role: value("role"), calls: ids("calls"), chats: ids("chats"), ...(password && { password }) })) onDone();
  };
  return (
    <form onSubmit={submit} className="grid gap-4">
      {!user && <Field label="User name">{(id) => <Input id={id} name="name" required maxLength={256} autoComplete="off" autoFocus />}</Field>}
      <Field label={user ? "New password" : "Password"} hint={user && "Leave it empty to keep the current one."}>{(id) => <Input id={id} name="password" type="password" autoComplete="new-password" required={!user} />}</Field>
      <Field label="Role">
        {(id) => <select id={id} name="role" defaultValue={user?.role ?? "agent"} className={controlStyle}>{ROLES.map((role) => <option key={role} value={role}>{capital(role)}</option>)}</select>}
      </Field>
      <Field label="Calls" hint="* for all calls, or call ids separated by commas. Calls assigned to this user are always included.">{(id) => <Input id={id} name="calls" defaultValue={user?.calls ?? "*"} />}</Field>
      <Field label="Chats" hint="Of other users, for supervisors to watch: * for all, or chat ids separated by commas.">{(id) => <Input id={id} name="chats" defaultValue={user?.chats ?? ""} />}</Field>
      <Problem>{problem && `Not saved: ${problem}`}</Problem>
      <Button variant="primary" type="submit" disabled={isSending} className="h-11">{isSending ? "Saving…" : "Save"}</Button>
    </form>
  );
}
