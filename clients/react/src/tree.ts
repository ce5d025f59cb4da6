// The object tree of a chat, and changes to it as the server makes them: what is changed becomes new objects, the rest
// stays as it was.

export interface TreeNode {
  id: string;
  value?: unknown;
  children?: TreeNode[];
  [member: string]: unknown;
}

export interface TreeDelta {
  action: "add" | "update" | "remove" | "move";
  path: string;
  node?: Partial<TreeNode>;
  from?: string;
}

/** The list with some of its members replaced. */
function spliced<T>(list: readonly T[], place: number, count: number, ...members: T[]): T[] {
  return [...list.slice(0, place), ...members, ...list.slice(place + count)];
}

const unescape = (segment: string): string => segment.replaceAll("~1", "/").replaceAll("~0", "~");
const escape = (segment: string): string => segment.replaceAll("~", "~0").replaceAll("/", "~1");
const childrenOf = (node: TreeNode): TreeNode[] => node.children ?? [];

/** The ids or positions between "children": "/root/children/a/children/0" → ["a", "0"]; null if it is no such path. */
function stepsOf(path: string): { steps: string[]; isList: boolean } | null {
  const segments = path.split("/").slice(1).map(unescape);
  if (segments[0] !== "root") return null;
  const steps: string[] = [];
  for (let i = 1; i < segments.length; i += 2) {
    if (segments[i] !== "children") return null;
    if (i + 1 < segments.length) steps.push(segments[i + 1]!);
  }
  return { steps, isList: segments.length % 2 === 0 };
}

/** Where a child is: by its id, else by its position. -1: nowhere. */
function placeOf(node: TreeNode, step: string): number {
  const place = childrenOf(node).findIndex((child) => child.id === step);
  if (place >= 0) return place;
  return /^\d+$/.test(step) && Number(step) < childrenOf(node).length ? Number(step) : -1;
}

/** The tree with the node at these steps replaced by what `change` returns. Null: there is no such node. */
function replaced(node: TreeNode, steps: string[], change: (node: TreeNode) => TreeNode): TreeNode | null {
  if (steps.length === 0) return change(node);
  const place = placeOf(node, steps[0]!);
  const child = childrenOf(node)[place];
  const next = child && replaced(child, steps.slice(1), change);
  return next ? { ...node, children: spliced(childrenOf(node), place, 1, next) } : null;
}

function find(node: TreeNode, steps: string[]): TreeNode | null {
  if (steps.length === 0) return node;
  const child = childrenOf(node)[placeOf(node, steps[0]!)];
  return child ? find(child, steps.slice(1)) : null;
}

function inserted(root: TreeNode, path: string, node: TreeNode): TreeNode | null {
  const parsed = stepsOf(path);
  if (!parsed) return null;
  const before = parsed.isList ? null : parsed.steps.at(-1)!;
  return replaced(root, parsed.isList ? parsed.steps : parsed.steps.slice(0, -1), (parent) => {
    const place = before === null ? -1 : placeOf(parent, before);
    return { ...parent, children: spliced(childrenOf(parent), place < 0 ? childrenOf(parent).length : place, 0, node) };
  });
}

function removed(root: TreeNode, path: string): TreeNode | null {
  const parsed = stepsOf(path);
  if (!parsed || parsed.isList || parsed.steps.length === 0) return null;
  const last = parsed.steps.at(-1)!;
  return replaced(root, parsed.steps.slice(0, -1), (parent) => ({ ...parent, children: spliced(childrenOf(parent), placeOf(parent, last), 1) }));
}

function updated(root: TreeNode, path: string, members: Partial<TreeNode>): TreeNode | null {
  const parsed = stepsOf(path);
  if (!parsed || parsed.isList) return null;
  return replaced(root, parsed.steps, (node) => Object.fromEntries(Object.entries({ ...node, ...members }).filter(([, value]) => value !== null)) as TreeNode);
}

/** The tree after the change; null if it does not fit. */
export function applyDelta(root: TreeNode, delta: TreeDelta): TreeNode | null {
  if (delta.action === "add") return delta.node ? inserted(root, delta.path, delta.node as TreeNode) : null;
  if (delta.action === "remove") return find(root, stepsOf(delta.path)?.steps ?? ["?"]) ? removed(root, delta.path) : null;
  if (delta.action === "update") return updated(root, delta.path, delta.node ?? {});
  const from = stepsOf(delta.from ?? "");
  const node = from && !from.isList && find(root, from.steps);
  const without = node && removed(root, delta.from!);
  return node && without ? inserted(without, delta.path, node) : null;
}

/** The path of the node that these ids lead to from the root. */
export const pathOf = (ids: readonly string[]): string => `/root${ids.map((id) => `/children/${escape(id)}`).join("")}`;
