import type { ComponentProps, ReactNode } from "react";
import { useId } from "react";
import { cn } from "../lib/cn.js";

export const controlStyle = "w-full rounded-lg border border-line-strong bg-surface px-3 text-ink outline-offset-0 h-10 pointer-coarse:h-11";

export function Input({ className, ...props }: ComponentProps<"input">) {
  return <input className={cn(controlStyle, className)} {...props} />;
}

export function Textarea({ className, ...props }: ComponentProps<"textarea">) {
  return <textarea className={cn(controlStyle, "h-auto min-h-24 resize-y py-2 pointer-coarse:h-auto", className)} {...props} />;
}

export function Field({ label, hint, children }: { label: string; hint?: ReactNode; children: (id: string) => ReactNode }) {
  const id = useId();
  return (
    <div className="grid gap-1.5">
      <label htmlFor={id} className="font-medium">{label}</label>
      {children(id)}
      {hint && <p className="text-[13px] text-faint">{hint}</p>}
    </div>
  );
}

export function Problem({ children }: { children?: ReactNode }) {
  if (!children) return null;
  return <p role="alert" className="rounded-lg bg-bad-wash px-3 py-2 text-bad">{children}</p>;
}
