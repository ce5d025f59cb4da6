// How much a suggestion may claim. `relevance` is comparable between calls: what is low, or hardly before the next,
// is a possible topic and no more.
import type { SuggestedDocument } from "@parley/react";

export const LEAST_RELEVANCE = 0.3;
export const LEAST_LEAD = 1.35;

export function isCertain(documents: readonly SuggestedDocument[]): boolean {
  const [first, second] = documents;
  if (!first || first.relevance < LEAST_RELEVANCE) return false;
  return !second || first.relevance >= second.relevance * LEAST_LEAD;
}

/** In words: a number would promise more than it knows. */
export function strengthOf(relevance: number): "Strong match" | "Good match" | "Weak match" {
  if (relevance >= 0.6) return "Strong match";
  return relevance >= LEAST_RELEVANCE ? "Good match" : "Weak match";
}
