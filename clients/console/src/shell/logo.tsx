export function Logo({ className = "size-7 text-accent" }: { className?: string }) {
  return (
    <svg viewBox="0 0 32 32" aria-hidden className={className}>
      <path fill="currentColor" d="M8 2h16a6 6 0 0 1 6 6v11a6 6 0 0 1-6 6h-7.2l-6.3 4.7A.9.9 0 0 1 9 29v-4H8a6 6 0 0 1-6-6V8a6 6 0 0 1 6-6z" />
      <path className="stroke-surface" strokeWidth="2.6" strokeLinecap="round" d="M9 12v3M13.7 9v9M18.3 11v5M23 12.5v2" />
    </svg>
  );
}
