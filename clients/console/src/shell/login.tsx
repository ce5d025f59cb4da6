import { useState, type FormEvent } from "react";
import { login } from "../lib/session.js";
import { useStored } from "../lib/stored.js";
import { Button } from "../ui/button.js";
import { Field, Input, Problem } from "../ui/field.js";
import { Logo } from "./logo.js";

interface Props {
  /** The server has users; otherwise it takes tokens only. */
  hasLogin: boolean;
  problem?: string;
  onToken: (token: string) => void;
}

export function Login(props: Props) {
  return (
    <main className="grid h-full place-items-center overflow-y-auto p-5">
      <div className="grid w-[min(400px,100%)] gap-6 rounded-2xl border border-line bg-surface p-7 shadow-float">
        <header className="grid gap-4">
          <div className="flex items-center gap-2.5">
            <Logo />
            <span className="text-lg font-semibold tracking-tight">Parley</span>
          </div>
          <h1 className="text-xl font-semibold tracking-tight">Sign in</h1>
        </header>
        <LoginForm {...props} />
      </div>
    </main>
  );
}

export function LoginForm(props: Props) {
  const [usesToken, setUsesToken] = useStored("parley-uses-token", !props.hasLogin);
  return (
    <div className="grid gap-3">
      {usesToken ? <TokenForm {...props} /> : <PasswordForm {...props} />}
      {props.hasLogin && <Button variant="ghost" onClick={() => setUsesToken(!usesToken)}>{usesToken ? "Use a name and a password" : "Use a token"}</Button>}
    </div>
  );
}

function PasswordForm({ problem, onToken }: Props) {
  const [failure, setFailure] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    setFailure(null);
    try {
      onToken(await login(String(form.get("username")), String(form.get("password"))));
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form className="grid gap-4" onSubmit={submit}>
      <Field label="User name">{(id) => <Input id={id} name="username" autoComplete="username" required autoFocus />}</Field>
      <Field label="Password">{(id) => <Input id={id} name="password" type="password" autoComplete="current-password" required />}</Field>
      <Problem>{failure ?? (problem && `Access denied: ${problem}`)}</Problem>
      <Button variant="primary" type="submit" disabled={isBusy} className="h-11">{isBusy ? "Signing in…" : "Sign in"}</Button>
    </form>
  );
}

function TokenForm({ problem, onToken }: Props) {
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const token = String(new FormData(event.currentTarget).get("token")).trim();
    if (token) onToken(token);
  };
  return (
    <form className="grid gap-4" onSubmit={submit}>
      <Field label="Token" hint={"Of an agent, a supervisor, an administrator or a user of the chat."}>
        {(id) => <Input id={id} name="token" type="password" autoComplete="off" spellCheck={false} required autoFocus />}
      </Field>
      {problem && <Problem>Access denied: {problem}</Problem>}
      <Button variant="primary" type="submit" className="h-11">Sign in</Button>
    </form>
  );
}
