// Holds what the fake GitHub says against what GitHub publishes: answers of its REST API against the OpenAPI
// description (npm @octokit/openapi), payloads of webhooks against npm @octokit/openapi-webhooks.
//
// node github_answers.mjs FILE: a line of JSON for each answer: {"method","route","status","version","body"}, and for
// each payload: {"event","payload"}. Prints what is wrong, a line each, and ends with 1 if anything is.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// deploy/setup.sh installs the packages there.
const packages = createRequire(new URL("../../.setup/package.json", import.meta.url));
const Ajv = packages("ajv");
const read = (name) => JSON.parse(readFileSync(packages.resolve(name), "utf8"));

// What version 2026-03-10 has no more ("Breaking changes" in GitHub's documentation).
const gone = {
  issue: ["assignee"],
  "nullable-issue": ["assignee"],
  "pull-request": ["assignee", "merge_commit_sha"],
  "pull-request-simple": ["assignee", "merge_commit_sha"],
  repository: ["has_downloads", "master_branch", "use_squash_pr_title_as_default"],
  "nullable-repository": ["has_downloads", "master_branch", "use_squash_pr_title_as_default"],
  "full-repository": ["has_downloads", "use_squash_pr_title_as_default"],
  "minimal-repository": ["has_downloads"],
  "rate-limit-overview": ["rate"],
};

/** OpenAPI 3.0's `nullable` becomes JSON Schema; a described object has no other members than described. */
const translated = (schema, closed, inAllOf = false) => {
  if (Array.isArray(schema)) return schema.map((it) => translated(it, closed, inAllOf));
  if (typeof schema !== "object" || schema === null) return schema;
  const result = {};
  for (const [name, value] of Object.entries(schema)) {
    if (["example", "examples", "default", "nullable", "description", "deprecated"].includes(name) && typeof schema.type === "string" && name !== "nullable") continue;
    if (name === "nullable") continue;
    result[name] = name === "properties"
      ? Object.fromEntries(Object.entries(value).map(([key, it]) => [key, translated(it, closed)]))
      : ["enum", "const", "required", "example", "examples"].includes(name) ? value : translated(value, closed, name === "allOf");
  }
  const composed = result.allOf || result.anyOf || result.oneOf;
  if (closed && result.properties && result.additionalProperties === undefined && !inAllOf && !composed) {
    result.additionalProperties = false;
  }
  // Where the type may be null and the alternatives forget it.
  if (Array.isArray(result.type) && result.type.includes("null") && result.oneOf) {
    result.oneOf = [...result.oneOf, { type: "null" }];
  }
  if (schema.nullable !== true) return result;
  if (result.enum && !result.enum.includes(null)) result.enum = [...result.enum, null];
  if (typeof result.type === "string" && !composed && !result.$ref) {
    return { ...result, type: [result.type, "null"] };
  }
  return { anyOf: [result, { type: "null" }] };
};

const text = (pattern) => ({ type: "string", validate: (it) => pattern.test(it) });
const formats = {
  "date-time": text(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/),
  uri: text(/^[a-z][a-z+.-]*:\S+$/),
};
const checker = (document, id) => {
  const ajv = new Ajv({ strict: false, allErrors: true, validateSchema: false, formats, logger: false });
  ajv.addSchema({ ...document, $id: id }, id);
  const known = new Map();
  return (pointer, value) => {
    const path = pointer.map((it) => encodeURIComponent(it.replaceAll("~", "~0").replaceAll("/", "~1"))).join("/");
    if (!known.has(path)) known.set(path, ajv.compile({ $ref: `${id}#/${path}` }));
    const validate = known.get(path);
    if (validate(value)) return [];
    return validate.errors.slice(0, 8).map((it) => {
      const more = it.params.additionalProperty ?? it.params.missingProperty ?? it.params.allowedValues ?? "";
      return `${it.instancePath} ${it.message} ${JSON.stringify(more)}`;
    });
  };
};

const published = read("@octokit/openapi/generated/api.github.com.json");
// Here the description has an old copy of an installation, whose account is a user and an enterprise at once.
published.paths["/app/installations"].get.responses[200].content["application/json"].schema.items = {
  $ref: "#/components/schemas/installation",
};
const older = { ...published, components: translated(published.components, true), paths: translated(published.paths, true) };
const newer = structuredClone(older);
for (const [name, members] of Object.entries(gone)) {
  const schema = newer.components.schemas[name];
  for (const part of [schema, ...(schema?.anyOf ?? [])]) {
    for (const member of members) delete part?.properties?.[member];
    if (part?.required) part.required = part.required.filter((it) => !members.includes(it));
  }
}
const answers = { "2022-11-28": checker(older, "older"), "2026-03-10": checker(newer, "newer") };
const nameless = (route) => route.replaceAll(/\{[^}]*\}/g, "{}");
const paths = new Map(Object.keys(published.paths).map((path) => [nameless(path), path]));

const hooks = read("@octokit/openapi-webhooks/generated/api.github.com.json");
const payloads = checker({ components: translated(hooks.components, false), webhooks: translated(hooks.webhooks, false) }, "hooks");

const problems = new Set();
for (const line of readFileSync(process.argv[2], "utf8").split("\n").filter(Boolean)) {
  const said = JSON.parse(line);
  if (said.event) {
    const name = [said.event, said.payload.action].filter(Boolean).join("-").replaceAll("_", "-");
    const hook = Object.keys(hooks.webhooks).find((it) => it.replaceAll("_", "-") === name);
    if (!hook) {
      problems.add(`payload ${name}: GitHub describes no such webhook`);
      continue;
    }
    const pointer = ["webhooks", hook, "post", "requestBody", "content", "application/json", "schema"];
    for (const it of payloads(pointer, said.payload)) problems.add(`payload ${name}: ${it}`);
    continue;
  }
  const path = paths.get(nameless(said.route));
  const method = said.method.toLowerCase();
  const found = published.paths[path]?.[method]?.responses?.[said.status];
  const shared = found?.$ref?.split("/").pop();
  const response = shared ? published.components.responses[shared] : found;
  if (!response) {
    problems.add(`${said.method} ${said.route} ${said.status}: GitHub describes no such answer`);
    continue;
  }
  const type = response.content && Object.keys(response.content)[0];
  if (!type) continue;
  const place = shared ? ["components", "responses", shared] : ["paths", path, method, "responses", `${said.status}`];
  const pointer = [...place, "content", type, "schema"];
  for (const it of answers[said.version](pointer, said.body)) {
    problems.add(`${said.method} ${said.route} (${said.version}): ${it}`);
  }
}
for (const it of problems) console.log(it);
process.exit(problems.size > 0 ? 1 : 0);
