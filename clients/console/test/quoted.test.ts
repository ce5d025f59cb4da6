import { expect, test } from "vitest";
import { quotedIn } from "../src/demo/quoted.js";

const RESET = { doc_id: "d1", title: "Reset a password", excerpt: "Open the settings of the account.\nChoose a new password there. Ask for help if it fails." };
const RETURN = { doc_id: "d2", title: "Return an item", excerpt: "Print the label of the return. Bring it to the post office. Ask for help if it fails." };
const SHIP = { doc_id: "d3", title: "Shipping", excerpt: "All parcels are sent on the next day." };
const AGAIN = { doc_id: "d4", title: "Reset a password", excerpt: "Choose a new password there. Ask for help if it fails." };

test("of the passages found those are offered that the answer quotes", () => {
  expect(quotedIn(`${RESET.excerpt}\n\nSource: Reset a password`, [RESET, RETURN, SHIP, AGAIN])).toEqual([RESET]);
  expect(quotedIn(`${SHIP.excerpt}\n\n${RETURN.excerpt}`, [RESET, RETURN, SHIP])).toEqual([RETURN, SHIP]);
});

test("a sentence that many texts share makes no quotation where another text is quoted whole", () => {
  expect(quotedIn(RETURN.excerpt, [RESET, RETURN])).toEqual([RETURN]);
});

test("an answer in words of its own stands on the texts that it names, else on all", () => {
  expect(quotedIn("See “Shipping”.", [RESET, RETURN, SHIP])).toEqual([SHIP]);
  expect(quotedIn("By the next day.", [RESET, SHIP])).toEqual([RESET, SHIP]);
  expect(quotedIn("Hello!", [])).toEqual([]);
});
