// What stands in place of the page when a part of it failed: a piece that could not be loaded, or a fault of ours.
import { Component, type ReactNode } from "react";
import { Button } from "../ui/button.js";

/** Another `of` is another try. */
export class Failure extends Component<{ of: string; children: ReactNode }, { error: Error | null; of: string }> {
  override state = { error: null as Error | null, of: this.props.of };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  static getDerivedStateFromProps({ of }: { of: string }, state: { of: string }) {
    return of === state.of ? null : { error: null, of };
  }

  override render() {
    if (!this.state.error) return this.props.children;
    return (
      <main className="grid flex-1 place-content-center justify-items-center gap-3 p-6 text-center">
        <div role="alert"><h1 className="font-semibold">This page could not be shown.</h1><p className="text-soft">Nothing that was sent is lost.</p></div>
        <p className="text-[13px] text-faint wrap-anywhere">{this.state.error.message}</p>
        <Button variant="primary" onClick={() => window.location.reload()}>Load it again</Button>
      </main>
    );
  }
}
