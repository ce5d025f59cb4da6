import { cva, type VariantProps } from "class-variance-authority";
import type { ComponentProps } from "react";
import { cn } from "../lib/cn.js";

const styles = cva("inline-flex shrink-0 items-center gap-1.5 rounded-full px-2.5 py-0.5 text-[12.5px] font-medium whitespace-nowrap [&_svg]:size-3.5", {
  variants: {
    tone: {
      neutral: "bg-sunken text-soft",
      accent: "bg-accent-wash text-accent",
      good: "bg-good-wash text-good",
      warn: "bg-warn-wash text-warn",
      bad: "bg-bad-wash text-bad",
    },
  },
  defaultVariants: { tone: "neutral" },
});

export type Tone = NonNullable<VariantProps<typeof styles>["tone"]>;

export function Chip({ className, tone, ...props }: ComponentProps<"span"> & VariantProps<typeof styles>) {
  return <span data-chip className={cn(styles({ tone }), className)} {...props} />;
}

const DOTS: Record<Tone, string> = { neutral: "border-[1.5px] border-line-strong", accent: "bg-accent", good: "bg-good", warn: "bg-warn", bad: "bg-bad" };

export function Dot({ tone = "neutral", className }: { tone?: Tone; className?: string }) {
  return <span aria-hidden className={cn("size-2 shrink-0 rounded-full forced-colors:border-[1.5px] forced-colors:border-current", DOTS[tone], className)} />;
}
