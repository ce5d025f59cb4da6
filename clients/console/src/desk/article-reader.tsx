// A suggested article in a call: read, voted on, and noted as used.
import { useKnowledge, type Vote } from "@parley/react";
import { useEffect } from "react";
import { ArticleView, useArticle } from "./article-view.js";
import { Votes } from "./votes.js";

interface Props {
  callId: string;
  id: string;
  title: string;
  excerpt: string;
  vote?: Vote;
  onVote: (helpful: boolean) => void;
  onUsed: (how: "opened" | "copied") => void;
  onClose: () => void;
}

export function ArticleReader({ callId, id, title, excerpt, vote, onVote, onUsed, onClose }: Props) {
  const { read } = useKnowledge();
  const { article, error } = useArticle(id, read);
  useEffect(() => {
    if (article) onUsed("opened");
  }, [article]);
  return (
    <ArticleView id={id} title={title} excerpt={excerpt} article={article} error={error} of={callId} back="All articles" onClose={onClose} onCopied={() => onUsed("copied")}>
      <Votes vote={vote} onVote={onVote} />
    </ArticleView>
  );
}
