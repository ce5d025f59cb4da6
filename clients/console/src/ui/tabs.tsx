import { Tabs as Radix } from "radix-ui";
import type { ComponentProps } from "react";
import { cn } from "../lib/cn.js";

export const Tabs = Radix.Root;

export function TabsList({ className, ...props }: ComponentProps<typeof Radix.List>) {
  return <Radix.List className={cn("flex gap-1 border-b border-line", className)} {...props} />;
}

export function TabsTrigger({ className, ...props }: ComponentProps<typeof Radix.Trigger>) {
  return (
    <Radix.Trigger
      className={cn("-mb-px flex h-11 items-center gap-2 border-b-2 border-transparent px-2.5 font-medium text-soft hover:text-ink data-[state=active]:border-accent data-[state=active]:text-ink [&_svg]:size-4", className)}
      {...props}
    />
  );
}

export function TabsContent({ className, ...props }: ComponentProps<typeof Radix.Content>) {
  return <Radix.Content className={cn("min-h-0 flex-1 outline-offset-[-2px]", className)} {...props} />;
}
