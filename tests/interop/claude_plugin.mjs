// Checks the plugin in deploy/claude-code as Claude Code reads it: the manifest, the monitors and the servers against the
// published schema, the rest by what its documentation says
// (https://code.claude.com/docs/en/plugins/manifest-reference, .../plugins/components; read 2026-11-30).
//
// The schema of manifests is published at https://www.schemastore.org/claude-code-plugin-manifest.json. No package of the
// registries has it, so the fields that this plugin uses stand here as that schema described them on 2026-04-23.
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { installed } from "./shared.mjs";

const Ajv = (await installed("ajv")).default;

const plugin = new URL("../../deploy/claude-code/", import.meta.url);
const text = (path) => readFileSync(new URL(path, plugin), "utf8");
const json = (path) => JSON.parse(text(path));

const named = { type: "string", minLength: 1 };
const manifestSchema = {
  type: "object",
  required: ["name"],
  additionalProperties: false,
  properties: {
    name: named,
    version: { type: "string" },
    description: { type: "string" },
    author: { type: "object", required: ["name"], properties: { name: named } },
    homepage: { type: "string", format: "uri" },
    license: { type: "string" },
    keywords: { type: "array", items: { type: "string" } },
  },
};
const monitorsSchema = {
  type: "array",
  items: {
    type: "object",
    required: ["name", "command", "description"],
    additionalProperties: false,
    properties: {
      name: named,
      command: named,
      description: named,
      when: { type: "string", pattern: "^(always|on-skill-invoke:.+)$" },
    },
  },
};
const serversSchema = {
  type: "object",
  additionalProperties: {
    type: "object",
    required: ["command"],
    additionalProperties: false,
    properties: {
      type: { const: "stdio" },
      command: named,
      args: { type: "array", items: { type: "string" } },
      env: { type: "object", additionalProperties: { type: "string" } },
    },
  },
};
const ajv = new Ajv.Ajv({ strict: false, formats: { uri: true }, allErrors: true });
const valid = (schema, data) => {
  const check = ajv.compile(schema);
  return check(data) ? [] : check.errors;
};

// The manifest.
const manifest = json(".claude-plugin/plugin.json");
assert.deepEqual(valid(manifestSchema, manifest), []);
assert.match(manifest.name, /^[a-z0-9]+(-[a-z0-9]+)*$/);

// The monitors. From 2.1.207 on the client refuses settings of the plugin in their commands.
const monitors = json("monitors/monitors.json");
assert.deepEqual(valid(monitorsSchema, monitors), []);
assert.ok(monitors.length > 0);
for (const { command } of monitors) {
  assert.ok(!command.includes("${user_config"), command);
  const [, script] = command.match(/"\$\{CLAUDE_PLUGIN_ROOT\}\/([^"]+)"/);
  assert.ok(statSync(new URL(script, plugin)).isFile(), script);
}
const { description, ...unnamed } = monitors[0];
assert.ok(valid(monitorsSchema, [unnamed]).length > 0, "the schema refuses what is wrong");

// The servers.
const servers = json(".mcp.json");
assert.deepEqual(Object.keys(servers), ["mcpServers"]);
assert.deepEqual(valid(serversSchema, servers.mcpServers), []);
assert.ok(Object.keys(servers.mcpServers).length > 0);
assert.ok(valid(serversSchema, { events: { args: [] } }).length > 0, "a server has a command");

// The marketplace, by which a checkout is installed.
const market = json(".claude-plugin/marketplace.json");
assert.ok(market.name && market.owner.name);
assert.deepEqual(market.plugins.map((entry) => entry.name), [manifest.name]);
for (const { source } of market.plugins) {
  assert.match(source, /^\.\//);
  assert.ok(existsSync(new URL(`${source}/.claude-plugin/plugin.json`, plugin)), source);
}

// The skills.
const skills = readdirSync(new URL("skills", plugin));
assert.ok(skills.length > 0);
for (const name of skills) {
  const [, front, body] = text(`skills/${name}/SKILL.md`).match(/^---\n([\s\S]*?)\n---\n([\s\S]*)$/);
  const fields = Object.fromEntries(front.split("\n").map((line) => line.split(/: (.*)/, 2)));
  assert.equal(fields.name, name);
  assert.match(name, /^[a-z0-9-]{1,64}$/);
  assert.ok(fields.description.length <= 1024 && !/[<>]/.test(fields.description), name);
  assert.ok(body.split("\n").length < 500, `${name}: the body is loaded whole`);
}

console.log(JSON.stringify({ ok: true, plugin: fileURLToPath(plugin) }));
