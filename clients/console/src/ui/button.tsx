import { cva, type VariantProps } from "class-variance-authority";
import { Slot } from "radix-ui";
import type { ComponentProps } from "react";
import { cn } from "../lib/cn.js";

// A target is at least 44 px high for fingers, 36 px for mice.
const styles = cva(
  "inline-flex shrink-0 items-center justify-center gap-2 rounded-lg font-medium whitespace-nowrap transition-colors select-none disabled:opacity-60 [&_svg]:size-4 [&_svg]:shrink-0",
  {
    variants: {
      variant: {
        primary: "bg-accent text-accent-ink hover:bg-accent-hover",
        outline: "border border-line bg-surface text-ink hover:bg-hover",
        ghost: "text-soft hover:bg-sunken hover:text-ink",
        danger: "border border-bad/40 bg-surface text-bad hover:bg-bad-wash",
      },
      size: {
        normal: "h-9 px-3.5 pointer-coarse:h-11",
        icon: "size-9 pointer-coarse:size-11",
      },
    },
    defaultVariants: { variant: "outline", size: "normal" },
  },
);

type Props = ComponentProps<"button"> & VariantProps<typeof styles> & { asChild?: boolean };

export function Button({ className, variant, size, asChild, type = "button", ...props }: Props) {
  const Tag = asChild ? Slot.Root : "button";
  return <Tag type={asChild ? undefined : type} className={cn(styles({ variant, size }), className)} {...props} />;
}
