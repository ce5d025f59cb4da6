import { describe, expect, test } from "vitest";
import { clockTime, customerOf, dayAndTime, dayOf } from "../src/lib/format.js";

const call = (customer: unknown) => ({ call_id: "c-1", metadata: { customer } });

describe("the customer's name", () => {
  test("in small letters alone gets capitals", () => {
    expect(customerOf(call("crystal minh"))).toBe("Crystal Minh");
    expect(customerOf(call("anna-lena_weiß"))).toBe("Anna-Lena Weiß");
  });
  test("is written as its owner writes it", () => {
    for (const name of ["Ludwig van Beethoven", "Vincent van Gogh", "Deirdre McCloskey", "bell hooks Inc.", "山田 太郎"]) expect(customerOf(call(name))).toBe(name);
  });
  test("is empty where nobody said", () => {
    for (const nothing of [undefined, null, 7, {}, " "]) expect(customerOf(call(nothing))).toBe("");
  });
});

describe("times", () => {
  const now = new Date(2026, 10, 30, 9, 0).getTime();
  test("of today have no day, of another one have it, of another year that too", () => {
    expect(dayOf(new Date(2026, 10, 30, 0, 1).getTime(), now)).toBe("");
    expect(dayOf(new Date(2026, 10, 29, 23, 59).getTime(), now)).toBe("Nov 29");
    expect(dayOf(new Date(2025, 10, 30, 9, 0).getTime(), now)).toBe("Nov 30, 2025");
    expect(dayOf("nonsense", now)).toBe("");
  });
  test("are in 24 hours, midnight is 00", () => {
    expect(clockTime(new Date(2026, 10, 30, 0, 3, 9).getTime())).toBe("00:03:09");
    expect(clockTime(new Date(2026, 10, 30, 21, 3).getTime(), false)).toBe("21:03");
    expect(clockTime("nonsense")).toBe("");
    expect(dayAndTime(new Date(2001, 1, 3, 4, 5).getTime())).toBe("Feb 3, 2001, 04:05");
  });
});
