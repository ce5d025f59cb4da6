import { describe, expect, test } from "vitest";
import { markPassage, partsOf, piecesOf } from "../src/lib/article.js";

const text = (value: string) => ({ kind: "text", text: value });
const marked = (line: string, excerpt: string) => markPassage(line, excerpt).filter((piece) => piece.isMarked).map((piece) => piece.text).join("");

describe("a document's parts", () => {
  test("a list becomes steps with their points; what stands before it, paragraphs", () => {
    expect(partsOf("# Returns\nAsk what is wrong.\n\n1. Get the address\n   - street\n   - town\n2) Start the return\n")).toEqual({
      lead: [text("Returns"), text("Ask what is wrong.")],
      steps: [{ text: "Get the address", points: [text("street"), text("town")] }, { text: "Start the return", points: [] }],
    });
  });

  test("a text without a list has no steps", () => {
    expect(partsOf("One.\n\nTwo.\nThree.")).toEqual({ lead: [text("One."), text("Two."), text("Three.")], steps: [] });
  });

  test("lines that were broken because they were full are one, in paragraphs and in steps", () => {
    const wrapped = "Refunds are paid to the card with which the order was\npaid, within five days.\n\n- Ask for the order number, which is in the confirmation\n  that was sent by mail.";
    expect(partsOf(wrapped)).toEqual({
      lead: [text("Refunds are paid to the card with which the order was paid, within five days.")],
      steps: [{ text: "Ask for the order number, which is in the confirmation that was sent by mail.", points: [] }],
    });
  });

  test("code and tables are no steps", () => {
    expect(partsOf("1. Run it:\n\n```sh\nparley --port 3000\n\n- not a step\n```\n| a | b |\n|---|:-:|\n| 1 | 2 |\n2. Done")).toEqual({
      lead: [],
      steps: [{ text: "Run it:", points: [{ kind: "code", text: "parley --port 3000\n\n- not a step" }, { kind: "table", rows: [["a", "b"], ["1", "2"]] }] }, { text: "Done", points: [] }],
    });
  });
});

test("Markdown within a line has its looks, and only web and mail addresses are links", () => {
  expect(piecesOf("Press **Return**, `x = 1`, *twice*, [here](https://a.example/b) or [there](javascript:alert(1)) with snake_case_names and 2 * 3 * 4")).toEqual([
    { text: "Press " }, { text: "Return", kind: "strong" }, { text: ", " }, { text: "x = 1", kind: "code" }, { text: ", " }, { text: "twice", kind: "em" }, { text: ", " },
    { text: "here", kind: "link", href: "https://a.example/b" }, { text: " or [there](javascript:alert(1)) with snake_case_names and 2 * 3 * 4" },
  ]);
});

describe("the passage that was quoted", () => {
  test("is marked whatever its blanks, case and Markdown", () => {
    expect(marked("Gold members get  **unlimited** returns, always.", "…gold members get unlimited returns…")).toBe("Gold members get  unlimited returns");
    expect(markPassage("Gold **members** get more.", "members get").filter((piece) => piece.isMarked)).toEqual([{ text: "members", kind: "strong", isMarked: true }, { text: " get", isMarked: true }]);
  });

  test("is marked in each line that it goes over", () => {
    const excerpt = "which was sent by mail on the same day. Then ask for the reason of the return";
    expect(marked("Ask for the number, which was sent by mail on the same day.", excerpt)).toBe("which was sent by mail on the same day.");
    expect(marked("Then ask for the reason of the return and choose it.", excerpt)).toBe("Then ask for the reason of the return");
    expect(marked("Then wait.", excerpt)).toBe("");
  });

  test("in other scripts too", () => {
    expect(marked("يمكن إرجاع المنتج خلال 90 يوما. اسأل عن السبب.", "إرجاع المنتج خلال 90 يوما")).toBe("إرجاع المنتج خلال 90 يوما");
    expect(marked("サイズが合わない場合は返品できます。", "返品できます")).toBe("返品できます");
  });

  test("of nothing, nothing is marked", () => {
    expect(marked("Gold members get unlimited returns.", "")).toBe("");
    expect(marked("Gold members get unlimited returns.", "silver members get none")).toBe("");
  });
});
