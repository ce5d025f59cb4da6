import { DropdownMenu, Popover as RadixPopover } from "radix-ui";
import type { ComponentProps } from "react";
import { cn } from "../lib/cn.js";

const surface = "z-50 rounded-xl border border-line bg-surface p-1.5 shadow-float";

// Both stand where they are written, in the page's landmark, and hide nothing of it from who listens to the page.
export function Menu(props: ComponentProps<typeof DropdownMenu.Root>) {
  return <DropdownMenu.Root modal={false} {...props} />;
}
export const MenuTrigger = DropdownMenu.Trigger;

export function MenuContent({ className, ...props }: ComponentProps<typeof DropdownMenu.Content>) {
  return <DropdownMenu.Content align="end" sideOffset={6} collisionPadding={8} className={cn(surface, "min-w-52", className)} {...props} />;
}

export function MenuItem({ className, ...props }: ComponentProps<typeof DropdownMenu.Item>) {
  return <DropdownMenu.Item className={cn("flex h-9 cursor-pointer items-center gap-2.5 rounded-lg px-2.5 outline-none data-highlighted:bg-sunken pointer-coarse:h-11 [&_svg]:size-4 [&_svg]:text-faint", className)} {...props} />;
}

export const Popover = RadixPopover.Root;
export const PopoverTrigger = RadixPopover.Trigger;

export function PopoverContent({ className, ...props }: ComponentProps<typeof RadixPopover.Content>) {
  return <RadixPopover.Content align="end" sideOffset={6} collisionPadding={8} className={cn(surface, className)} {...props} />;
}
