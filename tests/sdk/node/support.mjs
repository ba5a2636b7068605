// A running router in front of the scripted provider, for the tests of one file, and what every SDK is asked.
//
// The provider (../provider.py, its vocabulary in ../model.py) answers by the words of the user: what a test sends
// decides what it gets. It refuses whatever the real providers refuse.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { realpathSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before } from "node:test";
import { z } from "zod";

// What the model says, and what that costs; of the input 10 tokens came from the provider's cache.
export const TEXT = "Hello from the scripted model: äöü 🌍.";
export const [INPUT, CACHED, OUTPUT] = [30, 10, 7];

// Whole seconds that the provider asks to wait with a 429.
export const WAIT = "7";

// Milliseconds that anything may take on a slow machine.
const PATIENCE = 30_000;

// The tests are run by a link beside the installed packages.
const PROVIDER = join(realpathSync(import.meta.dirname), "..", "provider.py");

// Every kind of provider by its name in the configuration, which is the first part of its models' names.
// `embeds`: whether it has embeddings.
const TABLES = {
  openai: { embeds: true, keys: 'type = "openai"\nbase_url = "URL/v1"\napi_key = "KEY"' },
  responses: { embeds: true, keys: 'type = "openai"\nresponses = true\nbase_url = "URL/v1"\napi_key = "KEY"' },
  azure: { embeds: true, keys: 'type = "azure"\napi_version = "2024-10-21"\nresponses = false\nbase_url = "URL"\napi_key = "KEY"' },
  "azure-v1": { embeds: true, keys: 'type = "azure"\nbase_url = "URL"\napi_key = "KEY"' },
  anthropic: { embeds: false, keys: 'type = "anthropic"\nbase_url = "URL/v1"\napi_key = "KEY"' },
  google: { embeds: true, keys: 'type = "google"\nbase_url = "URL/v1beta"\napi_key = "KEY"' },
  bedrock: {
    embeds: false,
    keys: 'type = "bedrock"\nregion = "eu-central-1"\nbase_url = "URL"\naccess_key_id = "AKIDSCRIPTED"\nsecret_access_key = "scripted-secret"',
  },
};
export const KINDS = Object.entries(TABLES).map(([name, { embeds }]) => ({ name, model: `${name}/smart`, embeds }));
export const ECHO = "echo/parrot";

// A model that is configured and that the provider does not have.
export const gone = (kind) => `${kind.name}/gone`;

// The caller's own key, as the router's operator hands them out.
export const KEY = "nexus-key-of-the-caller";

function configuration(url) {
  const providers = Object.entries(TABLES).map(([name, { keys }]) => {
    const table = keys.replace("URL", url).replace("KEY", "key-of-the-provider");
    return `[llm.providers.${name}]\n${table}\n[llm.providers.${name}.models.smart]\n[llm.providers.${name}.models.gone]\n`;
  });
  const echo = '[llm.providers.echo]\ntype = "echo"\n[llm.providers.echo.models.parrot]\n';
  const tight = '[llm.providers.echo.models.tight.rate_limits.per_user]\ninput_token_limit = 1\ninterval = "60s"\n';
  const identity = `[[server.api_keys]]\nclient = "node"\nsha256 = "${createHash("sha256").update(KEY).digest("hex")}"\n`;
  return [identity, ...providers, echo, tight].join("\n");
}


// Starts a program and resolves with what stands behind `text` on a line of its output, up to a slash or the end.
async function started(text, command, args, options) {
  const child = spawn(command, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  const output = [];
  const found = new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        output.push(line);
        const [, address] = line.split(text);
        if (address !== undefined) resolve(address.split("/")[0]);
      });
    }
    child.on("error", reject);
    child.on("exit", (code) => reject(new Error(`${command} ended with ${code}:\n${output.join("\n")}`)));
    setTimeout(() => reject(new Error(`${command} did not start:\n${output.join("\n")}`)), PATIENCE).unref();
  });
  return { child, address: await found };
}

async function stopped(child) {
  const ended = new Promise((resolve) => child.on("exit", (code, signal) => resolve(code ?? signal)));
  child.kill();
  return child.exitCode ?? (await ended);
}

// The router of this file: `nexus.url` while its tests run. It must stop cleanly after them.
export const nexus = {};

let folder, provider, router;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "nexus-"));
  provider = await started("listening on http://", "python3", [PROVIDER]);
  await writeFile(join(folder, "nexus.toml"), configuration(`http://${provider.address}`));
  const listen = ["--listen-address", "127.0.0.1:0"];
  router = await started("OpenAI LLM endpoint: http://", process.env.NEXUS_BINARY, listen, { cwd: folder });
  nexus.url = `http://${router.address}`;
});

after(async () => {
  const code = router && (await stopped(router.child));
  if (provider) await stopped(provider.child);
  await rm(folder, { recursive: true });
  if (router) assert.equal(code, 0, "the router did not stop cleanly");
});

// The tool of every tool test: the model calls it for both cities at once.
export const weather = {
  name: "get_weather",
  description: "The weather of a city",
  schema: z.object({ city: z.string() }),
  json: {
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
    additionalProperties: false,
  },
  run: ({ city }) => (city === "Rome" ? "sunny" : `rain in ${city}`),
};
export const ASK_WEATHER = "What is the weather in Rome and Paris?";
export const CITIES = [{ city: "Rome" }, { city: "Paris" }];
export const WEATHER_SAID = "The tools say: sunny and rain in Paris";

// The object of every test of structured output, and what the model makes of it.
export const Trip = z.object({ city: z.string(), days: z.int(), warm: z.boolean() });
export const ASK_TRIP = "Plan a trip for the weather in Rome";
export const TRIP = { city: "Rome", days: 7, warm: true };

// Collects what an asynchronous iterable yields before it throws, and what it throws.
export async function untilError(stream) {
  const seen = [];
  try {
    for await (const piece of stream) seen.push(piece);
  } catch (error) {
    return { seen, error };
  }
  return assert.fail(`no error after ${JSON.stringify(seen)}`);
}
