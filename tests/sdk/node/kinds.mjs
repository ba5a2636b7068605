// Every kind of provider, as the router under test is configured with it, and who may call.

import { createHash } from "node:crypto";

const [KEY_OF_PROVIDER, SECRET_OF_BEDROCK] = ["key-of-the-provider", "scripted-secret"];

// By the name in the configuration, the first part of its models' names: what the provider calls its model, and its
// table, whose `base_url` begins with the provider's address. What is not said of a kind is as OTHERWISE says.
const TABLES = {
  openai: { upstream: "gpt-5-mini", table: { type: "openai", base_url: "/v1" } },
  responses: {
    upstream: "gpt-5-mini",
    responses: true,
    table: { type: "openai", base_url: "/v1", responses: true },
  },
  azure: {
    upstream: "mini-in-sweden",
    table: { type: "azure", base_url: "", api_version: "2024-10-21", responses: false },
  },
  "azure-v1": { upstream: "mini-in-sweden", responses: true, table: { type: "azure", base_url: "" } },
  anthropic: { upstream: "claude-sonnet-4-5", embeds: false, table: { type: "anthropic", base_url: "/v1" } },
  google: { upstream: "gemini-2.5-flash", table: { type: "google", base_url: "/v1beta" } },
  bedrock: {
    upstream: "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
    embeds: false,
    waits: false,
    absent: 400,
    table: {
      type: "bedrock",
      base_url: "",
      region: "eu-central-1",
      access_key_id: "AKIDSCRIPTED",
      secret_access_key: SECRET_OF_BEDROCK,
    },
  },
};

// Whether it speaks Responses, whether it has embeddings, whether its 429 says when to come again, and its status for a
// model that it does not have.
const OTHERWISE = { responses: false, embeds: true, waits: true, absent: 404 };

export const KINDS = Object.entries(TABLES).map(([name, kind]) => {
  return { name, model: `${name}/smart`, gone: `${name}/gone`, ...OTHERWISE, ...kind };
});

// The built-in provider, which repeats what it is told, and a model of it that nobody may spend a call on.
export const [ECHO, TIGHT] = ["echo/parrot", "echo/tight"];

// Names that Codex and Claude Code know: they ask newer models of their own makers otherwise than unknown ones.
export const [CODEX, CLAUDE] = ["gpt-6-sol", "claude-opus-5"];

// The caller's own key, as the router's operator hands them out.
export const KEY = "nexus-key-of-the-caller";

// The router's file, for a provider at this address.
export function configuration(url) {
  const caller = { client: "node", sha256: createHash("sha256").update(KEY).digest("hex") };
  const providers = KINDS.flatMap(({ name, upstream, table }) => {
    const key = table.secret_access_key ? {} : { api_key: KEY_OF_PROVIDER };
    const models = ["smart", CODEX, CLAUDE].map((model) => {
      return toml(`[llm.providers.${name}.models."${model}"]`, { rename: upstream });
    });
    const written = { ...table, ...key, base_url: url + table.base_url };
    return [toml(`[llm.providers.${name}]`, written), `[llm.providers.${name}.models.gone]`, ...models];
  });
  const echo = toml("[llm.providers.echo]", { type: "echo" });
  const parrot = "[llm.providers.echo.models.parrot]";
  const tight = "[llm.providers.echo.models.tight.rate_limits.per_user]";
  const limit = toml(tight, { input_token_limit: 1, interval: "60s" });
  return [toml("[[server.api_keys]]", caller), ...providers, echo, parrot, limit].join("\n");
}

// A table of strings, numbers and flags, which TOML writes as JSON does.
function toml(head, values) {
  return [head, ...Object.entries(values).map(([key, value]) => `${key} = ${JSON.stringify(value)}`), ""].join("\n");
}
