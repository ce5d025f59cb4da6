// A form's schema, as tools and MCP servers give it: a flat object of texts, numbers, yes or no, choices, dates.

export interface FormField {
  name: string;
  label: string;
  hint?: string;
  isRequired: boolean;
  kind: "text" | "long" | "number" | "boolean" | "choice" | "several" | "date" | "datetime" | "time" | "email" | "url";
  options: Array<{ value: string | number; label: string }>;
  initial?: unknown;
  limits: { min?: number; max?: number; minLength?: number; maxLength?: number; pattern?: string; step?: number | "any" };
}

type Schema = Record<string, any>;

const LONG_TEXT = 200;
const capital = (text: string): string => text.replace(/^\p{Ll}/u, (letter) => letter.toUpperCase());
/** "due_date" → "Due date", "dueDate" → "Due date". */
export const wordsOf = (name: string): string => capital(name.replaceAll(/[_-]+/g, " ").replaceAll(/(\p{Ll})(\p{Lu})/gu, "$1 $2").toLowerCase());

function optionsOf(schema: Schema): FormField["options"] {
  const named = (schema.oneOf ?? schema.anyOf) as Schema[] | undefined;
  if (named?.every((each) => "const" in each)) return named.map((each) => ({ value: each.const, label: String(each.title ?? each.const) }));
  const names = schema.enumNames as string[] | undefined;
  return ((schema.enum ?? []) as Array<string | number>).map((value, i) => ({ value, label: String(names?.[i] ?? value) }));
}

function kindOf(schema: Schema, options: FormField["options"]): FormField["kind"] {
  if (schema.type === "array") return "several";
  if (options.length > 0) return "choice";
  if (schema.type === "boolean") return "boolean";
  if (schema.type === "number" || schema.type === "integer") return "number";
  const byFormat = { date: "date", "date-time": "datetime", time: "time", email: "email", uri: "url", url: "url" } as const;
  return byFormat[schema.format as keyof typeof byFormat] ?? ((schema.maxLength ?? 0) > LONG_TEXT ? "long" : "text");
}

export function fieldsOf(schema: Schema | undefined, values: Record<string, unknown> = {}): FormField[] {
  const required = new Set((schema?.required ?? []) as string[]);
  return Object.entries((schema?.properties ?? {}) as Record<string, Schema>).map(([name, field]) => {
    const options = optionsOf(field.type === "array" ? (field.items ?? {}) : field);
    return {
      name, options, kind: kindOf(field, options), label: String(field.title ?? wordsOf(name)), hint: field.description, isRequired: required.has(name), initial: values[name] ?? field.default,
      limits: {
        min: field.minimum ?? field.minItems, max: field.maximum ?? field.maxItems, minLength: field.minLength, maxLength: field.maxLength, pattern: field.pattern,
        ...(field.type === "integer" ? { step: 1 } : field.type === "number" ? { step: "any" as const } : {}),
      },
    };
  });
}

/** "2026-11-30T18:00:00Z" as an input of the reader's zone takes it. */
export function localDateTime(value: unknown): string {
  const date = new Date(String(value));
  if (Number.isNaN(date.getTime())) return "";
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function valueOf(field: FormField, form: FormData): unknown {
  if (field.kind === "several") return form.getAll(field.name).map((index) => field.options[Number(index)]?.value);
  if (field.kind === "boolean") return form.get(field.name) === "yes";
  const text = String(form.get(field.name) ?? "");
  if (text === "") return undefined;
  if (field.kind === "number") return Number(text);
  if (field.kind === "choice") return field.options[Number(text)]?.value;
  return field.kind === "datetime" ? new Date(text).toISOString() : text;
}

/** What was filled in; what was left empty is absent. */
export function contentOf(fields: readonly FormField[], form: FormData): Record<string, unknown> {
  const entries = fields.map((field) => [field.name, valueOf(field, form)] as const);
  return Object.fromEntries(entries.filter(([name, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0 && !fields.find((field) => field.name === name)?.isRequired)));
}
