// An answer's text. What it links to opens elsewhere and learns nothing of this page; pictures are links, so that nothing
// is fetched that a model made up.
import { memo } from "react";
import Markdown, { type Components } from "react-markdown";
import gfm from "remark-gfm";

// One level, below the page's own: what a model calls a title is a title within its answer.
const Heading: Components["h1"] = ({ children }) => <h3>{children}</h3>;

const components: Components = {
  h1: Heading, h2: Heading, h3: Heading, h4: Heading, h5: Heading, h6: Heading,
  a: ({ href, children }) => <a href={href} target="_blank" rel="noopener noreferrer">{children}</a>,
  img: ({ src, alt }) => <a href={typeof src === "string" ? src : undefined} target="_blank" rel="noopener noreferrer">{alt || "Picture"}</a>,
  table: ({ children }) => <div tabIndex={0} role="group" aria-label="Table" className="overflow-x-auto"><table>{children}</table></div>,
  pre: ({ children }) => <pre tabIndex={0}>{children}</pre>,
};
const plugins = [gfm];

export const Prose = memo(function Prose({ text }: { text: string }) {
  return <div className="prose"><Markdown remarkPlugins={plugins} components={components}>{text}</Markdown></div>;
});
