import { X } from "lucide-react";
import { Dialog as Radix } from "radix-ui";
import type { ReactNode, RefObject } from "react";
import { cn } from "../lib/cn.js";
import { Button } from "./button.js";

interface Props {
  open: boolean;
  onOpenChange?: (open: boolean) => void;
  title: string;
  description?: string;
  className?: string;
  /** What has the focus afterwards, where the dialog was not opened by a button of its own. */
  returnFocus?: RefObject<HTMLElement | null>;
  children: ReactNode;
}

/** Without onOpenChange it cannot be closed. */
export function Dialog({ open, onOpenChange, title, description, className, returnFocus, children }: Props) {
  return (
    <Radix.Root open={open} onOpenChange={onOpenChange}>
      <Radix.Portal>
        <Radix.Overlay className="fixed inset-0 z-40 bg-[rgb(0_0_0/0.45)]" />
        <Radix.Content
          onCloseAutoFocus={(event) => {
            if (!returnFocus?.current) return;
            event.preventDefault();
            returnFocus.current.focus();
          }}
          {...(description ? {} : { "aria-describedby": undefined })}
          className={cn("fixed top-1/2 left-1/2 z-50 grid max-h-[calc(100dvh-32px)] w-[min(520px,calc(100vw-24px))] -translate-x-1/2 -translate-y-1/2 gap-4 overflow-y-auto rounded-2xl border border-line bg-surface p-6 shadow-float", className)}
        >
          <header className="flex items-start gap-4">
            <div className="min-w-0 flex-1">
              <Radix.Title className="text-lg font-semibold tracking-tight">{title}</Radix.Title>
              {description && <Radix.Description className="mt-1 text-soft">{description}</Radix.Description>}
            </div>
            {onOpenChange && (
              <Radix.Close asChild>
                <Button variant="ghost" size="icon" aria-label="Close" className="-mt-2 -mr-2"><X /></Button>
              </Radix.Close>
            )}
          </header>
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
