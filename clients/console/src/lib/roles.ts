import { useClaims } from "@parley/react";

export function useIsSupervisor(): boolean {
  const { role } = useClaims();
  return role === "supervisor" || role === "admin";
}
