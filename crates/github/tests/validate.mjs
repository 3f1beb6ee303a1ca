// Validates GraphQL documents against GitHub's schema with the reference implementation: takes the folder of the
// packages, reads a JSON list of documents from standard input, and writes the list of the faults of each.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const folder = process.argv[2];
const { buildSchema, parse, validate } = createRequire(`${folder}/package.json`)("graphql");
const text = readFileSync(`${folder}/@octokit/graphql-schema/schema.graphql`, "utf8");
// GitHub's own text defines some fields twice.
const schema = buildSchema(text, { assumeValidSDL: true });
const faults = (text) => {
  try {
    return validate(schema, parse(text)).map((fault) => fault.message);
  } catch (fault) {
    return [String(fault)];
  }
};
const documents = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(documents.map(faults)));
