// What the server sends, beside the schema files that the documentation is made from.
import { readFileSync, readdirSync } from "node:fs";

const folder = new URL("../../../app/schemas/server/", import.meta.url);
const schemas = new Map(readdirSync(folder).map((name) => JSON.parse(readFileSync(new URL(name, folder)))).map((schema) => [schema.title, schema]));

const types = {
  object: (value) => value !== null && typeof value === "object" && !Array.isArray(value),
  array: Array.isArray,
  string: (value) => typeof value === "string",
  boolean: (value) => typeof value === "boolean",
  integer: Number.isInteger,
  number: (value) => typeof value === "number",
};

function* problemsOf(schema, value, where) {
  if (!types[schema.type](value)) return void (yield `${where} must be of type ${schema.type}`);
  if (schema.enum && !schema.enum.includes(value)) yield `${where} must be one of ${schema.enum}`;
  if (schema.minimum > value || schema.maximum < value) yield `${where} is out of range`;
  if (schema.maxItems < value.length) yield `${where} has too many elements`;
  for (const name of schema.required ?? []) if (!(name in value)) yield `${where}/${name} is missing`;
  for (const [name, field] of Object.entries(schema.properties ?? {})) if (name in value) yield* problemsOf(field, value[name], `${where}/${name}`);
  if (schema.items) for (const [i, one] of value.entries()) yield* problemsOf(schema.items, one, `${where}/${i}`);
}

/** What is wrong with an event of the server: a list of texts, empty if it is as documented. */
export function problemsWith(event, data) {
  return schemas.has(event) ? [...problemsOf(schemas.get(event), data, event)] : [`${event} has no schema`];
}
