// How customers ask for an article: written by a model (`parley expand-documents`) or by people, who may change all of it.
import { useFeature, useParley, type Article } from "@parley/react";
import { Pencil, Plus, Trash2 } from "lucide-react";
import { useCallback, useState, type FormEvent } from "react";
import { useSend } from "../lib/send.js";
import { Button } from "../ui/button.js";
import { Chip } from "../ui/chip.js";
import { Input, Problem } from "../ui/field.js";

type Phrase = NonNullable<Article["phrases"]>[number];

/** Adds a phrase, changes or deletes one; then the article is read again. */
function useChange(docId: string, onChanged: () => Promise<unknown>) {
  const client = useParley();
  const action = useCallback(async ({ id, text }: { id?: string; text?: string }) => {
    const path = `/api/v1/documents/${encodeURIComponent(docId)}/phrases${id ? `/${id}` : ""}`;
    await client.fetch(path, text === undefined ? { method: "DELETE" } : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ text }) });
    await onChanged();
  }, [client, docId, onChanged]);
  return useSend(action);
}

export function Phrases({ article, canWrite, onChanged }: { article: Article; canWrite: boolean; onChanged: () => Promise<unknown> }) {
  const mayChange = useFeature("POST /api/v1/documents/{doc_id}/phrases") && canWrite;
  const { send, isSending, problem } = useChange(article.id, onChanged);
  const [editing, setEditing] = useState<string | null>(null);
  const phrases = article.phrases ?? [];
  if (!phrases.length && !mayChange) return null;
  const save = (id?: string) => async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const read = () => String(new FormData(form).get("text")).trim();
    const text = read();
    if (!text || !(await send({ ...(id && { id }), text }))) return;
    // What was written or begun while it was on its way stays.
    if (read() !== text) return;
    setEditing((now) => (now === id ? null : now));
    form.reset();
  };
  return (
    <section aria-label="Phrases" className="grid gap-2 border-t border-line pt-4">
      <h3 className="font-semibold">How customers may ask for it</h3>
      <ul className="grid gap-1">
        {phrases.map((phrase) => editing === phrase.id
          ? <li key={phrase.id}><PhraseForm label="Change the phrase" button="Save" text={phrase.text} isSending={isSending} onSubmit={save(phrase.id)} onCancel={() => setEditing(null)} /></li>
          : <Row key={phrase.id} phrase={phrase} mayChange={mayChange} isSending={isSending} onEdit={() => setEditing(phrase.id)} onDelete={() => void send({ id: phrase.id })} />)}
      </ul>
      {mayChange && <PhraseForm label="Another phrase" button={<><Plus aria-hidden />Add</>} isSending={isSending} onSubmit={save()} />}
      <Problem>{problem && `Not saved: ${problem}`}</Problem>
    </section>
  );
}

function Row({ phrase, mayChange, isSending, onEdit, onDelete }: { phrase: Phrase; mayChange: boolean; isSending: boolean; onEdit: () => void; onDelete: () => void }) {
  return (
    <li className="flex min-h-11 items-center gap-2">
      <span dir="auto" className="min-w-0 flex-1 text-left wrap-anywhere">{phrase.text} {phrase.by === "model" && <Chip>by a model</Chip>}</span>
      {mayChange && (
        <>
          <Button variant="ghost" aria-label={`Change “${phrase.text}”`} onClick={onEdit}><Pencil aria-hidden /></Button>
          <Button variant="ghost" aria-label={`Delete “${phrase.text}”`} disabled={isSending} onClick={onDelete}><Trash2 aria-hidden /></Button>
        </>
      )}
    </li>
  );
}

function PhraseForm({ label, button, text, isSending, onSubmit, onCancel }: { label: string; button: React.ReactNode; text?: string; isSending: boolean; onSubmit: (event: FormEvent<HTMLFormElement>) => void; onCancel?: () => void }) {
  return (
    <form onSubmit={onSubmit} className="flex gap-2">
      <Input name="text" required maxLength={300} defaultValue={text} aria-label={label} placeholder={text === undefined ? label : undefined} className="min-w-0 flex-1" />
      <Button type="submit" disabled={isSending}>{button}</Button>
      {onCancel && <Button variant="ghost" onClick={onCancel}>Cancel</Button>}
    </form>
  );
}
