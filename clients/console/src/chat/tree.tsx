// The object tree beside the chat: read and changed by keyboard, pointer and assistant alike (the pattern "tree view" of
// the ARIA Authoring Practices).
import { pathOf, type ChatTree, type TreeNode } from "@parley/react";
import { ChevronRight, FolderTree, Pencil, Plus, Trash2 } from "lucide-react";
import { useEffect, useRef, useState, type DragEvent, type KeyboardEvent } from "react";
import { cn } from "../lib/cn.js";
import { Button } from "../ui/button.js";
import { Input, Problem } from "../ui/field.js";

/** A node as it stands in the list of those that can be seen. */
interface Row {
  node: TreeNode;
  /** Ids from the root's child down to it; empty for the root. */
  ids: string[];
  place: number;
  siblings: number;
}

const childrenOf = (node: TreeNode): TreeNode[] => node.children ?? [];
const textOf = (node: TreeNode): string => (node.value === undefined || node.value === "" ? "" : typeof node.value === "string" ? node.value : JSON.stringify(node.value));
const labelOf = (node: TreeNode): string => textOf(node) || (node.id === "root" ? "Root" : node.id);
const newNodeId = (): string => `n-${crypto.getRandomValues(new Uint32Array(2)).reduce((text, part) => text + part.toString(36), "")}`;

function rowsOf(node: TreeNode, closed: ReadonlySet<string>, ids: string[] = [], place = 0, siblings = 1): Row[] {
  const row = { node, ids, place, siblings };
  if (closed.has(node.id)) return [row];
  const children = childrenOf(node);
  return [row, ...children.flatMap((child, i) => rowsOf(child, closed, [...ids, child.id], i, children.length))];
}

const membersOf = ({ id: _, value: __, children: ___, ...rest }: TreeNode): Array<[string, unknown]> => Object.entries(rest);

export function TreePanel({ tree, canEdit, className }: { tree: ChatTree; canEdit: boolean; className?: string }) {
  const { root } = tree;
  const isEmpty = !root || childrenOf(root).length === 0;
  return (
    <aside aria-label="Object tree" className={cn("flex min-h-0 min-w-0 flex-col bg-bg", className)}>
      <header className="flex h-14 shrink-0 items-center gap-2 border-b border-line px-4">
        <FolderTree aria-hidden className="size-4 text-faint" />
        <h2 className="flex-1 text-[15px] font-semibold">Tree</h2>
        {tree.version > 0 && <span data-version={tree.version} className="text-[12.5px] text-faint tabular-nums">Version {tree.version}</span>}
      </header>
      <Problem>{tree.problem && (tree.problem.code === 409 ? `Somebody else changed it meanwhile: ${tree.problem.message}` : `Not changed: ${tree.problem.message}`)}</Problem>
      {isEmpty && root && <p className="px-4 pt-3 text-[13px] text-faint">Ask for a change, “Add a node with value 'Task 1' under root”, or add one yourself.</p>}
      {root ? <Tree root={root} tree={tree} canEdit={canEdit} /> : <p className="p-4 text-faint">It appears with the chat's first message.</p>}
    </aside>
  );
}

function Tree({ root, tree, canEdit }: { root: TreeNode; tree: ChatTree; canEdit: boolean }) {
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set());
  const [current, setCurrent] = useState(root.id);
  const [editing, setEditing] = useState<{ id: string; isNew: boolean } | null>(null);
  const [dropOn, setDropOn] = useState<string | null>(null);
  const list = useRef<HTMLUListElement>(null);
  const wantsFocus = useRef(false);
  const rows = rowsOf(root, closed);
  const at = Math.max(0, rows.findIndex((row) => row.node.id === current));
  const row = rows[at]!;

  useEffect(() => {
    if (!wantsFocus.current) return;
    wantsFocus.current = false;
    list.current?.querySelector<HTMLElement>(`[data-node="${CSS.escape(current)}"]`)?.focus();
  });

  const goTo = (index: number) => {
    wantsFocus.current = true;
    setCurrent(rows[Math.min(rows.length - 1, Math.max(0, index))]!.node.id);
  };
  const setOpen = (id: string, open: boolean) => setClosed((old) => new Set(open ? [...old].filter((each) => each !== id) : [...old, id]));
  const add = async (parent: Row) => {
    const id = newNodeId();
    setOpen(parent.node.id, true);
    if (!(await tree.edit({ action: "add", path: `${pathOf(parent.ids)}/children`, node: { id, value: "New", children: [] } }))) return;
    setCurrent(id);
    setEditing({ id, isNew: true });
  };
  const remove = (target: Row) => {
    if (target.ids.length === 0) return;
    const next = rows[rows.findIndex((each) => each === target) - 1];
    if (next) setCurrent(next.node.id);
    wantsFocus.current = true;
    void tree.edit({ action: "remove", path: pathOf(target.ids) });
  };
  const rename = (target: Row, value: string) => {
    setEditing(null);
    wantsFocus.current = true;
    if (value.trim() && value !== textOf(target.node)) void tree.edit({ action: "update", path: pathOf(target.ids), node: { value: value.trim() } });
  };
  /** Among its siblings: before the one that is there. */
  const shift = (target: Row, by: number) => {
    const place = target.place + by;
    if (target.ids.length === 0 || place < 0 || place >= target.siblings) return;
    const parent = rows.find((each) => each.ids.length === target.ids.length - 1 && target.ids.slice(0, -1).every((id, i) => id === each.ids[i]))!;
    const others = childrenOf(parent.node).filter((child) => child.id !== target.node.id);
    const before = others[place];
    wantsFocus.current = true;
    void tree.edit({ action: "move", from: pathOf(target.ids), path: before ? pathOf([...parent.ids, before.id]) : `${pathOf(parent.ids)}/children` });
  };
  const into = (moved: string[], parent: Row) => {
    const isWithin = moved.every((id, i) => id === parent.ids[i]);
    if (moved.length === 0 || isWithin || moved.slice(0, -1).join("/") === parent.ids.join("/")) return;
    setOpen(parent.node.id, true);
    void tree.edit({ action: "move", from: pathOf(moved), path: `${pathOf(parent.ids)}/children` });
  };

  const onKey = (event: KeyboardEvent) => {
    if (editing || event.ctrlKey || event.metaKey) return;
    const isOpen = !closed.has(row.node.id);
    const hasChildren = childrenOf(row.node).length > 0;
    const parentAt = rows.findLastIndex((each, i) => i < at && each.ids.length < row.ids.length);
    const keys: Record<string, () => unknown> = {
      ArrowDown: () => (event.altKey ? canEdit && shift(row, 1) : goTo(at + 1)),
      ArrowUp: () => (event.altKey ? canEdit && shift(row, -1) : goTo(at - 1)),
      ArrowRight: () => (hasChildren && !isOpen ? setOpen(row.node.id, true) : hasChildren && goTo(at + 1)),
      ArrowLeft: () => (hasChildren && isOpen && row.ids.length > 0 ? setOpen(row.node.id, false) : parentAt >= 0 && goTo(parentAt)),
      Home: () => goTo(0),
      End: () => goTo(rows.length - 1),
      ...(canEdit && { F2: () => setEditing({ id: row.node.id, isNew: false }), Enter: () => setEditing({ id: row.node.id, isNew: false }), Insert: () => void add(row), "+": () => void add(row), Delete: () => remove(row) }),
    };
    const action = keys[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  };
  const drop = (event: DragEvent, target: Row) => {
    event.preventDefault();
    setDropOn(null);
    const moved = event.dataTransfer.getData("text/x-node");
    if (moved) into(JSON.parse(moved) as string[], target);
  };

  return (
    <>
      <ul ref={list} role="tree" aria-label="Objects" onKeyDown={onKey} className="min-h-0 flex-1 overflow-auto p-2 [scrollbar-width:thin]">
        {rows.map((each) => {
          const { node, ids } = each;
          const hasChildren = childrenOf(node).length > 0;
          return (
            <li
              key={node.id}
              role="treeitem"
              data-node={node.id}
              aria-level={ids.length + 1}
              aria-setsize={each.siblings}
              aria-posinset={each.place + 1}
              aria-expanded={hasChildren ? !closed.has(node.id) : undefined}
              aria-selected={node.id === row.node.id}
              aria-label={labelOf(node)}
              tabIndex={node.id === row.node.id ? 0 : -1}
              draggable={canEdit && ids.length > 0 && editing?.id !== node.id}
              onDragStart={(event) => event.dataTransfer.setData("text/x-node", JSON.stringify(ids))}
              onDragOver={(event) => canEdit && (event.preventDefault(), setDropOn(node.id))}
              onDragLeave={() => setDropOn(null)}
              onDrop={(event) => drop(event, each)}
              onClick={() => setCurrent(node.id)}
              onDoubleClick={() => canEdit && setEditing({ id: node.id, isNew: false })}
              style={{ paddingLeft: `${ids.length * 18 + 4}px` }}
              className={cn("flex min-h-9 animate-arrive cursor-default items-center gap-1 rounded-lg pr-2 outline-offset-[-2px] pointer-coarse:min-h-11 hover:bg-sunken aria-selected:bg-accent-wash", dropOn === node.id && "outline-2 outline-accent")}
            >
              <span aria-hidden onClick={() => hasChildren && setOpen(node.id, closed.has(node.id))} className="grid size-6 shrink-0 place-items-center text-faint pointer-coarse:size-9">{hasChildren && <ChevronRight className={cn("size-4 transition-transform", !closed.has(node.id) && "rotate-90")} />}</span>
              {editing?.id === node.id
                ? <Rename text={textOf(node)} onDone={(value) => rename(each, value)} onCancel={() => (setEditing(null), (wantsFocus.current = true))} />
                : <span className="min-w-0 py-1"><span className={cn("wrap-anywhere", ids.length === 0 && "font-medium")}>{labelOf(node)}</span>{membersOf(node).map(([name, value]) => <span key={name} className="ml-2 text-[12.5px] text-faint">{name}: {typeof value === "string" ? value : JSON.stringify(value)}</span>)}</span>}
            </li>
          );
        })}
      </ul>
      {canEdit && (
        <div role="group" aria-label="Change the tree" className="flex flex-wrap items-center gap-1 border-t border-line px-2 py-2">
          <Button variant="ghost" onClick={() => void add(row)}><Plus aria-hidden />Add below</Button>
          <Button variant="ghost" onClick={() => setEditing({ id: row.node.id, isNew: false })}><Pencil aria-hidden />Rename</Button>
          <Button variant="ghost" onClick={() => remove(row)} disabled={row.ids.length === 0}><Trash2 aria-hidden />Remove</Button>
        </div>
      )}
    </>
  );
}

function Rename({ text, onDone, onCancel }: { text: string; onDone: (value: string) => void; onCancel: () => void }) {
  const [value, setValue] = useState(text);
  const isOver = useRef(false);
  const end = (action: () => void) => {
    if (isOver.current) return;
    isOver.current = true;
    action();
  };
  return (
    <Input
      autoFocus
      aria-label="Value"
      value={value}
      onFocus={(event) => event.target.select()}
      onChange={(event) => setValue(event.target.value)}
      onBlur={() => end(() => onDone(value))}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "Enter") end(() => onDone(value));
        if (event.key === "Escape") end(onCancel);
      }}
      className="h-8 min-w-0 flex-1 px-2"
    />
  );
}
