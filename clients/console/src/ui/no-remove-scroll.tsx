// In place of react-remove-scroll (see vite.config.ts).
import { Slot } from "radix-ui";
import type { ReactNode } from "react";

export function RemoveScroll({ children, as, className, enabled: _enabled, allowPinchZoom: _zoom, shards: _shards, ...rest }: { children?: ReactNode; as?: unknown; className?: string; enabled?: boolean; allowPinchZoom?: boolean; shards?: unknown }) {
  return as ? <Slot.Root className={className} {...rest}>{children}</Slot.Root> : <div className={className} {...rest}>{children}</div>;
}
